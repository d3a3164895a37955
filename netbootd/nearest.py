"""The nearest known name to a misspelled one, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of *known* that look like *name*, the likeliest first."""
    by_lower = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    return [by_lower[word] for word in close]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean "machines"?``, or nothing."""
    found = nearest(name, known)
    return f'; did you mean "{found[0]}"?' if found else ""
