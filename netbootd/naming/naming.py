"""
Leases get their names: in a hosts file, and in DNS.

Listens to Leased, LeaseEnded and AddressInUse.  Everything is done in a thread of its own, the
network in one more (``updates``): whoever tells of an event goes on at once, and what waits has an
end.  The hosts file is written a moment after a change, once for all that come together.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from twisted.logger import Logger

from netbootd.boot.history import machine_of
from netbootd.config import Config
from netbootd.events.event import Event
from netbootd.events.lease import AddressInUse, Leased, LeaseEnded
from netbootd.leases.lease import Address, Lease, State
from netbootd.mac import MAC
from netbootd.naming.names import FIRST_LINE, Holder, Named, Names, hosts, own_name
from netbootd.naming.updates import Updates
from netbootd.naming.wanted import Pointer
from netbootd.registry.hostnames import owners
from netbootd.registry.live import LiveRegistry
from netbootd.registry.snapshot import Registry

log = Logger(namespace="netbootd.naming")

MOST_WAITING = 50_000
_DOMAIN = 15  # RFC 2132, section 3.17
_SETTLE_S = 1.0
_PART = 10.0  # times that a file of 65,000 names takes, which is seconds, it is left alone
_RETRY_S = 10.0
_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Had:
    """
    An address and who had it, from a lease or from an event; *over* where nobody has it any more.
    """

    address: str
    key: str
    mac: MAC | None
    said: str
    over: bool = False


class Naming:
    """
    A listener of events, in the reactor's thread; *told* is called, in another, when ``trouble`` is
    another.  Nothing is begun before the configuration asks for it.
    """

    def __init__(self, live: LiveRegistry, told: Callable[[], None]) -> None:
        self._live = live
        self._told = told
        self._updates = Updates(told)
        self._names = Names()
        self._waiting: deque[_Had] = deque()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="naming", daemon=True)
        self._configured = False
        self._stopping = False
        self._file_trouble = ""
        self._altered = True
        self._written: Path | None = None
        self._pause = 0.0  # until when the file is left alone, by the clock that never goes back
        self.dropped = 0

    @property
    def trouble(self) -> str:
        """What keeps names from where they belong; empty for nothing."""
        return self._file_trouble or self._updates.trouble

    @property
    def counts(self) -> dict[str, int]:
        """Updates of DNS by what came of them, and the events that were lost."""
        return {**self._updates.counts, "events": self.dropped}

    def start(self, leases: Iterable[Lease]) -> None:
        """Begin with the *leases* that there are."""
        for one in leases:
            if one.state is State.LEASED:
                self._take(_Had(str(one.address), one.key, one.mac, one.hostname))
        self._updates.configure(self._live.snapshot.config.ddns)
        self._updates.start()
        self._thread.start()
        self.configured()

    def configured(self) -> None:
        """The configuration is new: machines may be called otherwise."""
        with self._changed:
            self._configured = True
            self._changed.notify()

    def stop(self) -> None:
        """For a thread: write what is left; DNS gets what is left by the next start."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._updates.stop(_GRACE_S)
        if self._thread.is_alive():
            self._thread.join(_GRACE_S)

    def __call__(self, event: Event, *_: object) -> None:
        """Learn from *event*."""
        if isinstance(event, Leased):
            self._take(_Had(event.address, event.key, event.mac, event.hostname))
        elif isinstance(event, AddressInUse):  # declined: it may have been given a moment ago
            self._take(_Had(event.address, "", None, "", over=True))
        elif isinstance(event, LeaseEnded):
            self._take(_Had(event.address, event.key, event.mac, event.hostname, over=True))

    def _take(self, had: _Had) -> None:
        with self._changed:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(had)
                if len(self._waiting) == 1:  # for more the thread is awake already
                    self._changed.notify()
                return
            self.dropped += 1
            first = self.dropped == 1
        if first:
            log.warn("names of leases are lost: {most} wait already", most=MOST_WAITING)

    # -- in the thread -------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stopping or self._waiting:
            try:
                self._settle()
                self._write()
            except OSError as problem:
                self._say(f"the hosts file cannot be written: {problem}")
            except Exception:  # names must not end over one of them
                log.failure("names of leases could not be written")
                self._say("names of leases could not be written: see the log")

    def _write(self) -> None:
        """The hosts file, where it is to be another; a long one not all the time."""
        file, now = self._live.snapshot.config.dhcp.hosts, time.monotonic()
        if file is None:
            self._altered = False
        elif file != self._written or (self._altered and (now >= self._pause or self._stopping)):
            _write_over(file, hosts(self._names))
            self._altered = False
            self._pause = now + _PART * (time.monotonic() - now)
        self._written = file
        self._say("")

    def _say(self, trouble: str) -> None:
        if trouble != self._file_trouble:
            self._file_trouble = trouble
            self._told()

    def _settle(self) -> None:
        """Wait for something new, and until a moment has passed since."""
        with self._changed:
            self._changed.wait_for(self._is_news, self._patience())
            self._changed.wait_for(lambda: self._stopping, _SETTLE_S)
            news, self._waiting = self._waiting, deque()
            configured, self._configured = self._configured, False
        registry = self._live.snapshot
        if configured:
            self._configure(registry)
        for one in news:
            self._learn(one, registry)

    def _patience(self) -> float | None:
        """Seconds until something is to be done though nothing is new."""
        if self._file_trouble:
            return _RETRY_S
        return max(self._pause - time.monotonic(), 0.0) if self._altered else None

    def _is_news(self) -> bool:
        return bool(self._waiting) or self._configured or self._stopping

    def _configure(self, registry: Registry) -> None:
        """What counts now, and everybody's name by it."""
        self._updates.configure(registry.config.ddns)
        self._names.reserved = _Reserved(registry)
        for one in self._names.holders():
            self._learn(_Had(str(one.address), one.key, one.mac, one.said), registry)

    def _learn(self, had: _Had, registry: Registry) -> None:
        address = _address(had.address)
        if address is None:
            return
        holder, before = self._holder(had, address, registry), self._names.name_at(address)
        if had.over and not before:
            self._forget(holder)
            return
        changed = self._names.end(address) if had.over else self._names.take(holder)
        for named in changed:
            self._altered = True
            self._updates.want(named)
        if (now := self._names.name_at(address)) != before:
            self._updates.want(Pointer(address, now, before))

    def _forget(self, holder: Holder) -> None:
        """A lease that ended while we were away: its name may still be in DNS, with our mark."""
        self._names.end(holder.address)
        name = self._names.choose(holder)
        if name and not self._names.named(name).addresses:
            self._updates.want(Named(name=name, identity=holder.identity))
            self._updates.want(Pointer(holder.address, "", name))

    def _holder(self, had: _Had, address: Address, registry: Registry) -> Holder:
        mac = had.mac or MAC.maybe(had.key)
        machine = machine_of(mac, registry, self._live.sightings) if mac else None
        listed = machine is not None and machine.known
        own = _hostname(machine.variables) if machine is not None and listed else ""
        return Holder(
            address=address,
            key=had.key or str(mac or had.address),
            mac=mac,
            said=had.said,
            own=own_name(own),
            domain=_domain(address, registry),
            identity=machine.key if machine is not None and own else str(mac or had.key),
        )


