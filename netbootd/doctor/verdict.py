"""
Facts in, remarks out.  Pure.

What firmware makes of answers: tianocore/edk2, NetworkPkg/UefiPxeBcDxe/PxeBcDhcp4.c (which offer is
chosen), ipxe's src/net/udp/dhcp.c (option 175's priority and no-pxedhcp), PXE 2.1, section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from typing import Any

from netbootd.dhcp.message import Option
from netbootd.doctor.ask import Heard
from netbootd.doctor.host import Bridge
from netbootd.interfaces import Interface
from netbootd.printable import printable

_DHCP, _BOOT_SERVER = 67, 4011
_SUBNET_MASK, _ROUTER = 1, 3
_PXE_ITEMS = range(6, 11)  # PXE 2.1, table 2-1: what makes an offer a PXE offer to EDK2
_NO_PXEDHCP = 176  # https://ipxe.org/howto/dhcpd
_ETHERNET_MTU = 1500
#: How our daemon begins to tell of an empty pool, and of another server.
_EXHAUSTED, _RIVAL = "no address is left in ", "another DHCP server, "


@dataclass(frozen=True, slots=True)
class Remark:
    """*level*: ``ok``, ``note``, or ``wrong``, for which somebody has to do something."""

    level: str
    code: str
    text: str

    @property
    def mark(self) -> str:
        """As it stands before the text."""
        return "WRONG" if self.level == "wrong" else self.level

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def is_wrong(remark: Remark) -> bool:
    """Whether somebody has to do something."""
    return remark.level == "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What was seen.  *holders*: UDP port to who has it; *knocked*: server to whether it answers on
    4011; *before* and *after*: what our own daemon said around the questions, None where none runs.
    *serving*: the configuration says that netbootd is the DHCP server there.
    """

    interface: Interface
    answers: tuple[Heard, ...] = ()
    carrier: bool | None = True
    bridge: Bridge = field(default_factory=Bridge)
    holders: Mapping[int, str] = field(default_factory=dict)
    knocked: Mapping[str, bool] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    tftp_port: int = 69
    serving: bool = False

    @property
    def headline(self) -> str:
        """The interface."""
        addresses = ", ".join(map(str, self.interface.addresses))
        return f"{self.interface.name}  {addresses}  MTU {self.interface.mtu}"

    @property
    def own(self) -> set[str]:
        """Our addresses there."""
        return {str(address.ip) for address in self.interface.addresses}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "interface": self.interface.name,
            "addresses": [str(address) for address in self.interface.addresses],
            "mtu": self.interface.mtu,
            "carrier": self.carrier,
            "ports": {str(port): holder for port, holder in self.holders.items()},
            "daemon": self.after is not None,
            "dhcp_server": self.serving,
            "answers": [_answer(heard) for heard in self.answers],
        }


def judge(facts: Facts) -> list[Remark]:
    """Everything worth saying, in the order in which a packet meets it."""
    if facts.serving:
        return [
            *_link(facts),
            *_ports(facts),
            *_addresses(facts),
            *_proxies(facts),
            *_serving(facts),
        ]
    return [
        *_link(facts),
        *_ports(facts),
        *_dhcp_servers(facts),
        *_boot_fields(facts),
        *_proxies(facts),
        *_ourselves(facts),
    ]


# -- link and ports ----------------------------------------------------------------------------


def _link(facts: Facts) -> Iterator[Remark]:
    name, mtu, bridge = facts.interface.name, facts.interface.mtu, facts.bridge
    if facts.carrier is False:
        yield Remark("wrong", "no-carrier", f"{name} has no link: is the cable in?")
    if bridge.of:
        told = f"{name} is a port of bridge {bridge.of}: serve {bridge.of} instead, which has all"
        yield Remark("wrong", "bridge-port", told)
    for port, state in bridge.waiting:
        told = f"bridge port {port} is {state} and carries nothing (spanning tree)"
        yield Remark("wrong", "port-waiting", told)
    if bridge.tree_s:
        told = (
            f"spanning tree is on: a port carries nothing for {bridge.tree_s:.0f} s after its link "
            "came up, and much firmware asks no longer than that; make ports of machines edge "
            "ports (portfast), here and on every switch"
        )
        yield Remark("note", "spanning-tree", told)
    if mtu < _ETHERNET_MTU:
        told = f"MTU {mtu} is below Ethernet's {_ETHERNET_MTU}: TFTP blocks are cut to fit"
        yield Remark("note", "small-mtu", f"{told}; some firmware takes 1456 or 512 only")


