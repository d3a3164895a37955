"""
The edge of DHCPv6: UDP 547 on each served interface, for clients and relays.  It moves packets and
decides nothing.

One socket per interface, so that multicasts are told apart by interface and leave by the right one.
What goes to a relay that is on none of the interface's networks goes as the kernel routes it.

Per packet there is no disk, no DNS and no look at the interfaces: the snapshot is read once and
carried to the end.  A reply that promises a lease leaves once that is on disk.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from netbootd.addressing import Serving
from netbootd.budget import Budget
from netbootd.dhcp6 import boot, server, telling, wire
from netbootd.dhcp6.allot import key_of, serving
from netbootd.dhcp6.frame import Frames
from netbootd.dhcp6.given import Arrival, Given, Ignored, Known
from netbootd.dhcp6.message import Message, MessageType
from netbootd.dhcp6.sockets import CLIENT, PKTINFO_SPACE, SERVER, open_socket, unicast
from netbootd.dhcpgate import Gate, charge
from netbootd.errors import PortError, WireError
from netbootd.events.event import Dropped
from netbootd.events.lease import Flooded, NoAddress
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.leases.lease import State
from netbootd.leases.ledger import Ledger
from netbootd.registry.live import LiveRegistry
from netbootd.registry.snapshot import Registry
from netbootd.unread import is_much

log = Logger(namespace="netbootd.dhcp")
_library_log = logging.getLogger(__name__)

_LARGEST_DATAGRAM = 8192
#: What is longer than a frame may hold thousands of options: in a flood it is not even read.
_FRAME = 1500
#: Datagrams answered before the reactor serves others; of those that are not looked at, since there
#: is a flood, eight times as many are read.
_ONE_TURN, _OF_ONE = 64 * 8, 8
#: Seconds between two warnings that a subnet has no address left.
_TOLD_AGAIN_S = 60.0
_MOST_TOLD = 1024

#: The socket is full of what waits for neighbours, or there are too many of these.
_NO_ROOM = (errno.EAGAIN, errno.ENOBUFS)

_Name = tuple[str, int]  # of a device, and its index


class Dhcp6Service(Service):
    """
    Answers on the interfaces that ``serve`` was last given.

    *duid* gives ours, and is asked once there is somebody to serve; *port* is the one that we
    listen on, clients and relays are answered on the official ones.
    """

    def __init__(
        self,
        reactor: Any,
        live: LiveRegistry,
        events: Stream,
        ledger: Ledger,
        duid: Callable[[], bytes],
        port: int = SERVER,
    ) -> None:
        self._reactor = reactor
        self._edge = _Edge(reactor, live, events, ledger, duid)
        self._port = port
        self._served: dict[_Name, Listener] = {}

    @property
    def shed(self) -> int:
        """Packets that were not looked at, in floods."""
        return self._edge.shed

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Those being served."""
        return tuple(listener.interface for listener in self._served.values())

    def serve(self, wanted: Iterable[Interface]) -> list[tuple[Interface, PortError]]:
        """
        Listen on exactly *wanted*; return those that failed, to be tried again by the next call.

        A device is known by name and index.  One that stays keeps its socket, and merely learns its
        new addresses.
        """
        by_device = {(interface.name, interface.index): interface for interface in wanted}
        for name, listener in list(self._served.items()):
            if name not in by_device or listener.closed:
                self._stop(name)
        failed: list[tuple[Interface, PortError]] = []
        for name, interface in by_device.items():
            try:
                self._serve(name, interface)
            except PortError as problem:
                failed.append((interface, problem))
        return failed

    def stopService(self) -> None:
        """Close every socket."""
        for name in list(self._served):
            self._stop(name)
        super().stopService()  # type: ignore[no-untyped-call]

    def _serve(self, name: _Name, interface: Interface) -> None:
        if name in self._served:
            self._served[name].interface = interface
            return
        try:
            opened = open_socket(interface.name, interface.index, self._port)
        except OSError as problem:
            raise PortError(self._port, interface.name, problem) from problem
        self._edge.prepare()
        gate = Gate(self._reactor.seconds())
        listener = self._served[name] = Listener(opened, interface, self._edge, gate)
        self._reactor.addReader(listener)

    def _stop(self, name: _Name) -> None:
        listener = self._served.pop(name)
        self._reactor.removeReader(listener)
        listener.close()


