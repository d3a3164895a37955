"""
``dataclasses.replace`` for the frozen values of this room, at a third of its time: every packet of
a boot changes a few of them, in the reactor's thread.

It sets the slots of a new object itself, as a frozen dataclass with slots lets nobody else do; so
nothing is checked that ``__post_init__`` would, and none of these values has one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from itertools import repeat
from operator import attrgetter, call
from typing import Any, TypeVar

_Value = TypeVar("_Value")
_Set = Callable[[Any, Any], None]


@cache
def _members(kind: Any) -> tuple[Callable[[Any], Any], tuple[_Set, ...], dict[str, _Set]]:
    """How all fields of *kind* are read at once, how each is set, and the same by name."""
    names = [field.name for field in fields(kind)]
    setters = {name: kind.__dict__[name].__set__ for name in names}
    return attrgetter(*names), tuple(setters.values()), setters


def altered(value: _Value, **changes: Any) -> _Value:
    """*value* with *changes*.  Raises KeyError for a name that is none of its fields."""
    kind: Any = type(value)
    read, setters, by_name = _members(kind)
    new: _Value = object.__new__(kind)
    deque(map(call, setters, repeat(new), read(value)), 0)  # a loop without a step in Python
    for name, changed in changes.items():
        by_name[name](new, changed)
    return new
