"""
What a change of an entry changes, a line for the audit: of what may be a secret its name alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from netbootd.printable import printable

#: Keys whose values nobody keeps secret; all others may hold a password.
_OPEN = frozenset(
    {"type", "name", "hostname", "group", "groups", "ip", "mac", "macs", "enabled", "priority"}
)
_LONGEST = 60  # characters of a value
_NOTHING = object()


def altered(key: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """``n1: hostname "a" -> "b", vars.password``; *after* is None where the entry goes."""
    if after is None:
        return f"{key}: removed"
    found = ", ".join(_differences(before or {}, after)) or "as it was"
    return f"{key}: {found}" if before is not None else f"{key}: added with {found}"


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str = ""
) -> Iterator[str]:
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key, _NOTHING), after.get(key, _NOTHING)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{path}{key}.")
        elif path or key not in _OPEN:
            yield f"{path}{key}"
        else:
            yield f"{key} {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    return "nothing" if value is _NOTHING else printable(json.dumps(value), _LONGEST)