def gives(registry: Registry, interface: Interface, all_: Sequence[Interface]) -> bool:
    """
    Whether somebody heard on *interface*, one of *all_*, may be given an address.

    A network that none of them is in is behind a relay, which may speak to any of them.
    """
    own = {registry.subnets.of(str(one.ip)).name for one in interface.addresses6}
    near = {registry.subnets.of(str(one.ip)).name for each in all_ for one in each.addresses6}
    return any(
        serving(registry, net, interface.name) is Serving.SERVER
        for net in registry.subnets
        if isinstance(net.network, IPv6Network) and (net.name in own or net.name not in near)
    )


def takes_part(registry: Registry, interface: Interface, all_: Sequence[Interface]) -> bool:
    """
    Whether anybody may be answered there: not where it is off, nor where IPv6 is nothing but what
    each card does by itself, nor as a proxy where there shall be none.
    """
    off = registry.config.dhcp.interfaces.get(interface.name) is Serving.OFF
    if off or not interface.reaches6:
        return False
    return registry.config.proxydhcp.enabled or gives(registry, interface, all_)


class Listener:
    """One UDP socket, as the reactor reads it (IReadDescriptor); *gate* keeps floods out."""

    #: Whether much waited in the socket when this turn began.
    crowded = False

    def __init__(
        self, opened: socket.socket, interface: Interface, edge: _Edge, gate: Gate
    ) -> None:
        self.interface = interface
        self.gate = gate
        self._frames = _frames(interface.name)
        self._socket = opened
        self._edge = edge

    def doRead(self) -> None:
        """Take what has arrived, up to a turn's worth; the reactor comes back for the rest."""
        left, self.crowded = _ONE_TURN, is_much(self._socket)
        while left > 0:
            try:
                datagram, ancillary, _, source = self._socket.recvmsg(
                    _LARGEST_DATAGRAM, PKTINFO_SPACE
                )
            except OSError:  # empty, or the device is going: serve() will be told
                return
            looked = self._edge.receive(datagram, source[0], unicast(ancillary), self)
            left -= _OF_ONE if looked else 1

    def send(self, datagram: bytes, to: IPv6Address, port: int) -> None:
        """Send to *to*; raises OSError."""
        near = any(to in own.network for own in self.interface.addresses6)
        if near or to.is_link_local:
            try:
                self._socket.sendto(datagram, (str(to), port, 0, self.interface.index))
            except OSError as problem:
                if problem.errno not in _NO_ROOM or not self._send_to_card(datagram, to, port):
                    raise
            return
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as routed:
            routed.sendto(datagram, (str(to), port))

    def _send_to_card(self, datagram: bytes, to: IPv6Address, port: int) -> bool:
        """Whether it could leave so, from our address on this link."""
        near = [own.ip for own in self.interface.addresses6 if own.ip.is_link_local]
        if not near or self._frames is None:
            return False
        return self._frames.send(datagram, (IPv6Address(near[0]), SERVER), (to, port))

    @property
    def closed(self) -> bool:
        """Whether the port was given back."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Give the port back; twice does no harm."""
        self._socket.close()
        if self._frames is not None:
            self._frames.close()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return f"DHCPv6 on {self.interface.name}"

    def connectionLost(self, reason: Any) -> None:
        """The reactor has given the descriptor up; the next ``serve`` opens another."""
        _library_log.warning("%s lost: %s", self.logPrefix(), reason.getErrorMessage())
        self.close()


def _frames(interface: str) -> Frames | None:
    """None where packet sockets are not to be had, which is told where DHCP for IPv4 needs them."""
    try:
        return Frames(interface)
    except OSError:
        return None


