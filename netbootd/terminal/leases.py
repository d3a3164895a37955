"""Leases as a table, the pools below it, and what is wrong with them above it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from netbootd.printable import counted, printable
from netbootd.terminal.paper import Bit, Look, Paper, Piece
from netbootd.terminal.words import ago, span

_HEADINGS = ("address", "who", "mac", "state", "since", "ends in", "subnet", "port")
_POOLS = ("subnet", "used", "", "leased", "offered", "declined", "free", "reserved", "pools")
_LOOKS = {
    "leased": Look.GOOD,
    "offered": Look.BUSY,
    "declined": Look.BAD,
    "free": Look.FAINT,
}
_BAR = 20  # columns of a pool's bar
_NARROW = 0.9  # of a pool in use: soon there is nothing left
#: Seconds that somebody who got no address is news.
RECENT_S = 600.0


def show_leases(paper: Paper, found: Mapping[str, Any]) -> None:
    """All of it: troubles, leases, pools."""
    now = found["now"]
    for trouble in troubles(found, now):
        paper.line(trouble)
    leases = found["leases"]
    if leases:
        rows = (_row(one, now) for one in leases)
        paper.table(_HEADINGS, rows, fold=("who",), spare=("since", "port", "subnet"))
        paper.line()
    left = found.get("total", len(leases)) - len(leases)
    more = f", and {left} that are not shown" if left > 0 else ""
    paper.line(f"{counted(len(leases), 'lease')}{more}")
    if pools := found.get("pools"):
        paper.line()
        paper.table(_POOLS, map(_pool, pools), fold=("pools",), spare=("pools", "reserved", ""))


def pools_within(pools: Iterable[Mapping[str, Any]], network: str) -> list[Mapping[str, Any]]:
    """Those of *pools* whose subnet has addresses of *network*, of which the list is."""
    wanted: Any = ip_network(network.strip())
    found = []
    for one in pools:
        subnet: Any = ip_network(one["subnet"])
        if subnet.version == wanted.version and subnet.overlaps(wanted):
            found.append(one)
    return found


def troubles(found: Mapping[str, Any], now: float) -> Iterator[Bit]:
    """What somebody has to look at, the worst first."""
    if found.get("trouble"):
        yield Bit(f"leases cannot be written: {found['trouble']}", Look.BAD)
    for one in found.get("foreign") or ():
        gave = f" and gave {one['address']}" if one.get("address") else ""
        when = ago(one.get("last"), now)
        yield Bit(
            f"another DHCP server, {one['server']}, answers on {one['interface']}{gave} ({when})",
            Look.BAD,
        )
    for one in found.get("pools") or ():
        if one.get("wanting") and now - one["wanting"] < RECENT_S:
            when = ago(one["wanting"], now)
            who = printable(one.get("wanted_by") or "somebody")
            yield Bit(f"{one['subnet']} had no address left for {who} {when}", Look.BAD)


def holder(lease: Mapping[str, Any]) -> str:
    """Whose a lease is, as people call it; empty where it never said."""
    return str(
        lease.get("hostname")
        or lease.get("machine")
        or lease.get("mac")
        or lease.get("client_id")
        or ""
    )


def _row(lease: Mapping[str, Any], now: float) -> Sequence[Piece]:
    state = lease["state"]
    name = str(lease.get("hostname") or lease.get("machine") or "")
    if not lease.get("machine") and (name or lease.get("mac") or lease.get("client_id")):
        name = f"{name} (not listed)".lstrip()
    told = f"{state}, reserved" if lease.get("reserved") else state
    return (
        Bit(lease["address"], Look.STRONG),
        Bit(name, Look.PLAIN if lease.get("machine") else Look.FAINT),
        lease.get("mac") or lease.get("client_id") or "",
        Bit(told, _LOOKS.get(state, Look.PLAIN)),
        ago(lease.get("since"), now),
        _left(lease, now),
        lease.get("subnet", ""),
        lease.get("port", ""),
    )


def _left(lease: Mapping[str, Any], now: float) -> str:
    if lease["state"] == "free":
        return ""
    return "never" if lease.get("until") is None else span(lease["until"] - now)


def _pool(one: Mapping[str, Any]) -> Sequence[Piece]:
    used = one["size"] - one["free"]
    part = used / one["size"] if one["size"] else 0.0
    look = Look.BAD if not one["free"] else Look.WARN if part >= _NARROW else Look.GOOD
    filled = min(round(part * _BAR), _BAR)
    return (
        Bit(one["subnet"], Look.STRONG),
        Bit(f"{part:.0%}" if one["size"] else "no pool", look if one["size"] else Look.FAINT),
        Bit(f"{'#' * filled}{'.' * (_BAR - filled)}" if one["size"] else "", look),
        *(str(one[name]) for name in ("leased", "offered", "declined", "free")),
        str(one.get("reserved") or ""),
        " ".join(one.get("ranges") or ()),
    )
