"""
GRUB's language (GNU GRUB Manual, "Writing full configuration files directly").

GRUB puts an argument of the kernel that has a blank in it between double quotes, and a backslash
before each quote and backslash (grub-core/lib/cmdline.c).  So what the kernel is to read as one
argument must come as one word without quotes, and what would be changed is not booted at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from netbootd import configfiles
from netbootd.dialects.dialect import (
    HTTP,
    Dialect,
    Said,
    Unfit,
    Way,
    host_and_path,
    own_path,
    tftp_path,
)
from netbootd.errors import RenderError
from netbootd.mac import MAC
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.plan import Choices, Disk, Kernel, OnlyIpxe

#: Seconds for which a notice can be read.
_READ_S = 30


@dataclass(frozen=True, slots=True)
class Grub(Dialect):
    """*template* is ``grub.cfg``; *way* is how GRUB reached us, and will again."""

    template: ScriptTemplate
    way: Way

    again: ClassVar[str] = "press ESC to try again"

    def script(self, target: Target, facts: Facts) -> Said | Unfit:
        plan = target.plan(facts)
        if isinstance(plan, OnlyIpxe):
            return Unfit(plan.reason)
        values: dict[str, Any]
        match plan:
            case Kernel(bios_only=True):
                return Unfit(f"{target.title} needs PXELINUX or iPXE, and legacy BIOS")
            case Kernel():
                values = {
                    "kernel": self.file(plan.url, facts),
                    "initrds": [self.file(url, facts) for url in plan.initrds],
                    "args": joined(plan.args),
                }
            case Disk():
                values = {"disk": {"bios": plan.bios, "efi": self._on_disk(plan.efi, facts)}}
            case Choices():
                values = {"menu": self._menu(plan, facts)}
        own = {"target": target.title, **self._every(facts), **values}
        return Said(self.template.render(**{**facts.names(), **own}), plan.says)

    def notice(self, reason: str, advice: str, facts: Facts) -> str:
        told = {"reason": reason, "advice": advice, "seconds": _READ_S}
        return self.template.render(**{**facts.names(), **self._every(facts), "notice": told})

    def file(self, url: str, facts: Facts) -> str:
        """*url* as GRUB names a file: ``(http,192.0.2.1:3000)/images/k``."""
        if (path := own_path(url, facts)) is not None:
            return self.own_file(path)
        host, path = host_and_path(url)
        return f"(http,{host}){path}"

    def own_file(self, path: str) -> str:
        """*path* on our own server, fetched as GRUB fetched its configuration."""
        if self.way.protocol == HTTP:
            return f"(http,{self.way.server}){path}"
        return f"({self.way.protocol},{_without_port(self.way.server)}){tftp_path(path)}"

    def own_config(self, mac: MAC, choice: int | None = None) -> str:
        """The machine's own configuration, or what it becomes by a *choice* of its menu."""
        return self.own_file(configfiles.grub_path(mac, choice))

    def _every(self, facts: Facts) -> dict[str, Any]:
        """What the template is always told; of the forms of a plan it gets one."""
        nothing = dict.fromkeys(("kernel", "disk", "menu", "notice"))
        return {**nothing, "initrds": [], "args": [], "again": self.own_config(facts.mac)}

    def _on_disk(self, way: str, facts: Facts) -> dict[str, str]:
        if "://" in way:
            return {"how": "chain", "file": self.file(way, facts)}
        if "\\" in way:
            return {"how": "file", "file": way.replace("\\", "/")}
        return {"how": way, "file": ""}

    def _menu(self, plan: Choices, facts: Facts) -> dict[str, Any]:
        lines = [
            {"label": line.label, "key": line.key, "file": self.own_config(facts.mac, line.number)}
            for line in plan.lines
        ]
        seconds = -1 if plan.timeout is None else max(1, round(plan.timeout))
        return {"lines": lines, "default": plan.default - 1, "seconds": seconds}


def first_contact(template: ScriptTemplate, way: Way) -> str:
    """What a GRUB gets of which nobody knows the machine: it asks again by its own MAC."""
    asked_by_mac = Grub(template, way).own_file(configfiles.GRUB_BY_MAC)
    return template.render(file=asked_by_mac)


def joined(args: Iterable[str]) -> list[str]:
    """
    The words that the kernel reads as one argument, joined, without the double quotes that hold
    them together (Linux, lib/cmdline.c: next_arg).

    Raises RenderError for what GRUB would change.
    """
    found: list[str] = []
    held: list[str] = []
    for word in args:
        held.append(word)
        if sum(part.count('"') for part in held) % 2 == 0:
            found.append(" ".join(held).replace('"', ""))
            held = []
    if held:
        raise RenderError("an argument has a double quote that is never closed")
    if bad := next((word for word in found if "\\" in word or "'" in word), None):
        raise RenderError(f"GRUB would put a backslash into {bad!r:.80}")
    return found


def _without_port(server: str) -> str:
    host, colon, port = server.rpartition(":")
    return host if colon and port.isdecimal() and not host.endswith(":") else server
