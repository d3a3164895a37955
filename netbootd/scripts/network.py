"""
A machine's ``interfaces`` as the files of its network manager.

Written from systemd.network(5), systemd.netdev(5), interfaces(5), the netplan YAML reference,
nm-settings-keyfile(5), and for SmartOS https://wiki.smartos.org/managing-nics/ and nictagadm(8).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface
from typing import Any

from netbootd.scripts.interfaces import (
    DHCP,
    VARIABLE,
    Fault,
    Interface,
    has_own_disk,
    in_order,
    read,
)
from netbootd.targets.base import Facts

FORM = "network"
#: Managers that read a gateway only beside an address that is written, and one of a family.
_STATIC_GATEWAYS = ("ifupdown", "networkmanager")
_HEADER = "# Made by netbootd; changes are overwritten.\n"


@dataclass(frozen=True, slots=True)
class Plan:
    """
    *files* by their path, of permissions *mode*; *devices* are to be brought up, in that order.

    The card that booted is not among them.  *vlans* stand on it: they are made with ``ip``, as
    nobody shall manage that card, and no manager puts a VLAN on a card that is not its own.
    *ours* is the shell pattern of all the files that we may have made before.  *tags* are, for
    SmartOS, NIC tags and their cards.  *by_name* are cards that might be the one that booted: it is
    known when the script runs.
    """

    form: str
    files: Mapping[str, str]
    devices: tuple[str, ...] = ()
    vlans: Mapping[str, int] = field(default_factory=dict)
    mode: str = "644"
    ours: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    by_name: tuple[str, ...] = ()


def form_of(facts: Facts) -> str:
    """The network manager: variable ``network``, else what the type of the target has."""
    type_ = facts.target.partition("/")[0]
    return str(facts.variables.get(FORM, "smartos" if type_ == "smartos" else "networkd"))


def plan(facts: Facts) -> Plan:
    """The files for one machine; raises ValueError with the first fault there is."""
    form = form_of(facts)
    for fault in faults(facts):
        if not fault.ignored:
            raise ValueError(": ".join((".".join((VARIABLE, *fault.path)), fault.text)))
    all_ = in_order(read(facts)[0])
    by_name = () if has_own_disk(facts) else _found_by_name(all_, form)
    return replace(FORMS[form](all_), by_name=by_name)


def faults(facts: Facts) -> list[Fault]:
    """Everything that is wrong with ``interfaces``, for the network manager that is to get it."""
    form = form_of(facts)
    if form not in FORMS:
        return [Fault((), f'"{FORM}" must be one of {", ".join(FORMS)}, not "{form}"')]
    interfaces, found = read(facts)
    found += _gateways_in_vain(interfaces, form)
    if form == "smartos":
        return [*found, *_beyond_smartos(interfaces)]
    return [*found, *_perhaps_booting(interfaces, facts)]


def _gateways_in_vain(interfaces: Mapping[str, Interface], form: str) -> Iterator[Fault]:
    """Gateways that the manager would leave out, or fail over."""
    # ifup adds each as the default route, and fails where there is one already.
    one_of_all = form == "ifupdown"
    owners: dict[str, str] = {}
    for one in interfaces.values():
        gateways = () if one.boots else one.gateways
        for family in dict.fromkeys(map(_family, gateways)):
            path, version = (one.name, "gateway"), "IPv6" if family == "inet6" else "IPv4"
            by_dhcp = one.dhcp and family == "inet" and form not in _STATIC_GATEWAYS
            if not by_dhcp and family not in map(_family, one.addresses):
                told = f"there is no {version} address beside it, by which it could be reached"
                yield Fault(path, told)
            elif form in _STATIC_GATEWAYS and [*map(_family, gateways)].count(family) > 1:
                yield Fault(path, f"{form} takes one {version} gateway")
            elif one_of_all and owners.setdefault(family, one.name) != one.name:
                told = f'{form} takes one {version} gateway; "{owners[family]}" has one'
                yield Fault(path, told)


def _found_by_name(all_: Iterable[Interface], form: str) -> tuple[str, ...]:
    """Cards, not known to be the one that booted, whose name alone says which they are."""
    cards = (one for one in all_ if one.kind == "card" and not one.boots)
    return tuple(one.name for one in cards if not one.mac or form == "ifupdown")


def _perhaps_booting(interfaces: Mapping[str, Interface], facts: Facts) -> Iterator[Fault]:
    all_ = interfaces.values()
    cards = [one.name for one in all_ if one.kind == "card" and not one.mac]
    if cards and not has_own_disk(facts) and not any(one.boots for one in all_):
        told = (
            f'none has the "mac" {facts.mac}, of the card the machine boots from: if that is '
            f'"{cards[0]}", nothing will be set up'
        )
        yield Fault((), told, ignored=True)


def _beyond_smartos(interfaces: Mapping[str, Interface]) -> Iterator[Fault]:
    for name, one in interfaces.items():
        if one.kind == "bridge":
            yield Fault((name, "bridge"), "SmartOS has no bridges: VMs stand on a NIC tag")
        elif one.kind == "card" and not one.mac:
            yield Fault((name,), 'a NIC tag of SmartOS needs its card\'s "mac"')
        elif len(one.addresses) + one.dhcp > 1 + any(":" in address for address in one.addresses):
            yield Fault((name, "address"), "SmartOS takes one IPv4 and one IPv6 address")


def _above(one: Interface, all_: Iterable[Interface]) -> Iterator[tuple[str, str]]:
    """What stands on *one*: ``("vlan", "vlan20")``, ``("bond", "bond0")``."""
    for other in all_:
        if one.name in other.below:
            yield other.kind, other.name


def _on_boot_card(one: Interface, all_: Iterable[Interface]) -> bool:
    return any(other.boots and other.name == one.link for other in all_)


def _plan(
    form: str, files: Mapping[str, str], all_: list[Interface], mode: str = "644", ours: str = ""
) -> Plan:
    devices = tuple(one.name for one in all_ if not one.boots)
    vlans = {one.name: one.vlan or 0 for one in all_ if _on_boot_card(one, all_)}
    return Plan(form, files, devices, vlans, mode, ours)


def _ini(*sections: tuple[str, list[tuple[str, Any]]]) -> str:
    """Sections of ``Key=value`` lines; keys of no value and empty sections are left out."""
    written = []
    for title, pairs in sections:
        lines = [f"{key}={value}\n" for key, value in pairs if value not in ("", 0, None)]
        if lines:
            written.append(f"[{title}]\n" + "".join(lines))
    return _HEADER + "\n" + "\n".join(written)


def _networkd(all_: list[Interface]) -> Plan:
    files = {}
    for one in all_:
        if one.boots:
            continue
        stem = f"/etc/systemd/network/10-netbootd-{one.name}"
        if one.kind != "card" and not _on_boot_card(one, all_):
            files[f"{stem}.netdev"] = _netdev(one)
        files[f"{stem}.network"] = _network(one, all_)
    return _plan("networkd", files, all_, ours="/etc/systemd/network/10-netbootd-*")


def _netdev(one: Interface) -> str:
    device = [("Name", one.name), ("Kind", one.kind), ("MACAddress", one.mac)]
    bond = [("Mode", one.mode), ("MIIMonitorSec", "100ms")] if one.kind == "bond" else []
    return _ini(("NetDev", device), ("VLAN", [("Id", one.vlan)]), ("Bond", bond))


def _network(one: Interface, all_: list[Interface]) -> str:
    # A VLAN has the MAC of its card; only the card has that one for good.
    by_mac = one.mac and one.kind == "card"
    match = ("PermanentMACAddress", one.mac) if by_mac else ("Name", one.name)
    own = [
        # Machines on a bridge must reach it with no cable in it.
        ("ConfigureWithoutCarrier", "" if one.kind == "card" else "yes"),
        ("DHCP", "ipv4" if one.dhcp else ""),
        *(("Address", address) for address in one.addresses),
        *(("Gateway", gateway) for gateway in one.gateways),
        *(("DNS", server) for server in one.dns),
    ]
    words = {"vlan": "VLAN", "bond": "Bond", "bridge": "Bridge"}
    above = [(words[kind], name) for kind, name in _above(one, all_)]
    return _ini(("Match", [match]), ("Link", [("MTUBytes", one.mtu)]), ("Network", own + above))


def _ifupdown(all_: list[Interface]) -> Plan:
    """With ``ip`` alone: needs none of the packages vlan, ifenslave and bridge-utils."""
    stanzas = "\n".join(_stanza(one) for one in all_ if not one.boots)
    files = {"/etc/network/interfaces.d/netbootd": f"{_HEADER}\n{stanzas}"}
    return _plan("ifupdown", files, all_)


def _stanza(one: Interface) -> str:
    lines = [f"auto {one.name}"]
    methods = [("inet", DHCP, "")] if one.dhcp else []
    methods += [(_family(address), "static", address) for address in one.addresses]
    for number, (family, method, address) in enumerate(methods or [("inet", "manual", "")]):
        lines.append(f"iface {one.name} {family} {method}")
        lines += [f"    address {address}"] if address else []
        # Else ifup fails on a bridge with no cable in it, where nobody answers for a while.
        lines += ["    dad-attempts 0"] if family == "inet6" else []
        lines += _of_family(one, family, method) if _is_first(methods, number) else []
        lines += _made_by_ip(one) if number == 0 else []
        lines += [f"    up ip link set {one.name} up"] if method == "manual" else []
    return "\n".join(lines) + "\n"


def _is_first(methods: list[tuple[str, str, str]], number: int) -> bool:
    """Whether it is the first stanza of its family: gateways are said once."""
    return not methods or all(methods[number][0] != before[0] for before in methods[:number])


def _of_family(one: Interface, family: str, method: str) -> list[str]:
    if method == "manual":
        return []
    gateways = [gateway for gateway in one.gateways if _family(gateway) == family]
    servers = [server for server in one.dns if _family(server) == family]
    lines = [f"    gateway {gateway}" for gateway in gateways]
    return lines + ([f"    dns-nameservers {' '.join(servers)}"] if servers else [])


def _made_by_ip(one: Interface) -> list[str]:
    name = one.name
    add = {
        "vlan": f"ip link add link {one.link} name {name} type vlan id {one.vlan}",
        "bond": f"ip link add {name} type bond mode {one.mode} miimon 100",
        "bridge": f"ip link add {name} type bridge",
        "card": "",
    }[one.kind]
    made = [f"pre-up [ -e /sys/class/net/{name} ] || {add}"] if add else []
    if one.mac and add:
        made.append(f"pre-up ip link set {name} address {one.mac}")
    made += [f"pre-up ip link set {name} mtu {one.mtu}"] if one.mtu else []
    for member in one.bond or ():  # the kernel takes a device into a bond only while it is down
        made.append(f"pre-up ip link set {member} down")
        made.append(f"pre-up ip link set {member} master {name}")
    for port in one.bridge or ():
        made.append(f"pre-up ip link set {port} master {name}")
        made.append(f"pre-up ip link set {port} up")
    made += [f"post-down ip link delete {name}"] if add else []
    return ["    " + line for line in made]


def _family(address: str) -> str:
    return "inet6" if ":" in address else "inet"


def _netplan(all_: list[Interface]) -> Plan:
    sections: dict[str, dict[str, Any]] = {}
    words = {"card": "ethernets", "vlan": "vlans", "bond": "bonds", "bridge": "bridges"}
    for one in all_:
        if not one.boots:
            kind = "card" if _on_boot_card(one, all_) else one.kind
            sections.setdefault(words[kind], {})[one.name] = _netplan_entry(one, kind)
    text = _HEADER + "".join(_yaml({"network": {"version": 2, **sections}}))
    # What netplan writes to may hold secrets, and it warns of others' eyes.
    path = "/etc/netplan/90-netbootd.yaml"
    return _plan("netplan", {path: text}, all_, mode="600")


def _netplan_entry(one: Interface, kind: str) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if one.mac:
        entry |= {"match": {"macaddress": one.mac}} if kind == "card" else {"macaddress": one.mac}
    entry |= {"id": one.vlan, "link": one.link} if kind == "vlan" else {}
    entry |= {"interfaces": list(one.below)} if one.kind in ("bond", "bridge") else {}
    parameters = {"mode": one.mode, "mii-monitor-interval": 100}
    entry |= {"parameters": parameters} if one.kind == "bond" else {}
    entry |= {"mtu": one.mtu} if one.mtu else {}
    entry |= {"dhcp4": True} if one.dhcp else {}
    entry |= {"addresses": list(one.addresses)} if one.addresses else {}
    routes = [{"to": "default", "via": gateway} for gateway in one.gateways]
    entry |= {"routes": routes} if routes else {}
    entry |= {"nameservers": {"addresses": list(one.dns)}} if one.dns else {}
    return entry


def _yaml(value: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Objects one key a line, all else as JSON, which YAML reads."""
    for key, item in value.items():
        indent = "  " * depth + f"{json.dumps(key) if depth == 2 else key}:"
        if isinstance(item, Mapping) and item:
            yield f"{indent}\n"
            yield from _yaml(item, depth + 1)
        else:
            yield f"{indent} {json.dumps(item)}\n"


