"""
Runs hooks, some of them at a time, and has the reactor told how they ended.

A hook may hang, flood, fork or not exist: nothing of that reaches the reactor.  Each runs in a
thread of its own, and has ``hooks.timeout`` seconds; those that have to wait, wait in a lane
(``lane``).  Leases come by thousands when the power is back, and so have a lane of their own, in
which no word of a node waits.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from netbootd.config import Hooks as Settings
from netbootd.hooks import command, post
from netbootd.hooks.hook import Hook, is_url
from netbootd.hooks.lane import Lane
from netbootd.printable import counted, printable

log = Logger(namespace="netbootd.hooks")

AT_ONCE = 8
MOST_WAITING = 1000
LEASES_AT_ONCE = 4
MOST_LEASES_WAITING = 10_000
_DROPS_TOLD = 1000  # of so many that go nowhere, the first is told of


class Hooks:
    """
    Runs what *settings* says at that moment; everything but the threads is in *reactor*'s.

    Never raises and never waits: whoever calls ``run`` has other things to do.
    """

    def __init__(self, reactor: Any, settings: Callable[[], Settings]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._nodes = Lane(AT_ONCE, MOST_WAITING)
        self._leases = Lane(LEASES_AT_ONCE, MOST_LEASES_WAITING, quiet=True)
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
            if self._running():
                self._deadline = self._reactor.callLater(grace, self._end_all)
            else:
                self._closed.callback(None)
        return self._closed

    def dropped(self) -> int:
        """How many had no room."""
        return sum(lane.dropped for lane in self._lanes())

    def _lanes(self) -> tuple[Lane, ...]:
        return self._nodes, self._leases

    def _lane(self, kind: str) -> Lane:
        return self._leases if kind == "lease" else self._nodes

    def _running(self) -> list[Hook]:
        return [hook for lane in self._lanes() for hook in lane.running]

    def _end_all(self) -> None:
        for hook in self._running():
            hook.end()
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
        hook = Hook(kind, who, about, what, body, command.variables_of(told), settings.timeout)
        lane = self._lane(kind)
        if lane.has_room_for(hook):
            self._begin(hook)
        elif why := lane.put_off(hook):
            if lane.dropped % _DROPS_TOLD == 0 or not lane.quiet:
                log.warn("{who} hook {kind} dropped: {why}", who=who, kind=kind, why=why)
            lane.dropped += 1

    def _begin(self, hook: Hook) -> None:
        self._lane(hook.kind).running.append(hook)
        thread = threading.Thread(target=self._work, args=(hook,), name="hook", daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:  # no more threads to be had
            # Not from in here: the end of one begins the next, and all that wait would be nested.
            self._reactor.callFromThread(self._ended, hook, str(problem), 0.0)

    def _work(self, hook: Hook) -> None:
        """In the thread: do it, and have the reactor told."""
        begun = time.monotonic()
        try:
            problem = post.send(hook) if is_url(hook.what[0]) else command.run(hook)
        except Exception as fault:  # the thread must come back whatever happens
            problem = f"{type(fault).__name__}: {fault}"
        with suppress(Exception):  # the reactor may be gone
            self._reactor.callFromThread(self._ended, hook, problem, time.monotonic() - begun)

    def _ended(self, hook: Hook, problem: str | None, seconds: float) -> None:
        lane = self._lane(hook.kind)
        lane.running.remove(hook)
        fields = {"who": hook.who, "kind": hook.kind, "title": printable(hook.title)}
        if problem is not None:
            told = printable(problem, 500)
            log.warn("{who} hook {kind} failed: {title}: {told}", told=told, **fields)
        elif lane.quiet:
            log.debug("{who} hook {kind}: {title} in {s:.1f} s", s=seconds, **fields)
        else:
            log.info("{who} hook {kind}: {title} in {s:.1f} s", s=seconds, **fields)
        if self._closed is None and (following := lane.next()):
            self._begin(following)
        if self._closed is not None and not self._running() and not self._closed.called:
            self._deadline.cancel()
            self._closed.callback(None)
