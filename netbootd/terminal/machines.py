"""Machines as tables: those that are listed, and those that asked without being so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from netbootd.boot.pace import told
from netbootd.printable import counted
from netbootd.terminal.paper import Bit, Look, Paper, Piece
from netbootd.terminal.words import ago, size, state

_HEADINGS = ("machine", "mac", "state", "since", "target", "groups", "address", "remark")
_UNKNOWN = ("mac", "last", "first", "times", "arch", "interface", "vendor class", "relay", "uuid")


def show_machines(paper: Paper, machines: Sequence[Mapping[str, Any]], now: float) -> None:
    """The list, and below it how many there are of each state."""
    rows = (_row(machine, now) for machine in machines)
    paper.table(_HEADINGS, rows, fold=("target", "remark"), spare=("address", "groups"))
    counts: dict[str, int] = {}
    for machine in machines:
        counts[machine["state"]] = counts.get(machine["state"], 0) + 1
    paper.line()
    paper.line(*_counted(len(machines), counts))


def _counted(total: int, counts: Mapping[str, int]) -> Iterator[Piece]:
    yield counted(total, "machine")
    for number, (word, count) in enumerate(sorted(counts.items(), key=lambda one: -one[1])):
        yield ": " if not number else ", "
        yield f"{count} "
        yield state(word)


def _row(machine: Mapping[str, Any], now: float) -> Sequence[Piece]:
    macs = machine.get("macs") or []
    first = macs[0] if macs else ""
    more = f" +{len(macs) - 1}" if len(macs) > 1 else ""
    name = machine.get("hostname") or machine["key"]
    return (
        Bit(name, Look.STRONG),
        f"{first}{more}",
        state(machine["state"]),
        ago(machine.get("since"), now),
        Bit(machine.get("target", ""), Look.PLAIN if machine.get("known", True) else Look.FAINT),
        " ".join(machine.get("groups") or ()),
        machine.get("address", ""),
        remark(machine),
    )


def remark(machine: Mapping[str, Any]) -> Bit:
    """What a list says of a machine: its trouble, what is armed, else how far it is."""
    armed = _armed(machine)
    if trouble := machine.get("trouble") or machine.get("held"):
        look = Look.BAD if machine["state"] in ("held", "failed") else Look.WARN
        return Bit(f"{trouble}; {armed}" if armed else trouble, look)
    if armed:
        return Bit(armed, Look.BUSY)
    if not machine.get("known", True):
        return Bit("not listed", Look.FAINT)
    if waits := machine.get("waits"):
        place = told(waits["position"], waits["waiting"], waits["seconds"])
        return Bit(f"waits for its turn: {place}", Look.BUSY)
    if machine["state"] == "booting" and machine.get("reached"):
        return Bit(f"{machine['reached']}{progress(machine)}", Look.BUSY)
    return Bit("")


def _armed(machine: Mapping[str, Any]) -> str:
    armed = machine.get("armed")
    if not armed:
        return ""
    times = "" if armed["times"] == 1 else f", {armed['times']} times"
    return f"next: {armed['target']}{times}"


def progress(machine: Mapping[str, Any]) -> str:
    """``, 34 % of 12.1 MB``, where there is something on its way."""
    sent, wanted = machine.get("bytes_sent") or 0, machine.get("bytes_size") or 0
    if not wanted:
        return ""
    return f", {min(100 * sent // wanted, 100)} % of {size(wanted)}"


def show_unknown(paper: Paper, machines: Iterable[Mapping[str, Any]], now: float) -> None:
    """Who asked, and is not listed; the latest first."""
    paper.table(
        _UNKNOWN,
        (
            (
                Bit(one["mac"], Look.STRONG),
                ago(one.get("last"), now),
                ago(one.get("first"), now),
                str(one.get("times", "")),
                one.get("arch") or "",
                one.get("interface") or "",
                one.get("vendor_class") or "",
                one.get("relay") or "",
                one.get("uuid") or "",
            )
            for one in machines
        ),
        fold=("vendor class", "uuid"),
        spare=("uuid", "relay", "first", "vendor class"),
    )


def show_findings(paper: Paper, findings: Iterable[Mapping[str, Any]]) -> None:
    """Remarks on the configuration, as ``netbootd check`` prints them."""
    looks = {"error": Look.BAD, "target error": Look.BAD, "warning": Look.WARN}
    for one in findings:
        place = (one.get("file"), one.get("line"), one.get("column"))
        where = ":".join(str(part) for part in place if part)
        level = str(one.get("level", "note"))
        code = f" [{one['code']}]" if one.get("code") else ""
        paper.line(f"{where}: " if where else "", Bit(level, looks.get(level, Look.FAINT)),
                   f": {one.get('text', '')}{code}")  # fmt: skip
