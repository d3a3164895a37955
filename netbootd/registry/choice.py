"""
What the entry of a machine boots: the target that it means with its groups, or a Notice.

An entry that leaves out both ``type`` and ``name`` boots what the default boots, one that gives
only ``name`` takes the type from there.  One that replaces keys of its target gets a target of its
own; where only its groups replace some, it shares one with their other members.
"""

from __future__ import annotations

from netbootd.dropins.sections import GROUPS
from netbootd.errors import Finding, Level, Place
from netbootd.nearest import did_you_mean, nearest
from netbootd.registry.entries import Entry, Kind, Report
from netbootd.registry.groups import Groups, Whole
from netbootd.registry.targets import REPLACING, Targets
from netbootd.relaxedjson import Object, kind, path_of
from netbootd.targets import catalogue
from netbootd.targets.base import Target

#: Keys that say what a machine boots.
CHOOSING = REPLACING | {"type", "name"}
_WANTED = {"enabled": (bool, "true or false"), "type": (str, "a string"), "name": (str, "a string")}
#: What a node's console is told; the log has the whole story.
_REASONS = {
    "target-unknown": "there is no such target",
    "target-type-unknown": "there are no targets of that type",
    "group-unknown": "there is no such group",
    "section-type": "its entry is no object",
}


class Choices:
    """*default* is the entry ``machines.default``, if there is one."""

    def __init__(
        self, targets: Targets, groups: Groups, default: Entry | None, report: Report
    ) -> None:
        self._targets = targets
        self._groups = groups
        self._report = report
        self._shared: dict[tuple[str, tuple[str, ...]], Target] = {}
        self._default: Whole | None = None
        self._default_target: Target | None = None
        if default is not None:
            self._take_default(self.whole(default))

    def _take_default(self, default: Whole | Target) -> None:
        if isinstance(default, Whole):
            self._default, self._default_target = default, self.target(default)
        else:
            self._default_target = default

    def whole(self, entry: Entry) -> Whole | Target:
        """*entry* with its groups; a Notice where it says nothing that could be used."""
        if not isinstance(entry.value, Object):
            told = f"must be an object, not {kind(entry.value)}"
            return self._fault("section-type", told, entry.place, entry.path())
        return self._groups.whole(entry) or self._unusable("group-unknown")

    def target(self, whole: Whole) -> Target:
        """The target of an entry."""
        entry, value = whole.entry, whole.value
        for word, (wanted, words) in _WANTED.items():
            if word in value and not isinstance(value[word], wanted):
                told = f'"{word}" must be {words}, not {kind(value[word])}'
                return self._fault("section-type", told, value.place_of(word), whole.path(word))
        if entry.off or value.get("enabled") is False:
            return catalogue.local_boot("localboot (switched off)", self._targets.templates)
        says_nothing = entry.kind is not Kind.DEFAULT and value.keys().isdisjoint(CHOOSING)
        if says_nothing and self._default_target is not None:
            return self._default_target  # be it switched off
        type_, name = self.type_and_name(whole)
        if name is None or type_ is None:
            code = "machine-no-type" if type_ is None else "machine-no-name"
            told = self._nameless(type_, name)
            return self._fault(code, told, entry.place, entry.path())
        return self._named(type_, name, whole)

    def first_server(self) -> str | None:
        """The boot server of the default machine: ``/`` chains there, as in Tiburon."""
        if self._default is None:
            return None
        type_, name = self.type_and_name(self._default)
        return self._targets.boot_server(type_ or "", name or "", self._default.value)

    def type_and_name(self, whole: Whole) -> tuple[str | None, str | None]:
        """
        What an entry leaves out it takes from its groups, then from the default; but nothing below
        a type gives the name for it: a type alone is a mistake.
        """
        type_, name = _type_and_name(whole.entry.value)
        if type_ is None:
            below = self._default.highest_first if self._default else ()
            for value in (*whole.written, *below):
                if type_ is None:
                    type_, further = _type_and_name(value)
                    name = name or further
        return type_, name

    def _named(self, type_: str, name: str, whole: Whole) -> Target:
        title, value = f"{type_}/{name}", whole.value
        if type_ not in self._targets.written:
            at = value.place_of("type") if "type" in value else whole.entry.place
            hint = did_you_mean(type_, self._targets.written)
            told = f'no targets of type "{type_}"{hint}'
            return self._fault("target-type-unknown", told, at, whole.path("type"), title)
        if name not in self._targets.written[type_]:
            at = value.place_of("name") if "name" in value else whole.entry.place
            told = self._no_such_target(type_, name)
            return self._fault("target-unknown", told, at, whole.path("name"), title)
        if value.keys().isdisjoint(REPLACING):
            return self._targets.made[title]
        if whole.groups and whole.entry.value.keys().isdisjoint(REPLACING):
            return self._of_groups(type_, name, whole)
        return self._targets.make(type_, name, value, whole.entry.path())

    def _of_groups(self, type_: str, name: str, whole: Whole) -> Target:
        """One target for all machines of the same groups that replace nothing themselves."""
        shared = f"{type_}/{name}", whole.groups
        if shared not in self._shared:
            over, path = self._groups.alone(whole), path_of(GROUPS, whole.groups[0])
            self._shared[shared] = self._targets.make(type_, name, over, path)
        return self._shared[shared]

    def _nameless(self, type_: str | None, name: str | None) -> str:
        if type_ is None:
            missing = '"type"' if name else '"type" and "name"'
            return f"{missing} missing, and machines.default does not give them"
        if type_ not in self._targets.written:
            hint = did_you_mean(type_, self._targets.written)
            hint = hint or f"; there are: {', '.join(sorted(self._targets.written)) or 'none'}"
            return f'"type" is "{type_}", and no target is of that type{hint}'
        names = ", ".join(sorted(self._targets.written[type_]))
        return f'"type" is "{type_}" but "name" is missing; targets of that type: {names}'

    def _no_such_target(self, type_: str, name: str) -> str:
        written = self._targets.written
        elsewhere = [f"{other}/{name}" for other, names in written.items() if name in names]
        if elsewhere:
            return f'no target "{name}" of type "{type_}"; {" and ".join(elsewhere)} exists'
        close = nearest(name, written[type_]) or sorted(written[type_])[:3]
        return f'no target "{name}" of type "{type_}"; there are: {", ".join(close)}'

    def _fault(self, code: str, told: str, place: Place, path: str, title: str = "") -> Target:
        self._report(Finding(Level.TARGET, code, told, place, path))
        return self._unusable(code, title)

    def _unusable(self, code: str, title: str = "") -> Target:
        reason = _REASONS.get(code, "its entry does not say what to boot")
        return catalogue.unusable(title or "this machine", reason, self._targets.templates)


def _type_and_name(value: Object) -> tuple[str | None, str | None]:
    """What one object says."""
    type_, name = value.get("type"), value.get("name")
    return (
        type_.strip() if isinstance(type_, str) else None,
        name.strip() if isinstance(name, str) else None,
    )