class _Reserved(Container[str]):
    """The first labels of the names of listed machines."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(owners(name, self._registry))


def _hostname(variables: object) -> str:
    name = variables.get("hostname") if hasattr(variables, "get") else ""
    return name if isinstance(name, str) else ""


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _domain(address: Address, registry: Registry) -> str:
    """That of its network, else the usual one, else the first zone that has names."""
    subnet = registry.subnets.of(str(address))
    said = subnet.addressing.options.get(_DOMAIN, b"").decode("ascii", "replace")
    return own_name(said) or own_name(registry.config.dhcp.domain) or _first_zone(registry.config)


def _first_zone(config: Config) -> str:
    forward = (zone for zone in config.ddns.zones if not zone.endswith(".arpa"))
    return next(forward, "")


def _write_over(file: Path, text: str) -> None:
    """Raises OSError, also for a file that somebody else wrote, such as /etc/hosts."""
    if file.exists() and not _is_ours(file):
        raise FileExistsError(f"{file} is there, and not of netbootd's making: it stays as it is")
    try:
        _replace(file, text)
    except OSError as problem:  # of a temporary file, whose name is another at each try
        raise OSError(f"{file}: {problem.strerror}") from problem


def _replace(file: Path, text: str) -> None:
    """Whole or not at all; others may read it."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with open(descriptor, "w", encoding="ascii") as opened:
            os.fchmod(descriptor, 0o644)
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
        os.replace(name, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _is_ours(file: Path) -> bool:
    """Whether *file* is one that was written here, or empty."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        begin = opened.read(len(FIRST_LINE))
    return not begin or begin == FIRST_LINE.encode("ascii")
