"""
What is remembered, as JSON and back.  Keys of a later version are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from netbootd.record.standing import Armed, Attempt, Given, Outcome, Standing
from netbootd.record.styles import Worked


def encode(standing: Standing) -> str:
    """A Standing as JSON."""
    value = {
        **members(standing),
        "attempts": [_attempt(attempt) for attempt in standing.attempts],
        "armed": members(standing.armed) if standing.armed else None,
    }
    return json.dumps(value, separators=(",", ":"))


def decode(text: str) -> Standing:
    """Undo ``encode``; keys of a later version are left out.  Raises ValueError, TypeError."""
    value = json.loads(text)
    armed = value.get("armed")
    return Standing(
        attempts=tuple(_attempt_of(one) for one in value.get("attempts", ())),
        armed=Armed(**known(Armed, armed)) if armed else None,
        completed=tuple(value.get("completed", ())),
        held=value.get("held", ""),
        output=value.get("output", ""),
    )


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {**members(attempt), "given": [members(one) for one in attempt.given]}


def _attempt_of(value: Mapping[str, Any]) -> Attempt:
    outcome = Outcome(value.get("outcome", ""))
    given = tuple(Given(**known(Given, one)) for one in value.get("given", ()))
    return Attempt(**{**known(Attempt, value), "outcome": outcome, "given": given})


def encode_style(worked: Worked) -> str:
    """A Worked as JSON."""
    return json.dumps(members(worked), separators=(",", ":"))


def decode_style(text: str) -> Worked:
    """Undo ``encode_style``, as ``decode``."""
    value = json.loads(text)
    return Worked(
        style=str(value.get("style", "")),
        first=str(value.get("first", "")),
        times=int(value.get("times", 1)),
        mac=str(value.get("mac", "")),
        when=float(value.get("when", 0.0)),
    )


def members(value: Any) -> dict[str, Any]:
    """As dataclasses.asdict, which copies deeply and takes three times as long."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def known(kind: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in kind.__dataclass_fields__ if name in value}
