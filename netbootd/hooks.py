"""
Word to others that a node is up, or has failed, that an address has another holder, or a secret a
second claimant: a command of the operator's, or a POST to a URL.

A hook may hang, flood, fork or not exist: nothing of that reaches the reactor.  Each runs in a
thread of its own, some of them at a time, and has ``hooks.timeout`` seconds; those that have to
wait, wait in a queue that has an end.  Leases come by thousands when the power is back, and so have
a lane of their own, in which no word of a node waits.

A command runs without a shell, in a session of its own.  It is over when its first process is;
what that leaves behind in its group is ended then, and at the timeout the whole group is.  All that
it is told stands in JSON on its standard input, and in variables as well: ``NETBOOTD_MAC`` for
``mac``.  Its standard output goes nowhere; the last line on its standard error is what the log says
when it fails.

A URL is told by POST, of which any status from 200 to 299 is a yes.  That is Python's own
http.client: Twisted's would bring three more libraries for https.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import selectors
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from netbootd import __version__
from netbootd.boot.history import machine_of
from netbootd.config import Hooks as Settings
from netbootd.events.event import Event
from netbootd.events.lease import Leased, LeaseEnded
from netbootd.printable import counted, printable
from netbootd.registry.live import LiveRegistry

log = Logger(namespace="netbootd.hooks")

AT_ONCE = 8
MOST_WAITING = 1000
LEASES_AT_ONCE = 4
MOST_LEASES_WAITING = 10_000
MOST_OF_ONE = 100  # that wait about the same: one whose hooks hang takes nobody else's room
_DROPS_TOLD = 1000  # of so many that go nowhere, the first is told of
_KEPT = 4096  # bytes of what a hook says, its last
_PIECE = 65536  # what a pipe holds
_PAUSE_S = 0.01  # after each piece: a hook that floods gets 6 MB/s of us, not a whole core
_LONGEST_VARIABLE = 32768  # characters; the kernel takes 128 KiB (execve(2), MAX_ARG_STRLEN)
#: What systemd tells this process and no other (sd_notify(3), sd_listen_fds(3)).
_OURS_ALONE = re.compile(
    r"NOTIFY_SOCKET|WATCHDOG_\w+|LISTEN_\w+|INVOCATION_ID|JOURNAL_STREAM|NETBOOTD_OPENER"
)
_URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class _Run:
    """
    One hook to be run: *what* it is, its *body* in JSON, the variables it gets.

    *about* is the machine, or the address of a lease: of one thing, hooks are told in order.
    """

    kind: str
    who: str
    about: str
    what: tuple[str, ...]
    body: bytes
    variables: Mapping[str, str]
    timeout: float
    group: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def title(self) -> str:
        """As the log calls it; a URL may hold a password or a token, which are not for the log."""
        if is_url(self.what[0]):
            parts = urlsplit(self.what[0])
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return self.what[0]

    def end(self) -> None:
        """Kill the command with all its group, if it runs."""
        with self.lock:
            if self.group:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.group, signal.SIGKILL)


@dataclass(slots=True)
class _Lane:
    """
    Hooks that wait for each other: *at_once* run, *most* wait, *dropped* had no room.

    *quiet*: that one is done is no news.  *of_one* counts those that wait, by what they are about.
    """

    at_once: int
    most: int
    quiet: bool = False
    waiting: deque[_Run] = field(default_factory=deque)
    running: list[_Run] = field(default_factory=list)
    dropped: int = 0
    of_one: Counter[str] = field(default_factory=Counter)

    def has_room_for(self, run: _Run) -> bool:
        """Whether *run* need not wait."""
        return len(self.running) < self.at_once and run.about not in self._busy()

    def put_off(self, run: _Run) -> str:
        """Have *run* wait; why not, where too many do."""
        if len(self.waiting) >= self.most:
            return f"{self.most} wait already"
        if self.of_one[run.about] >= MOST_OF_ONE:
            return f"{MOST_OF_ONE} about {run.about} wait already"
        self.waiting.append(run)
        self.of_one[run.about] += 1
        return ""

    def next(self) -> _Run | None:
        """Take the first of those that wait for no other of their own."""
        busy = self._busy()
        ready = next((run for run in self.waiting if run.about not in busy), None)
        if ready is not None:
            self.waiting.remove(ready)
            self.of_one[ready.about] -= 1
            if not self.of_one[ready.about]:
                del self.of_one[ready.about]
        return ready

    def _busy(self) -> set[str]:
        return {run.about for run in self.running}


class Hooks:
    """
    Runs what *settings* says at that moment; everything but the threads is in *reactor*'s.

    Never raises and never waits: whoever calls ``run`` has other things to do.
    """

    def __init__(self, reactor: Any, settings: Callable[[], Settings]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._nodes = _Lane(AT_ONCE, MOST_WAITING)
        self._leases = _Lane(LEASES_AT_ONCE, MOST_LEASES_WAITING, quiet=True)
        self._closed: Deferred[None] | None = None

    def run(self, kind: str, data: Mapping[str, Any]) -> None:
        """
        Tell the hook for *kind* (``up``, ``failed``, ``lease``, ``alarm``) about *data*, where
        there is one.

        ``data["mac"]`` is the machine that the log names, ``data["event"]`` what happened, where it
        is not *kind* itself.
        """
        try:
            self._take(kind, data)
        except Exception:
            log.failure("hook {kind} could not be begun", kind=kind)

    def close(self, grace: float) -> Deferred[None]:
        """Begin no more; those that run have *grace* seconds to end, then they are ended."""
        if self._closed is None:
            self._closed = Deferred()
            if waiting := sum(len(lane.waiting) for lane in self._lanes()):
                log.warn("{hooks} never ran", hooks=counted(waiting, "hook"))
            for lane in self._lanes():
                lane.waiting.clear()
            if self._runs():
                self._deadline = self._reactor.callLater(grace, self._end_all)
            else:
                self._closed.callback(None)
        return self._closed

    def dropped(self) -> int:
        """How many had no room."""
        return sum(lane.dropped for lane in self._lanes())

    def _lanes(self) -> tuple[_Lane, ...]:
        return self._nodes, self._leases

    def _lane(self, kind: str) -> _Lane:
        return self._leases if kind == "lease" else self._nodes

    def _runs(self) -> list[_Run]:
        return [run for lane in self._lanes() for run in lane.running]

    def _end_all(self) -> None:
        for run in self._runs():
            run.end()
        assert self._closed is not None
        if not self._closed.called:
            self._closed.callback(None)

    def _take(self, kind: str, data: Mapping[str, Any]) -> None:
        settings = self._settings()
        what: tuple[str, ...] = getattr(settings, kind)
        if not what or self._closed is not None:
            return
        told = {"event": kind, **data}
        body = json.dumps(told, default=str, ensure_ascii=True).encode("ascii")
        who = str(data.get("mac", ""))
        about = str(data.get("address", "")) if kind == "lease" else who
        run = _Run(kind, who, about, what, body, variables_of(told), settings.timeout)
        lane = self._lane(kind)
        if lane.has_room_for(run):
            self._begin(run)
        elif why := lane.put_off(run):
            if lane.dropped % _DROPS_TOLD == 0 or not lane.quiet:
                log.warn("{who} hook {kind} dropped: {why}", who=who, kind=kind, why=why)
            lane.dropped += 1

    def _begin(self, run: _Run) -> None:
        self._lane(run.kind).running.append(run)
        thread = threading.Thread(target=self._work, args=(run,), name="hook", daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:  # no more threads to be had
            # Not from in here: the end of one begins the next, and all that wait would be nested.
            self._reactor.callFromThread(self._ended, run, str(problem), 0.0)

    def _work(self, run: _Run) -> None:
        """In the thread: do it, and have the reactor told."""
        begun = time.monotonic()
        try:
            problem = _post(run) if is_url(run.what[0]) else _command(run)
        except Exception as fault:  # the thread must come back whatever happens
            problem = f"{type(fault).__name__}: {fault}"
        with suppress(Exception):  # the reactor may be gone
            self._reactor.callFromThread(self._ended, run, problem, time.monotonic() - begun)

    def _ended(self, run: _Run, problem: str | None, seconds: float) -> None:
        lane = self._lane(run.kind)
        lane.running.remove(run)
        fields = {"who": run.who, "kind": run.kind, "title": printable(run.title)}
        if problem is not None:
            told = printable(problem, 500)
            log.warn("{who} hook {kind} failed: {title}: {told}", told=told, **fields)
        elif lane.quiet:
            log.debug("{who} hook {kind}: {title} in {s:.1f} s", s=seconds, **fields)
        else:
            log.info("{who} hook {kind}: {title} in {s:.1f} s", s=seconds, **fields)
        if self._closed is None and (following := lane.next()):
            self._begin(following)
        if self._closed is not None and not self._runs() and not self._closed.called:
            self._deadline.cancel()
            self._closed.callback(None)


class LeaseHooks:
    """
    A listener: tells ``hooks.lease`` when an address is given, or its lease ends; a lease that is
    only renewed is no news.
    """

    def __init__(self, hooks: Hooks, live: LiveRegistry) -> None:
        self._hooks = hooks
        self._live = live

    def __call__(self, event: Event, *_: object) -> None:
        """Tell of *event*, if it is one for us."""
        if not isinstance(event, Leased | LeaseEnded) or not self._live.snapshot.config.hooks.lease:
            return
        if isinstance(event, LeaseEnded):
            self._tell(event, {"event": event.how, "seconds": 0})
        elif event.how not in _RENEWALS:
            told = {
                "event": "leased",
                "seconds": event.seconds,
                "how": event.how,
                "reserved": event.reserved,
                "interface": event.interface,
                "relay": event.relay,
            }
            self._tell(event, told)

    def _tell(self, event: Leased | LeaseEnded, more: Mapping[str, Any]) -> None:
        registry, mac = self._live.snapshot, event.mac
        machine = machine_of(mac, registry, self._live.sightings) if mac else None
        data = {
            "mac": str(mac) if mac else "",
            "address": event.address,
            "hostname": event.hostname,
            "key": event.key,
            "machine": registry.variables_of(machine) if machine and machine.known else {},
        }
        self._hooks.run("lease", {**data, **more})


_RENEWALS = frozenset({"renewed", "rebound"})


def is_url(word: str) -> bool:
    """Whether a hook is an address to call rather than a program."""
    return _URL.match(word) is not None


def variables_of(data: Mapping[str, Any]) -> dict[str, str]:
    """
    ``NETBOOTD_MAC`` and so on: text as it is, all else as JSON has it.

    What is in ``machine`` goes by its own names, unless something else has them.
    """
    machine = data.get("machine")
    known = {**machine, **data} if isinstance(machine, Mapping) else dict(data)
    found = {}
    for key, value in known.items():
        name = "NETBOOTD_" + re.sub(r"[^A-Z0-9_]", "_", str(key).upper())
        text = value if isinstance(value, str) else _plain(value)
        found[name] = text.replace("\0", "").encode("utf-8", "replace").decode()[:_LONGEST_VARIABLE]
    return found


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | int | float | list | tuple | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


# -- a command -------------------------------------------------------------------------------------


def _command(run: _Run) -> str | None:
    """Why it failed, None where it did not."""
    inherited = {k: v for k, v in os.environ.items() if not _OURS_ALONE.fullmatch(k)}
    try:
        process = subprocess.Popen(  # noqa: S603  # the operator's own command, without a shell
            run.what,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env={**inherited, **run.variables},
            start_new_session=True,
        )
    except OSError as problem:
        return problem.strerror or str(problem)
    with run.lock:
        run.group = process.pid
    said = bytearray()
    try:
        in_time = _converse(process, run, said)
    finally:
        run.end()
        with run.lock:  # from here on the number may be another process's
            run.group = 0
            process.wait()
        for pipe in (process.stdin, process.stderr):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
    return _verdict(process.returncode, run.timeout, said, in_time=in_time)


def _verdict(status: int, timeout: float, said: bytearray, *, in_time: bool) -> str | None:
    if not in_time:
        how = f"ended after {timeout:g} s"
    elif status == 0:
        return None
    else:
        how = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return f"{how}: {lines[-1]}" if lines else how


def _converse(process: subprocess.Popen[bytes], run: _Run, said: bytearray) -> bool:
    """
    Give it its input and take what it says, until its first process has ended.

    False when the time is up.  The process is not waited for: as a zombie it keeps its number, and
    so its group can be ended without hitting a stranger.
    """
    assert process.stdin is not None
    assert process.stderr is not None
    deadline = time.monotonic() + run.timeout
    left = memoryview(run.body)
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            for pipe, what in (
                (process.stdin, selectors.EVENT_WRITE),
                (process.stderr, selectors.EVENT_READ),
            ):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, what)
            selector.register(ended, selectors.EVENT_READ)
            while (remaining := deadline - time.monotonic()) > 0:
                ready = {key.fileobj for key, _ in selector.select(remaining)}
                if process.stdin in ready:
                    left = _give(process.stdin.fileno(), left)
                    if not left:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                if process.stderr in ready and not _hear(process.stderr.fileno(), said):
                    selector.unregister(process.stderr)
                if ended in ready:
                    _hear(process.stderr.fileno(), said)
                    return True
    finally:
        os.close(ended)
    return False


def _give(pipe: int, left: memoryview) -> memoryview:
    """What is still to be written; nothing where nobody reads."""
    try:
        return left[os.write(pipe, left) :]
    except BlockingIOError:
        return left
    except OSError:  # it closed its standard input: it need not know
        return left[:0]


def _hear(pipe: int, said: bytearray) -> bool:
    """Keep the end of what is said; False at the end of it all."""
    try:
        piece = os.read(pipe, _PIECE)
    except BlockingIOError:
        return True
    except OSError:
        return False
    said += piece
    del said[:-_KEPT]
    if len(piece) == _PIECE:
        time.sleep(_PAUSE_S)
    return bool(piece)


# -- a URL -----------------------------------------------------------------------------------------


def _post(run: _Run) -> str | None:
    """Why it failed, None where it did not."""
    parts = urlsplit(run.what[0])
    host, port, timeout = parts.hostname or "", parts.port, run.timeout
    connection: http.client.HTTPConnection
    if parts.scheme.lower() == "https":
        trusted = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=trusted)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    expired = threading.Event()
    alarm = threading.Timer(timeout, _hang_up, (connection, expired))
    alarm.daemon = True
    alarm.start()
    try:
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request("POST", path, run.body, _headers(parts.username, parts.password))
        answer = connection.getresponse()
        if expired.is_set():  # its headers ended where we hung up
            return f"no answer in {timeout:g} s"
        if 200 <= answer.status < 300:
            return None
        said = answer.read(_KEPT).decode("utf-8", "replace").strip().splitlines()
        return f"{answer.status} {answer.reason}{': ' + said[-1] if said else ''}"
    except (OSError, http.client.HTTPException) as problem:
        if expired.is_set() or isinstance(problem, TimeoutError):
            return f"no answer in {timeout:g} s"
        return str(problem) or type(problem).__name__
    finally:
        alarm.cancel()
        connection.close()


def _headers(user: str | None, password: str | None) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"netbootd/{__version__}",
        "Connection": "close",
    }
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return headers


def _hang_up(connection: http.client.HTTPConnection, expired: threading.Event) -> None:
    """The time is up, however busily the other side sends: its thread wakes with an error."""
    expired.set()
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
