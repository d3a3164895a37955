"""
Which blocks of a log file hold lines of a machine: all the index there is.

A file is seen as blocks of 64 KiB; a line belongs to the block in which it begins.  A machine has
one number for each file, in which the bit of each of its blocks is set: some 40 bytes, however many
lines it has there.
"""

from __future__ import annotations

from dataclasses import dataclass

from netbootd.logbook.line import Line

BLOCK = 1 << 16  # bytes


@dataclass(slots=True)
class Mark:
    """The *blocks* of one machine in one file, and the numbers of its boots there."""

    blocks: int = 0
    first_boot: int = 0
    last_boot: int = 0

    def numbers(self) -> list[int]:
        """The blocks, the last one first."""
        return [n for n in range(self.blocks.bit_length() - 1, -1, -1) if self.blocks >> n & 1]

    def has(self, boot: int) -> bool:
        """Whether lines of *boot* may be there; 0 is any."""
        return boot == 0 or self.first_boot <= boot <= self.last_boot


def key_of(line: Line) -> str:
    """What *line* is found by: its machine, or the address of a sender that nobody knows."""
    return line.filing.key or line.peer


class Marks:
    """The marks of one file, as it is written."""

    def __init__(self) -> None:
        self.lines = 0
        self.of: dict[str, Mark] = {}

    def add(self, key: str, boot: int, offset: int) -> None:
        """A line of *key* begins at *offset*."""
        self.lines += 1
        mark = self.of.get(key)
        if mark is None:
            mark = self.of[key] = Mark(0, boot, boot)
        mark.blocks |= 1 << (offset // BLOCK)
        mark.first_boot = min(mark.first_boot, boot)
        mark.last_boot = max(mark.last_boot, boot)
