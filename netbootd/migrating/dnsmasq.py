"""
dnsmasq's configuration, ``dnsmasq(8)``: the hosts, ranges and options of its DHCP.

It is read line by line, and a line that is wrong costs that line alone.  Tags are followed where a
host or a range sets them; what else sets one (a vendor class, an interface) cannot be known here.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from pathlib import Path
from typing import NamedTuple

from netbootd.errors import Place
from netbootd.migrating import names
from netbootd.migrating.files import Files
from netbootd.migrating.found import (
    BOOTING,
    CLASSES,
    IPV6,
    SERVER,
    Found,
    Given,
    Host,
    Network,
    is_nameless,
    seconds,
)
from netbootd.printable import counted

TITLE = "dnsmasq.conf"

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TIME = re.compile(r"(\d{1,9})([smhdw]?)", re.IGNORECASE)
#: Characters of a line; dnsmasq takes some thousand (config.h, MAXDNAME).
_LONGEST = 4096
_INFINITE = 0xFFFFFFFF
#: What dnsmasq gives who says nothing (dhcp-common.h, DEFLEASE).
_ITS_LEASE_TIME = 3600
_MODES = (
    "static",
    "proxy",
    "ra-only",
    "slaac",
    "ra-names",
    "ra-stateless",
    "ra-advrouter",
    "off-link",
)
_TAGS = ("set:", "tag:", "net:")

_BOOTS = frozenset(
    {
        *("dhcp-boot", "pxe-prompt", "pxe-service", "enable-tftp", "tftp-root", "tftp-secure"),
        *("tftp-unique-root", "tftp-no-fail", "tftp-no-blocksize", "tftp-max", "tftp-mtu"),
        *("tftp-lowercase", "tftp-port-range", "tftp-single-port", "bootp-dynamic"),
    }
)
_MATCHES = frozenset(
    {
        *("dhcp-match", "dhcp-vendorclass", "dhcp-userclass", "dhcp-mac", "dhcp-circuitid"),
        *("dhcp-remoteid", "dhcp-subscrid", "dhcp-name-match", "tag-if"),
        *("dhcp-ignore-names", "dhcp-generate-names", "dhcp-broadcast", "shared-network"),
    }
)
_OF_DHCP = re.compile(r"dhcp-.*|read-ethers|no-ping|leasefile-ro|ra-param|enable-ra")
_RANGE_NEEDS = "a start address, then an end or a word such as static"

#: Names that dnsmasq has for options and others do not.
_OPTIONS = {
    "lpr-server": "9",
    "boot-file-size": "13",
    "extension-path": "18",
    "ip-forward-enable": "19",
    "max-datagram-reassembly": "22",
    "default-ttl": "23",
    "router-solicitation": "32",
    "arp-timeout": "35",
    "ethernet-encap": "36",
    "tcp-ttl": "37",
    "tcp-keepalive": "38",
    "nis-server": "41",
    "netbios-dd": "45",
    "x-windows-fs": "48",
    "x-windows-dm": "49",
    "t1": "58",
    "t2": "59",
    "nis+-domain": "64",
    "nis+-server": "65",
    "mobile-ip-home": "68",
    "pop3-server": "70",
    "vendor-id-encap": "125",
    "server-ip-address": "150",
}


class _Line(NamedTuple):
    """One setting; *value* is empty where it has none."""

    name: str
    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class _Tagged:
    """An option, and the tags that a client must have (and with ``!`` must not) to get it."""

    given: Given
    tags: tuple[str, ...]


@dataclass(slots=True)
class _Range:
    network: Network
    tags: set[str] = field(default_factory=set)


def found_in(file: Path, files: Files) -> Found:
    """What *file* and those that it names say.  Raises MediaError and OSError."""
    reading = _Reading(files)
    reading.file(file, files.begin(file))
    return reading.finished()


class _Reading:
    """Ranges, hosts and options as they come; they are put together at the end."""

    def __init__(self, files: Files) -> None:
        self.found = Found(TITLE)
        self._files = files
        self._ranges: dict[IPv4Network, _Range] = {}
        self._waiting: list[tuple[_Line, list[str]]] = []
        self._options: list[_Tagged] = []
        self._host_tags: list[tuple[Host, set[str]]] = []
        self._domains: list[tuple[str, IPv4Network | None]] = []
        self._lease_times: list[tuple[Host, str]] = []
        self._settings: dict[str, bool] = {}
        self._known_only = False
        self._other = 0

    # -- files -------------------------------------------------------------------------------------

    def file(self, file: Path, text: str) -> None:
        """Every line of one file."""
        for number, raw in enumerate(text.splitlines(), 1):
            written = _uncommented(raw).strip()
            if len(raw) > _LONGEST:
                place = Place(str(file), number)
                self.found.leave(place, raw[:40], "the line is longer than dnsmasq reads one")
            elif written:
                name, _, value = written.partition("=")
                self._line(_Line(name.strip().lower(), value.strip(), Place(str(file), number)))

    def _line(self, line: _Line) -> None:
        name = line.name
        if name in _READ:
            _READ[name](self, line)
        elif name in _BOOTS:
            self.found.leave(line.place, name, BOOTING)
        elif name in _MATCHES:
            self.found.leave(line.place, name, CLASSES)
        elif _OF_DHCP.fullmatch(name):
            self.found.leave(line.place, name, SERVER)
        else:
            self._other += 1

    def _include(self, line: _Line) -> None:
        path = _unquoted(line.value)
        found = self._files.found(path, line.place)
        if found is None or found.is_dir():
            self.found.leave(line.place, f"{line.name}={path}", "there is no such file here")
            return
        self.file(found, self._files.enter(found, line.place))
        self._files.leave()

    def _folder(self, line: _Line) -> None:
        for file in self._listed(line):
            self.file(file, self._files.enter(file, line.place))
            self._files.leave()

    def _listed(self, line: _Line) -> Iterator[Path]:
        """The files of a folder, as dnsmasq takes them: ``conf-dir=DIR,.bak,*.conf``."""
        written, *endings = _split(line.value)
        folder = self._files.found(written, line.place)
        if folder is None or not folder.is_dir():
            self.found.leave(line.place, f"{line.name}={written}", "there is no such folder here")
            return
        wanted = [ending for ending in endings if ending.startswith("*")]
        spurned = tuple(ending for ending in endings if ending and not ending.startswith("*"))
        for name in sorted(os.listdir(folder)):
            hidden = name.startswith(".") or name.endswith("~") or (name[0] == name[-1] == "#")
            fits = not wanted or any(fnmatch.fnmatchcase(name, one) for one in wanted)
            fits = fits and not (spurned and name.endswith(spurned))
            if fits and not hidden and (folder / name).is_file():
                yield folder / name

    def _hosts_file(self, line: _Line) -> None:
        self._each_line(line, "dhcp-host")

    def _options_file(self, line: _Line) -> None:
        self._each_line(line, "dhcp-option")

    def _each_line(self, line: _Line, name: str) -> None:
        """A file, or all of a folder, with values of *name* alone."""
        path = self._files.found(_unquoted(line.value), line.place)
        if path is None:
            self.found.leave(line.place, f"{line.name}={line.value}", "there is no such file here")
            return
        for file in [path] if path.is_file() else list(self._listed(line)):
            text = self._files.enter(file, line.place)
            for number, raw in enumerate(text.splitlines(), 1):
                if len(raw) <= _LONGEST and (written := _uncommented(raw).strip()):
                    value = written.removeprefix(f"{name}=")
                    self._line(_Line(name, value, Place(str(file), number)))
            self._files.leave()

    def _ethers(self, line: _Line) -> None:
        """``/etc/ethers``, ethers(5): a MAC, and an address or a name."""
        path = self._files.found("/etc/ethers", line.place)
        beside = self._files.folder / "ethers"
        path = beside if beside.is_file() else path
        if path is None:
            self.found.leave(line.place, line.name, "there is no /etc/ethers here")
            return
        text = self._files.enter(path, line.place)
        for number, raw in enumerate(text.splitlines(), 1):
            words = raw.partition("#")[0].split()
            if len(words) >= 2:
                self._host(_Line("ethers", f"{words[0]},{words[1]}", Place(str(path), number)))
        self._files.leave()

    # -- settings ----------------------------------------------------------------------------------

    def _ignore(self, line: _Line) -> None:
        """``dhcp-ignore=tag:!known``: who is not listed gets no address."""
        tags = [part.removeprefix("tag:").removeprefix("net:") for part in _split(line.value)]
        if tags in (["!known"], ["#known"]):
            self._known_only = True
        else:
            self.found.leave(line.place, f"{line.name}={line.value}", CLASSES)

    def _flag(self, line: _Line) -> None:
        key, value = {
            "dhcp-authoritative": ("authoritative", True),
            "dhcp-rapid-commit": ("rapid_commit", True),
            "no-ping": ("probe", False),
        }[line.name]
        self._settings[key] = value

    def _domain(self, line: _Line) -> None:
        """``domain=NAME[,RANGE[,local]]``; of a range only one that is a network."""
        name, *where = _split(line.value)
        if name == "#":
            self.found.leave(line.place, line.value, "a domain of resolv.conf is not looked up")
        elif not where:
            self._domains.append((name, None))
        else:
            for network in _networks(where[0], where[1] if len(where) > 1 else ""):
                self._domains.append((name, network))

    def _option(self, line: _Line) -> None:
        parts = _split(line.value)
        tags = [part.partition(":")[2] for part in parts if part.startswith(("tag:", "net:"))]
        rest = [part for part in parts if not part.startswith(("tag:", "net:"))]
        if not rest:
            self.found.leave(line.place, line.value, "it names no option")
            return
        first = rest[0].lower()
        if first.startswith(("encap:", "vi-encap:", "vendor:")):
            why = "spaces of a vendor's options are not translated"
            self.found.leave(line.place, f"{line.name}={line.value}", why)
        elif first.startswith("option6:") or first.startswith("["):
            self.found.leave(line.place, f"{line.name}={line.value}", IPV6)
        elif len(rest) == 1:
            why = "without a value it keeps an option back, and netbootd gives only what is written"
            self.found.leave(line.place, f"{line.name}={line.value}", why)
        elif "0.0.0.0" in rest[1:]:
            why = "0.0.0.0 there is the address of that server: write the one that is meant"
            self.found.leave(line.place, f"{line.name}={line.value}", why)
        else:
            name = first.removeprefix("option:")
            option = _OPTIONS.get(name, name)
            given = Given(option, _option_values(option, rest[1:]), line.place)
            self._options.append(_Tagged(given, tuple(tags)))

    # -- ranges ------------------------------------------------------------------------------------

    def _range(self, line: _Line) -> None:
        parts = _split(line.value)
        while parts and parts[0].startswith(("interface:", *_TAGS)):
            parts = [*parts[1:], f"@{parts[0]}"]  # what it says is looked at with the rest
        if parts and ":" in parts[0] and not parts[0].startswith("@"):
            self.found.leave(line.place, f"dhcp-range={line.value}", IPV6)
            return
        if parts and not parts[0].startswith("@") and names.address(parts[0]) is None and parts[1:]:
            parts = [*parts[1:], f"@set:{parts[0]}"]  # the old way to name a tag
        if not parts or names.address(parts[0]) is None:
            self.found.leave(line.place, f"dhcp-range={line.value}", f"no range: {_RANGE_NEEDS}")
        else:
            self._waiting.append((line, parts))

    def _made_range(self, line: _Line, parts: list[str]) -> None:
        first, end, rest = names.address(parts[0]), None, parts[1:]
        assert first is not None
        mode = ""
        if rest and names.address(rest[0]):
            end, rest = names.address(rest[0]), rest[1:]
        elif rest and rest[0].lower() in _MODES:
            mode, rest = rest[0].lower(), rest[1:]
        if rest and rest[0].lower() in _MODES:
            mode, rest = rest[0].lower(), rest[1:]
        mask = rest[0] if rest and names.address(rest[0]) else ""
        try:
            network = _network(first, end, mask)
            if end is not None and end < first:
                raise ValueError("its end is below its start")
        except ValueError as problem:
            self.found.leave(line.place, f"dhcp-range={line.value}", f"no range: {problem}")
            return
        found = self._at(network, line.place, guessed=not mask)
        self._tag_range(found, parts, line)
        time = _range_time(rest)
        settings = found.network.settings
        if settings.setdefault("lease_time", time) != time:
            told = f"a subnet has one lease time, and {network} has {settings['lease_time']} s"
            self.found.leave(line.place, f"lease time of {first}", told)
        settings.setdefault("max_lease_time", time)  # nobody gets more, whatever he asks for
        if any(part.startswith("@tag:") for part in parts):
            self.found.leave(line.place, f"dhcp-range={line.value}", CLASSES)
        elif mode == "":
            match = {"listed": True} if self._known_only else {}
            found.network.pool(first, end or first, **match)
        elif mode == "proxy":
            found.network.settings["dhcp"] = "proxy"

    def _at(self, network: IPv4Network, place: Place, *, guessed: bool) -> _Range:
        if network not in self._ranges:
            made = Network(place=place, network=network)
            if guessed:
                made.remarks.append(
                    "The netmask is not in that file (dnsmasq takes it from its interface): look "
                    "whether it is this one."
                )
            self._ranges[network] = _Range(made)
            self.found.networks.append(made)
        return self._ranges[network]

    def _tag_range(self, found: _Range, parts: list[str], line: _Line) -> None:
        for part in parts:
            if part.startswith(("@set:", "@net:")):
                found.tags.add(part[5:])
            elif part.startswith("@interface:"):
                found.tags.add(part.partition(":")[2])

    # -- hosts -------------------------------------------------------------------------------------

    def _host(self, line: _Line) -> None:
        what = f"{line.name}={line.value}" if line.name == "dhcp-host" else line.value
        host = Host(place=line.place)
        tags: set[str] = set()
        parts = _split(line.value)
        if any(part.lower() == "ignore" for part in parts):
            self.found.leave(line.place, what, "it is given no address there")
            return
        for part in parts:
            if told := self._host_part(part, host, tags):
                self.found.leave(line.place, what, told)
                return
        if host.macs or host.client_id:
            self.found.hosts.append(host)
            self._host_tags.append((host, tags))
        elif host.hostname:
            why = "a machine is known by its MAC or client identifier, not by the name it says"
            self.found.leave(line.place, what, why)
        else:
            self.found.leave(line.place, what, "nothing there tells which machine it is")

    def _host_part(self, part: str, host: Host, tags: set[str]) -> str:
        """Take one part of a ``dhcp-host``; why the whole cannot be taken, or nothing."""
        low = part.lower()
        if not part or part.startswith("[") or low == "id:*":
            pass  # an IPv6 address beside the others, and a client identifier that is overlooked
        elif low.startswith("id:"):
            host.client_id = names.client_id(part[3:])
        elif low.startswith("tag:"):
            return CLASSES
        elif low.startswith(_TAGS):
            tags.add(part.partition(":")[2])
        elif (address := names.address(part)) is not None:
            host.addresses = (*host.addresses, address)
        elif (card := names.mac(re.sub("^0?1-(?=..?:)", "", part))) is not None:
            host.macs = (*host.macs, card)
        elif ":" in part or "*" in part:
            many = "a MAC with stars stands for many machines"
            return many if "*" in part else names.no_mac(part)
        elif _is_time(part):
            self._lease_times.append((host, part))
        else:
            host.hostname = host.hostname or self.found.hostname(part, host.place)
        return ""

    # -- the end -----------------------------------------------------------------------------------

    def finished(self) -> Found:
        """All put together: the ranges, then what belongs to them."""
        for line, parts in self._waiting:
            self._made_range(line, parts)
        for host, text in self._lease_times:
            if host in self.found.hosts:
                self.found.leave(
                    host.place, f"lease time {text}", "a subnet has one, not a machine"
                )
        for one in self._ranges.values():
            one.network.settings.update(self._settings)
            self._domain_of(one.network)
        # The last of a kind counts, but a tag counts over none, wherever that stands.
        latest_first = self._options[::-1]
        for tagged in sorted(latest_first, key=lambda one: not one.tags):
            self._place_option(tagged)
        self._remark()
        return self.found

    def _domain_of(self, network: Network) -> None:
        for name, where in self._domains:
            if where is None or where.supernet_of(network.network) or where == network.network:
                network.settings["domain"] = name

    def _place_option(self, tagged: _Tagged) -> None:
        """To the subnets and hosts that have its tags, to all subnets where it has none."""
        wanted = set(tagged.tags)
        placed = False
        for one in self._ranges.values():
            if wanted <= one.tags:
                one.network.options.append(tagged.given)
                placed = True
        if wanted:
            for host, tags in self._host_tags:
                if wanted <= tags:
                    host.options.append(tagged.given)
                    placed = True
        if not placed:
            why = CLASSES if wanted else "there is no dhcp-range that it is for"
            self.found.leave(tagged.given.place, f"dhcp-option {tagged.given.option}", why)

    def _remark(self) -> None:
        if self._ranges:
            self.found.remarks.append(
                "dnsmasq names itself as router and DNS server where no dhcp-option says another; "
                'here that has to be written: "router" and "dns".'
            )
        if self._other:
            self.found.remarks.append(
                f"About DNS and the program itself: {counted(self._other, 'further line')}."
            )


_READ = {
    "dhcp-host": _Reading._host,
    "dhcp-range": _Reading._range,
    "dhcp-option": _Reading._option,
    "dhcp-option-force": _Reading._option,
    "dhcp-hostsfile": _Reading._hosts_file,
    "dhcp-hostsdir": _Reading._hosts_file,
    "dhcp-optsfile": _Reading._options_file,
    "dhcp-optsdir": _Reading._options_file,
    "conf-file": _Reading._include,
    "conf-dir": _Reading._folder,
    "read-ethers": _Reading._ethers,
    "domain": _Reading._domain,
    "dhcp-ignore": _Reading._ignore,
    **dict.fromkeys(("dhcp-authoritative", "dhcp-rapid-commit", "no-ping"), _Reading._flag),
}


def _uncommented(raw: str) -> str:
    """A line without its comment: from # on, at its start or behind white space, but in quotes."""
    raw = raw[: _LONGEST + 1]
    quoted = False
    for at, letter in enumerate(raw):
        if letter == '"' and (at == 0 or raw[at - 1] != "\\"):
            quoted = not quoted
        elif letter == "#" and not quoted and (at == 0 or raw[at - 1].isspace()):
            return raw[:at]
    return raw


