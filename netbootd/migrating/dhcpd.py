"""
ISC ``dhcpd.conf(5)``: its hosts and subnets.

What a block says holds for all that is inside it.  A host is found wherever it stands, and has the
options of the groups around it, not those of a subnet around it: those it gets by its address.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from netbootd.mac import MAC
from netbootd.migrating import names
from netbootd.migrating.files import Files
from netbootd.migrating.found import (
    BOOTING,
    CLASSES,
    FAILOVER,
    IPV6,
    NAMES,
    SERVER,
    Found,
    Given,
    Host,
    Network,
    seconds,
    typed,
)
from netbootd.migrating.statements import Statement, listed, read

TITLE = "ISC dhcpd.conf"

_TIMES = {
    "default-lease-time": "lease_time",
    "min-lease-time": "min_lease_time",
    "max-lease-time": "max_lease_time",
}
#: Seconds of a lease where nobody says, which is more than here (``ack_lease`` in dhcp.c).
_ITS_LEASE_TIME = 43200
_GROUPS = ("group", "shared-network", "subnet", "pool")
_LEFT = {
    **dict.fromkeys(("filename", "next-server", "server-name"), BOOTING),
    **dict.fromkeys(_TIMES, "a subnet has one, not a machine"),  # in a host; else they are taken
    **dict.fromkeys(("class", "subclass", "if", "elsif", "else", "elseif", "switch"), CLASSES),
    **dict.fromkeys(("match", "spawn", "lease", "on", "set", "execute", "log", "send"), CLASSES),
    **dict.fromkeys(("key", "zone", "do-forward-updates", "update-static-leases"), NAMES),
    **dict.fromkeys(("use-host-decl-names", "get-lease-hostnames"), NAMES),
    **dict.fromkeys(("failover", "mclt", "split", "hba"), FAILOVER),
    **dict.fromkeys(("subnet6", "range6", "fixed-address6", "fixed-prefix6", "prefix6"), IPV6),
    **dict.fromkeys(("pool6", "dhcpv6-lease-file-name", "host-identifier"), IPV6),
    "include": "there is no such file here; copy it beside this one",
    "dynamic-bootp-lease-length": "a BOOTP client has its address for ever",
    "site-option-space": "spaces of a vendor's options are not translated",
    "vendor-option-space": "spaces of a vendor's options are not translated",
}
#: Of that program, or so by themselves.
_SILENT = frozenset(
    {
        *("log-facility", "pid-file-name", "lease-file-name", "local-port", "local-address"),
        *("omapi-port", "omapi-key", "server-identifier", "one-lease-per-client", "ddns-ttl"),
        *("always-broadcast", "always-reply-rfc1048", "stash-agent-options", "ping-timeout"),
        *("remote-port", "db-time-format", "delayed-ack", "adaptive-lease-time-threshold"),
        *(
            "min-secs",
            "abandon-lease-time",
            "interface",
            "option-space",
            "limited-broadcast-address",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class _Scope:
    """
    What holds at one place: *options* the nearest first, of them *grouped* those that hosts get,
    *settings* as keys of a subnet; *listed* says for whom pools are, *network* where one is.
    """

    options: tuple[Given, ...] = ()
    grouped: tuple[Given, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    listed: bool | None = None
    network: Network | None = None


def found_in(file: Path, files: Files) -> Found:
    """What *file* and its includes say.  Raises MediaError and OSError."""
    reading = _Reading(Found(TITLE))
    reading.level(read(file, files), _Scope(), "")
    reading.place_ranges()
    return reading.found


class _Reading:
    """The ranges wait until all subnets are known: those of a shared network are in no subnet."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self._ranges: list[tuple[Statement, IPv4Address, IPv4Address, dict[str, Any]]] = []
        self._defined: dict[str, tuple[str, str]] = {}  # by name: the code, and the kind of value

    def level(self, statements: tuple[Statement, ...], outer: _Scope, kind: str) -> None:
        """All of one block, which a *kind* of word began."""
        scope = self._scope(statements, outer, kind)
        if kind == "pool" and not self._is_for_all(statements):
            for one in statements:
                if one.name == "range":
                    self.found.leave(one.place, one.text, CLASSES)
            return
        for one in statements:
            if one.name == "range":
                self._range(one, scope)
            elif one.name == "host":
                self._host(one, scope)
            elif one.name in _GROUPS and one.block is not None:
                self._group(one, scope)

    def _group(self, one: Statement, scope: _Scope) -> None:
        assert one.block is not None
        if one.name == "subnet":
            self._subnet(one, scope)
        elif one.name == "shared-network":
            name = one.rest[0] if one.rest else f"line-{one.place.line}"
            shared = {**scope.settings, "shared_network": str(name)}
            self.level(one.block, replace(scope, settings=shared), one.name)
        else:
            self.level(one.block, scope, one.name)

    def _subnet(self, one: Statement, scope: _Scope) -> None:
        words = one.words
        try:
            mask = words[3] if len(words) > 3 and words[2].lower() == "netmask" else ""
            network = IPv4Network(f"{words[1]}/{mask}", strict=False) if mask else None
        except (ValueError, IndexError):
            network = None
        if network is None:
            self.found.leave(one.place, one.text, "it is no subnet with an address and a netmask")
            return
        made = Network(place=one.place, network=network)
        self.found.networks.append(made)
        assert one.block is not None
        self.level(one.block, replace(scope, network=made), "subnet")

    # -- what holds in a block ---------------------------------------------------------------------

    def _scope(self, statements: tuple[Statement, ...], outer: _Scope, kind: str) -> _Scope:
        """What a block says for all that is inside it."""
        options: list[Given] = []
        settings = dict(outer.settings)
        is_listed = outer.listed
        for one in statements:
            if one.name == "option":
                options += self._option(one, kind)
            elif one.name in _TIMES:
                self._time(one, kind, settings)
            elif one.name in ("allow", "deny", "ignore"):
                if kind != "pool" and "unknown-clients" in one.text.lower():
                    is_listed = None if one.name == "allow" else True
                elif one.name == "allow" and one.text.lower() == "allow bootp":
                    settings["bootp"] = True
                elif kind == "pool":
                    is_listed = self._permitted(one, is_listed)
            elif one.name in ("authoritative", "not"):
                settings["authoritative"] = one.name == "authoritative"
            elif one.name == "ping-check":
                settings["probe"] = one.text.lower().split()[-1] not in ("off", "false", "0")
            elif one.name not in (*_GROUPS, "host", "range") and one.name not in _SILENT:
                self._leave(one)
        own = tuple(reversed(options))
        made = replace(
            outer,
            options=(*own, *outer.options),
            grouped=(*own, *outer.grouped) if kind == "group" else outer.grouped,
            settings=settings,
            listed=is_listed,
        )
        if kind == "subnet" and outer.network is not None:
            outer.network.options = list(made.options)
            outer.network.settings = {"lease_time": _ITS_LEASE_TIME, **settings}
        return made

    def _option(self, one: Statement, kind: str) -> list[Given]:
        """An option that is given; or the definition of one, which is remembered."""
        words = one.rest
        if not words:
            return []
        name = words[0].lower()
        if name == "space":
            return []
        if len(words) > 4 and words[1].lower() == "code" and words[2].isdecimal():
            if "." not in name:
                self._defined[name] = words[2], " ".join(words[4:]).lower()
            return []
        if kind == "pool":
            self.found.leave(one.place, one.text, "netbootd has options for subnets, not for pools")
            return []
        if "." in name and not name.startswith("pxelinux"):
            why = "spaces of a vendor's options are not translated"
            self.found.leave(one.place, f"option {name}", why)
            return []
        code, kind_of_value = self._defined.get(name, (name, ""))
        if "{" in kind_of_value:
            why = "records are not translated: write its bytes in hexadecimal"
            self.found.leave(one.place, f"option {name}", why)
            return []
        return [Given(code, typed(kind_of_value, _values(one)), one.place)]

    def _time(self, one: Statement, kind: str, settings: dict[str, Any]) -> None:
        try:
            if kind == "pool":
                raise ValueError("netbootd has lease times for subnets, not for pools")
            settings[_TIMES[one.name]] = seconds("".join(one.rest))
        except ValueError as problem:
            self.found.leave(one.place, one.text, str(problem))

    def _permitted(self, one: Statement, before: bool | None) -> bool | None:
        """For whom a pool is, by one of its allow and deny."""
        words = one.text.lower().replace("-", " ")
        if "unknown clients" in words:
            says = one.name != "allow"
        elif "known clients" in words:
            says = one.name == "allow"
        else:
            return before
        both = before is not None and before != says and one.name == "allow"
        return None if both else says

    def _is_for_all(self, statements: tuple[Statement, ...]) -> bool:
        """Whether no class is needed to get an address of a pool."""
        for one in statements:
            if one.name in ("allow", "deny", "ignore") and " members " in f" {one.text.lower()} ":
                return False
        return True

    def _leave(self, one: Statement) -> None:
        name = one.name
        if not name:
            return
        why = _LEFT.get(name) or (NAMES if name.startswith(("ddns-", "update-")) else "")
        if not why:
            why = SERVER if one.block is None else "netbootd knows nothing like it"
        self.found.leave(one.place, _brief(one), why)

    # -- addresses and hosts -----------------------------------------------------------------------

    def _range(self, one: Statement, scope: _Scope) -> None:
        words = [word for word in one.rest if word.lower() != "dynamic-bootp" and word != "-"]
        try:
            first = IPv4Address(words[0])
            last = IPv4Address(words[-1])
            if len(words) > 2 or last < first:
                raise ValueError
        except (ValueError, IndexError):
            self.found.leave(one.place, one.text, "it is no range of two addresses")
            return
        match = {} if scope.listed is None else {"listed": scope.listed}
        self._ranges.append((one, first, last, match))
        if len(words) < len(one.rest) and scope.network is not None:
            scope.network.settings["bootp"] = True

    def place_ranges(self) -> None:
        """Each range into the subnet that it lies in."""
        for one, first, last, match in self._ranges:
            network = self.found.holding(first)
            if network is None or last not in network.network:
                self.found.leave(one.place, one.text, "it lies in no subnet of this file")
            else:
                network.pool(first, last, **match)

    def _host(self, one: Statement, scope: _Scope) -> None:
        name = str(one.rest[0]) if one.rest else ""
        host = Host(place=one.place)
        options: list[Given] = []
        for inner in one.block or ():
            if inner.name == "hardware":
                self._hardware(inner, host)
            elif inner.name == "fixed-address":
                self._addresses(inner, host)
            elif inner.name == "ddns-hostname" and inner.rest:
                host.hostname = host.hostname or inner.rest[-1]
            elif inner.name == "option" and _first(inner) == "host-name":
                host.hostname = inner.rest[-1]
            elif inner.name == "option" and _first(inner) == "dhcp-client-identifier":
                host.client_id = _client_id(inner)
            elif inner.name == "host-identifier" and "circuit-id" in inner.text:
                host.circuit_id = inner.rest[-1]
            elif inner.name == "option":
                options += self._option(inner, "host")
            elif inner.name == "deny" and "booting" in inner.text.lower():
                self.found.leave(one.place, f"host {name}", "it is denied an address there")
                return
            elif inner.name not in _SILENT and inner.name not in ("dynamic", "allow"):
                self._leave(inner)
        host.hostname = self.found.hostname(host.hostname, one.place) or names.hostname(name)
        host.options = [*reversed(options), *scope.grouped]
        if host.macs or host.client_id or host.circuit_id:
            self.found.hosts.append(host)
        else:
            why = "nothing there tells netbootd which machine it is"
            self.found.leave(one.place, f"host {name}", why)

    def _hardware(self, one: Statement, host: Host) -> None:
        text = "".join(one.rest[1:])
        mac = MAC.maybe(text) if one.rest and one.rest[0].lower() == "ethernet" else None
        if mac is None or mac.reserved:
            self.found.leave(one.place, one.text, names.no_mac(text))
        else:
            host.macs = (*host.macs, mac)

    def _addresses(self, one: Statement, host: Host) -> None:
        for text in listed(one.rest):
            address = names.address(text)
            if address is None:
                self.found.leave(one.place, one.text, names.NO_LOOK_UP)
            else:
                host.addresses = (*host.addresses, address)


def _values(one: Statement) -> tuple[str, ...]:
    """What is given: text between commas; bytes in hexadecimal with colons as one."""
    parts = listed(one.rest[1:])
    words = one.rest[1:]
    if len(words) == 1 and not words[0].quoted and ":" in words[0]:
        octets = words[0].split(":")
        if all(0 < len(octet) <= 2 for octet in octets):
            try:
                return ("0x" + bytes(int(octet, 16) for octet in octets).hex(),)
            except ValueError:
                return parts
    return parts


def _client_id(one: Statement) -> str:
    """Option 61 in hexadecimal, as ``option dhcp-client-identifier`` has it."""
    words = tuple(word for word in one.rest[1:] if word.quoted or word != "=")
    if len(words) == 1 and words[0].quoted:
        return words[0].encode("latin-1", "replace").hex(":")
    return names.octets("".join(words))


def _first(one: Statement) -> str:
    """The word behind the statement's name, in lower case."""
    return one.rest[0].lower() if one.rest else ""


def _brief(one: Statement) -> str:
    """A statement as a note calls it: all of a short one."""
    return one.text if one.block is None and len(one.text) < 60 else " ".join(one.words[:2])
