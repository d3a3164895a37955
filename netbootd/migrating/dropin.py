"""
A drop-in made of what was found: text to read, change and keep.

Whatever the present configuration has already is left to it, and what was not taken stands above as
comments, with the lines of the file it came from.  The text is loaded together with the present
configuration, as ``check`` would, and an entry that would be refused is taken out and named.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from netbootd.errors import Place
from netbootd.migrating.found import Found, Holder, Host, Left, Network, settle
from netbootd.printable import counted, printable
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry

_WIDTH = 98
#: Places that a reason names, and leases that are told.
_MOST_PLACES, _MOST_HOLDERS = 12, 1000
_SAME_AS_DEFAULT = {
    "authoritative": True,
    "probe": True,
    "bootp": False,
    "rapid_commit": False,
    "match_client_id": False,
}
#: The bounds of a lease where nothing is said, seconds (``addressing.LeaseTimes``).
_LEAST, _MOST = 300, 86400
_NOT_BOOTED = (
    "There is no machines.default and no --group to say what these machines boot: with "
    '"enabled" : false they boot their own disks, and get their addresses all the same.'
)
#: Keys of a subnet, in the order in which they are read best.
_ORDER = (
    *("dhcp", "shared_network", "pools", "router", "dns", "domain", "search", "ntp", "mtu"),
    *("routes", "lease_time", "min_lease_time", "max_lease_time", "options"),
)


@dataclass(slots=True, eq=False)
class Entry:
    """One entry of *section*; *remarks* stand above it."""

    section: str
    key: str
    values: dict[str, Any]
    place: Place
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """*server*: subnets give addresses; *group* is that of all machines; *reserve* takes leases."""

    server: bool = False
    group: str = ""
    reserve: bool = False


@dataclass(slots=True)
class Page:
    """A drop-in as text; each line knows whose it is, and which key of that."""

    lines: list[str] = field(default_factory=list)
    owners: list[tuple[Entry, str] | None] = field(default_factory=list)

    def add(self, line: str, entry: Entry | None = None, key: str = "") -> None:
        """One more line."""
        self.lines.append(line)
        self.owners.append((entry, key) if entry else None)

    def comment(self, text: str, indent: str = "", hanging: str = "") -> None:
        """A comment of as many lines as it needs."""
        for line in textwrap.wrap(
            printable(text, 4000),
            _WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# {hanging}",
            break_long_words=False,
            break_on_hyphens=False,
        ):
            self.add(line)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n"


class Made:
    """
    The entries that are to be written; *same* counts what the configuration says already.

    *registry* is the present one, None where there is none.
    """

    def __init__(self, found: Found, registry: Registry | None, wanted: Wanted) -> None:
        self.found = found
        self.same = 0
        self._registry = registry
        self._wanted = wanted
        self._seen: dict[object, Entry] = {}
        if wanted.reserve:
            found.hosts += _as_hosts(found)
        self.subnets = [one for network in found.networks for one in self._subnet(network)]
        self.machines = [one for host in _merged(found) for one in self._machine(host)]
        if any("enabled" in one.values for one in self.machines):
            found.remarks.append(_NOT_BOOTED)

    @property
    def entries(self) -> list[Entry]:
        """All, in the order in which they stand."""
        return [*self.subnets, *self.machines]

    def without(self, entry: Entry, key: str, why: str) -> None:
        """Take *key* out of an entry, or all of it where that is no key of it."""
        what = f"{entry.section} {entry.key}"
        if key in entry.values and key not in ("mac", "macs", "client_id", "circuit_id"):
            del entry.values[key]
            what += f', "{key}"'
        else:
            (self.subnets if entry in self.subnets else self.machines).remove(entry)
        self.found.leave(entry.place, what, why)

    # -- subnets -----------------------------------------------------------------------------------

    def _subnet(self, network: Network) -> Iterator[Entry]:
        found = self.found
        where = network.network
        if where in self._seen:
            told = f"{where} stands at {_line(self._seen[where].place)} already"
            found.leave(network.place, f"subnet {where}", told)
            return
        values = self._subnet_values(network)
        entry = Entry("subnets", str(where), values, network.place, list(network.remarks))
        self._seen[where] = entry
        if (listed := self._listed_subnet(where)) is not None:
            told = f"{listed} is listed already; what it would say is {_json(values)}"
            found.leave(network.place, f"subnet {where}", told)
            return
        if wider := self._wider(where):
            entry.remarks.append(
                f"The configuration has {wider} around it: what that says no longer holds here."
            )
        yield entry

    def _subnet_values(self, network: Network) -> dict[str, Any]:
        made = {**network.settings, **settle(network.options, self.found, network.network)}
        if network.pools:
            made["pools"] = network.pools
        shared = Counter(one.settings.get("shared_network") for one in self.found.networks)
        if shared[made.get("shared_network")] < 2:
            made.pop("shared_network", None)
        for key, value in _SAME_AS_DEFAULT.items():
            if made.get(key) is value:
                del made[key]
        _in_bounds(made)
        if self._wanted.server:
            made.setdefault("dhcp", "server")
        return {key: made[key] for key in (*_ORDER, *made) if key in made}

    def _listed_subnet(self, where: IPv4Network) -> str | None:
        subnets = self._registry.subnets if self._registry else ()
        return next((one.name for one in subnets if one.network == where), None)

    def _wider(self, where: IPv4Network) -> str:
        """The narrowest subnet of the configuration that *where* is a part of."""
        subnets = self._registry.subnets if self._registry else ()
        around = [
            one.network
            for one in subnets
            if isinstance(one.network, IPv4Network) and where.subnet_of(one.network)
        ]
        return str(max(around, key=lambda one: one.prefixlen)) if around else ""

    # -- machines ----------------------------------------------------------------------------------

    def _machine(self, host: Host) -> Iterator[Entry]:
        address = self._address(host)
        values: dict[str, Any] = {}
        if host.hostname:
            values["hostname"] = host.hostname
        if address is not None:
            values["ip"] = str(address)
        if host.remark:
            values["label"] = printable(host.remark)
        key = self._identify(host, values)
        if given := settle(host.options, self.found, None).get("options"):
            values["dhcp_options"] = given
        if self._wanted.group:
            values["group"] = self._wanted.group
        elif self._registry is not None and self._registry.default is None:
            values["enabled"] = False
        entry = Entry("machines", key, values, host.place)
        if told := self._taken(entry, host, address):
            if told != "same":
                self.found.leave(host.place, f"host {host.title}", told)
            return
        for mark in (*host.macs, address, key):
            if mark is not None:
                self._seen[mark] = entry
        yield entry

    def _identify(self, host: Host, values: dict[str, Any]) -> str:
        """The key of an entry, and further marks of the machine into *values*."""
        if host.macs:
            if len(host.macs) > 1:
                values["macs"] = [str(mac) for mac in host.macs[1:]]
            return str(host.macs[0])
        if host.client_id:
            values["client_id"] = host.client_id
        if host.circuit_id:
            values["circuit_id"] = host.circuit_id
        name = host.hostname or next((f"at-{one}" for one in host.addresses), "")
        return name or f"{host.client_id or host.circuit_id}"

    def _address(self, host: Host) -> IPv4Address | None:
        """The one that it gets: a machine has one address here."""
        known = [one for one in host.addresses if self.found.holding(one)]
        chosen = next(iter([*known, *host.addresses]), None)
        for other in host.addresses:
            if other != chosen:
                told = f"a machine has one address here; it gets {chosen}"
                self.found.leave(host.place, f"{host.title}: {other}", told)
        return chosen

    def _taken(self, entry: Entry, host: Host, address: IPv4Address | None) -> str:
        """Why it cannot be listed beside what is; ``same`` where it is as it would be."""
        for mark in (*host.macs, address, entry.key):
            if mark is not None and (before := self._seen.get(mark)) is not None:
                if before.values == entry.values and before.key == entry.key:
                    return "same"
                return f"{mark} stands at {_line(before.place)} already"
        registry = self._registry
        if registry is None:
            return ""
        for mac in host.macs:
            if (machine := registry.machines.get(mac)) is not None:
                return self._listed(machine, str(mac), entry, address)
        if entry.key in registry.named:
            return self._listed(registry.named[entry.key], entry.key, entry, address)
        if host.client_id and (machine := registry.by_mark("client_id", host.client_id)):
            return self._listed(machine, host.client_id, entry, address)
        if address is not None and (machine := _holder(registry, address)) is not None:
            return f"{address} is that of {machine.key} at {machine.place}"
        return ""

    def _listed(
        self, machine: Machine, mark: str, entry: Entry, address: IPv4Address | None
    ) -> str:
        """What to do where a machine is listed already."""
        if address is None or machine.variables.get("ip") == str(address):
            self.same += 1
            return "same"
        written = machine.variables.get("ip")
        there = f", with the address {written}, not {address}" if written else ""
        return f'{mark} is listed at {machine.place}{there}: write "ip" : "{address}" there'


def page_of(made: Made, source: str) -> Page:
    """The text of *made*; *source* is the file's name, for the first line."""
    page = Page()
    found = made.found
    machines, subnets = len(made.machines), len(made.subnets)
    what = f"{counted(machines, 'machine')}, {counted(subnets, 'subnet')}"
    page.comment(f"Made by netbootd import of {source}, {found.title}: {what}.")
    for remark in found.remarks:
        page.comment(remark)
    _holders(found, made, page)
    _left(found.left, page)
    page.add("{")
    if made.subnets:
        if not any(one.values.get("dhcp") == "server" for one in made.subnets):
            page.comment(
                'Addresses are not given yet: "dhcp" : "server" in a subnet does that, for all of '
                "them netbootd import --server.  Switch the other server off first.",
                "   ",
            )
        _section("subnets", made.subnets, page)
    if made.machines:
        _section("machines", made.machines, page)
    page.add("}")
    return page


