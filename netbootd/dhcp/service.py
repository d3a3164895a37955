"""
Where DHCP is heard and spoken: UDP 67 and 4011 on each served interface.  What becomes of a packet
is in ``edge``.

One socket per interface and port, so that broadcasts are told apart by interface and leave by the
right one even without a default route.

Where another DHCP server of this host has UDP 67, or may have it any moment, a packet socket
listens instead (see ``snoop``), unless we are to be the server; 4011 is a UDP socket always.  Some
replies need more than a UDP socket in both cases: a relay's go by normal routing, whatever
interface its request came in by, and a client that has no address yet may be reached by its card's.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from netbootd.config import Mode
from netbootd.dhcp.destination import Port
from netbootd.dhcp.edge import Edge
from netbootd.dhcp.lessor import Books
from netbootd.dhcp.listeners import Listener, Snooper
from netbootd.dhcp.message import MessageType
from netbootd.dhcp.prober import Prober, open_prober
from netbootd.dhcp.snoop import Raw, open_snoop
from netbootd.dhcp.sockets import enlarge_buffer, open_socket
from netbootd.dhcp.witness import Witness, open_witness
from netbootd.dhcpgate import Gate
from netbootd.errors import PortError
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.registry.live import LiveRegistry

log = Logger(namespace="netbootd.dhcp")

_Name = tuple[str, int]  # of a device, and its index
_TYPES = frozenset(MessageType)
_AHEAD_S = 60.0  # addresses at hand are asked for again this often
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT)


class DhcpService(Service):
    """
    Answers on the interfaces that ``serve`` was last given, as a proxy, and with a *ledger* as a
    DHCP server where the configuration says so.

    *dhcp_port* and *boot_server_port* are ours to listen on; clients and relays are answered on
    the official ones whatever these are.
    """

    def __init__(
        self,
        reactor: Any,
        live: LiveRegistry,
        events: Stream,
        dhcp_port: int = Port.DHCP,
        boot_server_port: int = Port.BOOT_SERVER,
        ledger: Books | None = None,
    ) -> None:
        self._reactor = reactor
        self._live = live
        self._edge = Edge(live, events, reactor, ledger)
        self._ports = {Port.DHCP: dhcp_port, Port.BOOT_SERVER: boot_server_port}
        self._served: dict[_Name, _Device] = {}
        self._shared: set[str] = set()
        self._ahead: Any = None  # a timer

    @property
    def counts(self) -> Counter[str]:
        """Messages by their type, as ``discover``, heard and sent."""
        found: Counter[str] = Counter()
        for kind, count in self._edge.counts.items():
            found[MessageType(kind).name.lower() if kind in _TYPES else "other"] += count
        return found

    @property
    def shed(self) -> int:
        """Packets that were not looked at, in floods."""
        return self._edge.shed

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Those being served."""
        return tuple(device.listeners[0].interface for device in self._served.values())

    @property
    def snooped(self) -> frozenset[str]:
        """The names of those where UDP 67 is not ours, but heard by a packet socket."""
        return frozenset(name for (name, _), device in self._served.items() if device.snooping)

    def serve(
        self,
        wanted: Iterable[Interface],
        mode: Mode = Mode.AUTO,
        servers: Collection[str] = (),
    ) -> list[tuple[Interface, PortError]]:
        """
        Listen on exactly *wanted*; return those that failed, to be tried again by the next call.

        On the interfaces *servers* we are the DHCP server, or may be: there UDP 67 must be ours.

        A device is known by name and index.  One that stays keeps its sockets, and merely learns
        its new addresses.  Each error is a PortError, which names the port.

        With Mode.AUTO an interface whose port 67 was once found taken is snooped on for as long as
        this process lives: the other server may be restarted, and must find its port free.
        """
        by_device = {(interface.name, interface.index): interface for interface in wanted}
        for name, device in list(self._served.items()):
            if name not in by_device or not device.suits(_mode(name, mode, servers)):
                self._stop(name)
        failed: list[tuple[Interface, PortError]] = []
        for name, interface in by_device.items():
            try:
                self._serve(name, interface, _mode(name, mode, servers))
            except PortError as problem:
                failed.append((interface, problem))
        host = frozenset(one.ip for interface in by_device.values() for one in interface.addresses)
        for device in self._served.values():
            for reader in device.readers:
                reader.host = host
        self._guard(servers)
        return failed

    def _guard(self, servers: Collection[str]) -> None:
        """Where we are the server, addresses are asked for."""
        begun = [
            device.guard(name in servers, self._reactor)
            for (name, _), device in self._served.items()
        ]
        if any(begun):
            if self._ahead is not None:
                self._ahead.cancel()
            self._ask_ahead()

    def _ask_ahead(self) -> None:
        """Have some addresses at hand, so that the next machine need not wait."""
        self._ahead = None
        probers = [device.prober for device in self._served.values() if device.prober]
        for prober in probers:
            self._edge.ask_ahead(prober)
        if probers:
            self._ahead = self._reactor.callLater(_AHEAD_S, self._ask_ahead)

    def stopService(self) -> None:
        """Close every socket."""
        for name in list(self._served):
            self._stop(name)
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None
        super().stopService()  # type: ignore[no-untyped-call]

    def _serve(self, name: _Name, interface: Interface, mode: Mode) -> None:
        if name in self._served:
            for reader in self._served[name].readers:
                reader.interface = interface
            return
        device = self._served[name] = self._open(interface, mode)
        for listener in device.listeners:
            listener.gate = Gate(self._reactor.seconds())
        for reader in device.readers:
            self._reactor.addReader(reader)

    def _open(self, interface: Interface, mode: Mode) -> _Device:
        """Both ports or, with PortError, none."""
        device = _Device(_open_raw(interface))
        try:
            for port in Port:
                listener = self._listen(port, interface, device.raw, mode)
                device.listeners.append(listener)
        except PortError:
            device.close()
            raise
        device.witness = self._witness(interface, device)
        return device

    def _witness(self, interface: Interface, device: _Device) -> Witness | None:
        """None where packet sockets are not to be had, which was told already."""
        if device.raw is None:
            return None
        try:
            opened = open_witness(interface.name, own_host=device.snooping)
        except OSError as problem:
            log.warn(
                "{name}: what other DHCP servers say is not heard: {problem}",
                name=interface.name,
                problem=problem,
            )
            return None
        return Witness(opened, interface, self._edge.events.publish, self._reactor)

    def _listen(self, port: Port, interface: Interface, raw: Raw | None, mode: Mode) -> Listener:
        number, name = self._ports[port], interface.name
        shared = mode is Mode.SNOOP or (mode is Mode.AUTO and name in self._shared)
        if port is Port.DHCP and shared:
            return self._snoop(interface, raw)
        try:
            return Listener(open_socket(name, number), port, interface, self._edge, raw, number)
        except OSError as problem:
            taken = problem.errno == errno.EADDRINUSE
            if port is Port.DHCP and mode is Mode.AUTO and taken and raw is not None:
                self._shared.add(name)
                return self._snoop(interface, raw)
            raise PortError(number, name, problem) from problem

    def _snoop(self, interface: Interface, raw: Raw | None) -> Snooper:
        number = self._ports[Port.DHCP]
        try:
            if raw is None:
                raise PermissionError(errno.EPERM, "snooping needs packet sockets")
            opened = open_snoop(interface.name, number)
        except OSError as problem:
            raise PortError(number, interface.name, problem) from problem
        enlarge_buffer(opened, interface.name, number)
        return Snooper(opened, interface, self._edge, raw, number, self._reactor)

    def _stop(self, name: _Name) -> None:
        device = self._served.pop(name)
        for reader in device.readers:
            self._reactor.removeReader(reader)
        device.close()


