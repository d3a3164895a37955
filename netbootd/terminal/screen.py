"""
The live view of ``netbootd watch``: a Fleet as one screen of any size.

rich lays it out; nothing of it may be wider or higher than the terminal, since what scrolls cannot
be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from netbootd import urls
from netbootd.printable import counted
from netbootd.terminal.fleet import Fleet
from netbootd.terminal.machines import remark
from netbootd.terminal.paper import Bit, Look, Piece, text
from netbootd.terminal.words import moment, size, span, state

_HEAD, _FOOT = 2, 1  # lines
_MOST_BAR = 24
_NARROW = 60


class Screen:
    """A terminal that shows a Fleet until ``close``."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False, markup=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()

    def draw(self, fleet: Fleet, now: float) -> None:
        """Show how it is at *now* (Unix seconds)."""
        width, height = self._console.size
        self._live.update(view(fleet, now, width, height), refresh=True)

    def close(self) -> None:
        """Give the terminal back as it was."""
        self._live.stop()


def view(fleet: Fleet, now: float, width: int, height: int) -> RenderableType:
    """*fleet* in *width* columns and at most *height* lines."""
    room = max(height - _HEAD - _FOOT, 1)
    transfers = list(_transfers(fleet, room // 2, width))
    lines: list[RenderableType] = [_short(one, width) for one in (_title(fleet, now), _sums(fleet))]
    lines += transfers
    lines += _machines(fleet, now, room - _lines_of(transfers), width)
    foot = _short((Bit("q quits", Look.FAINT),), width)
    return Group(*lines[: height - 1], foot)


def _lines_of(parts: Sequence[RenderableType]) -> int:
    return sum(part.row_count if isinstance(part, Table) else 1 for part in parts)


def _title(fleet: Fleet, now: float) -> Iterator[Piece]:
    version = fleet.status.get("version", "")
    yield Bit(f"netbootd {version}".strip(), Look.STRONG)
    yield f"  {moment(now, now)}"
    if fleet.away:
        yield Bit(f"  {fleet.away}", Look.BAD)
    elif troubles := fleet.status.get("troubles"):
        yield Bit(f"  {troubles[0]}", Look.BAD)
    elif str(fleet.status.get("last_reload", "")).startswith("refused"):
        yield Bit(f"  reload {fleet.status['last_reload']}", Look.BAD)


def _sums(fleet: Fleet) -> Iterator[Piece]:
    yield counted(len(fleet.machines), "machine")
    for number, (word, count) in enumerate(fleet.counts().items()):
        yield ": " if not number else ", "
        yield f"{count} "
        yield state(word)


def _transfers(fleet: Fleet, room: int, width: int) -> Iterator[RenderableType]:
    """A bar for each, the furthest behind first; none where nothing is on its way."""
    running = sorted(fleet.transfers, key=_part)
    if not running or room < 2:
        return
    shown = running[: room - 1]
    left = fleet.under_way - len(shown)
    told = f"on their way: {fleet.under_way}" + (f", {left} more than shown" if left else "")
    yield _short((Bit(told, Look.FAINT),), width)
    bar = min(_MOST_BAR, max(width // 4, 4))
    table = Table.grid(padding=(0, 1), expand=True)
    for settings in ({"ratio": 2}, {"ratio": 3}, {"width": bar}, {"width": 5}, {"width": 10}):
        table.add_column(no_wrap=True, overflow="ellipsis", **settings)  # type: ignore[arg-type]
    for one in shown:
        table.add_row(*_transfer(one, fleet, bar))
    yield table


def _part(one: Mapping[str, Any]) -> float:
    return one["sent"] / one["size"] if one.get("size") else 0.0


def _transfer(one: Mapping[str, Any], fleet: Fleet, bar: int) -> Iterator[RenderableType]:
    machine = fleet.machines.get(one.get("key") or "")
    yield text(Bit(_name(machine) if machine else one.get("mac") or one["peer"], Look.STRONG))
    yield text(f"{one['protocol']} {urls.split_mac(one['path'])[1]}")
    done = one["sent"] if one["size"] else 0
    yield ProgressBar(total=one["size"] or 1, completed=done, width=bar, complete_style=Look.BUSY)
    yield text(f"{100 * _part(one):3.0f} %" if one["size"] else size(one["sent"]))
    yield text(f"{size(one.get('rate', 0.0))}/s")


def _machines(fleet: Fleet, now: float, room: int, width: int) -> Iterator[RenderableType]:
    found = fleet.by_interest()
    if room < 2:
        return
    if not found:
        yield _short((Bit("no machine was seen yet", Look.FAINT),), width)
        return
    many = len(found) > room - 1
    shown = found[: room - 2] if many else found
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=2, no_wrap=True, overflow="ellipsis")
    table.add_column(width=8, no_wrap=True)
    table.add_column(width=7, no_wrap=True, justify="right")
    if width >= _NARROW:
        table.add_column(ratio=2, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=4, no_wrap=True, overflow="ellipsis")
    for one in shown:
        table.add_row(*map(text, _machine(one, now, width)))
    yield _short((Bit("machines, what is wrong first", Look.FAINT),), width)
    yield table
    if many:
        yield _short((Bit(f"and {len(found) - len(shown)} more", Look.FAINT),), width)


def _machine(one: Mapping[str, Any], now: float, width: int) -> Iterator[Piece]:
    yield Bit(_name(one), Look.STRONG)
    yield state(one["state"])
    since = one.get("since")
    yield span(now - since) if since else ""
    if width >= _NARROW:
        yield one.get("target", "")
    yield remark(one)


def _name(machine: Mapping[str, Any]) -> str:
    return str(machine.get("hostname") or machine["key"])


def _short(pieces: Iterator[Piece] | Sequence[Piece], width: int) -> Text:
    """*pieces* in one line of the screen."""
    made = text(*pieces)
    made.truncate(max(width, 1), overflow="ellipsis")
    made.no_wrap = True
    return made
