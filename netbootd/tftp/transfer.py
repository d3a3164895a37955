"""
One read transfer: a packet or the time in, packets out.  It knows no socket, clock or file.

Blocks count from 1 without end; on the wire the number has 16 bits and goes from 65535 to 0.  An
OACK is sent and acknowledged as block 0.  Two numbers hold the state: *acked*, the highest block
the client has confirmed, and *sent*, the highest that is under way.

    waiting    nothing heard from the client yet; OACK, or DATA 1 where nothing was granted
    sending    acked < sent <= acked + windowsize
    ended      ``outcome`` says how

What moves it:

- ACK of *sent*: the next window; after the last block the end.
- ACK of *acked* or below: nothing.  Data in answer to a duplicate ACK is the Sorcerer's
  Apprentice (RFC 1123 section 4.2.3.1): every packet doubled to the end of the file.
- ACK between the two: something was lost, so send again from there (RFC 7440 section 4).  Not
  sooner than a round trip after the last repetition, and not more than four times on end: such
  an ACK may speak of older copies, and is answered with new blocks only.  Otherwise a client that
  acknowledges whatever is out of order could keep two copies of the window going to the end.
- The timer: the window again, after the waits of ``pace``.

A client that never answered gets five packets and no more, or as few as the caller says: its
address may be forged.  Where the first four were OACKs, the fifth is DATA 1 of 512 bytes without
options, for a client that asks for options and then does not understand the answer (reported of
NVIDIA DGX).  Should it acknowledge the OACK after all, the transfer goes on with the options.
"""

from __future__ import annotations

from collections.abc import Callable

from netbootd.tftp import wire
from netbootd.tftp.ahead import Ahead
from netbootd.tftp.blocks import Source, Train, laid, single
from netbootd.tftp.options import PLAIN, Grant
from netbootd.tftp.outcome import End, Outcome, Reach, Story
from netbootd.tftp.pace import Pace
from netbootd.tftp.wire import HEADER, ack

PATIENCE_S = 30.0  # without progress, from a client that has answered; ROMs retry after 4 to 6 s
_UNHEARD_S = 12.0  # from one that never has: it asks again if it is still there
_FAREWELL_S = 10.0  # for the last ACK, which some ROMs never send
_TORN_IN_A_ROW = 4  # of 1, 2, 4, 8 the best with windows of 64 at 3 % loss and at 1 % disorder
#: To a client that never answered.
PACKETS_UNHEARD = 5
_OACKS_UNHEARD = 4
_OACKS_HOPED = 3  # 1.5 s; whoever asks again from another port then has perhaps not understood

_CHANGED = "file changed or unreadable"
_NEVER = 1 << 62  # a block number that no file reaches
_MASK = 0xFFFF
_HALF_CIRCLE = 0x8000  # block numbers further than this behind are ahead, and the reverse


def _never(_blksize: int, _windowsize: int) -> Source | None:
    """Nobody has the file in blocks."""
    return None