def _prober(interface: Interface, reactor: Any) -> Prober | None:
    """None where packet sockets are not to be had."""
    try:
        prober = Prober(open_prober(interface.name), interface, reactor)
    except OSError as problem:
        log.warn(
            "{name}: nobody is asked who has an address before it is given: {problem}",
            name=interface.name,
            problem=problem,
        )
        return None
    reactor.addReader(prober)
    return prober


def _open_raw(interface: Interface) -> Raw | None:
    """
    None without CAP_NET_RAW, here or in the opener, with which we are more exact but without which
    we can live; and where packet sockets are kept from us (RestrictAddressFamilies= in
    systemd.exec(5)).
    """
    try:
        return Raw(interface)
    except OSError as problem:
        if problem.errno not in _FORBIDDEN:
            raise PortError(Port.DHCP, interface.name, problem) from problem
        log.warn(
            "{name}: no packet sockets ({why}; they need CAP_NET_RAW and AF_PACKET, or "
            "netbootd-opener), so replies to relays leave by the interface of the request, clients "
            "without an address get broadcasts only, and what other DHCP servers say is not heard",
            name=interface.name,
            why=problem.strerror,
        )
        return None


def _mode(name: _Name, mode: Mode, servers: Collection[str]) -> Mode:
    """A DHCP server hears renewals, which another one's socket would take away."""
    return Mode.SOCKET if name[0] in servers else mode


@dataclass(slots=True)
class _Device:
    """What is open on one interface; *raw* is for both of its listeners."""

    raw: Raw | None
    listeners: list[Listener] = field(default_factory=list)
    witness: Witness | None = None
    prober: Prober | None = None

    @property
    def readers(self) -> list[Listener | Witness | Prober]:
        """All that the reactor reads."""
        others = [one for one in (self.witness, self.prober) if one is not None]
        return [*self.listeners, *others]

    def guard(self, serves: bool, reactor: Any) -> bool:
        """
        Begin or end what a DHCP server needs beside its port, as *serves* says; whether it began.
        """
        before = self.prober
        if serves and self.prober is None and self.raw is not None:
            self.prober = _prober(self.listeners[0].interface, reactor)
        elif not serves and self.prober is not None:
            reactor.removeReader(self.prober)
            self.prober.close()
            self.prober = None
        for listener in self.listeners:
            listener.prober = self.prober
        return self.prober is not None and self.prober is not before

    @property
    def snooping(self) -> bool:
        """Whether port 67 is heard by a packet socket."""
        return any(isinstance(listener, Snooper) for listener in self.listeners)

    def suits(self, mode: Mode) -> bool:
        """Whether it can stay as it is in *mode*."""
        if any(listener.closed for listener in self.listeners):
            return False
        return mode is Mode.AUTO or self.snooping == (mode is Mode.SNOOP)

    def close(self) -> None:
        """Give everything back."""
        for reader in self.readers:
            reader.close()
        if self.raw is not None:
            self.raw.close()
