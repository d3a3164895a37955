"""The unit as systemd reads it: its assignments, by name and in order (systemd.syntax(7))."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "netbootd.service"
OPENER = FOLDER / "netbootd-opener.service"
SOCKET = FOLDER / "netbootd-opener.socket"


def settings(unit: Path = UNIT) -> dict[str, list[str]]:
    """Every assignment of *unit*: name → its values in order."""
    found = defaultdict(list)
    for line in unit.read_text().splitlines():
        if line and line[0] not in "#;[":
            name, _, value = line.partition("=")
            found[name].append(value)
    return found
