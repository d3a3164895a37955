"""
The socket of one transfer, and windows that leave in one system call.

Linux cuts one large ``sendmsg`` into datagrams of equal size (``UDP_SEGMENT``, since 4.18), which
is what a window of DATA is.  Where a device or a route refuses that (EIO behind IPsec; EMSGSIZE,
in older kernels EINVAL, where the path turns out to have a smaller MTU than the interface, and a
block would have to leave in fragments), the datagrams go one by one from then on.

The socket is bound to the address the request came to, since the reply must come from there, and
connected to the client: an unconnected one takes a sixth more time for each block.  Packets of
strangers, which RFC 1350 section 4 wants answered, never come to it (see ``port``).  A datagram
that cannot leave is lost like any other; the timer knows what to do.

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
import os
import socket
import struct
from collections.abc import Callable, Iterator

from netbootd.opener.client import LowSocket
from netbootd.tftp.blocks import Train

#: Address and port.  A link-local address of IPv6 needs no scope: the socket that is bound to ours
#: has it.
Peer = tuple[str, int]

_SOL_UDP = socket.IPPROTO_UDP
_UDP_SEGMENT = 103  # linux/udp.h; the socket module has no name for it
_IP_MTU = 14  # linux/in.h
_IPV6_MTU = 24  # linux/in6.h
_MOST_DATAGRAMS = 64  # UDP_MAX_SEGMENTS of the oldest kernels that can
_MOST_BYTES = 65_000  # an IP packet holds 65,535 with its headers
_LONGEST_EXPECTED = 2048  # bytes; requests have the most
#: What is read of a packet within a transfer.
LONGEST_ANSWER = 476  # ACKs have 4, the text of an ERROR is short; more makes Python ask malloc
_STRANGE_AT_MOST = 256  # packets that came before it was connected
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

    __slots__ = (
        "_hang_up",
        "_may_leave",
        "_segments",
        "_socket",
        "_to",
        "hear",
        "say",
        "shared",
        "withheld",
    )

    def __init__(
        self,
        udp: socket.socket,
        to: Peer | None,
        segments: bool,
        hang_up: Callable[[], None],
        may_leave: Callable[[int], bool] | None = None,
    ) -> None:
        self.shared = to is not None
        #: Whether something was not sent that could have been.
        self.withheld = False
        self._may_leave = may_leave
        self._to = to
        self._segments = segments
        self._socket = udp
        #: ``receive`` and ``send`` of one datagram on a socket of our own, or OSError.
        self.hear, self.say = udp.recv, udp.send
        self._hang_up = hang_up

    @classmethod
    def own(cls, udp: socket.socket, segments: bool, hang_up: Callable[[], None]) -> Line:
        """On *udp*, connected to the peer; *hang_up* is called when it is needed no more."""
        return cls(udp, None, segments, hang_up)

    @classmethod
    def sharing(
        cls,
        udp: socket.socket,
        peer: Peer,
        segments: bool,
        hang_up: Callable[[], None],
        may_leave: Callable[[int], bool],
    ) -> Line:
        """
        On *udp*, whose owner reads it, and is told by *hang_up* that we need it no more.

        *may_leave* is asked whether so many packets may; if not, they are lost like any others.
        """
        return cls(udp, peer, segments, hang_up, may_leave)

    def fileno(self) -> int:
        """The descriptor, for epoll."""
        return self._socket.fileno()

    def mtu(self, six: bool) -> int:
        """Bytes a packet to the peer may have, 0 where that is not known, as of a shared socket."""
        return 0 if self.shared else way_mtu(self._socket, six)

    def close(self) -> None:
        """Give the descriptor back."""
        self._hang_up()

    def receive(self) -> bytes | None:
        """One datagram of the peer, or None: nothing waits, or an ICMP error did."""
        try:
            return self.hear(LONGEST_ANSWER)
        except OSError:
            return None

    def send(self, train: Train) -> OSError | None:
        """
        Let *train* go; what it answers is why some of it did not.

        What ICMP says of an earlier one is raised by the next call, which then sends nothing.
        """
        if self._may_leave and not self._may_leave(-(-len(train[0]) // train[1])):
            self.withheld = True
            return None
        try:
            if len(train[0]) <= train[1] and self._to is None:  # in lock step
                self._socket.send(train[0])
            else:
                self._leave(train)
        except OSError:
            try:
                self._leave(train)
            except OSError as problem:
                return problem
        return None

    def _leave(self, train: Train) -> None:
        data, length = train
        if len(data) > length:
            self._send_window(train)
        elif self._to is None:
            self._socket.send(data)
        else:
            self._socket.sendto(data, self._to)

    def _send_window(self, train: Train) -> None:
        if self._segments:
            self._send_segmented(train)
        else:
            self._send_singly(train)

    def _send_segmented(self, train: Train) -> None:
        cut = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", train[1]))]
        for car in _cars(*train):
            try:
                self._socket.sendmsg((car,), cut, 0, self._to)
            except OSError as problem:
                if problem.errno not in _CANNOT_SEGMENT:
                    raise
                self._segments = False
                self._send_singly(train)
                return

    def _send_singly(self, train: Train) -> None:
        data, length = train
        for at in range(0, len(data), length):
            self._leave((data[at : at + length], length))


def _cars(data: bytes | memoryview, length: int) -> Iterator[bytes | memoryview]:
    """*data* in portions that one system call can take."""
    most = length * max(1, min(_MOST_DATAGRAMS, _MOST_BYTES // length))
    if len(data) <= most:
        yield data
        return
    for at in range(0, len(data), most):
        yield data[at : at + most]


def udp_socket(local: str, port: int, *, shared: bool = False) -> socket.socket:
    """Bound to *local*, which may have a scope, and not blocking; *shared* with others' port."""
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    made = LowSocket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if shared:
            share(made)
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


def share(udp: socket.socket) -> None:
    """
    Let other sockets of ours have its port number, now or when they are bound.

    SO_REUSEPORT (socket(7)) lets those of the same user only; with SO_REUSEADDR anybody on this
    host could take part, and send to our clients what they take for ours.  Since Linux 5.4 those
    that are connected get what comes from their client, and no other.
    """
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def connect(udp: socket.socket, peer: Peer) -> None:
    """
    Raises OSError where that cannot be; one left as it is would hear anybody.

    What came before may be a stranger's, and would pass for this one's.
    """
    if not peer[1]:  # can be forged, but not answered; connected, it would stand for any port
        raise _problem(errno.EADDRNOTAVAIL)
    udp.connect(peer)
    for _ in range(_STRANGE_AT_MOST):
        try:
            udp.recv(1)
        except BlockingIOError:
            return
        except OSError:  # an ICMP error, which is nobody's either
            continue
    raise _problem(errno.EBUSY)


def _problem(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def way_mtu(udp: socket.socket, six: bool) -> int:
    """
    Bytes a packet may have to the client that *udp* is connected to, 0 where nobody knows; *six*:
    by IPv6.

    That of the route, or a smaller one that the kernel learned from ICMP within the last ten
    minutes (IP_MTU, ip(7)).
    """
    try:
        if six:
            return udp.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)
        return udp.getsockopt(socket.IPPROTO_IP, _IP_MTU)
    except OSError:  # no route; the reply will not find one either
        return 0


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
