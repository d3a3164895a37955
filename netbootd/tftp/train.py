"""
The socket of one transfer, and windows that leave in one system call.

Linux cuts one large ``sendmsg`` into datagrams of equal size (``UDP_SEGMENT``, since 4.18), which
is what a window of DATA is.  Where a device or a route refuses that (EIO behind IPsec; EMSGSIZE,
in older kernels EINVAL, where the path turns out to have a smaller MTU than the interface, and a
block would have to leave in fragments), the datagrams go one by one from then on.

The socket is bound to the address the request came to, since the reply must come from there, and
is not connected: a connected one would never see the packets of strangers, and RFC 1350 section 4
wants those answered.  A datagram that cannot leave is lost like any other; the timer knows what
to do.

Behind a translation of addresses (NAT, the published port of a container) a reply from a port that
was never asked is lost; there all transfers share the socket of port 69 and are told apart by
whom they serve.

Datagrams leave with the "don't fragment" bit, as Linux has it by default (IP_PMTUDISC_WANT,
ip(7)): where the way is narrower than we thought, a router drops the first one and says so, the
kernel remembers that for ten minutes, and what is sent again leaves here in fragments.  Those are
the last resort, for clients that can put them together; one that cannot asks again, and is then
given blocks that fit (see ``port``).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator, Sequence

from netbootd.tftp.transfer import Train

#: Address and port.  A link-local address of IPv6 needs no scope: the socket that is bound to ours
#: has it.
Peer = tuple[str, int]

_SOL_UDP = socket.IPPROTO_UDP
_UDP_SEGMENT = 103  # linux/udp.h; the socket module has no name for it
_MOST_DATAGRAMS = 64  # UDP_MAX_SEGMENTS of the oldest kernels that can
_MOST_BYTES = 65_000  # an IP packet holds 65,535 with its headers
_LONGEST_EXPECTED = 2048  # bytes; ACKs have 4, the text of an ERROR is short
_CANNOT_SEGMENT = {
    errno.EIO,
    errno.EINVAL,
    errno.EMSGSIZE,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
}


def kernel_segments() -> bool:
    """Whether this kernel knows UDP_SEGMENT at all."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(_SOL_UDP, _UDP_SEGMENT, 512)
        except OSError:
            return False
        return True


class Line:
    """Our end of a transfer: a socket of its own, or with *shared* one that others use as well."""

    __slots__ = ("_hang_up", "_segments", "_socket", "peer", "shared")

    def __init__(
        self, udp: socket.socket, peer: Peer, segments: bool, hang_up: Callable[[], None]
    ) -> None:
        self.peer = peer
        self.shared = False
        self._segments = segments
        self._socket = udp
        self._hang_up = hang_up

    @classmethod
    def own(cls, local: str, peer: Peer, segments: bool) -> Line:
        """At the address *local*; raises OSError where no socket can be had."""
        udp = udp_socket(local, 0)
        return cls(udp, peer, segments, udp.close)

    @classmethod
    def sharing(
        cls, udp: socket.socket, peer: Peer, segments: bool, hang_up: Callable[[], None]
    ) -> Line:
        """On *udp*, whose owner reads it, and is told by *hang_up* that we need it no more."""
        line = cls(udp, peer, segments, hang_up)
        line.shared = True
        return line

    def fileno(self) -> int:
        """The descriptor, for epoll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the descriptor back."""
        self._hang_up()

    def receive(self) -> tuple[bytes, Peer] | None:
        """One datagram and its sender, or None where nothing waits."""
        return receive(self._socket)

    def tell(self, datagram: bytes, stranger: Peer) -> None:
        """Send to somebody who is not our peer."""
        send(self._socket, datagram, stranger)

    def send(self, train: Train) -> OSError | None:
        """Let *train* go; what it answers is why some of it did not."""
        try:
            if train.datagrams == 1:
                self._socket.sendmsg(train.buffers, (), 0, self.peer)
            elif self._segments:
                self._send_segmented(train)
            else:
                self._send_singly(train.buffers)
        except OSError as problem:
            return problem
        return None

    def _send_segmented(self, train: Train) -> None:
        cut = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", train.length))]
        for buffers in _cars(train):
            try:
                self._socket.sendmsg(buffers, cut, 0, self.peer)
            except OSError as problem:
                if problem.errno not in _CANNOT_SEGMENT:
                    raise
                self._segments = False
                self._send_singly(train.buffers)
                return

    def _send_singly(self, buffers: Sequence[bytes | memoryview]) -> None:
        for at in range(0, len(buffers), 2):
            self._socket.sendmsg(buffers[at : at + 2], (), 0, self.peer)


def _cars(train: Train) -> Iterator[list[bytes | memoryview]]:
    """The buffers in portions that one system call can take."""
    datagrams = max(1, min(_MOST_DATAGRAMS, _MOST_BYTES // train.length))
    if datagrams >= train.datagrams:
        yield train.buffers
        return
    for at in range(0, len(train.buffers), 2 * datagrams):
        yield train.buffers[at : at + 2 * datagrams]


def udp_socket(local: str, port: int) -> socket.socket:
    """Bound to *local*, which may have a scope, and not blocking."""
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            plain, _, scope = local.partition("%")
            made.bind((plain, port, 0, socket.if_nametoindex(scope) if scope else 0))
        else:
            made.bind((local, port))
    except OSError:
        made.close()
        raise
    return made


def receive(udp: socket.socket) -> tuple[bytes, Peer] | None:
    """One datagram and its sender, or None: nothing waits, or an ICMP error did."""
    try:
        datagram, peer = udp.recvfrom(_LONGEST_EXPECTED)
    except OSError:
        return None
    return datagram, (peer[0], peer[1])  # of IPv6 there is more


def send(udp: socket.socket, datagram: bytes, peer: Peer) -> None:
    """One datagram, or its loss: a port number of 0 can be forged but not answered."""
    try:
        udp.sendto(datagram, peer)
    except OSError:
        return
