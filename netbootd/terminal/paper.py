"""
What is written to standard output: tables and lines, in colour on a terminal and plain elsewhere.

rich is met here and in ``screen``, and only where there is a terminal: a pipe gets text that awk
understands, without a library being loaded.  Whatever comes from the network is escaped
here, once: a node's name must not move the cursor of the admin's terminal.  NO_COLOR and
TERM=dumb are heeded (https://no-color.org).
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TextIO
from unicodedata import combining, east_asian_width

from netbootd.printable import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LONGEST = 20_000  # characters of one text
_GAP = "  "
_FOLDED = 20  # columns that a text which is folded should have


class Look(StrEnum):
    """What a text is, as rich shows it."""

    PLAIN = ""
    STRONG = "bold"
    FAINT = "dim"
    GOOD = "green"
    BUSY = "cyan"
    WARN = "yellow"
    BAD = "bold red"


class Bit(NamedTuple):
    """A text and what it is."""

    text: str
    look: Look = Look.PLAIN


Piece = Bit | str


def plain(piece: Piece) -> str:
    """The text of *piece*, fit for a terminal."""
    return printable(piece.text if isinstance(piece, Bit) else piece, LONGEST)


class Paper:
    """Writes to *to*; *coloured* None is for what it is itself."""

    def __init__(self, to: TextIO | None = None, *, coloured: bool | None = None) -> None:
        self._to = to or sys.stdout
        if isinstance(self._to, io.TextIOWrapper):
            self._to.reconfigure(errors="backslashreplace")  # a terminal of few letters
        self._console: Console | None = None
        if coloured if coloured is not None else is_terminal(self._to):
            self._console = _console(self._to)

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 where there is none."""
        return self._console.width if self._console else 80

    def line(self, *pieces: Piece) -> None:
        """*pieces* behind each other."""
        if self._console is None:
            print("".join(map(plain, pieces)).rstrip(), file=self._to)
        else:
            self._console.print(text(*pieces), soft_wrap=True)

    def flush(self) -> None:
        """Nothing waits for more, where somebody reads along."""
        self._to.flush()

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[Piece]],
        *,
        fold: Collection[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        """
        *rows* below *headings*; columns in which nothing stands are left out.

        Where a terminal is too narrow, those of *spare* are left out, the first one first; then
        those of *fold* are folded.
        """
        kept = [tuple(row) for row in rows]
        used = [at for at in range(len(headings)) if any(plain(row[at]) for row in kept)]
        names = [headings[at] for at in used]
        cells = [[row[at] for at in used] for row in kept]
        if self._console is None:
            self._plain_table(names, cells)
        else:
            self._rich_table(*self._fitting(names, cells, fold, spare), fold)

    def _fitting(
        self,
        names: list[str],
        cells: list[list[Piece]],
        fold: Collection[str],
        spare: Sequence[str],
    ) -> tuple[list[str], list[list[Piece]]]:
        """Without as many columns of *spare* as the terminal has no room for."""
        for name in spare:
            if name not in names or _width(names, cells, fold) <= self.width:
                continue
            gone = names.index(name)
            names = names[:gone] + names[gone + 1 :]
            cells = [row[:gone] + row[gone + 1 :] for row in cells]
        return names, cells

    def _plain_table(self, headings: list[str], rows: list[list[Piece]]) -> None:
        texts = [[heading.upper() for heading in headings]]
        texts += [[plain(cell) or "-" for cell in row] for row in rows]
        widths = [max(columns(row[at]) for row in texts) for at in range(len(headings))]
        for row in texts:
            pairs = zip(row, widths, strict=True)
            cells = (cell + " " * (width - columns(cell)) for cell, width in pairs)
            print(_GAP.join(cells).rstrip(), file=self._to)

    def _rich_table(
        self, headings: list[str], rows: list[list[Piece]], fold: Collection[str]
    ) -> None:
        from rich.table import Table  # noqa: PLC0415  for a terminal only

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=Look.FAINT)
        for heading in headings:
            folds = heading in fold
            table.add_column(heading, no_wrap=not folds, overflow="fold" if folds else "ellipsis")
        for row in rows:
            table.add_row(*(text(cell) for cell in row))
        assert self._console is not None
        self._console.print(table)


def _width(headings: list[str], rows: list[list[Piece]], fold: Collection[str]) -> int:
    """What a table needs where the columns of *fold* are folded, but not too much."""
    needed = 0
    for at, heading in enumerate(headings):
        widest = max((columns(plain(row[at])) for row in rows), default=0)
        widest = min(widest, _FOLDED) if heading in fold else widest
        needed += max(widest, len(heading)) + len(_GAP)
    return needed


def columns(shown: str) -> int:
    """How many of a terminal *shown* takes: two for a letter of China, Japan or Korea (UAX #11)."""
    if shown.isascii():
        return len(shown)
    wide = sum(east_asian_width(letter) in "WF" for letter in shown)
    return len(shown) + wide - sum(combining(letter) > 0 for letter in shown)


def text(*pieces: Piece) -> Text:
    """*pieces* as rich has them; no markup is read in them."""
    from rich.text import Text  # noqa: PLC0415  for a terminal only

    made = Text()
    for piece in pieces:
        made.append(plain(piece), style=str(piece.look) if isinstance(piece, Bit) else "")
    return made


def is_terminal(to: TextIO) -> bool:
    """Whether somebody looks at it who wants colours."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return wanted and to.isatty()


def _console(to: TextIO) -> Console:
    from rich.console import Console  # noqa: PLC0415  for a terminal only

    return Console(file=to, highlight=False, emoji=False, markup=False, force_terminal=True)