def _ports(facts: Facts) -> Iterator[Remark]:
    for port in (_DHCP, facts.tftp_port, _BOOT_SERVER):
        if (holder := facts.holders.get(port)) is None or _is_ours(holder):
            continue
        if port == _DHCP and not facts.serving:
            told = f"{holder} has UDP 67 on this host; netbootd shares it (proxydhcp.mode)"
            yield Remark("note", "port-shared", told)
        else:
            level = "note" if _may_be_ours(holder, facts) else "wrong"
            told = f"{holder} has UDP {port} on this host, which netbootd needs"
            yield Remark(level, "port-taken", told)


def _is_ours(holder: str) -> bool:
    return holder.startswith("netbootd ")


def _may_be_ours(holder: str, facts: Facts) -> bool:
    """Not root, we see no names of programs; our daemon may be the one."""
    return holder.startswith("another process") and facts.after is not None


# -- who gives addresses -----------------------------------------------------------------------


def _dhcp_servers(facts: Facts) -> Iterator[Remark]:
    leases = _by_server(heard for heard in facts.answers if int(heard.message.yiaddr))
    here = facts.holders.get(_DHCP, "")
    if not leases and here and not _is_ours(here):
        told = (
            f"nobody offered an address; but {here} is on this host, and a server need not hear "
            "its own host (packet sockets, a firewall): ask from another one"
        )
        yield Remark("note", "dhcp-here", told)
    elif not leases:
        told = (
            f"no DHCP server offered an address on {facts.interface.name}: none is there, a "
            "firewall drops UDP 67 or 68, a switch with DHCP snooping distrusts the server's port, "
            "or a router has no relay (helper address) for this network"
        )
        yield Remark("wrong", "no-dhcp", told)
    for server, heard in leases.items():
        offered = ", ".join(sorted({str(one.message.yiaddr) for one in heard}))
        yield Remark("ok", "dhcp", f"{server} offers {offered}{_fields(heard[0])}")
    if len(leases) > 1:
        yield _several(leases)


def _several(leases: Mapping[str, list[Heard]]) -> Remark:
    who = " and ".join(leases)
    networks = {
        tuple(heard[0].message.options.get(code, b"") for code in (_SUBNET_MASK, _ROUTER))
        for heard in leases.values()
    }
    if len(networks) > 1:
        told = f"{who} disagree about the network's mask or router: one of them is a stranger"
        return Remark("wrong", "rogue-dhcp", told)
    told = f"{len(leases)} DHCP servers answer, {who}: right for a pair with failover, else a rogue"
    return Remark("note", "two-dhcp", told)


def _by_server(answers: Iterator[Heard]) -> dict[str, list[Heard]]:
    """By option 54, or the sender where that is missing."""
    servers: dict[str, list[Heard]] = {}
    for heard in answers:
        server = str(heard.message.server_id or heard.source)
        servers.setdefault(server, []).append(heard)
    return servers


def _fields(heard: Heard) -> str:
    """What it says about booting, by option numbers and field names."""
    said = _boot(heard)
    told = ", ".join(f"{name} {printable(value)}" for name, value in said.items() if value)
    return f" ({told})" if told else ""


def _boot(heard: Heard) -> dict[str, str]:
    message = heard.message
    return {
        "next server": str(message.siaddr) if int(message.siaddr) else "",
        "file": message.file.decode("latin-1"),
        "option 66": message.text(Option.TFTP_SERVER_NAME),
        "option 67": message.text(Option.BOOT_FILE),
        "option 60": message.vendor_class,
    }


