"""
Section ``netbootd`` of the configuration, read: from what is written to ``Config``.

``SETTINGS`` is the one table of them: parsing, the warning about an unknown name, the annotated
manual in ``etc/`` and the README are all checked against it.  A wrong value is an error of the
file: a boot server that guesses where it should listen helps nobody.  So is a misspelt
``known_only``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netbootd import readers
from netbootd.config import (
    Boots,
    Config,
    Ddns,
    Dhcp,
    Guard,
    Hooks,
    Limits,
    Logs,
    Mode,
    Pace,
    ProxyDhcp,
    Secrets,
    Ship,
    Syslog,
    Tftp,
    Tls,
)
from netbootd.errors import Finding, Level, Place
from netbootd.nearest import did_you_mean, probably
from netbootd.relaxedjson import Object, path_of


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: *name* as written in the file (dotted inside a group), how to *read* its value."""

    name: str
    read: Callable[[Any], Any]


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("interfaces", readers.some(readers.text)),
        Setting("http_port", readers.ports),
        Setting("tls.certificate", readers.path),
        Setting("tls.key", readers.path),
        Setting("tls.port", readers.ports),
        Setting("tls.old_clients", readers.boolean),
        Setting("tls.only", readers.boolean),
        Setting("tftp.enabled", readers.boolean),
        Setting("tftp.port", readers.PORT),
        Setting("tftp.windowsize", readers.number(1, 65535)),
        Setting("tftp.blksize", readers.number(512, 65464)),
        Setting("tftp.single_port", readers.boolean),
        Setting("tftp.script_for_ipxe", readers.boolean),
        Setting("proxydhcp.enabled", readers.boolean),
        Setting("proxydhcp.mode", readers.one_of(Mode)),
        Setting("proxydhcp.unicast", readers.boolean),
        Setting("proxydhcp.style", readers.style),
        Setting("proxydhcp.learn", readers.boolean),
        Setting("dhcp.mode", readers.serving),
        Setting("dhcp.interfaces", readers.of_each(readers.serving)),
        Setting("dhcp.lease_time", readers.LEASE),
        Setting("dhcp.min_lease_time", readers.LEASE),
        Setting("dhcp.max_lease_time", readers.LEASE),
        Setting("dhcp.dns", readers.some(readers.address)),
        Setting("dhcp.ntp", readers.some(readers.address)),
        Setting("dhcp.domain", readers.domain),
        Setting("dhcp.search", readers.some(readers.domain)),
        Setting("dhcp.options", readers.options),
        Setting("dhcp.hosts", readers.path),
        Setting("ddns.server", readers.any_address),
        Setting("ddns.port", readers.PORT),
        Setting("ddns.zones", readers.some(readers.domain)),
        Setting("ddns.key", readers.key_file),
        Setting("ddns.ttl", readers.number(0, 604800)),
        Setting("guard.enabled", readers.boolean),
        Setting("guard.loaders", readers.number(0, 1000)),
        Setting("guard.loaders_within", readers.seconds),
        Setting("guard.installs", readers.number(0, 7)),
        Setting("guard.installs_within", readers.seconds),
        Setting("hooks.up", readers.hook),
        Setting("hooks.failed", readers.hook),
        Setting("hooks.lease", readers.hook),
        Setting("hooks.alarm", readers.hook),
        Setting("hooks.timeout", readers.number(1, 3600)),
        Setting("hooks.environment", readers.some(readers.text)),
        Setting("syslog.enabled", readers.boolean),
        Setting("syslog.port", readers.PORT),
        Setting("syslog.netconsole", readers.number(0, 65535)),
        Setting("syslog.senders", readers.networks),
        Setting("syslog.rate", readers.number(1, 1_000_000)),
        Setting("logs.folder", readers.path),
        Setting("logs.days", readers.number(1, 3650)),
        Setting("logs.size", readers.number(1, 1 << 20)),
        Setting("logs.original", readers.boolean),
        Setting("ship.elasticsearch", readers.some(readers.url)),
        Setting("ship.logstash", readers.stream),
        Setting("ship.namespace", readers.namespace),
        Setting("ship.credentials", readers.key_file),
        Setting("ship.ca", readers.path),
        Setting("boots.days", readers.number(1, 3650)),
        Setting("boots.kept", readers.number(100, 10_000_000)),
        Setting("pace.enabled", readers.boolean),
        Setting("pace.at_once", readers.or_auto(readers.number(1, 4096))),
        Setting("pace.uplink", readers.bit_rate),
        Setting("pace.groups", readers.of_each(readers.number(1, 4096))),
        Setting("limits.connections", readers.number(64, 1_000_000)),
        Setting("limits.connections_of_one", readers.number(1, 1_000_000)),
        Setting("limits.transfers", readers.number(64, 1_000_000)),
        Setting("limits.transfers_of_one", readers.number(1, 1_000_000)),
        Setting("limits.half_open", readers.number(16, 1_000_000)),
        Setting("secrets.window", readers.number(10, 86400)),
        Setting("secrets.armed", readers.boolean),
        Setting("known_only", readers.boolean),
        Setting("files", readers.path),
        Setting("firmware", readers.some(readers.path)),
        Setting("state", readers.path),
        Setting("loader", readers.loader),
        Setting("api_token", readers.path),
        Setting("api_socket", readers.path),
        Setting("api_group", readers.text),
        Setting("admin_networks", readers.any_networks),
        Setting("web", readers.boolean),
        Setting("web_names", readers.some(readers.host_name)),
        Setting("private", readers.boolean),
        Setting("user", readers.text),
        Setting("grace", readers.seconds),
    )
}
#: Without one of them somebody is served who shall not be, or gets no address: to misspell it is
#: no trifle.
POLICIES = frozenset({"known_only", "dhcp", "dhcp.mode", "dhcp.interfaces"})
#: ``"dhcp": "server"`` is short for ``"dhcp": {"mode": "server"}``, as booleans are elsewhere.
_SHORT: Mapping[str, str] = {"dhcp": "dhcp.mode"}
_GROUPS: Mapping[str, Callable[..., Any]] = {
    "tls": Tls,
    "tftp": Tftp,
    "proxydhcp": ProxyDhcp,
    "dhcp": Dhcp,
    "ddns": Ddns,
    "guard": Guard,
    "hooks": Hooks,
    "syslog": Syslog,
    "logs": Logs,
    "ship": Ship,
    "boots": Boots,
    "pace": Pace,
    "limits": Limits,
    "secrets": Secrets,
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
    values = {name: _rooted(value, folder) for name, value in values.items()}
    groups = {
        name: make(**{key: values.pop(f"{name}.{key}") for key in _keys_of(name, values)})
        for name, make in _GROUPS.items()
    }
    config = Config(**values, **groups)
    if told := config.dhcp.times.disorder:
        place = section.place_of("dhcp")
        findings.append(Finding(Level.ERROR, "setting-invalid", told, place, "netbootd.dhcp"))
    return config


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
            if f"{name}.enabled" in SETTINGS:
                values[f"{name}.enabled"] = True  # who says how it shall be wants it
            values |= _read(value, f"{name}.", findings)
        elif f"{name}.enabled" in SETTINGS and isinstance(value, bool):
            values[f"{name}.enabled"] = value  # "tftp": false is short for the whole group
        elif name in _SHORT and isinstance(value, str):
            _take(SETTINGS[_SHORT[name]], value, section.place_of(key), values, findings)
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
    except readers.Refused as told:
        if told.key and isinstance(value, Object):
            place = value.place_of(told.key)
        findings.append(_invalid(setting.name, str(told), place, told.key))
    except readers.Wrong as wanted:
        findings.append(_wrong(setting.name, str(wanted), wanted.of(value), place))


def is_known(name: str) -> bool:
    """Whether *name* is a setting, or a group of them."""
    return name in SETTINGS or name in _GROUPS


def _unknown(name: str, place: Place) -> Finding:
    known = [*SETTINGS, *_GROUPS]
    level = Level.ERROR if probably(name, known) in POLICIES else Level.WARNING
    told = f'no setting "{name}"{did_you_mean(name, known)}'
    return Finding(level, "unknown-setting", told, place, f"netbootd.{name}")


def _wrong(name: str, wanted: str, value: Any, place: Place) -> Finding:
    return _invalid(name, f"{wanted}, not {value!r:.60}", place)


def _invalid(name: str, told: str, place: Place, key: str = "") -> Finding:
    """*key* is the one inside the setting's object that is wrong, empty for the whole."""
    text, path = f'"{name}" must be {told}', f"netbootd.{name}"
    if key:
        text, path = f'"{name}": {told}', path_of("netbootd", *name.split("."), key)
    return Finding(Level.ERROR, "setting-invalid", text, place, path)
