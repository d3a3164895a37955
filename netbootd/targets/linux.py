"""
The generic target: a kernel, its initrds and arguments.  Whatever its type is called, a target with
``kernel`` boots like this; the types of their own only add checks, defaults and guards.

A machine with overlays, or a target with ``overlay``, gets one more initrd, made for the machine.
It comes first, as an archive of its own: UEFI builds of iPXE of 2019 lose what stands behind an
initrd whose length is no multiple of four.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from netbootd.errors import RenderError
from netbootd.features import Feature
from netbootd.scripts import modules
from netbootd.targets import ipxe, logs, vlan
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.plan import Kernel, Plan, without_settings
from netbootd.targets.settings import Settings

#: The extra initrd's own name.
OVERLAY = "overlay.cpio"
#: What follows is for init (kernel-parameters.rst), or for the system that is installed (casper,
#: Debian's installer).
_EITHER = frozenset({"kernel", "sanboot"})
_NOT_KERNELS = ("--", "---")
_SIZE = re.compile(r"[0-9]+(%|[kKmMgG])?")


@dataclass(frozen=True, slots=True)
class Linux(Target):
    """
    *kernel* and *initrds* are URLs, or paths on our own server; *args* the kernel's words.

    *overlay*: its machines get an extra initrd, in which the layer in memory over the root may grow
    to *layer_size*.  *initramfs* is what reads the arguments, in lower case, empty where nobody
    says.

    Every initrd gets a name, and the kernel an ``initrd=`` for each: iPXE builds of 2019 pass none
    under UEFI without it (iPXE's ``--name``, and the kernel's own EFI loader).  An author who wrote
    an ``initrd=`` of their own has decided otherwise.
    """

    kernel: str
    initrds: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    overlay: bool = False
    layer_size: str = ""
    initramfs: str = ""

    keys: ClassVar[frozenset[str]] = frozenset({"overlay", "initramfs"})
    template_name: ClassVar[str] = "linux"
    kernel_name: ClassVar[str] = "kernel"
    initrd_name: ClassVar[str] = "initrd"
    default_kernel: ClassVar[str | None] = None
    #: Whether it is a program for legacy BIOS.
    bios_only: ClassVar[bool] = False
    #: Whether what is booted reads more than one initrd.
    takes_overlay: ClassVar[bool] = True

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """Read and check the settings; faults are reported there."""
        settings.check_boot_server()
        kernel = settings.location("kernel") or cls._without_kernel(settings)
        args = settings.boot_args()
        overlay, size = _overlay(settings) if cls.takes_overlay else (False, "")
        target = cls(
            settings.title,
            template,
            kernel,
            settings.locations("initrd"),
            cls.completed(settings, args),
            overlay,
            size,
            _initramfs(settings),
            **cls.extras(settings),
        )
        if settings.broken is None:
            target.check(settings)
        return target

    @classmethod
    def _without_kernel(cls, settings: Settings) -> str:
        if cls.default_kernel is not None and "kernel" not in settings:
            return settings.located("kernel", cls.default_kernel) or ""
        if settings.broken is None:
            told = f'nothing to boot: "kernel" or "sanboot" is missing{settings.slip_of(_EITHER)}'
            settings.fault("target-empty", told)
        return ""

    @classmethod
    def completed(
        cls,
        settings: Settings,  # noqa: ARG003
        args: tuple[str, ...],
    ) -> tuple[str, ...]:
        """*args* with those that the type's own keys mean."""
        return args

    @classmethod
    def extras(cls, settings: Settings) -> dict[str, Any]:  # noqa: ARG003
        """The fields that a type adds to these."""
        return {}

    def check(self, settings: Settings) -> None:
        """What a type of its own wants beside the generic rules."""

    @property
    def wants_overlay(self) -> bool:
        return self.takes_overlay and (self.overlay or bool(self.common.overlays))

    @property
    def overlay_size(self) -> str:
        return self.layer_size

    @property
    def fetched(self) -> tuple[str, ...]:
        return (self.kernel, *self.initrds)

    def features(self, platform: str) -> frozenset[Feature]:
        by_platform = {"pcbios": {Feature.BZIMAGE}, "efi": {Feature.EFI}}
        return Target.features(self, platform) | by_platform.get(platform, set())

    @property
    def last_file(self) -> str:
        return (self.kernel, *self.initrds)[-1]

    def initrd_names(self) -> tuple[str, ...]:
        """The initrds' names: ``initrd``, ``initrd2``, ``initrd3`` …"""
        return tuple(
            self.initrd_name + (str(number) if number > 1 else "")
            for number in range(1, len(self.initrds) + 1)
        )

    def loaded(self, facts: Facts) -> list[dict[str, str]]:
        """Every initrd by name and URL, in order."""
        named = zip(self.initrd_names(), self.initrds, strict=True)
        own = [{"name": name, "url": facts.url(url)} for name, url in named]
        return [{"name": OVERLAY, "url": facts.overlay_url}, *own] if self._layered(facts) else own

    def arguments(self, facts: Facts) -> tuple[str, ...]:
        """The kernel's words, the ``initrd=`` of each initrd in front."""
        layer = (f"initrd={OVERLAY}",) if self._layered(facts) else ()
        named = tuple(f"initrd={name}" for name in self.initrd_names())
        decided = any(word.startswith("initrd=") for word in self.args)
        return (*layer, *(() if decided else named), *self.words(facts))

    def words(self, facts: Facts) -> tuple[str, ...]:
        """
        The arguments as this machine gets them; raises RenderError.

        Options of modules are the last of those that are for the kernel.
        """
        words = tuple([self.filled(word, facts) for word in self.args])
        more = (*self._module_options(facts), *self._log_words(facts))
        number = vlan.tag(facts.variables)
        if not more and number is None:  # as for most machines, thousands of them in a storm
            return words
        facts.compares()
        end = next((at for at, word in enumerate(words) if word in _NOT_KERNELS), len(words))
        words = (*words[:end], *absent(words, more), *words[end:])
        return vlan.tagged(words, self.reader, number, facts.mac)

    @property
    def reader(self) -> str:
        """What reads the arguments first, as far as anybody said: ``dracut``, ``linuxrc`` …"""
        return self.initramfs

    def remarks(self, facts: Facts) -> tuple[str, ...]:
        told = Target.remarks(self, facts)
        number = vlan.tag(facts.variables)
        if number is None or any("__vlan__" in word for word in self.args):
            return told
        if vlan.says(self.words(facts)):
            return told
        what = self.reader or "an initramfs that is not named"
        hint = '"initramfs" may be dracut, or boot_args may say it with __vlan__'
        return (*told, f"it is in VLAN {number}, and nothing tells that to {what}: {hint}")

    def _module_options(self, facts: Facts) -> tuple[str, ...]:
        """``kvm_intel.nested=0``, for those that the kernel has built in or loads by itself."""
        if not self.takes_overlay:
            return ()
        try:
            options = modules.options(facts.variables.get("modules"))
        except ValueError as problem:
            raise RenderError(str(problem)) from None
        words = tuple(f"{one.module}.{one.name}={one.value}" for one in options)
        if bad := ipxe.end_word(words):
            raise RenderError(f'modules: iPXE would end the line at "{bad}"')
        return words

    def _log_words(self, facts: Facts) -> tuple[str, ...]:
        if not self.common.send_logs:
            return ()
        return logs.words(self.log_reader, facts.log_host, facts.log_port)

    @property
    def log_reader(self) -> str:
        """What is told by arguments to send its log."""
        return self.reader

    def plan(self, facts: Facts) -> Plan:
        # An ``initrd=`` of the author names what iPXE loaded; PXELINUX would go and fetch it.
        if self.common.signer is not None:
            return self.only_ipxe("its files must be signed, and only iPXE looks whether they are")
        words = (word for word in self.words(facts) if not word.startswith("initrd="))
        try:
            args = without_settings(words, facts.mac)
        except ValueError as setting:
            return self.only_ipxe(f"its arguments have {setting}, which iPXE fills in")
        initrds = tuple(one["url"] for one in self.loaded(facts))
        return Kernel(facts.url(self.kernel), initrds, args, self.bios_only)

    def _layered(self, facts: Facts) -> bool:
        layered = facts.overlay and self.takes_overlay
        if layered and self.common.signer is not None:
            raise RenderError("its overlay is made for it alone, so nobody can have signed that")
        return layered

    def values(self, facts: Facts) -> dict[str, Any]:
        return {
            "kernel": {"name": self.kernel_name, "url": facts.url(self.kernel)},
            "initrds": self.loaded(facts),
            "args": " ".join(self.arguments(facts)),
        }


