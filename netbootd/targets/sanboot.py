"""
``sanboot`` and ``iscsi``, and any target with ``sanboot``: a disk or CD image by iSCSI, HTTP and
the like.

``sanboot`` is one URI or several, which then are ways to one disk; or ``iscsi`` says it in words:

===================  ==========================================================================
``server``           the portal, or an array of portals
``target``           the disk's name (``iqn.…``); may hold placeholders: ``…:__hostname__``
``lun``, ``port``    0 and 3260 (RFC 4173, section 5)
``username`` …       ``password``, ``reverse_username``, ``reverse_password``: CHAP
``initiator``        what the machine calls itself
``keep``             ``true``: the disk stays for what is booted after a failure
``filename``         the loader on the disk under UEFI (``\\EFI\\debian\\grubx64.efi``)
===================  ==========================================================================

With a ``kernel`` beside ``iscsi`` the disk is attached and the kernel booted: an installer that is
to write on that disk, or a Linux that has its root there.  The booted system finds an iSCSI disk by
the table that iPXE leaves (iBFT): dracut with ``rd.iscsi.firmware=1``.  An image by HTTP works
under BIOS, for systems that read it by BIOS calls.  Names and passwords are iPXE settings in the
script, which goes to the machine over plain HTTP; passwords that are secrets (``secretvalues``) are
nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from netbootd.errors import RenderError
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate, unsettable
from netbootd.targets.linux import Linux
from netbootd.targets.plan import Plan
from netbootd.targets.settings import EXTRA_ARGS, Settings

#: Keys of ``iscsi`` that become settings of iPXE (https://ipxe.org/cfg), in order.
_SETTINGS = {
    "initiator": "initiator-iqn",
    "username": "username",
    "password": "password",
    "reverse_username": "reverse-username",
    "reverse_password": "reverse-password",
}
_KNOWN = {*_SETTINGS, "server", "target", "lun", "port", "keep", "filename"}
_PORTAL = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class SanBoot(Target):
    """*uris* as iPXE's ``sanboot`` takes them (RFC 4173 for iSCSI), *secrets* its settings."""

    uris: tuple[str, ...]
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    keep: bool = False
    filename: str = ""

    keys: ClassVar[frozenset[str]] = frozenset({"iscsi"})
    template_name: ClassVar[str] = "sanboot"
    needs_ipxe: ClassVar[str] = "it attaches a disk of the network"

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """``sanboot`` counts; a kernel beside it is reported."""
        settings.check_boot_server()
        for key in ("kernel", "initrd", "boot_args", EXTRA_ARGS):
            if key in settings:
                settings.warn("target-unused-key", f'"sanboot" counts, "{key}" is not used', key)
        iscsi = _iscsi(settings)
        uris = settings.locations("sanboot") or _uris(settings, iscsi)
        if not uris and settings.broken is None:
            missing = '"sanboot" is empty' if "sanboot" in settings else '"sanboot" is missing'
            settings.fault("target-empty", missing, "sanboot")
        secrets = _secrets(iscsi)
        keep, filename = iscsi.get("keep") == "true", iscsi.get("filename", "")
        return cls(settings.title, template, uris, secrets, keep, filename)

    @property
    def fetched(self) -> tuple[str, ...]:
        return self.uris

    def values(self, facts: Facts) -> dict[str, Any]:
        return {
            **_disk(self, facts, self.uris, self.secrets),
            "keep": self.keep,
            "filename": self.filled(self.filename, facts),
        }