class _Edge:
    """What happens to a datagram, from bytes in to bytes out; the same for every socket."""

    def __init__(
        self,
        reactor: Any,
        live: LiveRegistry,
        events: Stream,
        ledger: Ledger,
        duid: Callable[[], bytes],
    ) -> None:
        self.shed = 0
        self._reactor = reactor
        self._live = live
        self._events = events
        self._ledger = ledger
        self._make_duid = duid
        self._duid = b""
        self._told: OrderedDict[str, float] = OrderedDict()

    def prepare(self) -> None:
        """Have a DUID, before the first packet."""
        self._duid = self._duid or self._make_duid()

    def receive(self, datagram: bytes, source: str, unicast: bool, to: Listener) -> bool:
        """
        Answer *datagram*, or drop it; nothing it holds can raise.  False: there is too much of it,
        and it was not looked at.
        """
        began = self._reactor.seconds()
        budget = self._answer(datagram, source, unicast, to, began)
        if budget is None:
            self.shed += 1
            if count := to.gate.turn_away(began):
                told = Flooded(interface=to.interface.name, count=count, protocol="DHCPv6")
                self._events.publish(told)
            return False
        charge(budget, self._reactor.seconds() - began, crowded=to.crowded)
        return True

    def _answer(
        self, datagram: bytes, source: str, unicast: bool, to: Listener, now: float
    ) -> Budget | None:
        """What that is paid from; None: it was not looked at."""
        budget = to.gate.for_broken(now)
        if budget is None and len(datagram) > _FRAME:
            return None
        try:
            request = wire.decode(datagram)
            if len(datagram) <= _FRAME:
                sender = IPv6Address(source.partition("%")[0])
                budget = self._budget_of(request, sender, to.gate, now)
            if budget is not None:
                self._receive(request, source, unicast, to)
        except WireError as problem:
            if budget is not None:
                self._drop(str(problem), source)
        except Exception:
            log.failure("a DHCPv6 packet from {peer} met a fault of ours", peer=source)
            self._drop("a fault of ours, see above", source)
        return budget

    def _budget_of(
        self, request: Message, sender: IPv6Address, gate: Gate, now: float
    ) -> Budget | None:
        mac = boot.mac_of(request, sender)
        if mac is not None and self._live.snapshot.lists(mac):
            return gate.for_listed(mac, request.xid.to_bytes(3, "big"), now)
        key = key_of(mac, request.client_id)
        leases = self._ledger.leases.of(key)
        if leases and (leases[0].state is not State.OFFERED or request.type == MessageType.REQUEST):
            return gate.for_client(now)
        return gate.for_stranger(key.encode(), now)

    def _receive(self, request: Message, source: str, unicast: bool, to: Listener) -> None:
        sender = IPv6Address(source.partition("%")[0])
        links = to.interface.addresses6
        if not links:
            self._drop(f"{to.interface.name} has no IPv6 address to answer from", source)
            return
        arrival = Arrival(to.interface.name, _ours(links, request, sender), sender, links, unicast)
        registry = self._live.snapshot
        mac = boot.mac_of(request, sender)
        record = self._live.record
        answer = server.answer(
            request,
            arrival,
            registry,
            self._ledger.leases,
            duid=self._duid,
            now=self._ledger.clock(),
            marks=self._live.sightings.note(mac, boot.marks_of(request)),
            known=Known(record.of, record.now()),
            saving=self._ledger.saving,
        )
        if isinstance(answer, Ignored):
            self._events.publish(telling.ignored(request, arrival, answer))
        elif answer.write:
            self._ledger.commit(
                answer.write,
                answer.before,
                lambda saved: self._reply(answer, arrival, to) if saved else None,
            )
        else:
            self._reply(answer, arrival, to)

    def _reply(self, given: Given, arrival: Arrival, to: Listener) -> None:
        """Let it go, unless the interface did meanwhile."""
        port = SERVER if given.reply.relays else CLIENT
        try:
            to.send(wire.encode(given.reply), arrival.source, port)
        except (OSError, WireError) as problem:
            self._drop(f"cannot send the reply: {problem}", str(arrival.source))
            return
        for event in given.events:
            told = (
                replace(event, again=self._again(event)) if isinstance(event, NoAddress) else event
            )
            self._events.publish(told)

    def _again(self, event: NoAddress) -> bool:
        """Whether the log has said so a moment ago."""
        now, about = self._ledger.clock(), f"{event.code} {event.subnet}"
        if now - self._told.get(about, -_TOLD_AGAIN_S) < _TOLD_AGAIN_S:
            return True
        self._told[about] = now
        self._told.move_to_end(about)
        if len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)
        return False

    def _drop(self, reason: str, source: str) -> None:
        self._events.publish(Dropped(peer=source, protocol="DHCPv6", reason=reason))


def _ours(links: Sequence[Any], request: Message, sender: IPv6Address) -> IPv6Address:
    """
    The address of ours that our files are at: in the network of the client or its relay, else the
    first that reaches further than this link, else the first.
    """
    wide = [own for own in links if not own.ip.is_link_local]
    for near in (request.link, sender):
        for own in wide:
            if near in own.network:
                return IPv6Address(own.ip)
    return IPv6Address((wide or links)[0].ip)
