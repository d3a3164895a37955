"""
``dataclasses.replace`` for the frozen values of this room, at a fifth of its time: every packet of
a boot changes a few of them, in the reactor's thread.

A frozen dataclass with slots lets nobody set them.  So the new value is a *draft* while it is made,
an object of a class with the very same slots that does, and gets its own class at the end.  Nothing
is checked that ``__post_init__`` would, and none of these values has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

_Value = TypeVar("_Value")


@cache
def _drafter(kind: Any) -> Callable[[Any], Any]:
    """What makes a draft of a value of *kind*: a program, as dataclasses writes its own."""
    names = [field.name for field in fields(kind)]
    copied = "; ".join(f"new.{name} = old.{name}" for name in names)
    room = {"draft": type("Draft", (), {"__slots__": tuple(names)}), "make": object.__new__}
    exec(f"def drafted(old): new = make(draft); {copied}; return new", room)  # noqa: S102
    drafted: Callable[[Any], Any] = room["drafted"]  # type: ignore[assignment]
    return drafted


def altered(value: _Value, **changes: Any) -> _Value:
    """*value* with *changes*.  Raises AttributeError for a name that is none of its fields."""
    kind: Any = type(value)
    new: _Value = _drafter(kind)(value)
    for name, changed in changes.items():
        setattr(new, name, changed)
    new.__class__ = kind
    return new