def _networkmanager(all_: list[Interface]) -> Plan:
    folder = "/etc/NetworkManager/system-connections"
    files = {
        f"{folder}/netbootd-{one.name}.nmconnection": _connection(one, all_)
        for one in all_
        if not one.boots
    }
    # NetworkManager refuses a connection that others may read.
    return _plan("networkmanager", files, all_, mode="600", ours=f"{folder}/netbootd-*")


def _connection(one: Interface, all_: list[Interface]) -> str:
    card = one.kind == "card"
    above = [(kind, name) for kind, name in _above(one, all_) if kind != "vlan"]
    connection = [
        ("id", f"netbootd-{one.name}"),
        ("uuid", uuid.uuid5(uuid.NAMESPACE_URL, f"netbootd:interface:{one.name}")),
        ("type", "ethernet" if card else one.kind),
        ("interface-name", "" if card and one.mac else one.name),
        *(pair for kind, name in above for pair in (("master", name), ("slave-type", kind))),
    ]
    # A card that is found by its MAC may have any name: a VLAN on it finds it so, too.
    carrier = next((other for other in all_ if other.name == one.link), one)
    mac = carrier.mac if carrier.kind == "card" else ""
    ethernet = [
        ("mac-address", mac),
        ("cloned-mac-address", "" if card else one.mac),
        ("mtu", one.mtu),
    ]
    bond = [("mode", one.mode), ("miimon", 100)] if one.kind == "bond" else []
    return _ini(
        ("connection", connection),
        ("ethernet", ethernet),
        ("vlan", [("id", one.vlan), ("parent", "" if mac else one.link)]),
        ("bond", bond),
        ("bridge", [("stp", "false")] if one.kind == "bridge" else []),
        ("ipv4", [] if above else _nm_family(one, "inet", "disabled")),
        ("ipv6", [] if above else _nm_family(one, "inet6", "auto" if one.dhcp else "link-local")),
    )