@dataclass(frozen=True, slots=True)
class SanLinux(Linux):
    """A kernel that is booted with an iSCSI disk attached."""

    uris: tuple[str, ...] = ()
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    keys: ClassVar[frozenset[str]] = Linux.keys | SanBoot.keys
    template_name: ClassVar[str] = "sanlinux"
    needs_ipxe: ClassVar[str] = "it attaches a disk of the network"

    @classmethod
    def extras(cls, settings: Settings) -> dict[str, Any]:
        iscsi = _iscsi(settings)
        return {"uris": _uris(settings, iscsi), "secrets": _secrets(iscsi)}

    @property
    def fetched(self) -> tuple[str, ...]:
        return (*self.uris, self.kernel, *self.initrds)

    def plan(self, facts: Facts) -> Plan:
        return self.only_ipxe(self.needs_ipxe)

    def values(self, facts: Facts) -> dict[str, Any]:
        return {**Linux.values(self, facts), **_disk(self, facts, self.uris, self.secrets)}


def _disk(
    target: Target, facts: Facts, uris: tuple[str, ...], secrets: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    """A disk's addresses and settings as *facts*' machine gets them."""
    return {
        "uri": " ".join(target.filled(facts.url(uri), facts) for uri in uris),
        "settings": [
            {"name": name, "value": _secret(target, text, facts)} for name, text in secrets
        ],
    }


def _secret(target: Target, text: str, facts: Facts) -> str:
    """
    *text* filled in; raises RenderError where iPXE would not store it as it is.

    What stands for a secret was not looked at when the target was made.
    """
    if text not in facts.secrets:
        return target.filled(text, facts)
    if (value := facts.secrets[text]) is None:
        raise RenderError(f"a password of {target.title} could not be read")
    if wrong := unsettable(value):
        raise RenderError(f"a password of {target.title} {wrong}")
    return value


def _secrets(iscsi: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """iPXE's settings by name."""
    return tuple((name, iscsi[key]) for key, name in _SETTINGS.items() if iscsi.get(key))


def _iscsi(settings: Settings) -> dict[str, str]:
    """The object ``iscsi`` as texts; its ``server`` array joined by blanks."""
    if "iscsi" not in settings:
        return {}
    texts = settings.strings("iscsi", joined=("server",))
    for key, text in texts.items():
        if key not in _KNOWN:
            settings.warn("key-unknown", f'"iscsi" has no "{key}"', "iscsi")
        elif (wrong := unsettable(text)) and key != "server":
            settings.fault("iscsi-value", f'"iscsi.{key}" {wrong}', "iscsi")
    if " " in texts.get("filename", ""):
        settings.fault("iscsi-value", '"iscsi.filename" has a blank in it', "iscsi")
    if fault := _half(texts):
        settings.fault("iscsi-value", f'"iscsi": {fault}', "iscsi")
    return texts


def _half(texts: dict[str, str]) -> str | None:
    """What is missing of names and passwords; iPXE takes no half of them ("Invalid argument")."""
    name, password, reverse_name, reverse_password = (
        bool(texts.get(key)) for key in list(_SETTINGS)[1:]
    )
    if name != password:
        return '"username" and "password" go together'
    if reverse_name != reverse_password:
        return '"reverse_username" and "reverse_password" go together'
    if reverse_name and not name:
        return '"reverse_username" needs "username" as well'
    return None


def _uris(settings: Settings, iscsi: dict[str, str]) -> tuple[str, ...]:
    """``iscsi:SERVER:PROTOCOL:PORT:LUN:TARGET`` for each portal (RFC 4173, section 5)."""
    if not iscsi:
        return ()
    servers, target = iscsi.get("server", "").split(), iscsi.get("target", "")
    if not servers or not target or not all(_PORTAL.fullmatch(server) for server in servers):
        told = '"iscsi" needs "server" (an address; IPv6 in brackets) and "target" (iqn.…)'
        settings.fault("target-empty", told, "iscsi")
        return ()
    port, lun = iscsi.get("port", ""), iscsi.get("lun", "")
    if (port and not port.isdecimal()) or (lun and not re.fullmatch(r"[0-9A-Fa-f-]+", lun)):
        told = '"iscsi": "port" must be a number and "lun" a hexadecimal one'
        settings.fault("iscsi-value", told, "iscsi")
        return ()
    return tuple(f"iscsi:{server}::{port}:{lun}:{target}" for server in servers)
