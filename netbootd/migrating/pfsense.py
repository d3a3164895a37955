"""
``config.xml`` of pfSense and OPNsense: the DHCP server of each interface with its static maps, and
what OPNsense has besides: Kea's subnets and reservations, and the hosts and ranges of dnsmasq.

Both firewalls name themselves as router, and often as DNS server, where nothing is written: that
is written out here, since it would be somebody else after the change.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from ipaddress import IPv4Network
from pathlib import Path

from netbootd.migrating import names
from netbootd.migrating.files import Files
from netbootd.migrating.found import (
    BOOTING,
    CLASSES,
    FAILOVER,
    IPV6,
    NAMES,
    Found,
    Given,
    Host,
    Network,
    seconds,
    typed,
)
from netbootd.migrating.xmltree import Element, parse

ROOTS = {"pfsense": "pfSense", "opnsense": "OPNsense"}
#: An element of a server or a static map, and the option that it is.
_OPTIONS = {
    "dnsserver": "6",
    "ntpserver": "42",
    "winsserver": "44",
    "domainsearchlist": "119",
    "tftp": "66",
    "rootpath": "17",
    "interface_mtu": "26",
}
_TIMES = {"defaultleasetime": "lease_time", "maxleasetime": "max_lease_time"}
#: Seconds of a lease where the form is left blank.
_ITS_LEASE_TIME, _ITS_LEASE_TIME_BY_DNSMASQ = 7200, 86400
_ARP = "entries of ARP tables are the firewall's"
_LEFT = {
    **dict.fromkeys(("nextserver", "next-server", "filename", "filename32"), BOOTING),
    **dict.fromkeys(("filename64", "filename32arm", "filename64arm", "bootfilename"), BOOTING),
    **dict.fromkeys(("uefihttpboot", "filenameipxe"), BOOTING),
    **dict.fromkeys(("ddnsdomain", "ddnsupdate"), NAMES),
    **dict.fromkeys(("mac_allow", "mac_deny"), CLASSES),
    "failover_peerip": FAILOVER,
    "ldap": "there is no option of RFC 2132 for it",
}
#: What OPNsense calls an option of Kea's.
_KEA_OPTIONS = {
    "domain_name_servers": "6",
    "domain_search": "119",
    "routers": "3",
    "static_routes": "33",
    "classless_static_route": "121",
    "domain_name": "15",
    "ntp_servers": "42",
    "time_servers": "4",
    "tftp_server_name": "66",
    "boot_file_name": "67",
    "v6_only_preferred": "108",
}


def found_in(file: Path, files: Files) -> Found:
    """What *file* says.  Raises MediaError and OSError."""
    root = parse(files.begin(file), file)
    reading = _Reading(root, Found(f"{ROOTS.get(root.name, 'pfSense')} config.xml"))
    reading.servers()
    if (newer := root.child("dhcpdv6")) is not None and newer.children:
        reading.found.leave(newer.place, "dhcpdv6", IPV6)
    reading.kea()
    reading.dnsmasq()
    return reading.found


class _Reading:
    """The whole document, since a server has its network from the interface of its name."""

    def __init__(self, root: Element, found: Found) -> None:
        self._root = root
        self.found = found

    # -- dhcpd -------------------------------------------------------------------------------------

    def servers(self) -> None:
        """``dhcpd``: one element for each interface; hosts stay even where it is switched off."""
        section = self._root.child("dhcpd")
        for server in section.children if section else ():
            network = self._network(server)
            if network is not None and (server.child("enable") is not None):
                self._server(server, network)
            elif server.children and network is None:
                why = f"interface {server.name} has no address of its own in this file"
                self.found.leave(server.place, f"dhcpd of {server.name}", why)
            elif server.child("range", "from") is not None:
                self.found.leave(server.place, f"dhcpd of {server.name}", "it is switched off")
            for entry in server.all("staticmap"):
                self._static(entry)

    def _network(self, server: Element) -> IPv4Network | None:
        address, length = self._address(server.name)
        try:
            return IPv4Network(f"{address}/{length}", strict=False) if address else None
        except ValueError:
            return None

    def _address(self, interface: str) -> tuple[str, str]:
        """Its own address, and the bits of its network; empty where it has none."""
        found = self._root.child("interfaces", interface)
        address = found.say("ipaddr") if found else ""
        if not found or names.address(address) is None:
            return "", ""
        return address, found.say("subnet") or "32"

    def _server(self, server: Element, network: IPv4Network) -> None:
        made = Network(place=server.place, network=network)
        descr = self._root.say("interfaces", server.name, "descr")
        made.remarks.append(f"Interface {server.name}{f' ({descr})' if descr else ''}.")
        self.found.networks.append(made)
        for holder in (server, *server.all("pool")):
            bounds = holder.child("range")
            if bounds is not None and bounds.children:
                match = {"listed": True} if _is_set(holder, "denyunknown") else {}
                self._pool(bounds, made, match)
        if _is_set(server, "staticarp"):
            self.found.leave(server.place, "staticarp", _ARP)
        for pool in server.all("pool"):
            if any(pool.say(key) for key in (*_OPTIONS, "gateway", "domain", *_TIMES)):
                why = "netbootd has options for subnets, not for pools"
                self.found.leave(pool.place, "options of a pool", why)
        made.settings["lease_time"] = _ITS_LEASE_TIME
        for key, name in _TIMES.items():
            if text := server.say(key):
                try:
                    made.settings[name] = seconds(text)
                except ValueError as problem:
                    self.found.leave(server.place, key, str(problem))
        made.options = [*self._options(server), *self._by_itself(server)]

    def _pool(self, bounds: Element, network: Network, match: dict[str, bool]) -> None:
        first, last = names.address(bounds.say("from")), names.address(bounds.say("to"))
        if first is None or last is None or last < first:
            why = "it is no range of two addresses"
            self.found.leave(bounds.place, "range", why)
        elif first not in network.network or last not in network.network:
            self.found.leave(bounds.place, f"range {first}-{last}", "it lies outside its subnet")
        else:
            network.pool(first, last, **match)

    def _options(self, holder: Element) -> list[Given]:
        """What a server or a static map gives its clients."""
        made: list[Given] = []
        for name, option in _OPTIONS.items():
            values = [v for child in holder.all(name) for v in _several(child.text)]
            if values:
                place = next(holder.all(name)).place
                made.append(Given(option, tuple(values), place))
        gateway = holder.child("gateway")
        if gateway is not None and names.address(gateway.text):
            made.append(Given("3", (gateway.text,), gateway.place))
        if domain := holder.say("domain"):
            made.append(Given("15", (domain,), holder.place))
        for item in (i for numbered in holder.all("numberoptions") for i in numbered.all("item")):
            if item.say("number"):
                made.append(Given(item.say("number"), _numbered(item), item.place))
        for child in holder.children:
            if child.name in _LEFT and (child.text or child.name == "ddnsupdate"):
                self.found.leave(child.place, child.name, _LEFT[child.name])
        return made

    def _by_itself(self, server: Element) -> list[Given]:
        """What the firewall says where nothing is written: itself, mostly."""
        own, _ = self._address(server.name)
        made = []
        if server.say("gateway").lower() != "none":
            made.append(Given("3", (own,), server.place))
        resolves = any(
            self._root.child(name, word) is not None
            for name in ("unbound", "dnsmasq")
            for word in ("enable", "enabled")
        )
        dns = [own] if resolves else [one.text for one in self._system("dnsserver")]
        if any(names.address(one) for one in dns):
            made.append(Given("6", tuple(one for one in dns if names.address(one)), server.place))
        if domain := self._root.say("system", "domain"):
            made.append(Given("15", (domain,), server.place))
        return made

    def _system(self, name: str) -> list[Element]:
        system = self._root.child("system")
        return list(system.all(name)) if system else []

    def _static(self, entry: Element) -> None:
        host = Host(place=entry.place, remark=entry.say("descr"))
        host.hostname = self.found.hostname(entry.say("hostname"), entry.place)
        written = entry.say("mac")
        if mac := names.mac(written) if written else None:
            host.macs = (mac,)
        if text := entry.say("cid"):
            host.client_id = names.client_id(text)
        if not host.macs and not host.client_id:
            why = names.no_mac(written) if written else "nothing tells which machine it is"
            self.found.leave(entry.place, f"staticmap {written:.40}".strip(), why)
            return
        if address := names.address(entry.say("ipaddr")):
            host.addresses = (address,)
        if _is_set(entry, "arp_table_static_entry"):
            self.found.leave(entry.place, "arp_table_static_entry", _ARP)
        host.options = self._options(entry)
        if not host.hostname and not host.addresses and not host.options:
            why = "it has neither a name nor an address"
            self.found.leave(entry.place, f"staticmap {written:.40}".strip(), why)
            return
        self.found.hosts.append(host)

    # -- OPNsense ----------------------------------------------------------------------------------

    def kea(self) -> None:
        """``OPNsense/Kea/dhcp4``."""
        section = self._root.child("OPNsense", "Kea", "dhcp4")
        if section is None:
            return
        lifetime = section.say("general", "valid_lifetime")
        subnets = section.child("subnets")
        for subnet in subnets.all("subnet4") if subnets else ():
            self._kea_subnet(subnet, lifetime)
        reservations = section.child("reservations")
        for entry in reservations.all("reservation") if reservations else ():
            host = Host(place=entry.place, remark=entry.say("description"))
            self._opnsense_host(entry, host, "hw_address", "ip_address", entry.say("hostname"))

    def _kea_subnet(self, subnet: Element, lifetime: str) -> None:
        try:
            network = IPv4Network(subnet.say("subnet"), strict=False)
        except ValueError:
            why = "it is no IPv4 network"
            self.found.leave(subnet.place, f"subnet {subnet.say('subnet'):.40}", why)
            return
        made = Network(place=subnet.place, network=network)
        self.found.networks.append(made)
        if text := subnet.say("valid_lifetime") or lifetime:
            try:
                made.settings["lease_time"] = seconds(text)
            except ValueError as problem:
                self.found.leave(subnet.place, "valid_lifetime", str(problem))
        for text in subnet.say("pools").split():
            if "-" in text or "/" in text:
                self._kea_pool(text, made, subnet)
        made.options = self._kea_options(subnet)

    def _kea_pool(self, text: str, network: Network, subnet: Element) -> None:
        low, _, high = text.partition("-")
        first, last = names.address(low), names.address(high)
        if "/" in text:
            try:
                net = IPv4Network(text, strict=False)
            except ValueError:
                net = None
            if net is not None:
                first, last = net.network_address, net.broadcast_address
        if first is None or last is None or last < first or last not in network.network:
            self.found.leave(subnet.place, f"pool {text:.60}", "it is no range of this subnet")
        else:
            network.pool(first, last)

    def _kea_options(self, subnet: Element) -> list[Given]:
        section = subnet.child("option_data")
        made = []
        for child in section.children if section else ():
            if child.text and child.name in _KEA_OPTIONS:
                values = _several(child.text)
                made.append(Given(_KEA_OPTIONS[child.name], tuple(values), child.place))
        return made

    def dnsmasq(self) -> None:
        """``dnsmasq`` of OPNsense: hosts that have a card or an identifier, and ranges."""
        section = self._root.child("dnsmasq")
        for entry in section.all("hosts") if section else ():
            if entry.say("hwaddr") or entry.say("client_id"):
                host = Host(place=entry.place, remark=entry.say("descr"))
                self._opnsense_host(entry, host, "hwaddr", "ip", entry.say("host"))
        for entry in section.all("dhcp_ranges") if section else ():
            self._dnsmasq_range(entry)

    def _dnsmasq_range(self, entry: Element) -> None:
        network = self._network(Element(entry.say("interface"), {}, entry.place))
        first, last = names.address(entry.say("start_addr")), names.address(entry.say("end_addr"))
        if first is None:
            return  # of IPv6
        if network is None or last is None or first not in network or last not in network:
            why = "it lies in no network of its interface"
            self.found.leave(entry.place, f"range from {first}", why)
            return
        known = (one for one in self.found.networks if one.network == network)
        made = next(known, None)
        if made is None:
            made = Network(place=entry.place, network=network)
            made.options = self._by_itself(Element(entry.say("interface"), {}, entry.place))
            time = entry.say("lease_time")
            with contextlib.suppress(ValueError):
                made.settings["lease_time"] = seconds(time) if time else _ITS_LEASE_TIME_BY_DNSMASQ
            self.found.networks.append(made)
        made.pool(first, last)

    def _opnsense_host(
        self, entry: Element, host: Host, card: str, address: str, hostname: str
    ) -> None:
        host.macs = tuple(m for text in _several(entry.say(card)) if (m := names.mac(text)))
        host.hostname = self.found.hostname(hostname, entry.place)
        if not host.macs and entry.say("client_id"):
            host.client_id = names.client_id(entry.say("client_id"))
        found = (names.address(text) for text in _several(entry.say(address)))
        host.addresses = tuple(one for one in found if one is not None)
        if host.macs or host.client_id:
            self.found.hosts.append(host)
        else:
            why = names.no_mac(entry.say(card))
            self.found.leave(entry.place, f"reservation {entry.say(card):.40}", why)


def _is_set(holder: Element, name: str) -> bool:
    """Whether a box of the form is ticked: the element is there, and does not say otherwise."""
    found = holder.child(name)
    return found is not None and found.text not in ("disabled", "0")


def _several(text: str) -> list[str]:
    """What commas, semicolons or blanks part, as these forms have lists."""
    return [part for part in text.replace(",", " ").replace(";", " ").split() if part]


def _numbered(item: Element) -> tuple[str, ...]:
    """An option by its number: text in base64, of a type that pfSense names."""
    text = item.say("value")
    with contextlib.suppress(binascii.Error, UnicodeDecodeError):  # old versions have it as it is
        text = base64.b64decode(text, validate=True).decode("utf-8")
    kind = item.say("type").lower()
    text = text.strip().strip('"')
    if kind == "text":
        return (text,)
    if kind == "string" and (found := names.octets(text)) and ":" in text:
        return ("0x" + found.replace(":", ""),)
    return typed(kind, tuple(part.strip() for part in text.split(",")))
