"""
The edge of DHCP: UDP 67 and 4011 on each served interface.  It moves packets and decides nothing.

One socket per interface and port, bound to the device, so that broadcasts are told apart by
interface and leave by the right one even without a default route.  Twisted's UDP port does not
report the address a datagram was sent to, and a boot server must answer from that one; so the
sockets are read here with ``recvmsg`` and IP_PKTINFO (ip(7)), as descriptors of the reactor.

Per packet there is no disk, no DNS and no look at the interfaces: the snapshot is read once and
carried to the end.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.python.failure import Failure

from netbootd.dhcp import proxy, wire
from netbootd.dhcp.destination import Arrival, Endpoint, Port, destination, local_address
from netbootd.dhcp.message import Message
from netbootd.dhcp.proxy import Answer, Ignored
from netbootd.errors import WireError
from netbootd.events.event import Dropped, Event, Offered, Passed, Unserved
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.registry.live import LiveRegistry
from netbootd.registry.marks import Marks

log = Logger(namespace="netbootd.dhcp")

# Linux, not in Python 3.11's socket module.
_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DONT = 0
_SO_RCVBUFFORCE = 33
_PKTINFO = struct.Struct("=I4s4s")  # interface index, our address, the header's destination

_LARGEST_DATAGRAM = 2048
_ONE_TURN = 64  # datagrams read before the reactor serves others
#: A rack that powers on sends thousands of DISCOVERs in a second, and repeats a lost one only after
#: four seconds.
_RECEIVE_BUFFER = 4 << 20


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
        self._served: dict[tuple[str, int], list[_Listener]] = {}

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Those being served."""
        return tuple(listeners[0].interface for listeners in self._served.values())

    def serve(self, wanted: Iterable[Interface]) -> list[tuple[Interface, PortError]]:
        """
        Listen on exactly *wanted*; return those that failed, to be tried again by the next call.

        A device is known by name and index.  One that stays keeps its sockets, and merely learns
        its new addresses.  Each error is a PortError, which names the port.
        """
        by_device = {(interface.name, interface.index): interface for interface in wanted}
        for device, listeners in list(self._served.items()):
            if device not in by_device or any(listener.closed for listener in listeners):
                self._stop(device)
        failed: list[tuple[Interface, PortError]] = []
        for device, interface in by_device.items():
            try:
                self._serve(device, interface)
            except PortError as problem:
                failed.append((interface, problem))
        return failed

    def stopService(self) -> None:
        """Close every socket."""
        for device in list(self._served):
            self._stop(device)
        super().stopService()  # type: ignore[no-untyped-call]

    def _serve(self, device: tuple[str, int], interface: Interface) -> None:
        if device in self._served:
            for listener in self._served[device]:
                listener.interface = interface
            return
        self._served[device] = self._open(interface)
        for listener in self._served[device]:
            self._reactor.addReader(listener)

    def _open(self, interface: Interface) -> list[_Listener]:
        """Both ports or, with PortError, none."""
        opened: list[_Listener] = []
        for port, number in self._ports.items():
            try:
                descriptor = open_socket(interface.name, number)
            except OSError as problem:
                for listener in opened:
                    listener.close()
                raise PortError(number, interface.name, problem) from problem
            opened.append(_Listener(descriptor, port, interface, self._edge))
        return opened

    def _stop(self, device: tuple[str, int]) -> None:
        for listener in self._served.pop(device):
            self._reactor.removeReader(listener)
            listener.close()


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

    def receive(self, datagram: bytes, pktinfo: bytes, source: Endpoint, to: _Listener) -> None:
        """Answer *datagram*, or drop it; nothing it holds can raise."""
        try:
            self._receive(datagram, pktinfo, source, to)
        except WireError as problem:
            self._drop(str(problem), source)
        except OSError as problem:
            self._drop(f"cannot send the reply: {problem}", source)
        except Exception:
            log.failure("a DHCP packet from {peer} met a fault of ours", peer=source[0])
            self._drop("a fault of ours, see above", source)

    def _receive(self, datagram: bytes, pktinfo: bytes, source: Endpoint, to: _Listener) -> None:
        registry = self.live.snapshot
        request = wire.decode(datagram)
        ours = local_address(_addressed(pktinfo), to.interface.addresses, request, source[0])
        if ours is None:
            self._drop(f"{to.interface.name} has no IPv4 address to answer from", source)
            return
        arrival = Arrival(to.interface.name, ours, to.port, source)
        marks = self.live.sightings.note(request.mac, Marks.of({"uuid": request.uuid}))
        answer = proxy.answer(request, arrival, registry, marks)
        if isinstance(answer, Answer):
            reply = wire.encode(answer.reply, request.limit)
            to.send(reply, ours, destination(request, source, boot_server=answer.boot_server))
        self.events.publish(_event(request, arrival, answer))

    def _drop(self, reason: str, source: Endpoint) -> None:
        self.events.publish(Dropped(peer=_peer(source), protocol="DHCP", reason=reason))


