"""
The generic target: a kernel, its initrds and arguments.  Whatever its type is called, a target with
``kernel`` boots like this; the types of their own only add checks, defaults and guards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.settings import Settings


@dataclass(frozen=True, slots=True)
class Linux(Target):
    """
    *kernel* and *initrds* are URLs, or paths on our own server; *args* the kernel's words.

    Every initrd gets a name, and the kernel an ``initrd=`` for each: iPXE builds of 2019 pass none
    under UEFI without it (iPXE's ``--name``, and the kernel's own EFI loader).  An author who wrote
    an ``initrd=`` of their own has decided otherwise.
    """

    kernel: str
    initrds: tuple[str, ...] = ()
    args: tuple[str, ...] = ()

    template_name: ClassVar[str] = "linux"
    kernel_name: ClassVar[str] = "kernel"
    initrd_name: ClassVar[str] = "initrd"
    default_kernel: ClassVar[str | None] = None

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """Read and check the settings; faults are reported there."""
        settings.check_boot_server()
        kernel = settings.location("kernel") or cls._without_kernel(settings)
        target = cls(
            settings.title,
            template,
            kernel,
            settings.locations("initrd"),
            settings.boot_args(),
        )
        if settings.broken is None:
            target.check(settings)
        return target

    @classmethod
    def _without_kernel(cls, settings: Settings) -> str:
        if cls.default_kernel is not None and "kernel" not in settings:
            return settings.located("kernel", cls.default_kernel) or ""
        if settings.broken is None:
            settings.fault("target-empty", 'nothing to boot: "kernel" or "sanboot" is missing')
        return ""

    def check(self, settings: Settings) -> None:
        """What a type of its own wants beside the generic rules."""

    def names(self) -> tuple[str, ...]:
        """The initrds' names: ``initrd``, ``initrd2``, ``initrd3`` …"""
        return tuple(
            self.initrd_name + (str(number) if number > 1 else "")
            for number in range(1, len(self.initrds) + 1)
        )

    def arguments(self) -> tuple[str, ...]:
        """The kernel's words, the ``initrd=`` of each initrd in front."""
        if any(word.startswith("initrd=") for word in self.args):
            return self.args
        return (*(f"initrd={name}" for name in self.names()), *self.args)

    def values(self, facts: Facts) -> dict[str, Any]:
        initrds = [
            {"name": name, "url": facts.url(url)}
            for name, url in zip(self.names(), self.initrds, strict=True)
        ]
        return {
            "kernel": {"name": self.kernel_name, "url": facts.url(self.kernel)},
            "initrds": initrds,
            "args": " ".join(self.arguments()),
        }
