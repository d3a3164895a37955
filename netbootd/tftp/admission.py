"""
A request becomes a transfer, or a refusal, or is left unanswered.

    datagram → ReadRequest → locate → negotiate → a Transfer on a Line → the crowd

Decides nothing about files: ``locate`` does.

What a stranger can cause is bounded: what is looked at of it at all (``gate``), transfers in all,
for each address and to clients that never answered.  Each of these is given five packets (see
``transfer``), and one where many wait so, since then most addresses are forged.  Where all places
are taken, the newcomer gets that of the oldest transfer whose client never confirmed anything, so
requests with forged addresses keep nobody out.  Where everybody has, the request is not answered at
all: an ERROR ends the boot of a ROM, while after silence it asks again, and by then there may be
room.

With a single port what comes to it may belong to a transfer that shares its socket: looked up by
who sent it, and handed to the crowd.  Which way a transfer goes is settled when it begins, so the
setting can change while some are under way.  There an ACK proves nothing (see ``toll``): windows
are small, and a transfer that stands still gives up its place like one that never answered.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from functools import partial

from netbootd import urls
from netbootd.errors import WireError
from netbootd.events.event import Dropped, Refused, Shed, Unserved
from netbootd.events.stream import Stream
from netbootd.printable import printable
from netbootd.tftp import train, wire
from netbootd.tftp.crowd import Crowd
from netbootd.tftp.files import Locate, Located
from netbootd.tftp.gate import Gate
from netbootd.tftp.habits import KEPT_S, SOUND, Habit, Habits
from netbootd.tftp.limits import Limits
from netbootd.tftp.netascii import Netascii
from netbootd.tftp.options import PLAIN, Bounds, negotiate
from netbootd.tftp.port import Port
from netbootd.tftp.ready import Ready
from netbootd.tftp.refusals import NoRoomError, RefusedError, known_refusal
from netbootd.tftp.running import Running
from netbootd.tftp.toll import WINDOWSIZE, Toll
from netbootd.tftp.train import Line, Peer
from netbootd.tftp.transfer import PACKETS_UNHEARD, Transfer
from netbootd.unread import is_much

_EFFORT_A_TURN = 1024  # before others have theirs; an ACK is 1
_EFFORT_OF_REQUEST = 16  # a file is looked for and opened
_REQUESTS = {wire.Opcode.RRQ, wire.Opcode.WRQ}
_NEVER_TOLD = {0, wire.Opcode.ERROR}  # of 0 and 1 byte, too: ours are longer
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}
_NO_PORT = "all ports of net.ipv4.ip_local_port_range are in use"
_NO_NAME = "(empty name)"
_LONGER = 20  # bytes by which IPv6's header is longer than IPv4's (RFC 8200, section 3)
_MADE_ROOM = "the client never answered, and another one wanted its place"
_CROWDED = 512  # transfers that were never answered: a storm's are within milliseconds
_RESTART_S = 1.0  # a request repeated this long after the last sign of life is a new one
_STILL_S = 5.0  # as long as clients wait before they repeat their ACK
_ANSWER_S = 1.0  # for which an ACK may wait at port 69 behind a storm's requests


class Admission:
    """
    Takes what comes to the ports.  *locate* is called for each request; what it may raise is said
    in ``files``.  *report* is called within an ``except`` and logs a bug with its traceback;
    *tell* is given what the log should say otherwise.  *known* are addresses that go before others,
    *proved* those that somebody hears for sure.
    """

    def __init__(
        self,
        crowd: Crowd,
        locate: Locate,
        events: Stream,
        limits: Limits,
        report: Callable[[str], None],
        tell: Callable[[str], None],
        known: Container[str] = (),
        proved: Container[str] = (),
    ) -> None:
        self._crowd = crowd
        self._locate = locate
        self._events = events
        #: For transfers from now on; a reload may bring others.
        self.limits = limits
        self._report = report
        self._tell_log = tell
        self._segments = train.kernel_segments()
        self._habits = Habits(crowd.now)
        self._ready = Ready()
        self._gate = Gate(known, crowd.now(), self._flooded)
        self._toll = Toll(proved, crowd.now)
        crowd.ended = self._learn

    def arrivals(self, port: Port) -> None:
        """What waits on *port*, or as much of it as one turn allows."""
        effort, now = _EFFORT_A_TURN, self._crowd.now()
        self._gate.look(is_much(port.socket), now)
        while effort > 0 and (arrived := train.receive(port.socket)) is not None:
            datagram, peer = arrived
            running = self._crowd.find((peer, port.local))
            if running and running.line.shared and wire.opcode_of(datagram) not in _REQUESTS:
                self._crowd.arrived(running, datagram, now)
                effort -= 1
                continue
            effort -= self._meet(port, datagram, peer)

    def _meet(self, port: Port, datagram: bytes, peer: Peer) -> int:
        """Look at what came to port 69, unless there is too much of it; the effort."""
        if port.retired or not self._gate.lets_in(peer[0], self._crowd.now()):
            return 1
        self._packet(port, datagram, peer)
        self._gate.done(self._crowd.now())
        return _EFFORT_OF_REQUEST

    def stranger(self, port: Port, door: socket.socket) -> None:
        """
        A packet to a transfer that is not of its client (RFC 1350 section 4).

        An ERROR is never answered, or two servers might never stop; nor is who was served.
        """
        if (arrived := train.receive(door)) is None:
            return
        datagram, peer = arrived
        if not self._gate.lets_in(peer[0], self._crowd.now()):
            return
        self._drop("from outside the transfer", peer)
        if wire.opcode_of(datagram) not in _NEVER_TOLD and not port.took_leave(peer):
            error = wire.Error(wire.ErrorCode.UNKNOWN_TID, "unknown transfer ID")
            train.send(door, wire.encode(error), peer)
        self._gate.done(self._crowd.now())

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
                self._tell_stray(port, peer)

    def _tell_stray(self, port: Port, peer: Peer) -> None:
        """RFC 1350 section 4; without words, since its address may be forged: ACKs have 4 bytes."""
        if not port.took_leave(peer):
            self._tell(port, wire.ErrorCode.UNKNOWN_TID, "", peer)

    def _tell(self, port: Port, code: wire.ErrorCode, text: str, peer: Peer) -> None:
        port.refuse(code, text, peer, self.limits.single_port)

    def _nonsense(self, port: Port, datagram: bytes, problem: str, peer: Peer) -> None:
        """A request nobody can read is told like any that is refused: somebody's boot ends here."""
        code, told = wire.ErrorCode.ILLEGAL_OPERATION, "not a TFTP packet"
        opcode = wire.opcode_of(datagram)
        if opcode in _REQUESTS:
            self._refuse(port, "(unreadable request)", RefusedError(code, problem, told), peer)
            return
        self._drop(problem, peer)
        if opcode not in _NEVER_TOLD:
            self._tell(port, code, told, peer)

    def _read(self, port: Port, request: wire.ReadRequest, peer: Peer) -> None:
        if self._is_repetition(port, request, peer):
            return
        try:
            running = self._prepare(port, request, peer)
        except NoRoomError as problem:
            self._pass(request.path, str(problem), peer)
            return
        except Exception as problem:
            refusal = known_refusal(problem)
            if refusal is None:
                self._report(f"TFTP: {printable(request.path)} for {peer[0]}")
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
        if (running := self._crowd.find((peer, port.local))) is not None:
            self._crowd.hear_out(running)
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
        located = self._located(port, request, peer[0])
        line = None
        try:
            line = self._line(port, peer)
            transfer = self._transfer(port, line, request, located, peer[0])
        except BaseException:
            if line is not None:
                line.close()
            located.content.close()
            raise
        return Running((peer, port.local), request, located, transfer, line, self._crowd.now())

    def _located(self, port: Port, request: wire.ReadRequest, client: str) -> Located:
        try:
            return self._locate(request, client, port.local)
        except OSError as problem:
            if problem.errno not in _NO_DESCRIPTOR:
                raise
            raise self._spent(problem.strerror) from None

    def _line(self, port: Port, peer: Peer) -> Line:
        try:
            return port.line(peer, self._segments, self._toll if self.limits.single_port else None)
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise self._spent(_NO_PORT) from None
            if problem.errno not in _NO_DESCRIPTOR:  # no way there, say
                raise NoRoomError(str(problem.strerror)) from None
            raise self._spent(problem.strerror) from None

    def _spent(self, why: str | None) -> NoRoomError:
        """One that was never heard gives up what it has: the client will ask again."""
        if old := self._crowd.unheard():
            self._crowd.dismiss(old, _MADE_ROOM)
        return NoRoomError(str(why))

    # How many.

    @property
    def _per_client(self) -> int:
        return self.limits.per_gateway if self.limits.single_port else self.limits.per_client

    def _check_room(self, client: str) -> None:
        """Raises NoRoomError where none is, nor can be made; nobody is dismissed for that yet."""
        crowd, limits, most = self._crowd, self.limits, self._per_client
        if len(crowd.of_client(client)) >= most and not self._spare_of(client):
            raise NoRoomError(f"all {most} transfers of one client are in use")
        if len(crowd) >= limits.transfers and not self._spare():
            raise NoRoomError(f"all {limits.transfers} transfers are in use")

    def _make_room(self, client: str) -> None:
        """For one more: after a reload with lower limits several may have to go."""
        crowd, limits, most = self._crowd, self.limits, self._per_client
        while len(crowd.of_client(client)) >= most and (old := self._spare_of(client)):
            crowd.dismiss(old, _MADE_ROOM)
        while crowd.half_open() >= limits.half_open and (old := crowd.unheard()):
            crowd.dismiss(old, _MADE_ROOM)
        while len(crowd) >= limits.transfers and (old := self._spare()):
            crowd.dismiss(old, _MADE_ROOM)

    def _spare(self) -> Running | None:
        """A transfer that goes for a newcomer."""
        return self._crowd.unheard() or self._standing(self._crowd.heard())

    def _spare_of(self, client: str) -> Running | None:
        """
        The same among those of *client*, a gateway perhaps, whose nodes may all ask before the
        first ACK is read: where that waits behind requests, who was just answered stays.
        """
        old, lately = self._crowd.unheard_of(client), self._crowd.now() - _ANSWER_S
        if old is not None and not (old.line.shared and old.began_at > lately):
            return old
        return self._standing(self._crowd.of_client(client))

    def _standing(self, among: Iterable[Running]) -> Running | None:
        """The first that stands still and may be forged, ACKs and all; few packets hold many."""
        if not self.limits.single_port:
            return None
        since = self._crowd.now() - _STILL_S
        return next((each for each in among if self._is_unproved(each, since)), None)

    def _is_unproved(self, running: Running, since: float) -> bool:
        """Whether its client may be nobody, and was not heard *since* then."""
        heard_at = running.transfer.heard_at
        stands = running.line.shared and heard_at is not None and heard_at < since
        return stands and not self._toll.is_free(running.peer[0])

    # How.

    def _transfer(
        self, port: Port, line: Line, request: wire.ReadRequest, located: Located, client: str
    ) -> Transfer:
        """Raises OptionRefused."""
        content, habit = located.content, self._habit(request, client)
        mtu = port.path_mtu(line, client) if "blksize" in request.options else port.mtu
        bounds = Bounds(
            content.size,
            min(mtu, located.mtu or mtu) - (_LONGER if ":" in client else 0),
            self._most_blocks(line, client) if habit.windows else 0,
            min(self.limits.blksize, habit.blksize),
        )
        read = content.read
        if request.mode == "netascii":
            bounds = bounds._replace(size=None, windowsize=min(bounds.windowsize, 1))
            read = Netascii(content.read, content.size).read
        grant = negotiate(request.options, bounds) if habit.options else PLAIN
        whole = partial(self._ready.of, content)
        pleas = PACKETS_UNHEARD if self._crowd.half_open() < _CROWDED else 1
        return Transfer(read, bounds.size, grant, self.limits.patience_s, whole, pleas)

    def _most_blocks(self, line: Line, client: str) -> int:
        """For each ACK; with a single port it may be forged."""
        if line.shared and not self._toll.is_free(client):
            return min(self.limits.windowsize, WINDOWSIZE)
        return self.limits.windowsize

    def _habit(self, request: wire.ReadRequest, client: str) -> Habit:
        """
        What *client* can take, by all that is known at this moment.

        It may be asking again, from another port, for what it is being offered already.  Where
        the last offer was an OACK it now gets plain DATA, and the reverse.
        """
        if not request.options:
            return SOUND
        before = self._before(request, client)
        if before:
            self._learn(before, asked_again=True)
        habit = self._habits.of(client)
        if before and before.transfer.options_ignored:
            return replace(habit, options=False)
        if habit.options or "tsize" not in request.options:
            return habit
        return replace(habit, options=True)

    def _before(self, request: wire.ReadRequest, client: str) -> Running | None:
        """The last transfer of the same to *client*, unless its address may stand for many."""
        if self.limits.single_port:
            return None
        same = [each for each in self._crowd.of_client(client) if each.request == request]
        return same[-1] if same else None

    def _learn(self, running: Running, asked_again: bool = False) -> None:
        """A transfer has ended, or its file is asked for again."""
        client, asked = running.peer[0], running.request.options
        if not asked or running.transfer.smooth or running.line.withheld:
            return
        story = running.transfer.story()
        if reason := self._habits.learn(client, asked, story, asked_again=asked_again):
            self._tell_log(
                f"TFTP to {client}: {reason}; it is granted less for {KEPT_S / 60:.0f} minutes"
            )

    # What is said of it.

    def _refuse(self, port: Port, path: str, refusal: RefusedError, peer: Peer) -> None:
        self._tell(port, refusal.code, refusal.told, peer)
        mac, _ = urls.split_mac(path)
        self._events.publish(
            Refused(
                mac=mac,
                peer=peer[0],
                protocol="TFTP",
                path=urls.told(path) or _NO_NAME,
                status=int(refusal.code),
                reason=refusal.reason,
            )
        )

    def _pass(self, path: str, reason: str, peer: Peer) -> None:
        mac, _ = urls.split_mac(path)
        reason = f"{reason}: {path or _NO_NAME}"
        self._events.publish(
            Unserved(mac=mac, peer=peer[0], protocol="TFTP", reason=reason, code="no-room")
        )

    def _flooded(self, count: int) -> None:
        self._events.publish(Shed(protocol="TFTP", count=count))

    def _drop(self, reason: str, peer: Peer) -> None:
        self._events.publish(Dropped(peer=peer[0], protocol="TFTP", reason=reason))
