"""
What every target type can do, and what a script may know.

A target is made once, when the configuration is loaded, and checks itself then.  It sees Facts,
never a Machine: so a script can be rendered in a test from a handful of strings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netbootd.mac import MAC
from netbootd.targets.ipxe import ScriptTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What a script may know of the request it answers.

    *base* is our own address as this client reaches us (``http://192.168.1.250:3000``); *retry*
    the URL of this very script; *variables* the machine's free keys; *extras* the sections of the
    file that are nobody's but the templates'.
    """

    mac: MAC
    base: str
    retry: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)

    def url(self, location: str) -> str:
        """*location* made absolute: one that begins with a slash is on our own server."""
        return self.base + location if location.startswith("/") else location


@dataclass(frozen=True, slots=True)
class Target(ABC):
    """One entry of ``targets``; *title* is ``type/name``, *template* its iPXE text."""

    title: str
    template: ScriptTemplate

    @abstractmethod
    def values(self, facts: Facts) -> dict[str, Any]:
        """What the template is filled with, beside what every template knows."""

    def script(self, facts: Facts) -> str:
        """The boot script for one machine; starts with ``#!ipxe``."""
        own = {
            "mac": facts.mac,
            "target": self.title,
            "base": facts.base,
            "retry": facts.retry,
            "machine": facts.variables,
        }
        return self.template.render(**{**facts.extras, **own, **self.values(facts)})
