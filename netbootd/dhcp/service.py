"""
The edge of DHCP: UDP 67 and 4011 on each served interface.  It moves packets and decides nothing.

One socket per interface and port, so that broadcasts are told apart by interface and leave by the
right one even without a default route.

Where a DHCP server of this host has UDP 67, or may have it any moment, a packet socket listens
instead (see ``snoop``); 4011 is a UDP socket always.  Some replies need more than a UDP socket in
both cases: a relay's go by normal routing, whatever interface its request came in by, and a client
that has no address yet may be reached by its card's.

Per packet there is no disk, no DNS and no look at the interfaces: the snapshot is read once and
carried to the end.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from netbootd.boot.decision import Loader
from netbootd.config import Mode
from netbootd.dhcp import proxy, pxe, telling, wire
from netbootd.dhcp.destination import Arrival, Endpoint, Port, destination, local_address
from netbootd.dhcp.listeners import Listener, Snooper
from netbootd.dhcp.message import Message
from netbootd.dhcp.proxy import Answer, Ignored, Known
from netbootd.dhcp.snoop import Heard, Raw, open_snoop
from netbootd.dhcp.sockets import enlarge_buffer, open_socket
from netbootd.dhcp.witness import Witness, open_witness
from netbootd.errors import WireError
from netbootd.events.event import Dropped
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.registry.live import LiveRegistry

log = Logger(namespace="netbootd.dhcp")

_Name = tuple[str, int]  # of a device, and its index
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT)


class DhcpService(Service):
    """
    Answers as proxyDHCP on the interfaces that ``serve`` was last given.

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
    ) -> None:
        self._reactor = reactor
        self._edge = _Edge(live, events)
        self._ports = {Port.DHCP: dhcp_port, Port.BOOT_SERVER: boot_server_port}
        self._served: dict[_Name, _Device] = {}
        self._shared: set[str] = set()

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Those being served."""
        return tuple(device.listeners[0].interface for device in self._served.values())

    @property
    def snooped(self) -> frozenset[str]:
        """The names of those where UDP 67 is not ours, but heard by a packet socket."""
        return frozenset(name for (name, _), device in self._served.items() if device.snooping)

    def serve(
        self, wanted: Iterable[Interface], mode: Mode = Mode.AUTO
    ) -> list[tuple[Interface, PortError]]:
        """
        Listen on exactly *wanted*; return those that failed, to be tried again by the next call.

        A device is known by name and index.  One that stays keeps its sockets, and merely learns
        its new addresses.  Each error is a PortError, which names the port.

        With Mode.AUTO an interface whose port 67 was once found taken is snooped on for as long as
        this process lives: the other server may be restarted, and must find its port free.
        """
        by_device = {(interface.name, interface.index): interface for interface in wanted}
        for name, device in list(self._served.items()):
            if name not in by_device or not device.suits(mode):
                self._stop(name)
        failed: list[tuple[Interface, PortError]] = []
        for name, interface in by_device.items():
            try:
                self._serve(name, interface, mode)
            except PortError as problem:
                failed.append((interface, problem))
        host = frozenset(one.ip for interface in by_device.values() for one in interface.addresses)
        for device in self._served.values():
            for reader in device.readers:
                reader.host = host
        return failed

    def stopService(self) -> None:
        """Close every socket."""
        for name in list(self._served):
            self._stop(name)
        super().stopService()  # type: ignore[no-untyped-call]

    def _serve(self, name: _Name, interface: Interface, mode: Mode) -> None:
        if name in self._served:
            for reader in self._served[name].readers:
                reader.interface = interface
            return
        device = self._served[name] = self._open(interface, mode)
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
                raise PermissionError(errno.EPERM, "snooping needs CAP_NET_RAW and AF_PACKET")
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


def _open_raw(interface: Interface) -> Raw | None:
    """
    None without CAP_NET_RAW, with which we are more exact but without which we can live; and where
    packet sockets are kept from us (RestrictAddressFamilies= in systemd.exec(5)).
    """
    try:
        return Raw(interface)
    except OSError as problem:
        if problem.errno not in _FORBIDDEN:
            raise PortError(Port.DHCP, interface.name, problem) from problem
        log.warn(
            "{name}: no packet sockets ({why}; they need CAP_NET_RAW and AF_PACKET), so replies to "
            "relays leave by the interface of the request, clients without an address get "
            "broadcasts only, and what other DHCP servers say is not heard",
            name=interface.name,
            why=problem.strerror,
        )
        return None


class PortError(OSError):
    """We cannot listen on UDP *port* of *interface*; errno is the system's."""

    def __init__(self, port: int, interface: str, problem: OSError) -> None:
        super().__init__(problem.errno, f"UDP {port} on {interface}: {problem.strerror}")
        self.port = port
        self.interface = interface