def _nm_family(one: Interface, family: str, without: str) -> list[tuple[str, Any]]:
    addresses = [address for address in one.addresses if _family(address) == family]
    servers = [server for server in one.dns if _family(server) == family]
    gateways = [gateway for gateway in one.gateways if _family(gateway) == family]
    dhcp = one.dhcp and family == "inet"
    method = "auto" if dhcp else "manual" if addresses else without
    return [
        ("method", method),
        *((f"address{number}", address) for number, address in enumerate(addresses, 1)),
        ("gateway", "".join(gateways[:1])),
        ("dns", "".join(server + ";" for server in servers)),
    ]


_USBKEY = "/usbkey/config"


def _smartos(all_: list[Interface]) -> Plan:
    """
    Lines for the node's configuration file, each a key; the fragment puts them there one by one.

    Each device is a NIC tag, which VMs can use at once; aggregations and the addresses of the
    global zone take effect at the next boot.
    """
    in_bonds = {member for one in all_ for member in one.bond or ()}
    tagged = [one for one in all_ if not one.boots and one.name not in in_bonds]
    lines = [line for one in tagged for line in _usbkey_lines(one, all_)]
    text = "".join(f"{key}={value}\n" for key, value in lines)
    tags = {one.name: nic for one in tagged if ":" in (nic := _nic(one, all_))}
    return Plan("smartos", {_USBKEY: text}, tags=tags)