def _section(name: str, entries: list[Entry], page: Page) -> None:
    page.add(f'   "{name}" : {{')
    for entry in entries:
        for remark in entry.remarks:
            page.comment(remark, "      ")
        if name == "machines":
            inside = ", ".join(f'"{key}" : {_json(value)}' for key, value in entry.values.items())
            page.add(f"      {_json(entry.key)} : {{ {inside} }},", entry)
        else:
            _wide(entry, page)
    page.add("   },")


def _wide(entry: Entry, page: Page) -> None:
    """An entry with a line for each key."""
    page.comment(_line(entry.place), "      ")
    page.add(f"      {_json(entry.key)} : {{", entry)
    for key, value in entry.values.items():
        if isinstance(value, (list, dict)) and len(_json(value)) > _WIDTH - 30:
            _long(entry, key, value, page)
        else:
            page.add(f'         "{key}" : {_json(value)},', entry, key)
    page.add("      },", entry)


def _long(entry: Entry, key: str, value: list[Any] | dict[str, Any], page: Page) -> None:
    opener, closer = ("[", "]") if isinstance(value, list) else ("{", "}")
    page.add(f'         "{key}" : {opener}', entry, key)
    items: Iterable[str] = (
        (_json(one) for one in value)
        if isinstance(value, list)
        else (f"{_json(name)} : {_json(one)}" for name, one in value.items())
    )
    for item in items:
        page.add(f"            {item},", entry, key)
    page.add(f"         {closer},", entry, key)


