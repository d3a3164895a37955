"""
How a transfer ended, and how it went.  Pure values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class End(Enum):
    """How a transfer can end; the last three are not its own doing."""

    COMPLETE = "complete"
    ABORTED = "aborted by the client"
    UNHEARD = "the client never answered"
    UNCONFIRMED = "the last block was never acknowledged"
    LOST = "the client fell silent"
    BROKEN = "the file could not be read"
    DISMISSED = "the client began anew, or another one wanted its place"
    STOPPED = "the server was stopped"
    FAULT = "internal error"


class Reach(NamedTuple):
    """
    How far a transfer has come: *acked* of *size* bytes (None where it is not known), in blocks of
    *blksize* bytes, with an OACK before them or not.
    """

    acked: int
    size: int | None
    blksize: int
    oack: bool


class Story(NamedTuple):
    """
    How a transfer has gone so far, for whoever asks why.

    Windows and *stray_acks* (of blocks that were never sent) are counted; the last window, which
    may be short, is never among the *windows_whole*.  *lost_in_a_row* counts from the last that
    arrived.  *at_the_end*: the last block is under way.  *plain_taken*: the client got DATA in
    spite of its options, and took it.  *first_block_sent* is how often DATA 1 went to one that
    had confirmed them, and not the block.  Sizes as in the Grant.
    """

    complete: bool
    at_the_end: bool
    plain_taken: bool
    blksize: int
    windowsize: int
    windows_whole: int
    windows_lost: int
    lost_in_a_row: int
    stray_acks: int
    first_block_sent: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end and what there is to say of it."""

    end: End
    reason: str