@dataclass(slots=True)
class _Edge:
    """What happens to a datagram, from bytes in to bytes out; the same for every socket."""

    live: LiveRegistry
    events: Stream

    def receive(self, heard: Heard, to: Listener) -> None:
        """Answer what was *heard*, or drop it; nothing it holds can raise."""
        source = heard.source
        try:
            self._receive(heard, to)
        except WireError as problem:
            self.drop(str(problem), source)
        except Exception:
            log.failure("a DHCP packet from {peer} met a fault of ours", peer=source[0])
            self.drop("a fault of ours, see above", source)

    def _receive(self, heard: Heard, to: Listener) -> None:
        registry = self.live.snapshot
        request = wire.decode(heard.payload)
        source = heard.source
        subnet = registry.subnets.of(pxe.network_of(request))
        addresses = to.interface.addresses
        ours = local_address(
            heard.addressed, addresses, request, source[0], preferred=subnet.boot_address
        )
        if ours is None:
            self.drop(f"{to.interface.name} has no IPv4 address to answer from", source)
            return
        unicast = heard.addressed is not None
        arrival = Arrival(to.interface.name, ours, to.port, source, unicast)
        marks = self.live.sightings.note(pxe.mac_of(request), pxe.marks_of(request))
        known = self._known(request)
        answer = proxy.answer(request, arrival, registry, marks, self.live.styles.past, known)
        if isinstance(answer, Answer):
            way = destination(
                request,
                answer.reply,
                source,
                boot_server=answer.boot_server,
                unicast_offers=registry.config.proxydhcp.unicast,
            )
            try:
                to.send(wire.encode(answer.reply, request.limit), ours, way)
            except (OSError, WireError) as problem:
                told = f"cannot send the reply to {way.address}: {problem}"
                answer = Ignored(told, True, answer.decision, "unsent", answer.client)
            else:
                self._remember(request, answer, ours)
        self.events.publish(telling.told(request, arrival, answer))

    def _known(self, request: Message) -> Known:
        """What is remembered of whoever sent *request*."""
        record, now = self.live.record, self.live.record.now()
        replaced = self.live.replacements.done(pxe.mac_of(request), request.xid, now)
        return Known(standing=record.of, replaced=replaced, now=now)

    def _remember(self, request: Message, answer: Answer, ours: IPv4Address) -> None:
        """In which style an offer was told, and that an iPXE is being replaced."""
        mac = answer.client.mac
        if mac and pxe.is_ipxe(request) and isinstance(answer.decision.step, Loader):
            self.live.replacements.note(mac, request.xid, self.live.record.now())
        if answer.offer is None:
            return
        if event := proxy.restyled(answer, ours):
            self.events.publish(event)
        self.live.styles.offered(answer.offer)

    def drop(self, reason: str, source: Endpoint) -> None:
        """Tell that a packet came to nothing."""
        self.events.publish(Dropped(peer=telling.peer_of(source), protocol="DHCP", reason=reason))


@dataclass(slots=True)
class _Device:
    """What is open on one interface; *raw* is for both of its listeners."""

    raw: Raw | None
    listeners: list[Listener] = field(default_factory=list)
    witness: Witness | None = None

    @property
    def readers(self) -> list[Listener | Witness]:
        """All that the reactor reads."""
        return [*self.listeners, *([self.witness] if self.witness else [])]

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
