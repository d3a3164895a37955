"""
Section ``groups``: what several machines have in common, in one place.

A group may hold any key of a machine but those that say who one machine is, and ``vars``, an object
of variables.  A machine's ``group`` names one, its ``groups`` several.

Which value of a key counts, the first that there is: the machine's own; those of its groups in
their order; of ``type`` and ``name`` the default entry's; the target's; the section ``vars``.
``extra_args``, ``scripts``, ``overlays`` and ``vms`` add up instead: the groups' in their order,
then the machine's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from netbootd.dropins.layers import Layers, Merged
from netbootd.dropins.sections import GROUPS
from netbootd.errors import Finding, Level
from netbootd.nearest import did_you_mean
from netbootd.registry.entries import IDENTITY, Entry, Report
from netbootd.relaxedjson import Object, kind, path_of
from netbootd.targets.settings import EXTRA_ARGS

#: Keys by which a machine names its groups.
MEMBERSHIP = ("group", "groups")
#: Names that are added to those of the target.
LISTS = ("scripts", "overlays", "vms")
VARS = "vars"
_SHOWN = 8  # groups of all, in a message
#: Says who or where one machine is.
_ONE_MACHINE = IDENTITY | {"ip", *MEMBERSHIP}


class Groups:
    """``written`` has the groups by name; a machine's entry is laid over those that it names."""

    def __init__(self, layers: Layers, report: Report) -> None:
        self._report = report
        self.written: dict[str, Object] = {}
        for name, entry in {entry.key.strip(): entry for entry in layers.entries(GROUPS)}.items():
            if isinstance(entry.value, Object):
                self.written[name] = entry.value
                self._check(name, entry.value)
            else:
                told = f"must be an object, not {kind(entry.value)}"
                place, path = entry.owner.place_of(entry.key), path_of(GROUPS, entry.key)
                report(Finding(Level.TARGET, "section-type", told, place, path))

    def _check(self, name: str, group: Object) -> None:
        for key in group:
            if key in _ONE_MACHINE:
                told, path = f'"{key}" has no meaning in a group', path_of(GROUPS, name, key)
                self._report(Finding(Level.WARNING, "group-key", told, group.place_of(key), path))

    def whole(self, entry: Entry) -> Whole | None:
        """
        *entry* with its groups; None, and a finding, where one of those does not exist: what its
        machine should boot is not known then.
        """
        if entry.value.keys().isdisjoint(MEMBERSHIP):
            return Whole(entry, entry.value)
        names: list[str] = []
        for word in MEMBERSHIP:
            written = entry.value.get(word, [])
            for name in written if isinstance(written, list) else [written]:
                plain = name.strip() if isinstance(name, str) else ""
                if plain not in self.written:
                    self._report(self._unknown(entry, word, name))
                    return None
                names.append(plain)
        groups = tuple(dict.fromkeys(names))
        return Whole(entry, self._over(groups, entry.value), groups, self._of(groups))

    def alone(self, whole: Whole) -> Object:
        """The groups of *whole* without its own entry."""
        return self._over(whole.groups, None)

    def _of(self, names: tuple[str, ...]) -> tuple[Object, ...]:
        return tuple(self.written[name] for name in names)

    def _unknown(self, entry: Entry, word: str, name: object) -> Finding:
        told = f'"{word}" must be the name of a group, not {kind(name)}'
        if isinstance(name, str):
            told = _not_there(name.strip(), self.written)
        place = entry.value.place_of(word)
        return Finding(Level.TARGET, "group-unknown", told, place, entry.path(word))

    def _over(self, names: tuple[str, ...], own: Object | None) -> Object:
        """*own* laid over its groups, as one object that knows the place of each key."""
        in_order = [*self._of(names), *([] if own is None else [own])]
        highest_first = [*([] if own is None else [own]), *self._of(names)]
        merged = Merged(highest_first[::-1])
        added = [value[EXTRA_ARGS] for value in in_order if EXTRA_ARGS in value]
        if len(added) > 1:
            merged[EXTRA_ARGS] = _flat(added)
        return merged


@dataclass(frozen=True, slots=True)
class Whole:
    """
    An entry and the groups it is in; *value* is all of them as one.

    *groups* and what is *written* there stand in the order of the entry: the first one wins.
    """

    entry: Entry
    value: Object
    groups: tuple[str, ...] = ()
    written: tuple[Object, ...] = ()

    @property
    def highest_first(self) -> tuple[Object, ...]:
        """As values count."""
        return (self.entry.value, *self.written)

    @property
    def in_order(self) -> tuple[Object, ...]:
        """As things add up."""
        return (*self.written, self.entry.value)

    def path(self, key: str, value: Object | None = None) -> str:
        """What findings call *key*, in whichever object has it, or in *value*."""
        for name, group in zip(self.groups, self.written, strict=True):
            if group is value or (value is None and key in group and key not in self.entry.value):
                return path_of(GROUPS, name, key)
        return self.entry.path(key)

    def variables(self, own_keys: frozenset[str], report: Report) -> dict[str, Any]:
        """
        The keys that are the admin's own, not *own_keys*, and what stands under ``vars``; of one
        entry or group its keys count over its ``vars``.
        """
        if not self.groups and VARS not in self.value:
            return {key: item for key, item in self.value.items() if key not in own_keys}
        found: dict[str, Any] = {}
        for value in reversed(self.highest_first):
            given = value.get(VARS)
            if isinstance(given, Object):
                found |= given
            elif VARS in value:
                told = f'"{VARS}" must be an object, not {kind(given)}'
                path = self.path(VARS, value)
                report(Finding(Level.WARNING, "section-type", told, value.place_of(VARS), path))
            without = own_keys if value is self.entry.value else own_keys | _ONE_MACHINE
            found |= {key: item for key, item in value.items() if key not in without}
        return found


def limited(layers: Layers, known: Collection[str]) -> Iterator[Finding]:
    """What ``pace.groups`` of the settings names, and no group is called."""
    section = layers.merged("netbootd")
    pace = section.get("pace") if section is not None else None
    written = pace.get("groups") if isinstance(pace, Object) else None
    if not isinstance(written, Object):
        return
    for name in written:
        if name not in known:
            told = _not_there(name, known)
            path = path_of("netbootd", "pace", "groups", name)
            yield Finding(Level.WARNING, "group-unknown", told, written.place_of(name), path)


def _not_there(name: str, known: Collection[str]) -> str:
    """With the groups that there are: which is meant where one is alike, else the first."""
    told = f'no group "{name}"'
    if meant := did_you_mean(name, known):
        return told + meant
    if not known:
        return f'{told}: there are no groups (section "groups")'
    more = f", and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{told}; there are: {', '.join(islice(known, _SHOWN))}{more}"


def _flat(values: list[Any]) -> Any:
    """The items of several arrays or single values as one list."""
    return [item for value in values for item in (value if isinstance(value, list) else [value])]
