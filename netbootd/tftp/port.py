"""
Port 69 of one address: the socket that requests come to, and what belongs to it.

Refusals leave from a second socket, as all else we say does: a client takes the port of the first
answer for the server's transfer identifier, and some will not have 69 (RFC 1350 section 4).  With
a single port all of it leaves from 69, transfers too, and then the port stays open until the last
of those has ended, even where it is not wanted any more.

Otherwise each transfer has a socket of its own, connected to its client, at a number that the
kernel takes at random out of its range (net.ipv4.ip_local_port_range).  All that a client can be
asked for is the ACK of a block, whose number anybody can foresee; where that has to go is what a
request with a forged address does not tell its sender.  Who forges ACKs as well has to send one to
each of 28,000 ports for the next window, which costs more than it brings.  That holds for each
transfer anew: one who is known for a real client is as good a victim as any.

Beside it stands a door: an unconnected socket at the same number.  The kernel gives it what
strangers send there, and RFC 1350 section 4 wants them told.

One more socket sends nothing.  Connected to a client, it tells the MTU of the way there, where the
transfer has no connected socket of its own.
"""

from __future__ import annotations

import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from netbootd.tftp import train, wire
from netbootd.tftp.toll import Toll
from netbootd.tftp.train import Line, Peer

PORT = 69
#: Bytes: a thousand machines ask within the same second, or all acknowledge at once.
BUFFER = 4 << 20
_SO_SNDBUFFORCE = 32  # asm-generic/socket.h; these pass net.core.{w,r}mem_max,
_SO_RCVBUFFORCE = 33  # and need CAP_NET_ADMIN
_DISCARD = 9  # RFC 863; any port would do, nothing is sent to it
_MOST_FAREWELLS = 4096


@dataclass(frozen=True, slots=True)
class Listener:
    """One address to serve: *mtu* in bytes is that of *interface*, and bounds the blocks."""

    address: IPv4Address | IPv6Address
    interface: str
    mtu: int
    port: int = PORT

    @property
    def local(self) -> str:
        """The address as a socket has it: several interfaces may have the same link-local one."""
        link_local = self.address.version == 6 and self.address.is_link_local
        return f"{self.address}%{self.interface}" if link_local else str(self.address)


#: Has the door of a port watched, and returns how that is ended.
Watch = Callable[["Port", socket.socket], Callable[[], None]]


class Port:
    """
    Port 69 of one address; raises OSError where it cannot be had.

    *emptied* is called when the last transfer that shared its socket has ended; *watch* has a door
    watched for strangers, and returns how that is ended.
    """

    def __init__(self, listener: Listener, emptied: Callable[[Port], None], watch: Watch) -> None:
        self.mtu = listener.mtu
        self.local = listener.local
        self._emptied = emptied
        self._watch = watch
        #: Transfers that share the socket.
        self.sharing = 0
        #: Whether no requests are taken any more.
        self.retired = False
        #: Whom transfers served, and our port's number there.
        self._farewells: OrderedDict[Peer, int] = OrderedDict()
        with contextlib.ExitStack() as opened:
            self.socket = opened.enter_context(train.udp_socket(self.local, listener.port))
            self._refusals = opened.enter_context(train.udp_socket(self.local, 0))
            self._probe = opened.enter_context(train.udp_socket(self.local, 0))
            opened.pop_all()
        #: Bytes of the receive buffer.
        self.buffer = _widen(self.socket)

    def line(self, peer: Peer, segments: bool, toll: Toll | None) -> Line:
        """
        For a transfer to *peer*; raises OSError where no socket can be had.

        *toll* is for what leaves from the single port; None where there is none.
        """
        if toll is None:
            return self._own_line(peer, segments)
        if not self.sharing:
            _widen_sending(self.socket)
        self.sharing += 1
        return Line.sharing(self.socket, peer, segments, lambda: self._left(peer), toll.of(peer[0]))

    def _own_line(self, peer: Peer, segments: bool) -> Line:
        with contextlib.ExitStack() as opened:
            door = opened.enter_context(self._door(peer))
            number = _number(door)
            udp = opened.enter_context(train.udp_socket(self.local, number, shared=True))
            opened.callback(self._watch(self, door))
            train.connect(udp, peer)
            opened.callback(self._part, peer, number)
            return Line.own(udp, segments, opened.pop_all().close)

    def _door(self, peer: Peer) -> socket.socket:
        """
        At another number than that of the last transfer of *peer* (RFC 1350 section 4).

        lpxelinux asks for all its files from the same port; a late ACK of one must not pass for an
        ACK of the next.
        """
        last = self._farewells.get(peer)
        door = train.udp_socket(self.local, 0)
        if last is not None and _number(door) == last:
            door.close()
            door = train.udp_socket(self.local, 0)
        train.share(door)  # from now on, so nobody else has the number yet
        return door

    def _part(self, peer: Peer, number: int = 0) -> None:
        """A transfer has ended; a late packet of its client is no reason to alarm it."""
        self._farewells[peer] = number
        self._farewells.move_to_end(peer)
        if len(self._farewells) > _MOST_FAREWELLS:
            self._farewells.popitem(last=False)

    def _left(self, peer: Peer) -> None:
        self._part(peer)
        self.sharing -= 1
        if not self.sharing:
            self._emptied(self)

    def took_leave(self, peer: Peer) -> bool:
        """
        Whether *peer* had a transfer here lately.

        An ACK that comes twice, once behind the end, must not be answered: the client may have
        asked for its next file from the same port, and would take our ERROR for the answer.
        """
        return peer in self._farewells

    def path_mtu(self, line: Line, client: str) -> int:
        """Bytes a packet to the address *client* may have, as far as anybody knows."""
        six = ":" in client
        if not line.shared:
            return min(self.mtu, line.mtu(six) or self.mtu)
        with contextlib.suppress(OSError):  # no route; the reply will not find one either
            self._probe.connect((client, _DISCARD))
            return min(self.mtu, train.way_mtu(self._probe, six) or self.mtu)
        return self.mtu

    def refuse(self, code: wire.ErrorCode, text: str, peer: Peer, single: bool) -> None:
        """Tell *peer* no."""
        udp = self.socket if single else self._refusals
        train.send(udp, wire.encode(wire.Error(code, text)), peer)

    def close(self) -> None:
        """Give the sockets back."""
        for each in (self.socket, self._refusals, self._probe):
            each.close()


def _number(udp: socket.socket) -> int:
    number: int = udp.getsockname()[1]
    return number


def _widen(udp: socket.socket) -> int:
    """
    Make room for a burst of requests; firmware repeats a lost one only after seconds.

    Returns how many bytes there are now: without CAP_NET_ADMIN the kernel grants no more than
    net.core.rmem_max, and does not say so (socket(7)).
    """
    _force(udp, _SO_RCVBUFFORCE, socket.SO_RCVBUF)
    return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it


def _widen_sending(udp: socket.socket) -> None:
    """What one window fills is shared by all transfers now, and what does not fit is lost."""
    _force(udp, _SO_SNDBUFFORCE, socket.SO_SNDBUF)


def _force(udp: socket.socket, beyond_the_limit: int, within_it: int) -> None:
    try:
        udp.setsockopt(socket.SOL_SOCKET, beyond_the_limit, BUFFER)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, within_it, BUFFER)