def _nic(one: Interface, all_: list[Interface]) -> str:
    """What a NIC tag stands for: the MAC of a card, or the name of an aggregation."""
    below = next((other for other in all_ if other.name == one.link), one)
    return below.mac if below.kind == "card" else below.name


def _usbkey_lines(one: Interface, all_: list[Interface]) -> Iterator[tuple[str, Any]]:
    if one.kind == "bond":
        macs = {other.name: other.mac for other in all_}
        yield f"{one.name}_aggr", ",".join(macs[member] for member in one.bond or ())
        yield f"{one.name}_lacp_mode", "active" if one.mode == "802.3ad" else "off"
    yield f"{one.name}_nic", _nic(one, all_)
    if one.mtu:
        yield f"{one.name}_mtu", one.mtu
    # An interface of the global zone is its tag and a number; only that of admin has none.
    stem = one.name if one.name == "admin" else f"{one.name}0"
    for address in (*((DHCP,) if one.dhcp else ()), *one.addresses):
        if ":" in address:
            yield f"{stem}_ip6", address
        else:
            yield f"{stem}_ip", address.partition("/")[0]
        if "." in address:
            yield f"{stem}_netmask", IPv4Interface(address).netmask
    for gateway in one.gateways:
        yield f"{stem}_gateway6" if ":" in gateway else f"{stem}_gateway", gateway
    if one.vlan is not None:
        yield f"{stem}_vlan_id", one.vlan
    if one.dns:
        yield "dns_resolvers", ",".join(one.dns)


#: The network managers, by the name that variable ``network`` gives.
FORMS: Mapping[str, Callable[[list[Interface]], Plan]] = {
    "networkd": _networkd,
    "ifupdown": _ifupdown,
    "netplan": _netplan,
    "networkmanager": _networkmanager,
    "smartos": _smartos,
}
