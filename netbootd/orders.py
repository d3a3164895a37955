"""
``netbootd next`` and ``netbootd release``: orders for the daemon, left in its state folder.

They are checked against the configuration before, so that what is refused is refused here, with
what would be right.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify
from netbootd.errors import NetbootdError
from netbootd.mac import MAC
from netbootd.nearest import did_you_mean, nearest
from netbootd.record import store
from netbootd.record.standing import Armed
from netbootd.registry.load import load
from netbootd.registry.snapshot import Registry
from netbootd.targets.notice import Notice

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PATIENCE_S = 2.0  # the daemon looks four times a second
_PAUSE_S = 0.05


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
    Have *who* boot *target* (``type/name``) next, *times* times; None takes back what is armed.

    *who* is a MAC or the name of an entry.  Returns what to tell the operator; raises BadOrder
    and store.NoRecord.
    """
    registry = load(config)
    key = _key(registry, who)
    if target is None:
        return _give(registry, "cancel", key, f"{who}: nothing is armed any more")
    _must_boot(registry, target, config)
    armed = Armed(target=target, times=times, until=until)
    often = "" if times == 1 else f", {times} times"
    before = f", before {datetime.fromtimestamp(until):%Y-%m-%d %H:%M}" if until else ""
    return _give(registry, "next", key, f"{who} boots {target} next{often}{before}", armed)


def release(config: Path, who: MAC | str | None) -> str:
    """Let *who*, or with None every machine, boot again.  Raises BadOrder and store.NoRecord."""
    registry = load(config)
    if who is None:
        return _give(registry, "release-all", "", "all machines that were held may boot")
    return _give(registry, "release", _key(registry, who), f"{who} may boot")


def _key(registry: Registry, who: MAC | str) -> str:
    """What the machine is remembered by."""
    if isinstance(who, MAC):
        machine = identify(Client(stage=Stage.IPXE, mac=who), registry)
        if machine is not None and machine.known:
            return machine.key
        booted = _booted_as(who, registry)
        if booted is None and machine is None:
            raise BadOrder(f"{who} is not in the configuration, and there is no machines.default")
        return booted or (machine.key if machine else "")
    if who not in registry.named:
        raise BadOrder(f"{who!r} is neither a MAC nor a name{did_you_mean(who, registry.named)}")
    return registry.named[who].key


def _booted_as(mac: MAC, registry: Registry) -> str | None:
    """The named machine that *mac* was, as far as its boots tell: its UUID or serial number did."""
    for key, standing in store.read(registry.config.state).items():
        if key in registry.named and any(one.mac == str(mac) for one in standing.attempts):
            return key
    return None


def _must_boot(registry: Registry, target: str, config: Path) -> None:
    found = registry.targets.get(target)
    if isinstance(found, Notice):
        raise BadOrder(f"{target} cannot boot: 'netbootd check {config}' says why")
    if found is None:
        close = nearest(target, registry.targets) or sorted(registry.targets)[:5]
        listed = ", ".join(close) or "none"
        raise BadOrder(f"{config} has no target {target}; there are: {listed}")


def _give(registry: Registry, verb: str, key: str, told: str, armed: Armed | None = None) -> str:
    folder = registry.config.state
    number = store.give(folder, verb, key, armed)
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if not store.waits(folder, number):
            return told
        time.sleep(_PAUSE_S)
    return f"{told}, as soon as netbootd runs (no daemon has taken the order from {folder})"