def _file(heard: Heard) -> str:
    return heard.message.file.decode("latin-1") or heard.message.text(Option.BOOT_FILE)


def _addresses(facts: Facts) -> Iterator[Remark]:
    """Who gives addresses where that is netbootd's part alone."""
    leases = _by_server(heard for heard in facts.answers if int(heard.message.yiaddr))
    for server, heard in leases.items():
        offered = ", ".join(sorted({str(one.message.yiaddr) for one in heard}))
        here = server in facts.own
        if here and _gives(facts):
            yield Remark("ok", "dhcp", f"netbootd offers {offered}{_fields(heard[0])}")
            continue
        who = f"{facts.holders.get(_DHCP, 'another program')} on this host" if here else server
        told = (
            f"{who} offers {offered}, and here netbootd gives the addresses: clients take"
            ' either.  Switch it off, or say "dhcp": "proxy" for this network'
        )
        yield Remark("wrong", "foreign-dhcp", told)


def _gives(facts: Facts) -> bool:
    """Whether an offer that comes from this host is of netbootd: it says so, or has the port."""
    if facts.after is not None:
        return bool(_listens(facts, "DHCP server"))
    return _is_ours(facts.holders.get(_DHCP, ""))


def _serving(facts: Facts) -> Iterator[Remark]:
    """Whether the daemon of this host answered as the DHCP server."""
    name = facts.interface.name
    if facts.after is None:
        told = f"no netbootd answers at its HTTP port on this host, and it is to serve {name}"
        yield Remark("note", "no-daemon", told)
        return
    if not _listens(facts, "DHCP server"):
        told = f"netbootd runs on this host, but is not the DHCP server on {name}"
        yield Remark("wrong", "not-served", told)
        return
    yield from _late_rivals(facts)
    if any(int(one.message.yiaddr) and one.source in facts.own for one in facts.answers):
        return
    if exhausted := _said(facts, _EXHAUSTED):
        for told in exhausted:
            yield Remark("wrong", "pool-exhausted", f"netbootd says: {told}")
    elif _unserved(facts.after) > _unserved(facts.before or {}):
        told = "netbootd heard us, but has nothing for a machine that is not listed"
        yield Remark("note", "unserved", told)
    else:
        told = (
            f"netbootd serves {name}, but offered no address: does a firewall of this host drop "
            "UDP 67?"
        )
        yield Remark("wrong", "daemon-silent", told)


def _late_rivals(facts: Facts) -> Iterator[Remark]:
    """Servers that our daemon has heard, and that did not answer while we listened."""
    met = {str(one.message.server_id or one.source) for one in facts.answers}
    for told in _said(facts, _RIVAL):
        server = told.removeprefix(_RIVAL).partition(",")[0]
        if server not in met and f" on {facts.interface.name}," in told:
            yield Remark("wrong", "foreign-dhcp", f"netbootd says: {told}")


def _said(facts: Facts, beginning: str) -> list[str]:
    """The troubles of our daemon that begin so (``leasing.Leasing.troubles``)."""
    said = [str(one) for one in (facts.after or {}).get("troubles", ())]
    return [printable(one) for one in said if one.startswith(beginning)]


def _listens(facts: Facts, what: str) -> list[str]:
    """What our daemon says of listening as *what* on this interface."""
    said = [str(one) for one in (facts.after or {}).get("listening", ())]
    return [one for one in said if one.startswith(what) and f" {facts.interface.name}" in one]


# -- what else they say ------------------------------------------------------------------------


def _boot_fields(facts: Facts) -> Iterator[Remark]:
    leases = _by_server(heard for heard in facts.answers if int(heard.message.yiaddr))
    for server, answers in leases.items():
        files = sorted({_file(heard) for heard in answers} - {""})
        if files:
            names = printable(", ".join(files))
            told = (
                f"{server} names a boot file as well ({names}).  UEFI takes netbootd's; so does "
                "iPXE, to which netbootd's answer says that it counts more, but without netbootd "
                "it would take that one; legacy ROMs differ.  Better leave the file to one of them"
            )
            yield Remark("note", "boot-file-twice", told)
        if any(heard.message.ipxe_options.get(_NO_PXEDHCP, b"\0") != b"\0" for heard in answers):
            told = f"{server} tells iPXE to wait for no proxy (option 175.176): iPXE never hears us"
            yield Remark("wrong", "no-pxedhcp", told)
        yield from _vendor_class(facts, server, answers)


