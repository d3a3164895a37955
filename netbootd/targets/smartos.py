"""
``smartos``: an illumos kernel with its boot archive, by multiboot.

``platform`` is the time stamp of a platform image below ``os/`` of the file root, or ``latest``:
the newest that was there when the configuration was loaded.  One image is
``os/STAMP/platform/i86pc/kernel/amd64/unix`` and ``os/STAMP/platform/i86pc/amd64/boot_archive``,
the latter's ``.hash`` beside it if it is to be checked.

The kernel's properties (``-B``) are ``bootparams``, over those that the machine's own data gives:
``hostname``, ``console`` (``text``, ``ttya`` …), ``root_shadow`` (a password hash) and
``nic_tags`` (an object: tag and MAC).  ``boot_args`` stand in front of them (``-v``, ``-k``).
``answers`` and ``networking`` are files of the file root, served as the machine sees them, that
the node finds as ``/system/boot/answers.json`` and ``networking.json``; ``boot_modules`` further
ones, by the name they get there (https://github.com/TritonDataCenter/smartos-live).

All strings together, addresses included, must fit into 512 bytes, and there may be 8 modules: what
is beyond, iPXE cuts off without a word (Triton's own build has room for 4096 and 16).  UEFI builds
of iPXE have no multiboot; Triton's (https://github.com/TritonDataCenter/sdc-booter) has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from netbootd.errors import RenderError
from netbootd.features import Feature
from netbootd.mac import MAC
from netbootd.targets import ipxe
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.settings import EXTRA_ARGS, Settings

UNIX = "platform/i86pc/kernel/amd64/unix"
ARCHIVE = "platform/i86pc/amd64/boot_archive"
_FOLDER = "os"
_LATEST = "latest"
_ROOM = 512  # bytes, in stock iPXE
_MODULES = 8
#: A value without quotes, or in quotes as a whole.
_QUOTED = re.compile(r"""[^'"]*|'[^'"]*'|"[^'"]*\"""")
_SPEED = "115200,8,n,1,-"
_CONSOLE = "console"
_CONSOLES = ("text", "ttya", "ttyb", "ttyc", "ttyd")


class Module(NamedTuple):
    """A file that goes with the kernel: a URL or a path, and what the kernel is told of it."""

    location: str
    words: str
    per_machine: bool = False


@dataclass(frozen=True, slots=True)
class SmartOS(Target):
    """*kernel* is a URL or a path on our own server; *flags* stand before the properties."""

    kernel: str
    modules: tuple[Module, ...]
    flags: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)

    keys: ClassVar[frozenset[str]] = frozenset(
        {"platform", "bootparams", "boot_modules", "answers", "networking"}
    )
    template_name: ClassVar[str] = "smartos"
    needs_ipxe: ClassVar[str] = "its modules go to the kernel by multiboot"

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """Read and check the settings; faults are reported there."""
        settings.check_boot_server()
        stamp = settings.text("platform") or ""
        if stamp == _LATEST:
            stamp = settings.newest(_FOLDER) or ""
            if not stamp:
                told = f'"platform" is latest, and there is none below {_FOLDER}/'
                settings.fault("file-missing", told, "platform")
        elif not re.fullmatch(r"[A-Za-z0-9._-]+", stamp):
            told = '"platform" must be the stamp of a platform image, or latest'
            settings.fault("target-empty", told, "platform")
        params = settings.strings("bootparams")
        for key, value in params.items():
            if fault := _wrong(key, value):
                settings.fault("bootparams-value", f'"bootparams.{key}" {fault}', "bootparams")
        flags = settings.words("boot_args") + settings.words(EXTRA_ARGS)
        if "-B" in flags:
            settings.fault("bootparams-value", "-B: use bootparams", "boot_args")
        base = f"{_FOLDER}/{stamp}"
        kernel = settings.located("platform", f"{base}/{UNIX}") if stamp else ""
        modules = _archive(settings, base, params) if stamp else ()
        return cls(settings.title, template, kernel or "", modules + _own(settings), flags, params)

    @property
    def fetched(self) -> tuple[str, ...]:
        return (self.kernel, *(module.location for module in self.modules))

    def features(self, platform: str) -> frozenset[Feature]:
        return Target.features(self, platform) | {Feature.MULTIBOOT}

    def properties(self, facts: Facts) -> dict[str, str]:
        """The list behind ``-B``; raises RenderError for a value that it cannot hold."""
        found: dict[str, str] = {} if "noimport" in self.params else {"smartos": "true"}
        names = facts.names()
        if isinstance(hostname := names.get("hostname"), str) and hostname:
            found["hostname"] = hostname
        if isinstance(shadow := names.get("root_shadow"), str) and shadow:
            found["root_shadow"] = shadow
        if isinstance(tags := names.get("nic_tags"), Mapping):
            found |= {f"{tag}_nic": _card(tag, mac) for tag, mac in tags.items()}
        console = names.get(_CONSOLE)
        found[_CONSOLE] = str(console) if console in _CONSOLES else "text"
        if bad := next((key for key, value in found.items() if "${" in value), None):
            raise RenderError(f"{bad} has ${{, which iPXE would replace")
        found |= {key: self.filled(value, facts) for key, value in self.params.items()}
        found.setdefault(f"{found[_CONSOLE]}-mode", _SPEED)
        for key, value in found.items():
            if fault := _wrong(key, value):
                raise RenderError(f"{key} {fault}")
        return found

    def values(self, facts: Facts) -> dict[str, Any]:
        properties = self.properties(facts)
        listed = ",".join(f"{key}={_quoted(key, value)}" for key, value in properties.items())
        flags = tuple(self.filled(word, facts) for word in self.flags)
        return {
            "kernel": {"url": facts.url(self.kernel)},
            "args": " ".join((*flags, "-B", listed)),
            "modules": [
                {"url": self._url(module, facts), "words": module.words} for module in self.modules
            ],
        }

    def remarks(self, facts: Facts) -> tuple[str, ...]:
        values = self.values(facts)
        strings = [f"{values['kernel']['url']} {values['args']}"]
        strings += [f"{module['url']} {module['words']}" for module in values["modules"]]
        room = sum(len(text.encode()) + 1 for text in strings)
        told = [*Target.remarks(self, facts)]
        if room > _ROOM:
            told.append(
                f"{room} bytes of addresses and arguments; stock iPXE cuts off what is beyond"
                f" {_ROOM} (Triton's takes 4096): shorten them"
            )
        if len(self.modules) > _MODULES:
            told.append(f"{len(self.modules)} modules; stock iPXE takes {_MODULES}")
        return tuple(told)

    @staticmethod
    def _url(module: Module, facts: Facts) -> str:
        if module.per_machine:
            return facts.file_url(module.location)
        return facts.url(module.location)


def _archive(settings: Settings, base: str, params: Mapping[str, str]) -> tuple[Module, ...]:
    """The boot archive, and its checksum if there is one; a rescue system goes without."""
    path = f"{base}/{ARCHIVE}"
    archive = Module(settings.located("platform", path) or "", "type=rootfs name=ramdisk")
    if "noimport" in params or not settings.has_file(f"{path}.hash"):
        return (archive,)
    checksum = settings.located("platform", f"{path}.hash") or ""
    return (archive, Module(checksum, "type=hash name=ramdisk"))


def _own(settings: Settings) -> tuple[Module, ...]:
    """``answers``, ``networking``, and ``boot_modules`` by name."""
    found = [
        Module(path, f"type=file name={key}.json", per_machine=True)
        for key in ("answers", "networking")
        if (path := settings.own_file(key))
    ]
    for name, text in settings.strings("boot_modules").items():
        if not name or re.search(r"\s", name + text):
            told = f'"boot_modules": a blank in "{name}"'
            settings.fault("url-invalid", told, "boot_modules")
            continue
        found.append(Module(settings.located("boot_modules", text) or "", f"type=file name={name}"))
        if "://" not in text and settings.has_file(f"{text}.hash"):
            url = settings.located("boot_modules", f"{text}.hash") or ""
            found.append(Module(url, f"type=hash name={name}"))
    return tuple(found)


def _card(tag: str, mac: Any) -> str:
    """The MAC of a NIC tag with colons; raises RenderError for what is none."""
    try:
        return str(MAC.parse(str(mac)))
    except ValueError as problem:
        raise RenderError(f"nic_tags.{tag}: {problem}") from None


def _wrong(key: str, value: str) -> str | None:
    """What keeps a property out of the list, which has no blanks and no way to quote a quote."""
    if not re.fullmatch(r"[A-Za-z0-9_.:-]+", key):
        return "is no name of a property"
    if re.search(r"\s", value):
        return "has a blank in it"
    if not _QUOTED.fullmatch(value):
        return "has a quote in it"
    return "has ${, which iPXE would replace" if list(ipxe.unknown_settings(value)) else None


def _quoted(key: str, value: str) -> str:
    """*value* as the list takes it: a comma needs quotes, a password hash gets single ones."""
    if value[:1] in ("'", '"'):
        return value
    if key == "root_shadow":
        return f"'{value}'"
    return f'"{value}"' if "," in value else value
