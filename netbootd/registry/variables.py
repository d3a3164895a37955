"""
The variables that netbootd itself reads, looked at where they are written: with a machine, a group,
a target or a subnet, in the ``vars`` of one, or in the section of that name.

What else is wrong with a variable is found where it is used.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from netbootd.content import Library
from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import GROUPS, SUBNETS, TARGETS
from netbootd.errors import Finding, Forbidden, Level, NotFound, RenderError
from netbootd.registry.entries import Entry
from netbootd.registry.groups import VARS
from netbootd.registry.machines import Machines
from netbootd.registry.targets import Targets
from netbootd.relaxedjson import Object, path_of
from netbootd.targets import vlan

_TREES = ("fdt", "fdtdir")
_LOOKED_AT = frozenset({vlan.VARIABLE, *_TREES})
#: What nearly all write: a hundred thousand of them are no matter.
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(\.{_OCTET}){{3}}")


def remarks(
    layers: Layers, machines: Machines, targets: Targets, library: Library
) -> Iterator[Finding]:
    """What is wrong with any of them; each once, however many machines have it."""
    for entry in machines.entries.values():
        if isinstance(entry.value, Object) and "ip" in entry.value and not entry.off:
            yield from _address(entry)
    for written, steps in _written(layers, machines, targets):
        if not written.keys().isdisjoint(_LOOKED_AT):  # few of many thousands
            path = path_of(*steps)
            yield from _vlan(written, path)
            yield from _trees(written, path, library)


def _written(
    layers: Layers, machines: Machines, targets: Targets
) -> Iterator[tuple[Object, tuple[str, ...]]]:
    """Every object that may hold variables, and the keys that lead to it."""
    for entry in machines.entries.values():
        if not entry.off:
            yield from _with_vars(entry.value, *entry.where, entry.key)
    for name, group in machines.groups.written.items():
        yield from _with_vars(group, GROUPS, name)
    for type_, named in targets.written.items():
        for name, target in named.items():
            yield target, (TARGETS, type_, name)
    for subnet in layers.entries(SUBNETS):
        if isinstance(subnet.value, Object) and isinstance(given := subnet.value.get(VARS), Object):
            yield given, (SUBNETS, subnet.key, VARS)
    if (of_all := layers.merged(VARS)) is not None:
        yield of_all, (VARS,)


def _with_vars(value: Any, *steps: str) -> Iterator[tuple[Object, tuple[str, ...]]]:
    if isinstance(value, Object):
        yield value, steps
        if isinstance(given := value.get(VARS), Object):
            yield given, (*steps, VARS)


def _address(entry: Entry) -> Iterator[Finding]:
    """``ip``: by it a machine is known that says nothing else of itself."""
    value = entry.value["ip"]
    if value is None or (isinstance(value, str) and _IPV4.fullmatch(value)):
        return
    try:
        ipaddress.ip_interface(value.strip() if isinstance(value, str) else "")
    except ValueError:
        told = f'"ip" must be an address such as 10.1.0.7, not {value!r:.60}'
        place, path = entry.value.place_of("ip"), entry.path("ip")
        yield Finding(Level.WARNING, "ip-invalid", told, place, path)


def _vlan(written: Object, path: str) -> Iterator[Finding]:
    """What no script can be made with."""
    try:
        vlan.tag(written)
    except RenderError as problem:
        place, path = written.place_of(vlan.VARIABLE), f"{path}.{vlan.VARIABLE}"
        yield Finding(Level.TARGET, "vlan-invalid", str(problem), place, path)


def _trees(written: Object, path: str, library: Library) -> Iterator[Finding]:
    """The device trees of U-Boot, which are files of ours where they are no URLs."""
    for key in _TREES:
        if told := _absent(key, written.get(key), library):
            told, place = f'"{key}": {told}', written.place_of(key)
            yield Finding(Level.WARNING, "file-missing", told, place, f"{path}.{key}")


def _absent(key: str, path: Any, library: Library) -> str:
    """Why *path* is not there, or nothing."""
    if not isinstance(path, str) or not path.strip() or "://" in path:
        return ""
    path = path.strip()
    try:
        if key == "fdtdir":
            where = library.where(path)
            return "" if where.is_dir() else f"there is no folder {where}"
        library.lookup(path).close()
    except NotFound:
        return f"there is no {library.where(path)}"
    except (Forbidden, OSError) as problem:
        return str(problem)
    return ""
