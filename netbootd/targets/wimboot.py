"""
``wimboot``: Windows PE, by iPXE's own loader for it (https://ipxe.org/wimboot).

``tree`` is the folder with the Windows medium (``boot/bcd``, ``boot/boot.sdi``,
``sources/boot.wim``); ``files`` adds or replaces files by the name they get (``BCD``,
``winpeshl.ini``, ``unattend.xml``), each a path below the file root, served as the machine sees it,
or a URL.  They appear in ``\\Windows\\System32``.  ``kernel`` defaults to ``wimboot``, which you
put into the file root; ``boot_args`` are its words (``gui``, ``pause``, ``index=2``).  The rest of
the installation comes from a share of another server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from netbootd.targets.base import Facts
from netbootd.targets.linux import Linux
from netbootd.targets.plan import Plan
from netbootd.targets.settings import Settings

_MEDIUM = {
    "BCD": "boot/bcd",
    "boot.sdi": "boot/boot.sdi",
    "boot.wim": "sources/boot.wim",
}


class File(NamedTuple):
    """A file by the name that Windows sees; *per_machine* where it is served as that sees it."""

    name: str
    location: str
    per_machine: bool = False


@dataclass(frozen=True, slots=True)
class WimBoot(Linux):
    """*files* are loaded under their own names, after the initrds under the last of their path."""

    files: tuple[File, ...] = ()

    keys: ClassVar[frozenset[str]] = frozenset({"tree", "files"})
    template_name: ClassVar[str] = "wimboot"
    needs_ipxe: ClassVar[str] = "wimboot takes its files from it"
    kernel_name: ClassVar[str] = "wimboot"
    default_kernel: ClassVar[str | None] = "wimboot"
    takes_overlay: ClassVar[bool] = False

    @classmethod
    def extras(cls, settings: Settings) -> dict[str, Any]:
        written = settings.strings("files")
        for name, text in written.items():
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or re.search(r"\s", text):
                told = f'"files": "{name}" must be a plain name, and its file have no blank'
                settings.fault("url-invalid", told, "files")
        return {"files": (*_medium(settings, written), *_added(settings, written))}

    def check(self, settings: Settings) -> None:
        if not self.initrds and not self.files:
            settings.fault("target-empty", 'nothing to boot: "tree" or "files" is missing')

    @property
    def fetched(self) -> tuple[str, ...]:
        return (self.kernel, *self.initrds, *(file.location for file in self.files))

    def initrd_names(self) -> tuple[str, ...]:
        return tuple(url.rpartition("/")[2] for url in self.initrds)

    def loaded(self, facts: Facts) -> list[dict[str, str]]:
        return Linux.loaded(self, facts) + [
            {
                "name": file.name,
                "url": facts.file_url(file.location)
                if file.per_machine
                else facts.url(file.location),
            }
            for file in self.files
        ]

    def plan(self, facts: Facts) -> Plan:
        return self.only_ipxe(self.needs_ipxe)

    def arguments(self, facts: Facts) -> tuple[str, ...]:
        return self.words(facts)  # wimboot takes every initrd, unasked


def _medium(settings: Settings, written: dict[str, str]) -> list[File]:
    """The files of the Windows medium that are not replaced."""
    tree = settings.text("tree")
    if not tree:
        return []
    return [
        File(name, settings.located("tree", f"{tree.rstrip('/')}/{path}") or "")
        for name, path in _MEDIUM.items()
        if name not in written
    ]


def _added(settings: Settings, written: dict[str, str]) -> list[File]:
    """The admin's own files."""
    return [
        File(name, path, per_machine=True)
        for name, text in written.items()
        if (path := settings.own_path("files", text))
    ]
