"""Registries for the tests: real values, with loaders of a few bytes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from netbootd.addressing import Serving
from netbootd.dhcp6.given import Arrival
from netbootd.dhcp6.message import Association, Duid, Message, MessageType, Option, association
from netbootd.mac import MAC
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet, Subnets
from netbootd.registry.subnets6 import Addressing6, Range6
from tests.dhcp import registries

NODE = MAC.parse("52:54:00:12:34:56")
OTHER = MAC.parse("52:54:00:65:43:21")
OURS = IPv6Address("2001:db8:1::1")
POOL = Range6(IPv6Address("2001:db8:1::1000"), IPv6Address("2001:db8:1::1003"))
FIRST = POOL.first
RESERVED = IPv6Address("2001:db8:1::77")
OUR_DUID = bytes.fromhex("0004") + bytes(range(16))
DNS = (23, IPv6Address("2001:db8::53").packed)


def subnet(**more) -> Subnet:
    said = {"serving": Serving.SERVER, "pools": (POOL,), "options": dict([DNS]), "lease_time": 1000}
    said |= more.pop("addressing", {})
    network = IPv6Network("2001:db8:1::/64")
    return Subnet(name=str(network), network=network, addressing6=Addressing6(**said), **more)


def registry(*subnets: Subnet, macs=(), ip6="", default=True, **settings) -> Registry:
    made = registries.registry(*map(str, macs), default=default, **settings)
    machines = {
        mac: replace(machine, macs=(mac,), variables={"ip6": ip6} if ip6 else {})
        for mac, machine in made.machines.items()
    }
    nets = subnets or (subnet(),)
    return replace(
        made,
        machines=machines,
        subnets=Subnets({net.network: net for net in nets}),
        reserved6={IPv6Address(ip6): machines[macs[0]]} if ip6 else {},
    )


def proxy(**settings) -> Registry:
    return registry(subnet(addressing={"serving": Serving.PROXY, "pools": ()}), **settings)


def link_local(mac: MAC) -> IPv6Address:
    return IPv6Address(
        b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]
    )


def arrival(mac: MAC | None = NODE, **more) -> Arrival:
    source = link_local(mac) if mac else IPv6Address("fe80::a:b:c:d")
    links = (IPv6Interface(f"{OURS}/64"), IPv6Interface("fe80::1/64"))
    return Arrival("eth0", OURS, source, links, **more)


def duid(mac: MAC) -> bytes:
    return Duid.LL.to_bytes(2, "big") + b"\0\1" + mac


def request(
    kind: MessageType,
    *addresses: IPv6Address,
    who: bytes = duid(NODE),
    iaid: int = 7,
    more=(),
    server: bool | None = None,
) -> Message:
    to_us = kind in (
        MessageType.REQUEST,
        MessageType.RENEW,
        MessageType.RELEASE,
        MessageType.DECLINE,
    )
    options = [(Option.CLIENT_ID, who)] if who else []
    if to_us if server is None else server:
        options.append((Option.SERVER_ID, OUR_DUID))
    if kind != MessageType.INFORMATION_REQUEST:
        lifetimes = tuple((0, 0) for _ in addresses)
        options.append(association(Association(iaid, addresses, lifetimes)))
    options.append((Option.OPTION_REQUEST, b"\0\x17\0\x3b"))
    return Message(kind, 0x123456, (*options, *more))


def counted(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


PXE = (
    (Option.ARCH, b"\0\7"),
    (Option.VENDOR_CLASS, b"\0\0\1\x57" + counted("PXEClient:Arch:00007:UNDI:003000")),
)
HTTP = (
    (Option.ARCH, b"\0\x10"),
    (Option.VENDOR_CLASS, b"\0\0\1\x57" + counted("HTTPClient:Arch:00016:UNDI:003000")),
)
IPXE = ((Option.USER_CLASS, counted("iPXE")), (Option.ARCH, b"\0\7"))
