"""
Options of kernel modules: variable ``modules`` as one list, whatever its form.

An object of modules with their options, each an object or a string as in modprobe.d(5)::

    "modules" : { "kvm_intel" : { "nested" : 0 }, "kvm" : "ignore_msrs=1" }

An array, or a string, names modules to load, which have no options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Option(NamedTuple):
    """``NAME=VALUE`` of a module; as a kernel's argument it is ``MODULE.NAME=VALUE``."""

    module: str
    name: str
    value: str


def options(modules: Any) -> list[Option]:
    """Every option there is, in order; raises ValueError for what is none."""
    if not isinstance(modules, Mapping):
        return []
    return [one for module, written in modules.items() for one in _options(module, written)]


def _options(module: str, written: Any) -> Iterator[Option]:
    pairs = written.items() if isinstance(written, Mapping) else _pairs(module, written)
    for name, value in pairs:
        # The kernel's own spelling of true and false that modules of every age understand.
        text = str(int(value)) if isinstance(value, bool) else str(value)
        if not name or any(character.isspace() for character in name + text):
            raise ValueError(f"modules: {module}: {name!r}={text!r} is no option")
        yield Option(module, name, text)


def _pairs(module: str, written: Any) -> list[tuple[str, str]]:
    if not isinstance(written, str):
        raise ValueError(f"modules: {module}: must be an object or a string of options")
    return [(name, value) for name, _, value in (word.partition("=") for word in written.split())]
