"""
What every target type can do, and what a script may know.

A target is made once, when the configuration is loaded, and checks itself then.  It sees Facts,
never a Machine: so a script can be rendered in a test from a handful of strings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from netbootd import urls
from netbootd.mac import MAC
from netbootd.targets.ipxe import ScriptTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What a script, an answer file or an overlay may know of the machine it is made for.

    *base* is our own address as this client reaches us (``http://192.168.1.250:3000``); *retry*
    the URL of its boot script; *target* the ``type/name`` it boots; *variables* everything that the
    configuration says of the machine, its own keys over its groups', the target's and ``vars``;
    *extras* the sections of the file that are nobody's but the templates'.  *peer* is the address
    it asks from and *token* the one of this boot attempt, both empty where there is none.
    """

    mac: MAC
    base: str
    retry: str
    target: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    peer: str = ""
    token: str = ""

    def url(self, location: str) -> str:
        """*location* made absolute: one that begins with a slash is on our own server."""
        return self.base + location if location.startswith("/") else location

    def names(self) -> dict[str, Any]:
        """
        The names every template knows, in boot scripts, answer files, node scripts and overlays.

        ``mac`` (and ``mac.dashed``, ``mac.raw``), ``target``, ``type``, ``name``, ``base``,
        ``server`` (host and port of it), ``machine`` (all variables as one mapping), the URLs
        ``script_url``, ``overlay_url``, ``install_url``, ``done_url``, ``failed_url`` and
        ``retry``, ``token``; then every variable and every extra section by its own name, and
        ``ip``, which is the address it asks from where the configuration gives none.
        """
        type_, _, name = self.target.partition("/")
        asked_from = {"ip": self.peer} if self.peer else {}
        own = {
            "mac": self.mac,
            "target": self.target,
            "type": type_,
            "name": name,
            "base": self.base,
            "server": self.base.partition("://")[2],
            "retry": self.retry,
            "machine": self.variables,
            "token": self.token,
            "script_url": urls.node_script_url(self.base, self.mac),
            "overlay_url": urls.overlay_url(self.base, self.mac, self.token),
            "install_url": urls.install_url(self.base, self.mac),
            "done_url": urls.done_url(self.base, self.mac, self.token),
            "failed_url": urls.failed_url(self.base, self.mac, self.token),
        }
        return {**self.extras, **asked_from, **self.variables, **own}


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """
    What a target of any type may say beside what it boots.

    *variables* are its free keys.  *scripts* and *overlays* are added to those of its machines.
    *once*: after one completed boot its machine boots *after*, a ``type/name``, or its own disk
    where that is empty; *calls_back*: it is complete when the node calls
    ``/done``; else, for a program that cannot call, when it was served.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    once: bool = False
    after: str = ""
    calls_back: bool = True


@dataclass(frozen=True, slots=True)
class Target(ABC):
    """One entry of ``targets``; *title* is ``type/name``, *template* its iPXE text."""

    title: str
    template: ScriptTemplate
    common: Common = field(default_factory=Common, kw_only=True)

    #: Keys of this type alone; in a machine's entry they replace the target's.
    keys: ClassVar[frozenset[str]] = frozenset()
    #: What ``once`` is where the target does not say it.
    once: ClassVar[bool] = False
    #: Whether what is booted can call ``/done``.
    calls_back: ClassVar[bool] = True

    @abstractmethod
    def values(self, facts: Facts) -> dict[str, Any]:
        """What the template is filled with, beside what every template knows."""

    def script(self, facts: Facts) -> str:
        """The boot script for one machine; starts with ``#!ipxe``."""
        return self.template.render(**{**facts.names(), "target": self.title, **self.values(facts)})
