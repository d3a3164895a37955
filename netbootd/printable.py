"""Text from outside, made fit for one line of a log or a terminal."""

from __future__ import annotations


def printable(text: str, limit: int = 200) -> str:
    """*text* on one line, without control characters, at most *limit* characters of it."""
    if len(text) <= limit and text.isprintable():  # as nearly all is
        return text
    short = text if len(text) <= limit else text[:limit] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)


def counted(number: int, noun: str) -> str:
    """``1 machine``, ``2 machines``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
