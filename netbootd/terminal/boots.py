"""A boot as a timeline, several as a list, and why one failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from netbootd.boots.boot import Code, Stage
from netbootd.terminal.paper import Bit, Look, Paper, Piece
from netbootd.terminal.words import moment, size, span
from netbootd.why.diagnosis import Cause, Diagnosis, State
from netbootd.why.telling import lines

_BAR = 24  # columns for the whole boot
_OUTCOMES = {"": Look.BUSY, "done": Look.GOOD, "failed": Look.BAD, "overdue": Look.BAD}
_BAR_HEADING = " "
_STEPS = ("at", "after", "took", _BAR_HEADING, "stage", "bytes", "what", "trouble")
_BOOTS = ("boot", "began", "lasted", "outcome", "reached", "target", "address")


def show_timeline(paper: Paper, boot: Mapping[str, Any], now: float) -> None:
    """The steps of *boot*, and what else was seen, in the order of time."""
    paper.line(*_headline(boot, now))
    facts = [f"{name} {boot[key]}" for name, key in _FACTS if boot.get(key)]
    if facts:
        paper.line(Bit(", ".join(facts), Look.FAINT))
    paper.line()
    rows = [(step["at"], _step(step, boot, now)) for step in boot.get("steps", ())]
    rows += [(note["at"], _note(note, boot, now)) for note in boot.get("notes", ())]
    in_order = (row for _, row in sorted(rows, key=lambda one: one[0]))
    paper.table(_STEPS, in_order, fold=("what", "trouble"), spare=(_BAR_HEADING, "after"))


_FACTS = (
    ("target", "target"),
    ("firmware", "arch"),
    ("address", "peer"),
    ("UUID", "uuid"),
    ("memory in MiB", "memory"),
    ("generation", "generation"),
)


def _headline(boot: Mapping[str, Any], now: float) -> Iterator[Piece]:
    outcome = boot.get("outcome", "")
    yield Bit(boot["key"], Look.STRONG)
    yield f"  boot {boot['number']}, began {moment(boot['began'], now)}, "
    lasted = max(0.0, (boot["last"] if outcome else now) - boot["began"])
    if outcome:
        yield Bit(f"{outcome} after {span(lasted)}", _OUTCOMES.get(outcome, Look.PLAIN))
    else:
        quiet = f"last sign {span(now - boot['last'])} ago"
        if _never_asked(boot):
            yield Bit(f"never asked to boot, {quiet}", Look.PLAIN)
            return
        yield Bit(f"under way for {span(lasted)}, {quiet}", Look.BUSY)


def _never_asked(boot: Mapping[str, Any]) -> bool:
    """Whether only its own system was heard: nothing of a boot is under way."""
    return not boot.get("steps") and any(
        note["code"] == Code.NOT_NETBOOT
        or (note["code"] == Code.LEASED and not note.get("data", {}).get("netboot"))
        for note in boot.get("notes", ())
    )


def _step(step: Mapping[str, Any], boot: Mapping[str, Any], now: float) -> Sequence[Piece]:
    trouble = step.get("trouble", "")
    good = Look.GOOD if step["stage"] == Stage.DONE else Look.STRONG
    bad = trouble or step["stage"] == Stage.FAILED
    times = f" x{step['times']}" if step.get("times", 1) > 1 else ""
    return (
        moment(step["at"], now),
        f"+{span(step['at'] - boot['began'])}",
        span(step.get("seconds", 0.0)),
        Bit(_bar(step, boot), Look.BAD if bad else Look.BUSY),
        Bit(f"{step['stage']}{times}", Look.BAD if bad else good),
        _bytes(step),
        step.get("path") or step.get("note") or "",
        Bit(trouble or ("under way" if step.get("open") else ""), Look.BAD if bad else Look.BUSY),
    )


def _bar(step: Mapping[str, Any], boot: Mapping[str, Any]) -> str:
    """Where the step lies in the whole boot."""
    whole = max(float(boot["last"] - boot["began"]), 1e-9)
    first = round(float(step["at"] - boot["began"]) / whole * _BAR)
    length = max(1, round(float(step.get("seconds", 0.0)) / whole * _BAR))
    first = min(max(first, 0), _BAR - 1)
    return "." * first + "#" * min(length, _BAR - first)


def _bytes(step: Mapping[str, Any]) -> str:
    sent, wanted = step.get("sent") or 0, step.get("size") or 0
    if not sent and not wanted:
        return ""
    told = size(float(sent))
    return f"{told} of {size(float(wanted))}" if wanted and sent < wanted else told


def _note(note: Mapping[str, Any], boot: Mapping[str, Any], now: float) -> Sequence[Piece]:
    times = f" x{note['times']}" if note.get("times", 1) > 1 else ""
    return (
        moment(note["at"], now),
        f"+{span(note['at'] - boot['began'])}",
        "",
        "",
        Bit(f"({note['code']}{times})", Look.WARN),
        "",
        note.get("text", ""),
        "",
    )


def show_boots(paper: Paper, boots: Sequence[Mapping[str, Any]], now: float) -> None:
    """The last boots of a machine, a line each."""
    paper.table(
        _BOOTS,
        (
            (
                str(boot["number"]),
                moment(boot["began"], now),
                span(boot.get("seconds", 0.0)),
                Bit(boot["outcome"] or _open(boot), _OUTCOMES.get(boot["outcome"], Look.PLAIN)),
                boot.get("reached") or "",
                boot.get("target", ""),
                boot.get("peer", ""),
            )
            for boot in boots
        ),
    )


def _open(boot: Mapping[str, Any]) -> str:
    return "never asked" if _never_asked(boot) else "under way"


# -- why -------------------------------------------------------------------------------------------


def diagnosis_of(said: Mapping[str, Any]) -> Diagnosis:
    """
    Undo Diagnosis.as_dict; members of a newer daemon are left out, and so is what it knows for a
    state or a stage and we do not.
    """
    known = {one.name for one in fields(Diagnosis)}
    own = {name: value for name, value in said.items() if name in known}
    own["state"] = State(said["state"]) if said.get("state") in list(State) else State.UNKNOWN
    own["reached"] = Stage(said["reached"]) if said.get("reached") in list(Stage) else None
    own["causes"] = tuple(_cause(one) for one in said.get("causes", ()))
    return Diagnosis(**own)


def _cause(said: Mapping[str, Any]) -> Cause:
    known = {one.name for one in fields(Cause)}
    own = {name: value for name, value in said.items() if name in known}
    return Cause(**{**own, "because": tuple(said.get("because", ()))})


#: States in which something is wrong, whatever its causes.
_WRONG = frozenset({State.STUCK, State.FAILED, State.OVERDUE, State.HELD})


def is_wrong(diagnosis: Diagnosis) -> bool:
    """Whether somebody has to do something."""
    return bool(diagnosis.causes) or diagnosis.state in _WRONG


def show_why(paper: Paper, diagnosis: Diagnosis) -> None:
    """The causes, the likeliest first."""
    for line in lines(diagnosis, min(paper.width, 100)):
        paper.line(Bit(line, _look(line)))


def _look(line: str) -> Look:
    if line[:1].isdigit() and ". (" in line[:6]:
        return Look.STRONG
    if line.startswith("   > "):
        return Look.GOOD
    return Look.WARN if line.startswith("missing: ") else Look.PLAIN
