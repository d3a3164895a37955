"""
Port 69: a request in, a transfer or a refusal out.  Decides nothing about files: ``locate`` does.

    datagram → ReadRequest → locate → negotiate → a Transfer on a Line of its own → the crowd

What a stranger can cause is bounded: transfers in all and for each address, and a transfer that
was never answered is given five packets (see ``transfer``).  Where all places are taken, the
newcomer gets that of the oldest transfer whose client never confirmed anything, so requests with
forged addresses keep nobody out.  Where everybody has, the request is not answered at all: an
ERROR ends the boot of a ROM, while after silence it asks again, and by then there may be room.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from twisted.application import service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from netbootd import urls
from netbootd.content import Content
from netbootd.errors import Forbidden, NotFound, OptionRefused, WireError
from netbootd.events.event import Dropped, Refused, Unserved
from netbootd.events.stream import Stream
from netbootd.printable import printable
from netbootd.tftp import train, wire
from netbootd.tftp.crowd import Crowd, Running
from netbootd.tftp.files import Locate
from netbootd.tftp.netascii import Netascii
from netbootd.tftp.options import Bounds, negotiate
from netbootd.tftp.train import Line, Peer
from netbootd.tftp.transfer import PATIENCE_S, Transfer

PORT = 69
_REQUESTS_A_TURN = 64
_RECEIVE_BUFFER = 4 << 20  # bytes: a thousand machines ask within the same second
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; passes net.core.rmem_max, needs CAP_NET_ADMIN
_NO_NAME = "(empty name)"
_MADE_ROOM = "the client never answered, and another one wanted its place"
_RESTART_S = 1.0  # a request repeated this long after the last sign of life is a new one

log = Logger()


@dataclass(frozen=True, slots=True)
class Listener:
    """One address to serve: *mtu* in bytes is that of *interface*, and bounds the blocks."""

    address: IPv4Address
    interface: str
    mtu: int
    port: int = PORT


_Where = tuple[IPv4Address, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, or all of them, can take."""

    windowsize: int = 64  # blocks
    patience_s: float = PATIENCE_S  # without progress, before a transfer is given up
    transfers: int = 10_000
    per_client: int = 64  # transfers of one address


class NoRoomError(Exception):
    """A request not to be answered now; the text says what is used up."""