def _event(request: Message, arrival: Arrival, answer: Answer | Ignored) -> Event:
    """What to tell the world; published after the reply has left."""
    decision = answer.decision
    target = decision.machine.title if decision and decision.machine else ""
    peer = _peer(arrival.source)
    if isinstance(answer, Ignored):
        kind = Unserved if answer.unserved else Passed
        return kind(
            mac=request.mac, target=target, peer=peer, protocol="DHCP", reason=answer.reason
        )
    return Offered(
        mac=request.mac,
        target=target,
        peer=peer,
        arch=str(answer.client.arch or answer.client.stage.value),
        file=answer.file,
        server=str(arrival.address),
        interface=arrival.interface,
        message=answer.verb,
        because="; ".join(answer.decision.because),
    )


def _peer(source: Endpoint) -> str:
    return "" if source[0] == "0.0.0.0" else source[0]


def _addressed(pktinfo: bytes) -> IPv4Address | None:
    """
    Which of our addresses a datagram was sent to; None for broadcasts.

    The kernel reports the destination, and the address it would answer from: of a unicast these
    are the same (ip(7), IP_PKTINFO).
    """
    if len(pktinfo) != _PKTINFO.size:
        return None
    _, ours, written = _PKTINFO.unpack(pktinfo)
    return IPv4Address(ours) if ours == written else None


class _Listener:
    """
    One socket, as the reactor reads it (IReadDescriptor).

    *interface* is replaced when its addresses change.
    """

    def __init__(
        self, descriptor: socket.socket, port: Port, interface: Interface, edge: _Edge
    ) -> None:
        self.port = port
        self.interface = interface
        self._socket = descriptor
        self._edge = edge
        self._space = socket.CMSG_SPACE(_PKTINFO.size)

    def doRead(self) -> None:
        """Take what has arrived, up to a turn's worth; the reactor comes back for the rest."""
        for _ in range(_ONE_TURN):
            try:
                datagram, ancillary, _, source = self._socket.recvmsg(
                    _LARGEST_DATAGRAM, self._space
                )
            except OSError:  # empty, or the device is going: serve() will be told
                return
            pktinfo = ancillary[0][2] if ancillary else b""
            self._edge.receive(datagram, pktinfo, source, self)

    def send(self, datagram: bytes, ours: IPv4Address, to: Endpoint) -> None:
        """Send from the address *ours*, by this interface; raises OSError."""
        pktinfo = _PKTINFO.pack(self.interface.index, ours.packed, bytes(4))
        self._socket.sendmsg([datagram], [(socket.IPPROTO_IP, _IP_PKTINFO, pktinfo)], 0, to)

    @property
    def closed(self) -> bool:
        """Whether the port was given back."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Give the port back; twice does no harm."""
        self._socket.close()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return f"DHCP {self.port.value} on {self.interface.name}"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has given the descriptor up; the next ``serve`` opens another."""
        log.warn("{name} lost: {reason}", name=self.logPrefix(), reason=reason.getErrorMessage())
        self.close()


def open_socket(interface: str, port: int) -> socket.socket:
    """
    A socket for UDP *port* that hears and speaks on *interface* only; raises OSError.

    The port is not shared with another server of this host (SO_REUSEADDR): broadcasts would reach
    both, but a unicast, such as the renewal of a lease, only one, and rather us than the server it
    was meant for.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        # Boot ROMs drop fragments, and none of ours is that long: there is no path to discover.
        opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
        _enlarge_buffer(opened, interface, port)
        opened.bind(("", port))
    except OSError:
        opened.close()
        raise
    return opened


def _enlarge_buffer(opened: socket.socket, interface: str, port: int) -> None:
    """Room for a burst; beyond net.core.rmem_max only with CAP_NET_ADMIN (socket(7))."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    got = opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel says it doubled
    if got < _RECEIVE_BUFFER:
        log.warn(
            "UDP {port} on {interface}: receive buffer of {got} bytes instead of {wanted}; a burst "
            "of DISCOVERs may lose some. Raise net.core.rmem_max, or grant CAP_NET_ADMIN",
            port=port,
            interface=interface,
            got=got,
            wanted=_RECEIVE_BUFFER,
        )