def _holders(found: Found, made: Made, page: Page) -> None:
    """Leases as comments, where they are not to be machines."""
    if not found.holders or made.found.hosts:
        return
    page.comment(
        "Leases are not reservations: who has one gets its address again from netbootd when it "
        "renews, as long as nobody else has it.  netbootd import --reserve lists them as machines."
    )
    for one in found.holders[:_MOST_HOLDERS]:
        who = one.mac or one.client_id or "?"
        name = f" {one.hostname}" if one.hostname else ""
        until = f", until {one.until}" if one.until else ""
        page.comment(f"  {one.address} {who}{name}{until}")
    if len(found.holders) > _MOST_HOLDERS:
        page.comment(f"  and {len(found.holders) - _MOST_HOLDERS} more")


def _left(left: list[Left], page: Page) -> None:
    """What is not taken, by the reason."""
    if not left:
        return
    reasons: dict[str, list[Left]] = {}
    for one in left:
        reasons.setdefault(one.why, []).append(one)
    page.comment("Not taken over:")
    for why, ones in reasons.items():
        shown = ", ".join(f"{one.what} ({_line(one.place)})" for one in ones[:_MOST_PLACES])
        more = f" and {len(ones) - _MOST_PLACES} more" if len(ones) > _MOST_PLACES else ""
        page.comment(f"  {shown}{more}: {why}", hanging="    ")


def _line(place: Place) -> str:
    """A place as comments have it: the line is enough."""
    return f"{Path(place.file).name}:{place.line}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_hosts(found: Found) -> list[Host]:
    """The leases as reservations."""
    made = []
    for one in found.holders:
        if one.mac is None and not one.client_id:
            found.leave(one.place, f"lease {one.address}", "nothing there tells whose it is")
        else:
            made.append(_as_host(one))
    return made


def _as_host(one: Holder) -> Host:
    return Host(
        place=one.place,
        macs=(one.mac,) if one.mac else (),
        client_id=one.client_id,
        hostname=one.hostname,
        addresses=(one.address,),
    )


def _merged(found: Found) -> list[Host]:
    """The hosts; two of one name and address are the cards of one machine."""
    made: dict[object, Host] = {}
    for host in found.hosts:
        same = (host.hostname, host.addresses)
        before = made.get(same) if all(same) and host.macs else None
        alike = before is not None and (not host.options or before.options == host.options)
        if before is not None and before.macs and alike:
            before.macs = tuple(dict.fromkeys((*before.macs, *host.macs)))
        else:
            made[same if all(same) and same not in made else id(host)] = host
    return list(made.values())


def _holder(registry: Registry, address: IPv4Address) -> Machine | None:
    """The machine that *address* is written for."""
    return registry.reserved.get(address)


def _in_bounds(values: dict[str, Any]) -> None:
    """
    Bounds that hold the lease time.  Other servers take one that lies outside; who there says no
    bounds has none, and here the usual ones.
    """
    time = values.get("lease_time")
    if time is None:
        return
    if time > values.get("max_lease_time", _MOST):
        if "max_lease_time" in values:
            values["lease_time"] = time = values["max_lease_time"]
        else:
            values["max_lease_time"] = time
    if time < values.get("min_lease_time", _LEAST):
        if "min_lease_time" in values:
            values["lease_time"] = values["min_lease_time"]
        else:
            values["min_lease_time"] = time
