"""
How a fast path is taken away from netbootd, in this process and in those that it starts.

Where the system may refuse something, the system call refuses it, but only to netbootd itself: a
test that asks the same gets what there is.  Where we decide by ourselves, the one door to the fast
path is replaced, when its module is imported: what lies behind it never reaches anybody.

Each time that the fast path would have been taken is noted by ``met``, by whatever process, as an
empty file in a folder: a run in which nothing was refused has proved nothing.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: The names of what is taken away, with commas between; and the folder of what was met.
NAMES, NOTES = "NETBOOTD_TESTS_WITHOUT", "NETBOOTD_TESTS_MET"

Change = Callable[[ModuleType], None]
_noted: set[str] = set()
_OURS = (__name__, "tests.fallbacks")


def met(name: str) -> None:
    """The fast path *name* was wanted, and was not there."""
    if name not in _noted:
        _noted.add(name)
        (Path(os.environ[NOTES]) / name).touch()


def asked_by(room: str) -> bool:
    """Whether a module of *room*, or any, called who asks, by whatever functions of ours."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__") in _OURS:
        frame = frame.f_back
    return not room or f"{frame.f_globals.get('__name__')}.".startswith(f"{room}.")


def always(*_: Any, **__: Any) -> bool:
    """For ``refuse``: every call."""
    return True


def refuse(
    name: str,
    owner: Any,
    call: str,
    error: int,
    when: Callable[..., bool] = always,
    room: str = "netbootd",
) -> None:
    """The system *call* of *owner* fails with *error* where *room* makes it, *when* that says so."""
    real = getattr(owner, call)

    @functools.wraps(real)
    def refusing(*args: Any, **more: Any) -> Any:
        if asked_by(room) and when(*args, **more):
            met(name)
            raise OSError(error, os.strerror(error))
        return real(*args, **more)

    setattr(owner, call, refusing)


def refuse_option(
    name: str, error: int, *options: tuple[int, int], call: str = "setsockopt"
) -> None:
    """No socket of netbootd has these *options*, each a level and a number."""
    refuse(name, socket.socket, call, error, lambda _, *which: which[:2] in options)


def replace(where: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """
    *where* (``netbootd.module:Class.function``) becomes what *make* makes of it.
    """
    module, _, path = where.partition(":")
    *owners, last = path.split(".")

    def change(imported: ModuleType) -> None:
        owner = functools.reduce(getattr, owners, imported)
        setattr(owner, last, make(getattr(owner, last)))

    when_imported(module, change)


def finds_nothing(name: str, where: str, nothing: Any = None) -> None:
    """The function *where* answers *nothing*, whatever there is."""

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def without(*args: Any, **more: Any) -> Any:
            if real(*args, **more) != nothing:
                met(name)
            return nothing

        return without

    replace(where, make)


def is_not_entered(name: str, where: str) -> None:
    """Nobody comes to the function *where*, which belongs to the fast path *name* alone."""

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def sealed(*_: Any, **__: Any) -> Any:
            (Path(os.environ[NOTES]) / f"{name}.taken").touch()
            raise AssertionError(f"{where} was entered without {name}")

        return sealed

    replace(where, make)


# -- modules that are not there yet ------------------------------------------------------------

_changes: dict[str, list[Change]] = {}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what every other finder finds, and has it changed as soon as it is there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _changes:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        loader: Any = spec.loader
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            for change in _changes[fullname]:
                change(module)

        loader.exec_module = exec_module
        return spec


def when_imported(module: str, change: Change) -> None:
    """*change* it before anybody else has seen it."""
    assert module not in sys.modules, f"{module} was imported already"
    if not _changes:
        sys.meta_path.insert(0, _Finder())
    _changes.setdefault(module, []).append(change)
