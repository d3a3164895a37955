"""
``menu``: a person at the console chooses.

``choices`` is an array of objects: ``target`` is a ``type/name``, or ``localboot`` for the
machine's own disk; ``label`` the line that is shown, ``key`` a letter or digit that picks it.
After ``timeout`` seconds (none: never) the one that ``default`` names is taken, by its target or
label; else the first.

What is done ``once``, such as an installation, is not taken again by a timeout: the machine then
boots what comes after it.  A person may choose it from another line, or arm it.

A choice leads back to the machine's own script with a number behind it, and is good only while the
machine's target is this menu: nobody can boot by query what no menu offers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from netbootd.features import Feature
from netbootd.nearest import did_you_mean
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.plan import Choices, Line, Plan
from netbootd.targets.settings import Settings
from netbootd.urls import CHOICE

LOCAL = "localboot"
_TYPE = "menu"
_KEYS = frozenset({"label", "target", "key"})


class Choice(NamedTuple):
    """*target* is a ``type/name``, or ``localboot``; *key* may be empty."""

    label: str
    target: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Menu(Target):
    """*timeout* in seconds, None to wait for ever; *default* is a number, from 1."""

    choices: tuple[Choice, ...]
    default: int = 1
    timeout: float | None = None

    keys: ClassVar[frozenset[str]] = frozenset({"choices", "default", "timeout"})
    template_name: ClassVar[str] = "menu"

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """Read and check the settings; faults are reported there."""
        choices = _choices(settings)
        if not choices and settings.broken is None:
            settings.fault("target-empty", 'a menu needs "choices"')
        wanted = settings.text("default")
        default = next(
            (
                number
                for number, choice in enumerate(choices, 1)
                if wanted in (choice.target, choice.label)
            ),
            1,
        )
        if wanted and choices and wanted not in (choices[default - 1][:2]):
            hint = did_you_mean(wanted, [choice.target for choice in choices])
            settings.warn("menu-default", f'no choice is "{wanted}"{hint}', "default")
        timeout = settings.number("timeout", least=0)
        return cls(settings.title, template, choices, default, timeout)

    def chosen(self, number: str) -> Choice | None:
        """The choice that a script of this menu sent back, or None if it never could."""
        if number.isascii() and number.isdecimal() and 1 <= int(number[:6]) <= len(self.choices):
            return self.choices[int(number[:6]) - 1]
        return None

    def takes_by_itself(self, choice: Choice) -> bool:
        """Whether it is what boots if nobody touches a key."""
        return self.timeout is not None and choice == self.choices[self.default - 1]

    def offers(self, title: str) -> bool:
        """Whether one of its choices is the target *title*."""
        return any(choice.target == title for choice in self.choices)

    def features(self, platform: str) -> frozenset[Feature]:
        return Target.features(self, platform) | {Feature.MENU}

    def values(self, facts: Facts) -> dict[str, Any]:
        return {
            "choices": self.choices,
            "query": CHOICE,
            "default": self.default,
            "timeout": None if self.timeout is None else int(self.timeout * 1000),
        }

    def plan(self, facts: Facts) -> Plan:
        lines = (Line(number, one.label, one.key) for number, one in enumerate(self.choices, 1))
        return Choices(tuple(lines), self.default, self.timeout)


def _choices(settings: Settings) -> tuple[Choice, ...]:
    if "choices" not in settings:
        return ()
    written = settings.values["choices"].value
    if not isinstance(written, list):
        settings.fault("section-type", '"choices" must be an array of objects', "choices")
        return ()
    return tuple(choice for one in written if (choice := _choice(settings, one)))


def _choice(settings: Settings, one: Any) -> Choice | None:
    """One entry; None, and a finding, where it leads nowhere."""
    if isinstance(one, str):
        one = {"target": one}
    if not isinstance(one, Mapping) or not all(isinstance(one.get(key, ""), str) for key in _KEYS):
        told = '"choices": each must be an object with "target", and "label" and "key" if you like'
        settings.fault("section-type", told, "choices")
        return None
    label, target, key = (str(one.get(key, "")).strip() for key in ("label", "target", "key"))
    for unknown in one.keys() - _KEYS:
        settings.note("key-unknown", f'a choice has no "{unknown}"', "choices")
    if len(key) > 1 or (key and not (key.isascii() and key.isalnum())):
        settings.warn("menu-key", f'"{key}": a key is one letter or digit', "choices")
        key = ""
    if target != LOCAL and (fault := _unbootable(settings, target)):
        settings.warn("target-unknown", f'choice "{label or target}": {fault}', "choices")
        return None
    return Choice(label or target, target, key)


def _unbootable(settings: Settings, target: str) -> str | None:
    if target.partition("/")[0] == _TYPE:
        return "a menu cannot lead to a menu"
    if target in settings.titles:
        return None
    return f'there is no target "{target}"{did_you_mean(target, settings.titles)}'
