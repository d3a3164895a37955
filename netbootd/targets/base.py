"""
What every target type can do, and what a script may know.

A target is made once, when the configuration is loaded, and checks itself then.  It sees Facts,
never a Machine: so a script can be rendered in a test from a handful of strings.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from netbootd import features, urls
from netbootd.errors import RenderError
from netbootd.features import Feature
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.mac import MAC
from netbootd.secretvalues import NO_SECRETS, Secrets
from netbootd.targets import ipxe, logs, placeholders, signatures, vlan
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.plan import OnlyIpxe, Plan

#: RFC 1123, section 2.1: labels with dots between them.
_LABEL = "(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What a script, an answer file or an overlay may know of the machine it is made for.

    *base* is our own address as this client reaches us (``http://192.168.1.250:3000``); *retry*
    the URL of its boot script; *target* the ``type/name`` it boots; *variables* everything that the
    configuration says of the machine, its own keys over its groups', the target's and ``vars``;
    *extras* the sections of the file that are nobody's but the templates'.  *peer* is the address
    it asks from and *token* the one of this boot attempt, both empty where there is none.
    *overlay*: the machine has an extra initrd, at ``overlay_url``.  *secret*: what is made for it
    is given for that token alone, which its URLs hold.

    *secrets* are in their places already where there are any: then what is made goes to the machine
    itself, and no error may quote it.

    *log_host* is where it may send its log, a host name or address of ours, *log_port* by UDP and
    TCP, *netconsole_port* what its kernel says; empty and 0 where we receive none.
    """

    mac: MAC
    base: str
    retry: str
    target: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    peer: str = ""
    token: str = ""
    overlay: bool = False
    secrets: Secrets = NO_SECRETS
    secret: bool = False
    log_host: str = ""
    log_port: int = 0
    netconsole_port: int = 0

    def url(self, location: str) -> str:
        """*location* made absolute: one that begins with a slash is on our own server."""
        return self.base + location if location.startswith("/") else location

    def file_url(self, path: str) -> str:
        """*path* of the file root as this machine sees it, rendered for it; a URL as it is."""
        if "://" in path:
            return path
        return urls.file_url(self.base, self.mac, path, self._proof)

    @property
    def _proof(self) -> str:
        """The token, where it is asked for."""
        return self.token if self.secret else ""

    @property
    def overlay_url(self) -> str:
        """The extra initrd, for the attempt that *token* stands for."""
        return urls.overlay_url(self.base, self.mac, self.token)

    def names(self) -> dict[str, Any]:
        """
        The names every template knows, in boot scripts, answer files, node scripts and overlays.

        ``mac`` (and ``mac.dashed``, ``mac.raw``), ``target``, ``type``, ``name``, ``base``,
        ``server`` (host and port of it), ``machine`` (all variables as one mapping), the URLs
        ``script_url``, ``overlay_url``, ``install_url``, ``vms_url``, ``done_url``, ``failed_url``
        and ``retry``, ``token``; where we receive logs, ``log_host``, ``log_port`` and
        ``netconsole_port``; then every variable and every extra section by its own name, and
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
            "script_url": urls.node_script_url(self.base, self.mac, self._proof),
            "overlay_url": self.overlay_url,
            "install_url": urls.install_url(self.base, self.mac, self._proof),
            "vms_url": urls.vms_url(self.base, self.mac, self._proof),
            "done_url": urls.done_url(self.base, self.mac, self.token),
            "failed_url": urls.failed_url(self.base, self.mac, self.token),
        }
        return {**self.extras, **asked_from, **self.variables, **own, **self._log_names()}

    def printed(self) -> dict[str, Any]:
        """``names`` for who does nothing with them but to print them, or to ask a template."""
        return self.names()

    def compares(self) -> None:
        """What was filled in is looked at from here on: a text must not be kept for others."""

    def _log_names(self) -> dict[str, Any]:
        found = {
            "log_host": self.log_host,
            "log_port": self.log_port,
            "netconsole_port": self.netconsole_port,
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """
    What a target of any type may say beside what it boots.

    *variables* are its free keys.  *scripts* and *overlays* are added to those of its machines.
    *once*: after one completed boot its machine boots *after*, a ``type/name``, or its own disk
    where that is empty; *calls_back*: it is complete when the node calls ``/done``; else, for a
    program that cannot call, when it was served.  *up_within*: seconds within which that call is
    expected, 0 for any time.  *loader*: what the firmware of its machines loads.  *send_logs*: they
    are told to send us their logs.  *dhcp_options* are encoded, by code.  *priority*: whose turn
    comes first in a storm, the higher number's.  *signer* must have signed its files: anybody who
    is trusted where that is empty, nobody where it is None.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    once: bool = False
    after: str = ""
    up_within: float = 0.0
    calls_back: bool = True
    loader: Choice = NO_CHOICE
    send_logs: bool = False
    signer: str | None = None
    dhcp_options: Mapping[int, bytes] = field(default_factory=dict)
    priority: int = 0
    secret: bool = False


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
    #: Why no other loader can boot it, where that is so.
    needs_ipxe: ClassVar[str] = "no other loader has what it takes"

    @property
    def wants_overlay(self) -> bool:
        """Whether its machines get an extra initrd for what it brings itself."""
        return bool(self.common.overlays)

    @property
    def reads(self) -> int:
        """How often what it boots fetches its answer file."""
        return 1

    @property
    def overlay_size(self) -> str:
        """The most that the layer over its root may take in memory (``25%``, ``2g``), or empty."""
        return ""

    def remarks(self, facts: Facts) -> tuple[str, ...]:
        """What may go wrong for this machine though the script can be made; ``check`` tells it."""
        return ()

    @abstractmethod
    def values(self, facts: Facts) -> dict[str, Any]:
        """What the template is filled with, beside what every template knows."""

    def own_names(self, facts: Facts) -> dict[str, Any]:
        """What templates and placeholders know of this type beside ``Facts.names``."""
        return {}

    def filled(self, text: str, facts: Facts) -> str:
        """
        *text* with its placeholders (``__hostname__``) replaced, for one line of a script.

        Raises RenderError where a value is missing, or would act in the script.
        """
        if "__" not in text:
            return text
        of_mac = {"mac": str(facts.mac), "bootif": f"01-{facts.mac.dashed}"}
        names = {**facts.printed(), **self.own_names(facts), **of_mac}
        full = placeholders.fill(text, names)
        if ipxe.end_word(full.split()):
            raise RenderError(f"iPXE would end the line at a word of what {text} becomes")
        return full

    @property
    def fetched(self) -> tuple[str, ...]:
        """What its script fetches or attaches, each as in ``Facts.url``, as far as it is known."""
        return ()

    def features(self, platform: str) -> frozenset[Feature]:
        """What an iPXE on *platform* (``pcbios``, ``efi``, empty if unknown) needs to boot it."""
        return features.of_urls(self.fetched)

    @property
    def last_file(self) -> str:
        """The last file that its script fetches, as in ``Facts.url``; empty where nobody knows."""
        return ""

    def plan(self, facts: Facts) -> Plan:
        """
        What it boots, for loaders that are not iPXE.

        Raises RenderError as ``filled`` does.
        """
        return self.only_ipxe(self.needs_ipxe)

    def only_ipxe(self, reason: str) -> OnlyIpxe:
        """What there is to say where *reason* keeps every other loader from booting it."""
        return OnlyIpxe(f"{self.title} needs iPXE: {reason}")

    def script(self, facts: Facts) -> str:
        """The boot script for one machine; starts with ``#!ipxe``."""
        own = {"target": self.title, **self.own_names(facts), **self.values(facts)}
        if self.common.signer is not None:
            signer, source = self.common.signer, self.template.source
            own["signatures"] = signatures.wanted(signer, own, source, self.title)
        if self.common.send_logs:
            own["syslog_address"] = logs.ipxe_address(facts.log_host, facts.log_port)
        if vlan.TEMPLATE in self.template.source:  # a notice tells of a vlan that is none
            own["vlan"] = vlan.tag(facts.variables)
        return self.template.filled({**facts.printed(), **own})