def absent(args: Iterable[str], words: Iterable[str]) -> tuple[str, ...]:
    """Those of *words* of whose name (what stands before the ``=``) none is in *args*."""
    names = {word.partition("=")[0] for word in args}
    return tuple(word for word in words if word.partition("=")[0] not in names)


def by_card(args: Iterable[str]) -> tuple[str, ...]:
    """
    Which card the machine boots from, for types that make its network words themselves: the first
    one may be another (dracut.cmdline(7), initramfs-tools(7), Debian's installer, anaconda).

    An author who wrote an ``ip=`` into *args* may mean another card, and has decided.
    """
    return () if any(word.startswith("ip=") for word in args) else ("BOOTIF=__bootif__",)


def _initramfs(settings: Settings) -> str:
    """``initramfs``, any word; types that know more of it say what is wrong."""
    value = settings.values["initramfs"].value if "initramfs" in settings else ""
    return value.strip().lower() if isinstance(value, str) else ""


def _overlay(settings: Settings) -> tuple[bool, str]:
    """``overlay``: true, false, a size, or an object with one."""
    value = settings.values["overlay"].value if "overlay" in settings else False
    if isinstance(value, bool):
        return value, ""
    size = settings.strings("overlay").get("size", "") if isinstance(value, dict) else value
    if not isinstance(size, str) or (size and not _SIZE.fullmatch(size)):
        told = '"overlay" must be true, false, or a size such as 25% or 2g'
        settings.fault("section-type", told, "overlay")
        return False, ""
    return True, size