class Transfer:
    """
    Sends what *read* (offset and count in bytes) gives, *size* bytes of it.

    Where *size* is None the first short block is the last; the window must then be 1.  *whole* is
    asked once, when the client was heard, for the file in blocks of so many bytes, in windows of so
    many blocks; while there is one, nothing is read here.  Call ``start`` once, then
    ``acknowledge`` or ``receive`` for what arrives (``step`` for what is ``awaited``) and ``tick``
    when ``deadline`` has come, until there is an ``outcome``.  Each may return packets to send, the
    last ERROR among them.  *now* is in seconds.  *pleas* is how often the first reply goes to a
    client that never answers.
    """

    __slots__ = (
        "_acked",
        "_asked",
        "_file",
        "_fresh_from",
        "_grant",
        "_highest",
        "_last",
        "_length",
        "_lost",
        "_lost_in_a_row",
        "_most_pleas",
        "_pace",
        "_packets",
        "_patience_s",
        "_pleas",
        "_repeated_at",
        "_sent",
        "_sent_at",
        "_started_at",
        "_strays",
        "_torn",
        "_whole",
        "_whole_of",
        "_windows_whole",
        "_windowsize",
        "awaited",
        "deadline",
        "heard_at",
        "outcome",
        "resent",
        "size",
    )

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        size: int | None,
        grant: Grant = PLAIN,
        patience_s: float = PATIENCE_S,
        whole: Callable[[int, int], Source | None] = _never,
        pleas: int = PACKETS_UNHEARD,
    ) -> None:
        self._file = Ahead(read, size)
        self._whole_of = whole
        self._whole: Source | None = None
        self._packets, self._length = memoryview(b""), 0  # of the whole, in lock step
        #: In bytes; None where it is not known.
        self.size = size
        self._asked = self._grant = grant
        self._acked = self._sent = 0
        self._last: int | None = None
        self._patience_s, self._most_pleas = patience_s, pleas
        self._pace = Pace(grant.timeout_s)
        self._repeated_at = float("-inf")
        self._torn = 0  # windows repeated in a row because an ACK said so
        self._windows_whole = self._lost = self._lost_in_a_row = self._strays = 0  # see Story
        #: The packet that ``step`` answers; None where any takes more.
        self.awaited: bytes | None = None
        #: When the client last confirmed a block; None before it has.
        self.heard_at: float | None = None
        self.outcome: Outcome | None = None
        #: Blocks sent more than once, each time counted.
        self.resent = 0

    # What arrives.

    def start(self, now: float) -> Train:
        """The first reply: OACK, or DATA 1 where nothing was granted."""
        self._adopt(self._asked)
        self._started_at = self._sent_at = now
        self._pleas = 1
        self._pace.begin()
        self.deadline = now + self._pace.wait_s
        return self._first_reply()

    def again(self, now: float) -> Train | None:
        """The same request once more: the same reply, unless a block was confirmed since."""
        if self.outcome or self.heard_at is not None:
            return None
        if self._grant is not self._asked:
            return self.start(now)  # it gave up on our plain DATA too, and starts afresh
        self._fresh_from = _NEVER
        return self._first_reply()

    def receive(self, packet: wire.Packet) -> None:
        """Anything but an ACK; what has no business here is ignored."""
        if isinstance(packet, wire.Error) and not self.outcome:
            said = f"client sent ERROR {packet.code}: {packet.text}"
            self.outcome = Outcome(End.ABORTED, said)

    def acknowledge(self, number: int, now: float) -> Train | None:
        """An ACK with the 16-bit block *number*."""
        acked, sent = self._acked, self._sent
        if number == sent & _MASK and sent > acked and not self.outcome:  # nearly always
            if self.awaited is not None:
                return self.step(now), self._length
            if self._whole is not None and self._fresh_from <= sent != self._last:
                return self._next_window(self._whole, now)
            return self._window_arrived(now)
        block = acked + ((number - acked + _HALF_CIRCLE) & _MASK) - _HALF_CIRCLE
        if self.outcome or block > sent:
            self._strays += 1
            return None
        if block <= acked:
            return self._options_after_all(now) if block == 0 else None
        return self._window_torn(block, now)

    def step(self, now: float) -> memoryview:
        """What ``acknowledge`` sends for what is *awaited*; a storm has a hundred thousand."""
        before, length = self._sent, self._length
        self.deadline = now + self._pace.sample(now - self._sent_at)
        self._acked = before
        self._sent = self._highest = self._fresh_from = sent = before + 1
        self.heard_at = self._sent_at = now
        self._windows_whole += 1
        self.awaited = None if sent == self._last else ack(sent & _MASK)
        return self._packets[before * length : sent * length]

    def tick(self, now: float) -> Train | None:
        """The time is *now*; nothing happens before the deadline."""
        if self.outcome or now < self.deadline:
            return None
        if now >= self._give_up_at:
            self.outcome = self._silence()
            return None
        if self.heard_at is None:
            return self._plead(now)
        self._count_lost()
        again = self._repeat_from(self._acked + 1, now)
        self.deadline = min(now + self._pace.back_off(), self._give_up_at)
        return again

    # The first reply.

    def _adopt(self, grant: Grant) -> None:
        """Go by *grant*, from the first reply on."""
        self._grant, self._windowsize = grant, grant.windowsize
        self._acked, self._sent = (-1, 0) if grant.answer else (0, 1)
        self._fresh_from = self._highest = self._sent
        self._last = None if self.size is None else self.size // grant.blksize + 1

    def _first_reply(self) -> Train:
        if self._sent == 0:
            return single(wire.encode(wire.OptionAck(self._grant.answer)))
        return self._blocks(1, 1)

    def _plead(self, now: float) -> Train | None:
        """The first reply again, to a client that was never heard."""
        if self._pleas >= self._most_pleas:
            self.deadline = self._give_up_at
            return None
        self._pleas += 1
        if self._sent == 0 and self._pleas > _OACKS_UNHEARD:
            self._adopt(PLAIN)
        self._fresh_from = _NEVER
        self.deadline = min(now + self._pace.back_off(), self._give_up_at)
        return self._first_reply()

    def _options_after_all(self, now: float) -> Train | None:
        """ACK 0 where we no longer waited for it: the client was slow, not deaf to options."""
        if self._grant is self._asked or self._acked > 0:
            return None
        self._adopt(self._asked)
        self._fresh_from = _NEVER
        return self._window_arrived(now)

    # Windows.

    def _window_arrived(self, now: float) -> Train | None:
        sent = self._sent
        self._confirm(sent, now)
        self._torn = 0
        if sent == self._last:
            self.outcome = Outcome(End.COMPLETE, "complete")
            return None
        if sent:  # an OACK is no window
            self._windows_whole += 1
            self._lost_in_a_row = 0
        return self._send_from(sent + 1, now)

    def _next_window(self, whole: Source, now: float) -> Train:
        """
        What ``_window_arrived`` comes to where nothing was sent twice and no end is reached.

        A file is only laid out for a client that was heard, and only where its size is known.
        """
        sent, pace, last = self._sent, self._pace, self._last
        pace.sample(now - self._sent_at)
        until = sent + self._windowsize
        if last is not None and until > last:
            until = last
        self._acked = sent
        self._sent = self._highest = until
        self._fresh_from = sent + 1
        self.heard_at = self._sent_at = now
        self.deadline = now + pace.wait_s
        self._windows_whole += 1
        self._torn = self._lost_in_a_row = 0
        if self._windowsize == 1 and until != last and whole.packets is not None:
            self.awaited = ack(until & _MASK)
            self._packets, self._length = whole.packets, self._grant.blksize + HEADER
        try:
            return whole.train(sent + 1, until)
        except (OSError, EOFError) as problem:
            return self._break(problem)

    def _count_lost(self) -> None:
        self._lost += 1
        self._lost_in_a_row += 1

    def _window_torn(self, block: int, now: float) -> Train | None:
        """The client has the blocks up to *block*, and something behind it was lost."""
        self._count_lost()
        self._pace.settle()  # it answers, so the wait did not grow for its slowness
        self._confirm(block, now)
        too_soon = now - self._repeated_at < self._pace.shortest_trip_s
        if too_soon or self._torn == _TORN_IN_A_ROW:
            self._torn = 0
            return self._send_from(self._sent + 1, now)
        self._torn += 1
        return self._repeat_from(block + 1, now)

    def _confirm(self, block: int, now: float) -> None:
        pace = self._pace
        if block >= self._fresh_from:
            pace.sample(now - self._sent_at)
        pace.answered()
        self._acked = block
        if self.heard_at is None and self.size is not None:
            self._whole = self._whole_of(self._grant.blksize, self._grant.windowsize)
        self.heard_at = now
        self.deadline = now + pace.wait_s

    def _repeat_from(self, block: int, now: float) -> Train | None:
        self._repeated_at = now
        return self._send_from(block, now)

    def _send_from(self, first: int, now: float) -> Train | None:
        """The blocks from *first* to the end of the window, which may be none."""
        until = self._acked + self._windowsize
        if self._last is not None and until > self._last:
            until = self._last
        if until < first:
            return None
        highest = self._highest
        if first <= highest:
            self.resent += min(until, highest) - first + 1
        self._fresh_from = highest + 1
        self._sent, self.awaited = until, None
        if until > highest:
            self._highest = until
        self._sent_at = now
        return self._blocks(first, until)

    # The end.

    @property
    def smooth(self) -> bool:
        """Whether all went as it should, with options: its story teaches nothing."""
        return (
            self.outcome is not None
            and self.outcome.end is End.COMPLETE
            and self._grant is self._asked is not PLAIN
            and not self._lost
            and not self._strays
        )

    def story(self) -> Story:
        """How it has gone so far."""
        first_block_sent = self._lost_in_a_row + 1 if self._acked == 0 and self._sent else 0
        return Story(
            complete=self.outcome is not None and self.outcome.end is End.COMPLETE,
            at_the_end=self._sent == self._last,
            plain_taken=self.heard_at is not None and self._grant is PLAIN,
            blksize=self._grant.blksize,
            windowsize=self._grant.windowsize,
            windows_whole=self._windows_whole,
            windows_lost=self._lost,
            lost_in_a_row=self._lost_in_a_row,
            stray_acks=self._strays,
            first_block_sent=first_block_sent if self.heard_at is not None else 0,
        )

    def reach(self) -> Reach:
        """How far it has come; for one that was never heard, by what it was granted at first."""
        grant = self._asked if self.heard_at is None else self._grant
        acked = max(self._acked, 0) * grant.blksize
        if self.size is not None:
            acked = min(acked, self.size)
        return Reach(acked, self.size, grant.blksize, oack=bool(grant.answer))

    @property
    def options_ignored(self) -> bool:
        """Whether our OACKs got no answer so far."""
        return bool(self._asked.answer) and self.heard_at is None and self._pleas >= _OACKS_HOPED

    @property
    def _give_up_at(self) -> float:
        if self.heard_at is None:
            return self._started_at + min(_UNHEARD_S, self._patience_s)
        if self._last is not None and self._acked >= self._last - 1:
            return self.heard_at + min(_FAREWELL_S, self._patience_s)
        return self.heard_at + self._patience_s

    def _silence(self) -> Outcome:
        if self.heard_at is None:
            return Outcome(End.UNHEARD, "the client never answered")
        if self._sent == self._last:
            return Outcome(End.UNCONFIRMED, f"block {self._last}, the last, was not acknowledged")
        return Outcome(End.LOST, f"the client fell silent after block {self._acked}")

    # Bytes.

    def _blocks(self, first: int, until: int) -> Train:
        """DATA packets *first* to *until*, or the ERROR that ends the transfer."""
        blksize = self._grant.blksize
        try:
            if self._whole is not None:
                return self._whole.train(first, until)
            offset, count = (first - 1) * blksize, (until - first + 1) * blksize
            data = self._file.part(offset, count, ahead=self.heard_at is not None)
        except (OSError, EOFError) as problem:
            return self._break(problem)
        if self._last is None and len(data) < blksize:
            self._last = first
        return laid(data, blksize, first, until), blksize + HEADER

    def _break(self, problem: OSError | EOFError) -> Train:
        self.outcome = Outcome(End.BROKEN, str(problem))
        return single(wire.encode(wire.Error(wire.ErrorCode.UNDEFINED, _CHANGED)))
