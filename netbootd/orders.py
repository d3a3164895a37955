"""
``netbootd next``, ``release`` and ``styles --forget``: orders for the daemon, left in its state
folder.

They are checked against the configuration before, so that what is refused is refused here, with
what would be right.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

from netbootd import settings, subject
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify
from netbootd.dropins.reading import survey
from netbootd.errors import ConfigErrors, NetbootdError
from netbootd.mac import MAC
from netbootd.nearest import there_are
from netbootd.printable import counted
from netbootd.record import database, outside
from netbootd.record.standing import FRESH, Armed
from netbootd.record.styles import Worked
from netbootd.registry.load import load
from netbootd.registry.snapshot import Registry
from netbootd.targets.notice import Notice

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PATIENCE_S = 2.0  # the daemon looks four times a second
_PAUSE_S = 0.05
_LATER = ", as soon as netbootd runs: no daemon has taken the order yet"


class BadOrder(NetbootdError):
    """Nothing that could be carried out; the text says what could."""


def moment(text: str) -> float:
    """``+2h`` from now, or an ISO 8601 time (local where it names no zone), as Unix seconds."""
    if match := re.fullmatch(r"\+([0-9]{1,9})([smhd])", text):
        return time.time() + int(match[1]) * _UNITS[match[2]]
    try:
        when = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        told = f"{text!r} is no time: +90m, +2h, +1d or 2026-12-31T18:00 expected"
        raise ValueError(told) from None
    if when <= time.time():
        raise ValueError(f"{text} is in the past")
    return when


def arm(config: Path, who: MAC | str, target: str | None, times: int, until: float) -> str:
    """
    Have *who* boot *target* (``type/name``) next, *times* times; None for its own.

    *who* is a MAC or the name of an entry.  Returns what to tell the operator; raises BadOrder,
    subject.Nobody and database.NoRecord.
    """
    registry = load(config)
    folder = registry.config.state
    key = _key(who, registry, folder)
    target = target or _own_target(who, registry)
    _must_boot(registry, target, config)
    armed = Armed(target=target, times=times, until=until)
    number = outside.give(folder, "next", key, armed)
    often = "" if times == 1 else f", {times} times"
    before = f", before {datetime.fromtimestamp(until):%Y-%m-%d %H:%M}" if until else ""
    told = f"{who} boots {target} next{often}{before}"
    if not _is_taken(folder, number):
        return told + _LATER
    kept = outside.read(folder).get(key, FRESH).armed
    if kept is None or kept.order != number:
        raise BadOrder("the daemon has refused it; its log says why")
    return told


def cancel(config: Path, who: MAC | str) -> str:
    """Take back what is armed for *who*; a configuration that is broken is no hindrance."""
    registry, folder = _state(config)
    key = _key(who, registry, folder)
    if outside.read(folder).get(key, FRESH).armed is None:
        return f"{who}: nothing is armed"
    return _give(folder, "cancel", key, f"{who}: nothing is armed any more")


def release(config: Path, who: MAC | str | None) -> str:
    """Let *who*, or with None every machine, boot again; as ``cancel``."""
    registry, folder = _state(config)
    standings = outside.read(folder)
    held = [key for key, standing in standings.items() if standing.held]
    if who is None:
        listed = ", ".join(held) or "nobody"
        return _give(folder, "release-all", "", f"may boot again: {listed}")
    key = _key(who, registry, folder)
    waits = key not in standings and (folder / database.LOST).exists()
    if key not in held and not waits:
        return f"{who} is not held"
    return _give(folder, "release", key, f"{who} may boot again")


def learned_styles(config: Path) -> dict[str, Worked]:
    """What the daemon has learned of reply styles, by kind of firmware."""
    return outside.read_styles(_state(config)[1])


def forget_styles(config: Path, which: str) -> str:
    """
    Have the daemon begin anew with the kinds whose key begins with *which*, or with ``all``.

    Raises BadOrder where nothing is remembered by that name.
    """
    folder = _state(config)[1]
    learned = outside.read_styles(folder)
    if which == "all":
        return _give(folder, "forget-styles", "", f"forgotten: {counted(len(learned), 'kind')}")
    plain = which.strip()
    keys = sorted(key for key in learned if plain and key.startswith(plain))
    if not keys:
        raise BadOrder(f"nothing is remembered of {plain!r}: 'netbootd styles' lists what is")
    numbers = [outside.give(folder, "forget-style", key) for key in keys]
    told = f"forgotten: {', '.join(keys)}"
    return told if _is_taken(folder, numbers[-1]) else told + _LATER


def _state(config: Path) -> tuple[Registry | None, Path]:
    """The configuration, None where it cannot be used now; and its state folder all the same."""
    try:
        registry = load(config)
    except ConfigErrors:
        section = survey(config).merged("netbootd")
        return None, settings.parse(section, config.parent, []).state
    return registry, registry.config.state


def _key(who: MAC | str, registry: Registry | None, folder: Path) -> str:
    """What the machine is remembered by."""
    if isinstance(who, str):
        return subject.named(who, registry).key if registry else who
    machine = identify(Client(stage=Stage.IPXE, mac=who), registry) if registry else None
    if machine is not None and machine.known:
        return machine.key
    booted = _booted_as(who, folder)
    if registry is not None and machine is None and booted is None:
        raise BadOrder(f"{who} is not in the configuration, and there is no machines.default")
    return booted or str(who)


def _own_target(who: MAC | str, registry: Registry) -> str:
    if isinstance(who, str):
        return subject.named(who, registry).title
    machine = identify(Client(stage=Stage.IPXE, mac=who), registry)
    if machine is None:
        raise BadOrder(f"{who} has no target of its own that is known here: name one")
    return machine.title


def _booted_as(mac: MAC, folder: Path) -> str | None:
    """The machine that *mac* was, as far as its boots tell: its UUID or serial number did."""
    for key, standing in outside.read(folder).items():
        if any(one.mac == str(mac) for one in standing.attempts):
            return key
    return None


def _must_boot(registry: Registry, target: str, config: Path) -> None:
    found = registry.targets.get(target)
    if isinstance(found, Notice):
        raise BadOrder(f"{target} cannot boot: 'netbootd check {config}' says why")
    if found is None:
        raise BadOrder(f"{config} has no target {target}; {there_are(target, registry.targets)}")


def _give(folder: Path, verb: str, key: str, told: str) -> str:
    return told if _is_taken(folder, outside.give(folder, verb, key)) else told + _LATER


def _is_taken(folder: Path, number: int) -> bool:
    """Wait a while for the daemon to take order *number*."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if not outside.waits(folder, number):
            return True
        time.sleep(_PAUSE_S)
    return False