def _vendor_class(facts: Facts, server: str, answers: list[Heard]) -> Iterator[Remark]:
    """Option 60 in a lease makes its server a boot server, which UEFI asks on 4011."""
    claims = [one for one in answers if one.message.vendor_class.startswith("PXEClient")]
    if not claims or any(set(one.message.vendor_options) & set(_PXE_ITEMS) for one in claims):
        return
    asked = claims[0].message.siaddr if int(claims[0].message.siaddr) else IPv4Address(server)
    there = (
        _BOOT_SERVER in facts.holders if str(asked) in facts.own else facts.knocked.get(str(asked))
    )
    if there:
        told = f"{server} says option 60 = PXEClient, so UEFI asks {asked} on port 4011: it answers"
        yield Remark("note", "vendor-class", f"{told}, perhaps with another file than netbootd's")
        return
    told = (
        f"{server} says option 60 = PXEClient, so UEFI asks {asked} on port 4011, where nobody "
        "answers, and gives up: take option 60 out of that server"
    )
    yield Remark("wrong", "vendor-class", told)


# -- who names boot files ----------------------------------------------------------------------


def _proxies(facts: Facts) -> Iterator[Remark]:
    proxies = [heard for heard in facts.answers if not int(heard.message.yiaddr)]
    ours = [heard for heard in proxies if heard.source in facts.own and facts.after is not None]
    for heard in ours:
        told = f"netbootd offers {printable(_file(heard) or 'a menu')} to {heard.firmware}"
        yield Remark("ok", "netbootd", told)
    strangers = _by_server(heard for heard in proxies if heard not in ours)
    for server, answers in strangers.items():
        files = ", ".join(sorted({_file(heard) for heard in answers} - {""})) or "a menu"
        told = f"the PXE server {server} offers {printable(files)}"
        if facts.after is None:
            yield Remark("note", "proxy", f"{told}: a netbootd, or another one")
        else:
            told += ", besides netbootd: firmware takes either; turn its boot service off"
            yield Remark("wrong", "second-proxy", told)


def _ourselves(facts: Facts) -> Iterator[Remark]:
    """Whether the daemon of this host answered."""
    if facts.after is None:
        yield Remark("note", "no-daemon", "no netbootd answers at its HTTP port on this host")
        return
    if any(not int(one.message.yiaddr) and one.source in facts.own for one in facts.answers):
        return
    name = facts.interface.name
    here = _listens(facts, "ProxyDHCP")
    if not here:
        told = f"netbootd runs on this host, but does not serve {name} with ProxyDHCP"
        yield Remark("wrong", "not-served", told)
    elif "snooping" in here[0]:
        told = f"netbootd snoops on {name}, and so hears all but this host itself: ask from another"
        yield Remark("note", "snooping", told)
    elif _unserved(facts.after) > _unserved(facts.before or {}):
        told = "netbootd heard us, but has nothing for a machine that is not listed"
        yield Remark("note", "unserved", told)
    else:
        told = (
            f"netbootd serves {name}, but did not answer: does a firewall of this host drop UDP 67?"
        )
        yield Remark("wrong", "daemon-silent", told)


def _unserved(status: Mapping[str, Any]) -> int:
    return int(status.get("events", {}).get("unserved.dhcp", 0))


def _answer(heard: Heard) -> dict[str, Any]:
    message = heard.message
    return {
        "firmware": heard.firmware,
        "source": heard.source,
        "server": str(message.server_id or heard.source),
        "address": str(message.yiaddr) if int(message.yiaddr) else None,
        **{name: value for name, value in _boot(heard).items() if value},
    }
