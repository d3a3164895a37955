"""
The daemon's own settings: section ``netbootd`` of the configuration, every key optional.

``SETTINGS`` is the one table of them: parsing, the warning about an unknown name, the annotated
manual in ``etc/`` and the README are all checked against it.  A wrong value is an error of the
file: a boot server that guesses where it should listen helps nobody.  So is a misspelt
``known_only``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from netbootd import replies
from netbootd.errors import Finding, Level, Place
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.nearest import did_you_mean, probably
from netbootd.relaxedjson import Object

DEFAULT_FILE = Path("/etc/netbootd/netbootd.json")


@dataclass(frozen=True, slots=True)
class Tftp:
    """
    ``tftp``: *windowsize* caps the blocks sent before an ACK (RFC 7440), *blksize* their bytes
    (RFC 2348), where a packet could hold as much; with *single_port* all of a transfer leaves
    from *port*.

    *script_for_ipxe* answers iPXE with its script under the loader's own name, for a site whose
    DHCP server names ``undionly.kpxe`` to everybody and cannot be changed.
    """

    enabled: bool = True
    port: int = 69
    windowsize: int = 64
    blksize: int = 65464
    single_port: bool = False
    script_for_ipxe: bool = False


class Mode(Enum):
    """How UDP 67 is heard: by a socket of our own, by a packet socket beside another's, or auto."""

    AUTO = "auto"
    SOCKET = "socket"
    SNOOP = "snoop"


@dataclass(frozen=True, slots=True)
class ProxyDhcp:
    """
    ``proxydhcp``: answers on UDP 67 and 4011 beside the site's own DHCP server.

    *style* is how all firmware is told of its boot file, ``auto`` to leave that to the table;
    *learn* tries another where that was not followed.  *unicast*: a client that does not ask for
    broadcasts gets its offer alone.
    """

    enabled: bool = True
    mode: Mode = Mode.AUTO
    unicast: bool = False
    style: str = replies.AUTO
    learn: bool = True


@dataclass(frozen=True, slots=True)
class Guard:
    """
    ``guard``: when a machine is held because it goes in a circle; 0 never holds.

    *loaders*: fetches of one loader within *loaders_within* seconds; *installs*: boots in a row of
    a once-target that never report an end, within *installs_within* seconds.
    """

    enabled: bool = True
    loaders: int = 3
    loaders_within: float = 120.0
    installs: int = 3
    installs_within: float = 7200.0


@dataclass(frozen=True, slots=True)
class Hooks:
    """
    ``hooks``: what is told that a node is *up*, or that it *failed*.

    Each a command and its arguments, or one http or https URL; empty for nobody.  *timeout* in
    seconds is what each run has.
    """

    up: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Config:
    """All settings; *grace* in seconds, folders absolute or as the tests give them."""

    interfaces: tuple[str, ...] = ()
    http_port: tuple[int, ...] = (3000,)
    tftp: Tftp = field(default_factory=Tftp)
    proxydhcp: ProxyDhcp = field(default_factory=ProxyDhcp)
    guard: Guard = field(default_factory=Guard)
    hooks: Hooks = field(default_factory=Hooks)
    known_only: bool = False
    files: Path = Path("/srv/netbootd")
    firmware: tuple[Path, ...] = (
        Path("/usr/local/lib/netbootd/firmware"),
        *(Path("/usr/lib", name) for name in ("ipxe", "shim", "grub")),
        *(Path("/usr/lib", name) for name in ("PXELINUX", "SYSLINUX.EFI", "syslinux")),
    )
    state: Path = Path("/var/lib/netbootd")
    loader: Choice = NO_CHOICE
    api_token: Path | None = None
    private: bool = False
    grace: float = 30.0


def with_interfaces(config: Config, interfaces: tuple[str, ...]) -> Config:
    """*config* serving other interfaces, as the command line asks."""
    return replace(config, interfaces=interfaces)


class _Wrong(Exception):
    """A value of the wrong shape; the text says what was wanted."""


class _Refused(_Wrong):
    """Likewise, and the text has the value in it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: *name* as written in the file (dotted inside a group), how to *read* its value."""

    name: str
    read: Callable[[Any], Any]


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return value


