"""Who imports whom, read from the source with ``ast``; nothing is executed."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "netbootd"

#: Floors of the house, from the ground up.  A room is a folder or a file; files of a folder that
#: stand on another floor than their folder are named themselves.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "__init__",
            "errors",
            "mac",
            "macslips",
            "arch",
            "loaders",
            "loaderfile",
            "sums",
            "features",
            "replies",
            "addressing",
            "dhcpoptions",
            "optionshapes",
            "urls",
            "usual",
            "configfiles",
            "sqlitefile",
            "printable",
            "nearest",
            "relaxedjson",
            "systemd",
            "environment",
            "heldfolder",
            "statelock",
            "landlock",
            "privilege",
            "custody",
            "opener",
            "precut",
            "rendering",
            "forms",
            "nocloud",
            "secretvalues",
            "bzimage",
            "readers",
            "unhurried",
            "budget",
            "dhcpgate",
            "ages",
            "unread",
            "pieces",
        }
    ),
    frozenset(
        {
            "dropins",
            "config",
            "settings",
            "apitoken",
            "certificate",
            "content",
            "programs",
            "handover",
            "interfaces",
            "neighbours",
            "ports",
            "watch",
            "journal",
            "events",
            "record",
        }
    ),
    frozenset({"overlay", "scripts", "targets", "dialects", "vms"}),
    frozenset({"registry", "answers"}),
    frozenset({"boot"}),
    frozenset({"boots", "owners", "why", "logbook", "shipping", "leases"}),
    frozenset({"api"}),
    frozenset({"dhcp", "dhcp6", "tftp", "http", "syslog"}),
    frozenset(
        {
            "banner",
            "probe",
            "otherloaders",
            "lacking",
            "secureboot",
            "trust",
            "check",
            "keptout",
            "descriptions",
            "importing",
            "migrating",
            "explain",
            "reasons",
            "firmware",
            "diff",
            "show",
            "subject",
            "overlaying",
            "orders",
            "keeper",
            "chronicle",
            "nodelogs",
            "leasing",
            "pacing",
            "pools",
            "naming",
            "learning",
            "status",
            "simulate",
            "replay",
            "apiclient",
            "apidoors",
            "terminal",
            "doctor",
            "hooks",
            "daemon",
            "telling",
            "listening",
            "rehearsal",
            "descent",
            "serving",
            "reloading",
            "vitals",
            "census",
            "collecting",
            "metrics",
        }
    ),
    frozenset({"commands"}),
    frozenset({"cli", "__main__"}),
)
PROTOCOLS = frozenset({"dhcp", "dhcp6", "tftp", "http", "syslog"})


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    return str(file.relative_to(PACKAGE).with_suffix(""))


def room_of(name: str) -> str:
    """``dhcp/wire`` and ``dhcp`` are in room ``dhcp``; ``mac`` is a room of its own."""
    return name.partition("/")[0]


def floor_of(name: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room_of(name) in rooms:
            return number
    raise AssertionError(f"{name} stands on no floor: add it to FLOORS where it belongs")


def imports(file: Path) -> set[str]:
    """Every module that *file* imports, dotted, wherever in the file it does so."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own(file: Path) -> set[str]:
    """The rooms of our own that *file* imports, as names such as ``dhcp/wire``."""
    names = {
        name.removeprefix("netbootd.") for name in imports(file) if name.startswith("netbootd.")
    }
    return {name.replace(".", "/") for name in names} - {"__version__"}


def calls(file: Path) -> set[str]:
    """The plain and dotted names that *file* calls: ``open``, ``time.time``."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
    return found
