"""Who waits for its turn in a boot storm, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netbootd.boot.pace import about
from netbootd.printable import counted
from netbootd.terminal.paper import Bit, Look, Paper
from netbootd.terminal.words import ago, size

_HEADINGS = ("place", "machine", "key", "since", "about", "priority")


def show_places(paper: Paper, pace: Mapping[str, Any]) -> None:
    """The next first, and below it how many load, and how fast."""
    places = pace["places"]
    if places:
        paper.table(
            _HEADINGS,
            (
                (
                    "late" if one["late"] else str(one["position"]),
                    Bit(one["hostname"] or one["key"], Look.STRONG),
                    one["key"],
                    ago(one["since"], pace["now"]),
                    "unknown" if one["seconds"] is None else about(one["seconds"]),
                    str(one["priority"] or ""),
                )
                for one in places
            ),
            spare=("key", "priority"),
        )
        paper.line()
    paper.line(told(pace))
    if pace["paused"]:
        paper.line(Bit("paused: nobody's turn comes; netbootd pace resume", Look.WARN))


def told(pace: Mapping[str, Any]) -> str:
    """``340 machines wait, 12 load (of 16 at once, by "auto"), 1.1 GB a second``."""
    found = ', by "auto"' if pace["auto"] else ""
    wait = f"{counted(pace['waiting'], 'machine')} wait{'s' if pace['waiting'] == 1 else ''}"
    most = f"of {pace['at_once']} at once{found}"
    return f"{wait}, {pace['loading']} load ({most}), {size(pace['rate'])} a second"
