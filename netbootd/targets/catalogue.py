"""
The list of target types.  A type that is not here boots generically; a new one is one file beside
this and one line in ``TYPES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from netbootd import dhcpoptions, readers
from netbootd.errors import Level
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.nearest import did_you_mean, misspelt
from netbootd.targets.base import Common, Target
from netbootd.targets.biosupdate import BiosUpdate, MemDisk
from netbootd.targets.chain import Chain
from netbootd.targets.esxi import Esxi
from netbootd.targets.install import Install, check_legacy_args
from netbootd.targets.ipxe import BrokenTemplate, ScriptTemplate, Templates
from netbootd.targets.linux import Linux
from netbootd.targets.localboot import LocalBoot
from netbootd.targets.menu import Menu
from netbootd.targets.nfs import Nfs
from netbootd.targets.notice import Notice
from netbootd.targets.ownscript import OwnScript
from netbootd.targets.ramroot import RamRoot
from netbootd.targets.sanboot import SanBoot, SanLinux
from netbootd.targets.settings import (
    DHCP_OPTIONS,
    KNOWN_KEYS,
    LOADER,
    PRIORITY,
    SECRET,
    SIGNED,
    Settings,
)
from netbootd.targets.signatures import signer_of
from netbootd.targets.smartos import SmartOS
from netbootd.targets.wimboot import WimBoot


class TargetType(Protocol):
    """A class that makes a target of its settings."""

    template_name: str
    keys: frozenset[str]
    once: bool
    calls_back: bool

    def from_settings(self, settings: Settings, template: ScriptTemplate) -> Target:
        """Read *settings*, reporting every fault there."""


TYPES: Mapping[str, TargetType] = {
    "nfs": Nfs,
    "install": Install,
    "ramroot": RamRoot,
    "http": RamRoot,
    "smartos": SmartOS,
    "biosupdate": BiosUpdate,
    "memdisk": MemDisk,
    "localboot": LocalBoot,
    "sanboot": SanBoot,
    "iscsi": SanBoot,
    "wimboot": WimBoot,
    "esxi": Esxi,
    "menu": Menu,
    "chain": Chain,
    "ipxe": OwnScript,
}
#: Those that are the generic form with something added.
_LINUX = frozenset(
    kind for kind in TYPES.values() if isinstance(kind, type) and issubclass(kind, Linux)
)
#: The keys of all types, beside those that every target has.
TYPE_KEYS: frozenset[str] = frozenset().union(Linux.keys, *(kind.keys for kind in TYPES.values()))
_NAMES = frozenset(TYPES)


def type_of(name: str, settings: Settings) -> TargetType:
    """
    What a target of type *name* with these settings is.

    ``sanboot`` decides over every name, and a name adds to the generic form but never hides it: a
    target with ``kernel`` is a kernel with its initrds and arguments.
    """
    if "sanboot" in settings:
        return SanBoot
    kind = TYPES.get(name, Linux)
    if kind is SanBoot and "kernel" in settings and "iscsi" in settings:
        return SanLinux
    if "kernel" not in settings or kind in _LINUX:
        return kind
    for key in sorted((kind.keys - Linux.keys) & settings.values.keys()):
        settings.warn("target-unused-key", f'"kernel" counts, "{key}" is not used', key)
    return Linux


def build(name: str, settings: Settings, templates: Templates) -> Target:
    """The target of type *name*; a Notice in its place where it cannot be used."""
    if name not in TYPES and (meant := misspelt(name, _NAMES)):
        settings.warn("type-misspelt", f'"{name}" boots generically; did you mean "{meant}"?')
    kind = type_of(name, settings)
    template = _template(kind, settings, templates)
    if isinstance(template, BrokenTemplate):
        settings.fault("template-error", f"template {template.text}", level=Level.RELOAD)
    if not isinstance(template, ScriptTemplate):
        return unusable(settings.title, "its template is broken", templates)
    target = kind.from_settings(settings, template)
    check_legacy_args(settings, getattr(target, "args", ()))
    common = _common(settings, kind)
    if settings.broken is not None:
        return unusable(settings.title, "it has an error in the configuration", templates)
    return replace(target, common=common)


def _template(
    kind: TargetType, settings: Settings, templates: Templates
) -> ScriptTemplate | BrokenTemplate | None:
    """The type's template, or the admin's own script; None, and a finding, where none is named."""
    if kind is not OwnScript:
        return templates.get(kind.template_name)
    file = settings.text("script")
    if not file:
        settings.fault("target-empty", '"script", the name of its file, is missing')
        return None
    return templates.file(file)


def _common(settings: Settings, kind: TargetType) -> Common:
    """What a target of any type may say."""
    return Common(
        variables={
            key: sourced.value
            for key, sourced in settings.values.items()
            if key not in KNOWN_KEYS and key not in kind.keys
        },
        scripts=settings.listed("scripts"),
        overlays=settings.listed("overlays"),
        once=settings.flag("once", kind.once),
        after=_after(settings),
        up_within=settings.number("up_within", least=0) or 0.0,
        send_logs=settings.flag("send_logs", False),
        signer=_signer(settings, kind),
        calls_back=kind.calls_back,
        loader=_loader(settings, kind),
        dhcp_options=_dhcp_options(settings),
        priority=_priority(settings),
        secret=settings.flag(SECRET, False),
    )


def _signer(settings: Settings, kind: TargetType) -> str | None:
    """``signed``: one that cannot be had, or understood, keeps the target from booting at all."""
    if SIGNED not in settings:
        return None
    try:
        signer = signer_of(settings.values[SIGNED].value)
    except ValueError as problem:
        settings.fault("signed-invalid", f'"{SIGNED}" {problem}', SIGNED)
        return None
    if signer is not None and not (isinstance(kind, type) and issubclass(kind, Linux)):
        told = f'"{SIGNED}" is for targets that boot a kernel with its initrds, not for this type'
        settings.fault("signed-invalid", told, SIGNED)
    return signer


def _priority(settings: Settings) -> int:
    """``priority``: one that is wrong is the usual one."""
    if PRIORITY not in settings:
        return 0
    written = settings.values[PRIORITY].value
    try:
        return readers.priority(written)
    except readers.Wrong as wanted:
        told = f'"{PRIORITY}" must be {wanted}, not {written!r:.60}; left out'
        settings.warn("priority-invalid", told, PRIORITY)
        return 0


def _dhcp_options(settings: Settings) -> Mapping[int, bytes]:
    """``dhcp_options``: one that is wrong costs that option."""
    if DHCP_OPTIONS not in settings:
        return {}
    found, told = dhcpoptions.read(settings.values[DHCP_OPTIONS].value)
    for one in told:
        say = settings.warn if one.wrong else settings.note
        say(one.code, one.text, DHCP_OPTIONS)
    return found


def _loader(settings: Settings, kind: TargetType) -> Choice:
    """``loader``: a set, a file, or either by architecture."""
    if LOADER not in settings:
        return NO_CHOICE
    try:
        choice = Choice.parse(settings.values[LOADER].value)
    except ValueError as problem:
        settings.fault("loader-invalid", f'"{LOADER}": {problem}', LOADER)
        return NO_CHOICE
    if kind is Esxi and choice.usual.rpartition("/")[2].startswith(("mboot", "boot")):
        told = f'"{LOADER}" is what the firmware loads; the medium\'s own loader is "mboot"'
        settings.warn("loader-mboot", told, LOADER)
    return choice


def _after(settings: Settings) -> str:
    """``after``: a ``type/name`` that there is."""
    after = settings.text("after") or ""
    if after and after not in settings.titles:
        told = f'"after": there is no target "{after}"{did_you_mean(after, settings.titles)}'
        settings.fault("target-unknown", told, "after")
    return after


def local_boot(title: str, templates: Templates) -> Target:
    """A target that boots the machine's own disk."""
    template = templates.get(LocalBoot.template_name)
    if isinstance(template, ScriptTemplate):
        return LocalBoot(title, template)
    return unusable(title, "its template is broken", templates)


def unusable(title: str, reason: str, templates: Templates) -> Notice:
    """A Notice for target *title*; *reason* must be fit for a node's console."""
    return Notice(title, notice_template(templates), f"{title} cannot boot: {reason}")


def notice_template(templates: Templates) -> ScriptTemplate:
    """The notice's own template; a broken override of it falls back to the built-in one."""
    template = templates.get(Notice.template_name)
    if isinstance(template, BrokenTemplate):
        template = Templates().get(Notice.template_name)
    assert isinstance(template, ScriptTemplate)
    return template
