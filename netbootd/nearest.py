"""The nearest known name to a misspelled one, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

_SHORTEST = 5  # letters of a name of which one may be wrong
_TOO_MANY = 500  # names, beyond which looking through all of them takes longer than it helps


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of *known* that look like *name*, the likeliest first."""
    return list(_nearest(name[:100], tuple(known)))


@lru_cache(maxsize=1024)
def _nearest(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if len(known) > _TOO_MANY:
        return ()
    by_lower = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    return tuple(by_lower[word] for word in close)


@lru_cache(maxsize=4096)
def misspelt(name: str, known: frozenset[str]) -> str | None:
    """
    The known name that *name* is a slip of the fingers away from, None if it is one or far: nearly
    all of its letters, or two neighbours in the wrong order.

    A known name with an x behind it is how admins of this format switch a key off: no slip.
    """
    if name in known or _switched_off(name, known):
        return None
    lower = name[:100].lower()
    close = difflib.get_close_matches(lower, known, n=1, cutoff=0.8)
    close += (word for word in _swapped(lower) if word in known)
    return close[0] if close else None


def _swapped(name: str) -> Iterator[str]:
    """*name* with each two neighbours in the other order."""
    for at in range(len(name) - 1):
        yield f"{name[:at]}{name[at + 1]}{name[at]}{name[at + 2 :]}"


@lru_cache(maxsize=4096)
def mistyped(name: str, known: frozenset[str]) -> str | None:
    """
    The known name of which one letter was hit wrong, left out or doubled in *name*, or two changed
    places; None for none.  Stricter than ``misspelt``, for names that others are rightly like: its
    plural, its singular, one with a number.
    """
    if len(name) < _SHORTEST or name[-1].isdigit() or _switched_off(name, known):
        return None
    swapped = {word for word in _swapped(name.lower()[:100]) if word in known}
    close = (
        word for word in known if len(word) >= _SHORTEST and edits(name[:100].lower(), word) <= 1
    )
    numbers = {f"{name}s", name.removesuffix("s")}
    return min({*swapped, *close} - numbers, default=None)


def edits(one: str, other: str) -> int:
    """How many characters have to be added, dropped or replaced between the two (Levenshtein)."""
    row = list(range(len(other) + 1))
    for count, character in enumerate(one, 1):
        above, row = row, [count]
        for index, wanted in enumerate(other):
            replaced = above[index] + (character != wanted)
            row.append(min(replaced, above[index + 1] + 1, row[index] + 1))
    return row[-1]


def probably(name: str, known: Collection[str]) -> str:
    """What did_you_mean asks for; empty for nothing, and for a key that is switched off."""
    return next(iter(nearest(name, known)), "") if not _switched_off(name, known) else ""


def _switched_off(name: str, known: Collection[str]) -> bool:
    return name.endswith("x") and name[:-1] in known


def there_are(name: str, known: Iterable[str]) -> str:
    """``there are: nfs/debian12``: what looks like *name*, else the first five that there are."""
    names = sorted(known)
    return f"there are: {', '.join(nearest(name, names) or names[:5]) or 'none'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean "machines"?``, or nothing."""
    found = nearest(name, known)
    return f'; did you mean "{found[0]}"?' if found else ""