def _number(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _Wrong(f"a whole number from {low} to {high}")
        return value

    return read


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise _Wrong("seconds, from 0 to 86400")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _Wrong("a string")
    return value.strip()


def _path(value: Any) -> Path:
    return Path(_text(value))


def _some(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """One value or an array of them."""

    def read_all(value: Any) -> tuple[Any, ...]:
        return tuple(read(item) for item in (value if isinstance(value, list) else [value]))

    return read_all


_PORT = _number(1, 65535)


def _ports(value: Any) -> tuple[int, ...]:
    ports = tuple(dict.fromkeys(_some(_PORT)(value)))
    if not ports:
        raise _Wrong("at least one port")
    return ports


def _hook(value: Any) -> tuple[str, ...]:
    """A URL, or a command as an array: no shell splits it."""
    wanted = "an http(s) URL, or an array: a program (with its path, or found by PATH), arguments"
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise _Wrong(wanted)
    if words and re.match(r"https?://", words[0], re.IGNORECASE):
        if len(words) > 1 or not _has_host(words[0]):
            raise _Wrong(wanted)
    elif not isinstance(value, list) or (words and not re.fullmatch(r"/.+|[^/]+", words[0])):
        raise _Wrong(wanted)
    return tuple(words)


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:  # a port that is no number
        return False


def _mode(value: Any) -> Mode:
    words = [mode.value for mode in Mode]
    if value not in words:
        raise _Wrong(", ".join(f'"{word}"' for word in words[:-1]) + f' or "{words[-1]}"')
    return Mode(value)


def _loader(value: Any) -> Choice:
    try:
        return Choice.parse(value)
    except ValueError as problem:
        raise _Refused(f"a set of loaders or a file: {problem}") from None


def _style(value: Any) -> str:
    try:
        return replies.parse(value)
    except ValueError as problem:
        raise _Refused(str(problem)) from None


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("interfaces", _some(_text)),
        Setting("http_port", _ports),
        Setting("tftp.enabled", _boolean),
        Setting("tftp.port", _PORT),
        Setting("tftp.windowsize", _number(1, 65535)),
        Setting("tftp.blksize", _number(512, 65464)),
        Setting("tftp.single_port", _boolean),
        Setting("tftp.script_for_ipxe", _boolean),
        Setting("proxydhcp.enabled", _boolean),
        Setting("proxydhcp.mode", _mode),
        Setting("proxydhcp.unicast", _boolean),
        Setting("proxydhcp.style", _style),
        Setting("proxydhcp.learn", _boolean),
        Setting("guard.enabled", _boolean),
        Setting("guard.loaders", _number(0, 1000)),
        Setting("guard.loaders_within", _seconds),
        Setting("guard.installs", _number(0, 7)),
        Setting("guard.installs_within", _seconds),
        Setting("hooks.up", _hook),
        Setting("hooks.failed", _hook),
        Setting("hooks.timeout", _number(1, 3600)),
        Setting("known_only", _boolean),
        Setting("files", _path),
        Setting("firmware", _some(_path)),
        Setting("state", _path),
        Setting("loader", _loader),
        Setting("api_token", _path),
        Setting("private", _boolean),
        Setting("grace", _seconds),
    )
}
#: Without it machines are served who shall not be: to misspell it is no trifle.
_POLICY = "known_only"
_GROUPS: Mapping[str, Callable[..., Any]] = {
    "tftp": Tftp,
    "proxydhcp": ProxyDhcp,
    "guard": Guard,
    "hooks": Hooks,
}


def parse(section: Object | None, folder: Path, findings: list[Finding]) -> Config:
    """
    The Config that *section* describes; paths are relative to *folder*, the configuration's own.

    Every problem goes into *findings*; a setting with a wrong value keeps its default there, and
    the ERROR beside it keeps the whole from being used.
    """
    if section is None:
        return Config()
    values = _read(section, "", findings)
    groups = {
        name: make(**{key: values.pop(f"{name}.{key}") for key in _keys_of(name, values)})
        for name, make in _GROUPS.items()
    }
    plain = {name: _rooted(value, folder) for name, value in values.items()}
    return Config(**plain, **groups)


def _keys_of(group: str, values: Mapping[str, Any]) -> list[str]:
    return [name.partition(".")[2] for name in values if name.startswith(f"{group}.")]


def _rooted(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        return tuple(_rooted(item, folder) for item in value)
    return value


def _read(section: Object, prefix: str, findings: list[Finding]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in section.items():
        name = prefix + key
        if name in _GROUPS and isinstance(value, Object):
            values |= _read(value, f"{name}.", findings)
        elif f"{name}.enabled" in SETTINGS and isinstance(value, bool):
            values[f"{name}.enabled"] = value  # "tftp": false is short for the whole group
        elif setting := SETTINGS.get(name):
            _take(setting, value, section.place_of(key), values, findings)
        elif name in _GROUPS:
            whole = f"{name}.enabled" in SETTINGS
            wanted = "true, false or an object" if whole else "an object"
            findings.append(_wrong(name, wanted, value, section.place_of(key)))
        else:
            findings.append(_unknown(name, section.place_of(key)))
    return values


def _take(
    setting: Setting, value: Any, place: Place, values: dict[str, Any], findings: list[Finding]
) -> None:
    try:
        values[setting.name] = setting.read(value)
    except _Refused as told:
        findings.append(_invalid(setting.name, str(told), place))
    except _Wrong as wanted:
        findings.append(_wrong(setting.name, str(wanted), value, place))


def _unknown(name: str, place: Place) -> Finding:
    known = [*SETTINGS, *_GROUPS]
    level = Level.ERROR if probably(name, known) == _POLICY else Level.WARNING
    told = f'no setting "{name}"{did_you_mean(name, known)}'
    return Finding(level, "unknown-setting", told, place, f"netbootd.{name}")


def _wrong(name: str, wanted: str, value: Any, place: Place) -> Finding:
    return _invalid(name, f"{wanted}, not {value!r:.60}", place)


def _invalid(name: str, told: str, place: Place) -> Finding:
    text, path = f'"{name}" must be {told}', f"netbootd.{name}"
    return Finding(Level.ERROR, "setting-invalid", text, place, path)
