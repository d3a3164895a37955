"""
What is remembered of clients that stumbled over an option, so that their next request goes well.

A transfer cannot change its options half-way: RFC 7440 lets a sender shrink nothing, since the
receiver waits for the whole window, and the block size is settled with the OACK.  What helps is
to grant less when the same address asks again, as firmware does after its own timeout:

- It took plain DATA where our OACKs had got no answer: no options.  Not where it asks for
  ``tsize``: EDK2 does not boot without one, and its OACKs may merely have been lost.
- Windows that never arrive whole, acknowledgements of blocks that were never sent, or silence
  after windows were repeated: no ``windowsize``.  A receiver with a few buffers loses the end of
  each window (https://github.com/u-root/u-root/pull/1966 is about large ones).
- The OACK was acknowledged and the first block never, though it was sent repeatedly: something
  on the way swallows large packets and tells nobody, so smaller blocks (QEMU's old UEFI hung
  until it was given 1024: https://github.com/crowbar/crowbar-core/pull/1078).  Where the way does
  tell, the kernel knows the path's MTU, see ``port``.

All of it is forgotten after ten minutes, and the oldest first.  Pure but for the clock it is given.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass, replace

from netbootd.tftp.options import DEFAULT_BLKSIZE, LARGEST_BLKSIZE
from netbootd.tftp.outcome import Story

KEPT_S = 600.0
_MOST_CLIENTS = 4096
_SMALLER_BLKSIZES = (1024, DEFAULT_BLKSIZE)
_FIRST_BLOCK_SENT = 3  # times, before it is taken for swallowed
_NEVER_WHOLE = 16  # windows; at 1 % random loss and 64 blocks less than one client in 10,000
_LOST_BEFORE_SILENCE = 2  # windows; one is lost by anybody who is switched off
_STRAY_ACKS = 3


@dataclass(frozen=True, slots=True)
class Habit:
    """What a client can take: *blksize* in bytes at most, options and windows or none."""

    options: bool = True
    windows: bool = True
    blksize: int = LARGEST_BLKSIZE


#: Of those that never stumbled.
SOUND = Habit()


@dataclass(frozen=True, slots=True)
class Lesson:
    """A Habit that a transfer taught, and the words for the log."""

    habit: Habit
    reason: str


def lesson(
    story: Story, known: Habit, *, needs_options: bool = False, asked_again: bool = False
) -> Lesson | None:
    """
    What *story* adds to what is *known* of its client, None for nothing.

    *needs_options*: it asked for one that it may not do without.  *asked_again*: it wants the
    same file once more.  Without that a last block that was never acknowledged says nothing; some
    ROMs never do.
    """
    failed = not story.complete and (asked_again or not story.at_the_end)
    habit, reasons = known, []
    if story.plain_taken and story.complete and not needs_options:
        habit = replace(habit, options=False)
        reasons.append("it did not understand the answer to its options")
    if reason := _window_trouble(story, failed):
        habit = replace(habit, windows=False)
        reasons.append(reason)
    if failed and story.first_block_sent >= _FIRST_BLOCK_SENT:
        blksize = next((size for size in _SMALLER_BLKSIZES if size < story.blksize), 0)
        habit = replace(habit, blksize=min(habit.blksize, blksize or DEFAULT_BLKSIZE))
        reasons.append(f"no block of {story.blksize} bytes came through")
    return Lesson(habit, "; ".join(reasons)) if habit != known else None


def _window_trouble(story: Story, failed: bool) -> str:
    """Why windows are the trouble, empty where they are not."""
    if story.windowsize == 1:
        return ""
    if story.stray_acks >= _STRAY_ACKS:
        return "it acknowledged blocks that were never sent"
    if story.windows_lost >= _NEVER_WHOLE and not story.windows_whole:
        return f"none of {story.windows_lost} windows arrived whole"
    if failed and story.lost_in_a_row >= _LOST_BEFORE_SILENCE:
        return "it gave up after a window was repeated"
    return ""


class Habits:
    """Those of all clients, by address; *now* gives seconds that never go back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._known: OrderedDict[str, tuple[Habit, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, address: str) -> Habit:
        """What *address* can take."""
        habit, until = self._known.get(address, (SOUND, 0.0))
        return habit if self._now() < until else SOUND

    def learn(
        self, address: str, asked: Container[str], story: Story, *, asked_again: bool = False
    ) -> str:
        """
        Remember what *story* teaches of *address*, which *asked* for these options.

        Returns the reason where that is new, else an empty text.
        """
        learned = lesson(
            story,
            self.of(address),
            needs_options="tsize" in asked,
            asked_again=asked_again,
        )
        if learned is None:
            return ""
        self._known[address] = learned.habit, self._now() + KEPT_S
        self._known.move_to_end(address)
        if len(self._known) > _MOST_CLIENTS:
            self._known.popitem(last=False)
        return learned.reason