def _split(value: str) -> list[str]:
    """What commas part; one in quotes parts nothing, and the quotes go."""
    parts, quoted = [""], False
    for letter in value:
        if letter == '"':
            quoted = not quoted
        elif letter == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _unquoted(value: str) -> str:
    return value.strip().strip('"')


def _is_time(part: str) -> bool:
    return part.lower() in ("infinite", "deprecated") or _TIME.fullmatch(part) is not None


def _range_time(rest: list[str]) -> int:
    """The lease time of a range, in seconds."""
    for part in rest:
        if part.lower() == "infinite":
            return _INFINITE
        if match := _TIME.fullmatch(part):
            try:
                return seconds(str(int(match[1]) * _UNITS[match[2].lower()]))
            except ValueError:
                continue
    return _ITS_LEASE_TIME


def _network(first: IPv4Address, end: IPv4Address | None, mask: str) -> IPv4Network:
    """The subnet of a range; without a netmask the narrowest usual one that holds it."""
    if mask:
        return IPv4Network(f"{first}/{mask}", strict=False)
    for length in (24, 22, 20, 16, 12, 8):
        network = IPv4Network((first, length), strict=False)
        if end is None or end in network:
            return network
    raise ValueError("no netmask, and its ends lie far from each other")


def _integer(word: str) -> bytes:
    number = int(word.rstrip("bsi"))
    least = 1 if number < 1 << 8 else 2 if number < 1 << 16 else 4
    return number.to_bytes(max(least, {"s": 2, "i": 4}.get(word[-1], 1)), "big")


def _networks(text: str, end: str) -> list[IPv4Network]:
    """What ``domain`` is for: a network, or the addresses between two."""
    try:
        if "/" in text:
            return [IPv4Network(text, strict=False)]
        return list(summarize_address_range(IPv4Address(text), IPv4Address(end)))[:64]
    except ValueError:
        return []


def _option_values(option: str, words: list[str]) -> tuple[str, ...]:
    """
    Bytes in hexadecimal (``01:02:ff``) as one value, and whole numbers of an option without a name,
    which are as long as they need or their letter says (``5``, ``5s``); all else as it stands.
    """
    if is_nameless(option) and all(re.fullmatch(r"\d{1,9}[bsi]?", word) for word in words):
        return (f"0x{b''.join(map(_integer, words)).hex()}",)
    if len(words) == 1 and re.fullmatch(r"[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2})+", words[0]):
        return ("0x" + "".join(part.zfill(2) for part in words[0].split(":")),)
    return tuple(word.replace(r"\n", "\n").replace(r"\t", "\t") for word in words)
