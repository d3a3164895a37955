"""
Kea's ``kea-dhcp4.conf``: JSON with comments of three kinds and files that are included as text
(``<?include "file"?>``), of which ``Dhcp4`` counts.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from netbootd import relaxedjson
from netbootd.errors import ConfigErrors, MediaError, Place
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
)
from netbootd.registry import marks
from netbootd.relaxedjson import Array, Object, Source

TITLE = "Kea"

_PIECE = re.compile(
    r"""(?P<string>"[^"\\\n]*+(?:\\.[^"\\\n]*+)*")|(?P<include><\?include\s*"(?P<file>[^"\n]*)"\s*\?>)"""
    r"""|(?P<comment>\#[^\n]*|//[^\n]*|/\*(?:.*?\*/)?)|(?P<point>(?<![0-9A-Za-z])\.(?=[0-9]))""",
    re.DOTALL,
)
_TIMES = {
    "valid-lifetime": "lease_time",
    "min-valid-lifetime": "min_lease_time",
    "max-valid-lifetime": "max_lease_time",
}
#: Seconds of a lease where nobody says.
_ITS_LEASE_TIME = 7200
_FLAGS = {"authoritative": "authoritative", "match-client-id": "match_client_id"}
_LEFT = {
    **dict.fromkeys(("next-server", "server-hostname", "boot-file-name"), BOOTING),
    **dict.fromkeys(("client-class", "require-client-classes", "client-classes"), CLASSES),
    "evaluate-additional-classes": CLASSES,
    "relay": "a relay is known by its address, which has to lie in one of its networks",
    "option-def": "options are given by their numbers; of one that is defined look at the value",
    "decline-probation-period": "an address that is declined is nobody's for 15 minutes",
    **dict.fromkeys(("hostname-char-set", "hostname-char-replacement"), NAMES),
}
_IDENTIFIERS = {
    "duid": "netbootd knows a machine of IPv4 by its MAC or client identifier, not by a DUID",
    "flex-id": "netbootd knows a machine by its MAC or client identifier, not by an expression",
}


