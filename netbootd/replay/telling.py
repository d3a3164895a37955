"""A replayed capture for people, and as plain values for programs."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any

from netbootd.printable import counted, printable
from netbootd.replay.exchange import Exchange, Verdict
from netbootd.replay.reading import Reading
from netbootd.replay.said import Said

_MOST_LINES = 30  # of a script that differs
_LONGEST = 160

_SUMMARY = {
    Verdict.SAME: "answered alike",
    Verdict.DIFFERS: "answered otherwise",
    Verdict.WE_ALONE: "that we alone would answer",
    Verdict.THEY_ALONE: "that we would not answer",
    Verdict.NEITHER: "that are not ours to answer",
}


def headline(reading: Reading, address: IPv4Address, why: str) -> str:
    """What the file is, and whose place we take."""
    lasted = f"{counted(reading.packets, 'packet')} in {reading.ended - reading.began:.1f} s"
    when = f", {datetime.fromtimestamp(reading.began):%Y-%m-%d %H:%M:%S}" if reading.began else ""
    return f"{printable(str(reading.file))}: {lasted}{when}; we are {address}, {why}"


def lines(exchange: Exchange, began: float) -> Iterator[str]:
    """One question, as many lines as it needs; times count from *began*, as Wireshark's do."""
    vlan = f", VLAN {'.'.join(map(str, exchange.vlans))}" if exchange.vlans else ""
    who = f"  [{exchange.client}{vlan}]" if exchange.client or vlan else ""
    mac = exchange.mac or "-"
    yield f"{_stamp(exchange.number, exchange.at - began)}  {mac}  {exchange.asks}{who}"
    if exchange.cut:
        yield _said("cut off", "the capture has not all of the packet, so this may be wrong")
    if exchange.ours is None:
        yield _said("we", f"nothing: {printable(exchange.silent)}")
    else:
        yield _said("we", _answer(exchange.ours))
        for reason in exchange.ours.because:
            yield _said("", f"because {printable(reason)}")
    for theirs in exchange.theirs:
        yield from _theirs(exchange, theirs, began)
    if not exchange.theirs:
        yield _said("they", "nothing: no answer is in the capture")
        if exchange.asks.startswith("RRQ"):
            yield _said("", "(TFTP answers from a port of its own, which 'port 69' does not catch)")
    if exchange.ended:
        yield _said("then", f"the client ended it: {exchange.ended}")


def _theirs(exchange: Exchange, theirs: Said, began: float) -> Iterator[str]:
    bare = not theirs.boots and not theirs.cut
    remarks = (*theirs.because, *(("no boot file",) if bare else ()))
    more = f", {', '.join(remarks)}" if remarks else ""
    found = exchange.differences(theirs)
    same = "" if found or exchange.ours is None or not theirs.boots else ": the same"
    stamp = f"No. {theirs.number}, {theirs.at - began:.6f} s"
    yield _said(theirs.by, f"{theirs.what}{more}{same}  ({stamp})")
    if theirs.cut:
        yield _said("", "the capture has not all of this answer")
    if exchange.ours is None and theirs.boots:
        for name, value in theirs.fields.items():
            yield _field(name, value) if name != "text" else _field(name, value.split("\n")[0])
    for name, ours, other in found:
        if name == "text" and "\n" in ours + other:
            yield from _diff(ours, other)
        else:
            yield _field(name, f"we {_quoted(ours)}, they {_quoted(other)}")


def _diff(ours: str, theirs: str) -> Iterator[str]:
    """Theirs against ours, as diff -u has it."""
    yield _field("text", "- is theirs, + is ours")
    found = difflib.unified_diff(
        theirs.splitlines()[:2000], ours.splitlines()[:2000], lineterm="", n=1
    )
    for number, line in enumerate(found):
        if number >= _MOST_LINES:
            yield "                  …"
            return
        if number > 1:  # behind the names of the files
            yield f"                  {printable(line, _LONGEST)}"


def _answer(said: Said) -> str:
    told = ", ".join(
        f"{name} {_quoted(printable(value, _LONGEST))}"
        for name, value in said.fields.items()
        if name != "text" or "\n" not in value
    )
    return f"{said.what}: {told}" if told else said.what


def _quoted(value: str) -> str:
    return value if value else "none"


def _stamp(number: int, at: float) -> str:
    return f"{number:>6} {at:12.6f}"


def _said(who: str, text: str) -> str:
    return f"{'':8}{who:<15} {text}"


def _field(name: str, text: str) -> str:
    return f"{'':24}{name}: {printable(text, 2 * _LONGEST)}"


def summary(verdicts: Counter[Verdict]) -> str:
    """The last line."""
    told = [f"{verdicts[one]} {words}" for one, words in _SUMMARY.items() if verdicts[one]]
    questions = counted(sum(verdicts.values()), "question")
    return f"{questions}: {', '.join(told)}" if told else "no question of a booting machine"


def plain(
    reading: Reading, address: IPv4Address, why: str, found: Iterable[Exchange]
) -> dict[str, Any]:
    """All of it, as JSON has it; ``at`` counts from the first packet, in seconds."""
    exchanges = list(found)
    return {
        "file": str(reading.file),
        "packets": reading.packets,
        "began": reading.began,
        "seconds": reading.ended - reading.began,
        "address": str(address),
        "address_is": why,
        "remarks": reading.remarks,
        "counts": dict(Counter(str(one.verdict) for one in exchanges)),
        "questions": [_plain(one, reading.began) for one in exchanges],
    }


def _plain(exchange: Exchange, began: float) -> dict[str, Any]:
    ours = exchange.ours
    return {
        "number": exchange.number,
        "at": exchange.at - began,
        "protocol": exchange.kind.value,
        "mac": str(exchange.mac) if exchange.mac else None,
        "vlans": list(exchange.vlans),
        "asks": exchange.asks,
        "client": exchange.client,
        "cut": exchange.cut,
        "verdict": str(exchange.verdict),
        "ours": {"answer": ours.what, "fields": dict(ours.fields), "because": list(ours.because)}
        if ours
        else None,
        "silent": exchange.silent,
        "theirs": [
            {
                "number": theirs.number,
                "at": theirs.at - began,
                "by": theirs.by,
                "answer": theirs.what,
                "boots": theirs.boots,
                "cut": theirs.cut,
                "fields": dict(theirs.fields),
                "differences": [one._asdict() for one in exchange.differences(theirs)],
            }
            for theirs in exchange.theirs
        ],
        "ended": exchange.ended,
    }