class RefusedError(Exception):
    """A request to be answered with an ERROR packet: *told* to the client, *reason* to us."""

    def __init__(self, code: wire.ErrorCode, reason: str, told: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.told = told or reason


class Port:
    """
    Port 69 of one address; raises OSError where it cannot be had.

    Refusals leave from a second socket, as all else we say does: a client takes the port of the
    first answer for the server's transfer identifier, and some will not have 69 (RFC 1350
    section 4).
    """

    def __init__(self, listener: Listener) -> None:
        self.mtu = listener.mtu
        self.local = str(listener.address)
        self.socket = train.udp_socket(self.local, listener.port)
        try:
            self._refusals = train.udp_socket(self.local, 0)
        except OSError:
            self.socket.close()
            raise
        #: Bytes of the receive buffer.
        self.buffer = _widen(self.socket)

    def refuse(self, code: wire.ErrorCode, text: str, peer: Peer) -> None:
        """Tell *peer* no."""
        train.send(self._refusals, wire.encode(wire.Error(code, text)), peer)

    def close(self) -> None:
        """Give both sockets back."""
        self.socket.close()
        self._refusals.close()


class TftpService(service.Service):
    """
    Serves reads on every address it was told to listen on.

    *locate* is called for each request; what it may raise is said in ``files``.  *grace* is the
    time in seconds that transfers have when the service stops.  *now* gives seconds that never go
    back, as the reactor's own clock does when the host's is set.
    """

    def __init__(
        self,
        reactor: Any,  # IReactorTime and IReactorFDSet
        locate: Locate,
        events: Stream,
        limits: Limits = Limits(),
        *,
        grace: float = 10.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._locate = locate
        self._events = events
        #: For transfers from now on; a reload may bring others.
        self.limits = limits
        #: Seconds, as *grace*.
        self.grace_s = grace
        self._wanted: dict[_Where, Listener] = {}
        self._ports: dict[_Where, Port] = {}
        self._segments = train.kernel_segments()
        self._small_buffer_told = False
        self._crowd = Crowd(reactor, events, lambda text: log.failure("{text}", text=text), now)

    @property
    def transfers(self) -> int:
        """How many are under way."""
        return len(self._crowd)

    @property
    def addresses(self) -> dict[IPv4Address, int]:
        """What is listened on, and the number of the port there."""
        return {address: port.socket.getsockname()[1] for (address, _), port in self._ports.items()}

    # Start and stop.

    def startService(self) -> None:
        """Begin; ports that were wanted before and cannot be had are logged."""
        super().startService()  # type: ignore[no-untyped-call]
        self._crowd.open()
        for listener, problem in self.listen_on(self._wanted.values()):
            log.warn("TFTP on {address}: {problem}", address=listener.address, problem=problem)

    def stopService(self) -> Deferred[None]:
        """
        Close the ports at once, and let running transfers end within the grace.

        A closed port refuses new requests: the kernel answers with ICMP, and firmware asks again
        until our successor is there.  An ERROR packet would end its boot.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        for where in list(self._ports):
            self._close(where)
        if not self._crowd:
            self._crowd.close()
            return succeed(None)
        return self._last_call()

    def _last_call(self) -> Deferred[None]:
        stopped: Deferred[None] = Deferred()
        cut = self._reactor.callLater(self.grace_s, self._crowd.cut, "the server was stopped")

        def emptied() -> None:
            if cut.active():
                cut.cancel()
            self._crowd.emptied = None
            self._crowd.close()
            stopped.callback(None)

        self._crowd.emptied = emptied
        return stopped

    def listen_on(self, wanted: Iterable[Listener]) -> list[tuple[Listener, OSError]]:
        """
        Serve exactly *wanted*; return those that failed, to be tried again by the next call.

        A port that is wanted still does not close, it merely learns a new MTU; no transfer ends
        with its port.  Before the service starts, *wanted* is only noted.
        """
        self._wanted = {(listener.address, listener.port): listener for listener in wanted}
        if not self.running:
            return []
        for where in self._ports.keys() - self._wanted.keys():
            self._close(where)
        failed: list[tuple[Listener, OSError]] = []
        for listener in self._wanted.values():
            try:
                self._serve(listener)
            except OSError as problem:
                failed.append((listener, problem))
        return failed

    def _serve(self, listener: Listener) -> None:
        where = (listener.address, listener.port)
        if known := self._ports.get(where):
            known.mtu = listener.mtu
            return
        port = self._ports[where] = Port(listener)
        self._tell_small_buffer(port.buffer)
        self._crowd.watch(port.socket.fileno(), lambda: self._requests(port))

    def _tell_small_buffer(self, held: int) -> None:
        """Once: all ports have the same."""
        if held < _RECEIVE_BUFFER and not self._small_buffer_told:
            self._small_buffer_told = True
            log.info(
                "TFTP: receive buffer of {held} bytes instead of {wanted}; where very many "
                "machines ask at once some must ask twice. Raise net.core.rmem_max to {wanted} "
                "(sysctl), or grant CAP_NET_ADMIN",
                held=held,
                wanted=_RECEIVE_BUFFER,
            )

    def _close(self, where: _Where) -> None:
        port = self._ports.pop(where)
        self._crowd.unwatch(port.socket.fileno())
        port.close()

    # Requests.

    def _requests(self, port: Port) -> None:
        for _ in range(_REQUESTS_A_TURN):
            if (arrived := train.receive(port.socket)) is None:
                return
            self._packet(port, *arrived)

    def _packet(self, port: Port, datagram: bytes, peer: Peer) -> None:
        """Anything that comes to port 69."""
        try:
            packet = wire.decode(datagram)
        except WireError as problem:
            self._nonsense(port, datagram, str(problem), peer)
            return
        match packet:
            case wire.ReadRequest():
                self._read(port, packet, peer)
            case wire.WriteRequest():
                refusal = RefusedError(wire.ErrorCode.ILLEGAL_OPERATION, "this server only reads")
                self._refuse(port, packet.path, refusal, peer)
            case wire.Error():
                self._drop(f"ERROR {packet.code} outside a transfer: {packet.text}", peer)
            case _:
                self._drop(f"{type(packet).__name__} outside a transfer", peer)
                port.refuse(wire.ErrorCode.UNKNOWN_TID, "unknown transfer ID", peer)

    def _nonsense(self, port: Port, datagram: bytes, problem: str, peer: Peer) -> None:
        """A request nobody can read is told like any that is refused: somebody's boot ends here."""
        code, told = wire.ErrorCode.ILLEGAL_OPERATION, "not a TFTP packet"
        opcode = wire.opcode_of(datagram)
        if opcode in (wire.Opcode.RRQ, wire.Opcode.WRQ):
            self._refuse(port, "(unreadable request)", RefusedError(code, problem, told), peer)
            return
        self._drop(problem, peer)
        if opcode not in (0, wire.Opcode.ERROR):
            port.refuse(code, told, peer)

    def _read(self, port: Port, request: wire.ReadRequest, peer: Peer) -> None:
        if self._is_repetition(port, request, peer):
            return
        try:
            running = self._prepare(port, request, peer)
        except NoRoomError as problem:
            self._pass(request.path, str(problem), peer)
            return
        except Exception as problem:
            refusal = _known_refusal(problem)
            if refusal is None:
                path = printable(request.path)
                log.failure("TFTP: {path} for {client}", path=path, client=peer[0])
                refusal = RefusedError(wire.ErrorCode.UNDEFINED, "internal error")
            self._refuse(port, request.path, refusal, peer)
            return
        self._make_room(peer[0])
        self._crowd.admit(running)

    def _is_repetition(self, port: Port, request: wire.ReadRequest, peer: Peer) -> bool:
        """
        Whether this request is being served already; then its first reply goes out again.

        Another file, or the same one after a silence, from the same port: the client has begun
        anew (lpxelinux keeps its port, a machine that was reset may come by the same one).
        """
        running = self._crowd.find((peer, port.local))
        if running is None:
            return False
        heard_at = running.transfer.heard_at
        silent = heard_at is not None and self._crowd.now() - heard_at > _RESTART_S
        if request != running.request or silent:
            self._crowd.dismiss(running, "the client began anew")
            return False
        self._crowd.repeat(running)
        return True

    def _prepare(self, port: Port, request: wire.ReadRequest, peer: Peer) -> Running:
        """All that a transfer needs, or an exception, and nothing is left open then."""
        self._check_room(peer[0])
        if request.mode not in ("octet", "netascii"):
            reason = f"mode {request.mode!r} is not served"
            raise RefusedError(wire.ErrorCode.ILLEGAL_OPERATION, reason, "unknown mode")
        located = self._locate(request, peer[0], port.local)
        try:
            transfer = self._transfer(request, located.content, port.mtu)
            line = self._line(port.local, peer)
        except BaseException:
            located.content.close()
            raise
        return Running((peer, port.local), request, located, transfer, line, self._crowd.now())

    def _line(self, local: str, peer: Peer) -> Line:
        try:
            return Line(local, peer, self._segments)
        except OSError as problem:
            raise NoRoomError(f"no socket: {problem}") from None

    def _check_room(self, client: str) -> None:
        """Raises NoRoomError where none is, nor can be made; nobody is dismissed for that yet."""
        crowd, limits = self._crowd, self.limits
        if crowd.of_client(client) >= limits.per_client and not crowd.unheard_of(client):
            raise NoRoomError(f"all {limits.per_client} transfers of one client are in use")
        if len(crowd) >= limits.transfers and not crowd.unheard():
            raise NoRoomError(f"all {limits.transfers} transfers are in use")

    def _make_room(self, client: str) -> None:
        """For one more: after a reload with lower limits several may have to go."""
        crowd, limits = self._crowd, self.limits
        while crowd.of_client(client) >= limits.per_client and (old := crowd.unheard_of(client)):
            crowd.dismiss(old, _MADE_ROOM)
        while len(crowd) >= limits.transfers and (old := crowd.unheard()):
            crowd.dismiss(old, _MADE_ROOM)

    def _transfer(self, request: wire.ReadRequest, content: Content, mtu: int) -> Transfer:
        """Raises OptionRefused."""
        if request.mode == "netascii":
            bounds = Bounds(size=None, mtu=mtu, windowsize=1)
            read = Netascii(content.read, content.size).read
        else:
            bounds = Bounds(content.size, mtu, self.limits.windowsize)
            read = content.read
        grant = negotiate(request.options, bounds)
        return Transfer(read, bounds.size, grant, self.limits.patience_s)

    def _refuse(self, port: Port, path: str, refusal: RefusedError, peer: Peer) -> None:
        port.refuse(refusal.code, refusal.told, peer)
        mac, _ = urls.split_mac(path)
        self._events.publish(
            Refused(
                mac=mac,
                peer=peer[0],
                protocol="TFTP",
                path=path or _NO_NAME,
                status=int(refusal.code),
                reason=refusal.reason,
            )
        )

    def _pass(self, path: str, reason: str, peer: Peer) -> None:
        mac, _ = urls.split_mac(path)
        reason = f"{reason}: {path or _NO_NAME}"
        self._events.publish(Unserved(mac=mac, peer=peer[0], protocol="TFTP", reason=reason))

    def _drop(self, reason: str, peer: Peer) -> None:
        self._events.publish(Dropped(peer=peer[0], protocol="TFTP", reason=reason))


def _known_refusal(problem: Exception) -> RefusedError | None:
    """The ERROR for *problem*, None for a bug; the client is not told what our folders are like."""
    match problem:
        case RefusedError():
            return problem
        case NotFound():
            return RefusedError(wire.ErrorCode.NOT_FOUND, "not found", "file not found")
        case Forbidden():
            return RefusedError(wire.ErrorCode.ACCESS_VIOLATION, str(problem), "access violation")
        case OptionRefused():
            return RefusedError(wire.ErrorCode.OPTION_REFUSED, str(problem))
    return None


def _widen(udp: socket.socket) -> int:
    """
    Make room for a burst of requests; firmware repeats a lost one only after seconds.

    Returns how many bytes there are now: without CAP_NET_ADMIN the kernel grants no more than
    net.core.rmem_max, and does not say so (socket(7)).
    """
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it