class Text:
    """
    A text put together from files, comments blanked out: each place of it is one of a file.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._starts: list[int] = []
        self._origins: list[tuple[Source, int]] = []

    def add(self, text: str, source: Source, offset: int) -> None:
        """*text* stands in *source* from *offset* on."""
        self._starts.append(self._length)
        self._origins.append((source, offset))
        self._pieces.append(text)
        self._length += len(text)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    def place(self, offset: int) -> Place:
        """Where the character at *offset* was written."""
        piece = max(bisect_right(self._starts, offset) - 1, 0)
        source, start = self._origins[piece]
        return source.place(start + offset - self._starts[piece])


def gathered(file: Path, files: Files) -> Text:
    """*file* with its includes.  Raises MediaError and OSError."""
    made = Text()
    _gather(file, files.begin(file), files, made)
    return made


def _gather(file: Path, text: str, files: Files, made: Text) -> None:
    source = Source(str(file), text)
    at = 0
    for piece in _PIECE.finditer(text):
        if piece["include"]:
            made.add(text[at : piece.start()], source, at)
            by = source.place(piece.start())
            included = files.found(piece["file"], by)
            if included is None:
                raise MediaError(f"{by}: {piece['file']!r:.80}: there is no such file here")
            _gather(included, files.enter(included, by), files, made)
            files.leave()
            at = piece.end()
        elif piece["comment"] == "/*":
            raise MediaError(f"{source.place(piece.start())}: a comment is not closed")
        elif piece["comment"]:
            made.add(text[at : piece.start()], source, at)
            made.add(re.sub(r"[^\n]", " ", piece[0]), source, piece.start())
            at = piece.end()
        elif piece["point"]:
            made.add(f"{text[at : piece.start()]}0", source, at)  # .5 is a number to Kea
            at = piece.start()
    made.add(text[at:], source, at)


def found_in(file: Path, files: Files) -> Found:
    """What *file* and its includes say.  Raises MediaError and OSError."""
    text = gathered(file, files)
    try:
        document = relaxedjson.decode(text.text.encode("utf-8", "replace"), str(file))
    except ConfigErrors as problem:
        raise MediaError(_told(problem, text)) from None
    top = document.value
    dhcp = top.get("Dhcp4") if isinstance(top, Object) else None
    if not isinstance(dhcp, Object):
        raise MediaError(f'{file}: there is no object "Dhcp4" in it')
    reading = _Reading(text)
    assert isinstance(top, Object)
    for section in top:
        if section in ("Dhcp6", "DhcpDdns"):
            why = IPV6 if section == "Dhcp6" else NAMES
            reading.found.leave(text.place(top.offsets[section]), section, why)
    reading.all_of(dhcp)
    return reading.found


def _told(problem: ConfigErrors, text: Text) -> str:
    """What is wrong, with the place in the file that was written."""
    finding = problem.findings[0]
    source = Source("", text.text)
    offset = source.line_starts[finding.place.line - 1] + finding.place.column - 1
    return f"{text.place(offset)}: {finding.text}"


class _Reading:
    """What is inside counts over what is around it."""

    def __init__(self, text: Text) -> None:
        self.found = Found(TITLE)
        self._text = text

    def all_of(self, dhcp: Object) -> None:
        """``Dhcp4``: what holds for all, the networks, and the reservations that are in none."""
        settings: dict[str, Any] = {}
        self._take(dhcp, settings)
        options = self._options(dhcp)
        for shared in _objects(dhcp.get("shared-networks")):
            inner = {**settings, "shared_network": str(shared.get("name", "shared"))}
            self._take(shared, inner)
            nearer = [*self._options(shared), *options]
            for subnet in _objects(shared.get("subnet4")):
                self._subnet(subnet, inner, nearer)
        for subnet in _objects(dhcp.get("subnet4")):
            self._subnet(subnet, settings, options)
        self._hosts(dhcp)
        if dhcp.get("client-classes"):
            self.found.leave(self._place(dhcp, "client-classes"), "client-classes", CLASSES)
        if dhcp.get("hooks-libraries"):
            of_two = "libdhcp_ha" in str(dhcp["hooks-libraries"])
            what, why = ("high availability", FAILOVER) if of_two else ("hooks-libraries", SERVER)
            self.found.leave(self._place(dhcp, "hooks-libraries"), what, why)
        if "hosts-database" in dhcp or "hosts-databases" in dhcp:
            key = "hosts-database" if "hosts-database" in dhcp else "hosts-databases"
            self.found.leave(self._place(dhcp, key), key, "reservations in a database are not read")

    def _take(self, holder: Object, settings: dict[str, Any]) -> None:
        """The settings that are keys of a subnet here; those that cannot be are noted."""
        for key, value in holder.items():
            if key in _TIMES:
                try:
                    settings[_TIMES[key]] = seconds(str(value))
                except ValueError as problem:
                    self.found.leave(self._place(holder, key), key, str(problem))
            elif key in _FLAGS and isinstance(value, bool):
                settings[_FLAGS[key]] = value
            elif key in _LEFT and key != "client-classes" and _says(value):
                self.found.leave(self._place(holder, key), key, _LEFT[key])

    def _options(self, holder: Object) -> list[Given]:
        """``option-data``, of which the last of a kind counts."""
        made = []
        for entry in _objects(holder.get("option-data")):
            place = self._text.place(entry.offset)
            space = entry.get("space", "dhcp4")
            option = entry.get("code", entry.get("name"))
            if space != "dhcp4" or "client-classes" in entry or entry.get("never-send") is True:
                why = CLASSES if space == "dhcp4" else "spaces of other options are not translated"
                self.found.leave(place, f"option {entry.get('name', option)}", why)
            elif option is None or "data" not in entry:
                self.found.leave(place, f"option {option or ''}", "it has no data, or no name")
            else:
                made.append(Given(str(option), _values(entry), place))
        return list(reversed(made))

    def _subnet(self, subnet: Object, outer: dict[str, Any], options: list[Given]) -> None:
        place = self._text.place(subnet.offset)
        try:
            network = IPv4Network(str(subnet.get("subnet")), strict=False)
        except ValueError:
            self.found.leave(place, f"subnet {subnet.get('subnet')!r:.40}", "it is no IPv4 network")
            return
        settings = dict(outer)
        self._take(subnet, settings)
        time = settings.setdefault("lease_time", _ITS_LEASE_TIME)
        for bound in ("min_lease_time", "max_lease_time"):  # Kea gives no other time unasked
            settings.setdefault(bound, time)
        made = Network(place=place, network=network, settings=settings)
        made.options = [*self._options(subnet), *options]
        self.found.networks.append(made)
        for pool in _objects(subnet.get("pools")):
            self._pool(pool, made, closed="client-class" in subnet or "client-classes" in subnet)
        self._hosts(subnet)

    def _pool(self, pool: Object, network: Network, *, closed: bool) -> None:
        place = self._text.place(pool.offset)
        text = str(pool.get("pool", ""))
        if closed or {"client-class", "client-classes"} & pool.keys():
            self.found.leave(place, f"pool {text}", CLASSES)
            return
        if pool.get("option-data"):
            why = "netbootd has options for subnets, not for pools"
            self.found.leave(place, f"options of pool {text}", why)
        try:
            first, last = _bounds(text)
            if first not in network.network or last not in network.network:
                raise ValueError("it lies outside its subnet")
            network.pool(first, last)
        except ValueError as problem:
            self.found.leave(place, f"pool {text:.60}", str(problem))

    def _hosts(self, holder: Object) -> None:
        for entry in _objects(holder.get("reservations")):
            host = Host(place=self._text.place(entry.offset))
            if told := _identify(entry, host):
                self.found.leave(host.place, f"reservation {_called(entry)}", told)
                continue
            host.hostname = self.found.hostname(str(entry.get("hostname", "")), host.place)
            if address := names.address(str(entry.get("ip-address", ""))):
                host.addresses = (address,)
            host.options = self._options(entry)
            for key in entry.keys() & _LEFT.keys():
                if _says(entry[key]):
                    self.found.leave(host.place, key, _LEFT[key])
            self.found.hosts.append(host)

    def _place(self, holder: Object, key: str) -> Place:
        return self._text.place(holder.offsets[key])


def _objects(value: Any) -> Iterator[Object]:
    """The objects of an array; whatever else stands there is none."""
    if isinstance(value, Array):
        yield from (one for one in value if isinstance(one, Object))


def _says(value: Any) -> bool:
    """Whether a key is more than a blank of a form."""
    return value not in ("", "0.0.0.0", None) and value != []


def _called(entry: Object) -> str:
    return str(entry.get("hostname") or entry.get("ip-address") or "")[:60]


def _identify(entry: Object, host: Host) -> str:
    """Take who a reservation is for; why it cannot be taken, or nothing."""
    if "hw-address" in entry:
        text = str(entry["hw-address"])
        mac = names.mac(text)
        if mac is None:
            return names.no_mac(text)
        host.macs = (mac,)
    elif "client-id" in entry:
        host.client_id = _quoted(str(entry["client-id"]))
        if not host.client_id:
            return "its client-id is no bytes in hexadecimal"
    elif "circuit-id" in entry:
        text = str(entry["circuit-id"])
        host.circuit_id = text.strip("'") if text.startswith("'") else _as_text(text)
        if not host.circuit_id:
            return "its circuit-id is no bytes in hexadecimal"
    else:
        known = (why for key, why in _IDENTIFIERS.items() if key in entry)
        return next(known, "nothing there tells which machine it is")
    return ""


def _quoted(text: str) -> str:
    """Bytes in hexadecimal, or of a text in single quotes, as Kea has identifiers."""
    if text.startswith("'"):
        return text.strip("'").encode().hex(":")
    return names.octets(text)


def _as_text(text: str) -> str:
    found = names.octets(text)
    return marks.spelt(bytes.fromhex(found.replace(":", ""))) if found else ""


def _values(entry: Object) -> tuple[str, ...]:
    """
    Its data between commas, a backslash keeping one; with ``csv-format`` false it is bytes.
    """
    data = entry["data"]
    text = data if isinstance(data, str) else str(data)
    if entry.get("csv-format") is False:
        if text.startswith("'"):
            return ("0x" + text.strip("'").encode().hex(),)
        found = names.octets(text)
        return ("0x" + found.replace(":", ""),) if found else (text,)
    if re.fullmatch(r"[0-9A-Fa-f]{2}(?: [0-9A-Fa-f]{2})+", text):
        return ("0x" + text.replace(" ", ""),)
    parts = re.split(r"(?<!\\),", text)
    return tuple(part.replace("\\,", ",").strip() for part in parts)


def _bounds(text: str) -> tuple[IPv4Address, IPv4Address]:
    """``10.1.0.10 - 10.1.0.20``, or ``10.1.0.0/28``; raises ValueError."""
    if "/" in text:
        network = IPv4Network(text.strip(), strict=False)
        return network.network_address, network.broadcast_address
    low, dash, high = text.partition("-")
    first, last = IPv4Address(low.strip()), IPv4Address(high.strip())
    if not dash or last < first:
        raise ValueError("its end is below its start")
    return first, last
