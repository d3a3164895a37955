"""
Who asks a DHCP server for an address, from where, and what is known while it is answered.

A client is on a link: the subnets that share its cable.  The relay says which, else the address
that a client writes from to us alone (it may be routers away), else our own on the interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from netbootd.boot.client import Client
from netbootd.boot.decision import identify
from netbootd.dhcp import pxe
from netbootd.dhcp.destination import Arrival
from netbootd.dhcp.message import Message, Option
from netbootd.dhcp.prepared import Prepared, prepared
from netbootd.dhcp.relay import Relay, relay_of
from netbootd.leases import identity
from netbootd.leases.lease import Address, Lease, State
from netbootd.leases.table import Leases
from netbootd.registry.machine import Machine
from netbootd.registry.marks import MARKS, Marks
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet

Probed = Callable[[Address], bool]


class Asking(NamedTuple):
    """
    One request, and all that its answer depends on.

    *client* is who sent it as boot decisions know it, *found* its entry or the default, *machine* a
    listed one alone; *boots*: it is firmware or a loader.  *key* is whose leases it has, *port*
    where it is attached.  *subnet* is the one that was looked up
    for it, *link* all of the cable, that one first.  *ours* are our addresses there, *server* the
    one that it is to know.

    *asked* tells of an address that nobody answered for it a moment ago, *taken* that its holder
    did.  *saving*: leases can be written; *rival*: another DHCP server was heard here.

    A tuple, as Message is, since one is made for each packet.
    """

    request: Message
    arrival: Arrival
    registry: Registry
    leases: Leases
    now: float
    links: Sequence[IPv4Interface]
    client: Client
    found: Machine | None
    machine: Machine | None
    boots: bool
    key: str
    port: str
    relay: Relay | None
    subnet: Subnet
    link: tuple[Subnet, ...]
    server: IPv4Address
    ours: frozenset[IPv4Address]
    prepared: Prepared
    asked: Probed
    taken: Probed
    saving: bool = True
    rival: bool = False

    @property
    def wanted(self) -> IPv4Address | None:
        """Option 50, None where it is absent or no address."""
        said = self.request.options.get(Option.REQUESTED_ADDRESS, b"")
        return IPv4Address(said) if len(said) == 4 and any(said) else None

    def subnet_at(self, address: IPv4Address) -> Subnet | None:
        """The subnet of this link that *address* lies in; None where it is of another link."""
        found = self.prepared.subnet(address)
        for subnet in self.link:
            if subnet.name == found.name:
                return subnet
            if found.network is None and subnet.network and address in subnet.network:
                return subnet
        return None

    def kept_by(self, lease: Lease | None) -> State | None:
        """
        In what state *lease* keeps its address from this client; None where it does not.

        One whose own card answered when the network was asked may have the address.
        """
        if lease is None or not lease.held(self.now):
            return None
        if lease.state is not State.DECLINED:
            return None if lease.key == self.key else lease.state
        answered = lease.key != self.key and lease.mac is not None
        return None if answered and lease.mac == self.client.mac else State.DECLINED

    def is_us(self, server: IPv4Address) -> bool:
        """Whether a client that names *server* (option 54) means us."""
        return server == self.server or server in self.ours

    def stands(self, lease: Lease, reserved: bool) -> bool:
        """
        Whether the client may go on with its own *lease*: an offer that cannot be written down
        cannot become one, but of an address that the configuration gives it anyway.
        """
        promised = lease.state is State.LEASED or self.saving or reserved
        return promised and lease.held(self.now)

    def local(self, address: IPv4Address) -> bool:
        """Whether we reach *address* without a router, so that it can be asked for by ARP."""
        if self.relay is not None:
            return False
        return any(address in ours.network for ours in self.links)


def asking(
    request: Message,
    arrival: Arrival,
    registry: Registry,
    leases: Leases,
    *,
    now: float,
    links: Sequence[IPv4Interface],
    marks: Marks,
    asked: Probed,
    taken: Probed,
    saving: bool,
    rival: bool,
) -> Asking:
    """Look up whoever sent *request*."""
    relay = relay_of(request)
    place, link = _asked_from(request, arrival, registry, links, relay)
    client = _client_of(request, place, marks, relay)
    key = _key_of(request, client, link[0])
    found = identify(client, registry)
    if found is None or not (found.known and (found.named or found.macs)):
        found = _as_leased(request, client, relay, registry, leases.of(key)) or found
    return Asking(
        request=request,
        arrival=arrival,
        registry=registry,
        leases=leases,
        now=now,
        links=links,
        client=client,
        found=found,
        machine=found if found is not None and found.known else None,
        boots=pxe.boots(request),
        key=key,
        port=relay.port if relay else arrival.interface,
        relay=relay,
        subnet=link[0],
        link=link,
        server=(relay and relay.server) or arrival.address,
        ours=frozenset({arrival.address, *(one.ip for one in links)}),
        prepared=prepared(registry),
        asked=asked,
        taken=taken,
        saving=saving,
        rival=rival,
    )


def _client_of(request: Message, place: IPv4Address, marks: Marks, relay: Relay | None) -> Client:
    """
    Who sent *request*.  What was remembered of a switch's port counts for those alone that have an
    address, and so write to us past their relay.
    """
    client = pxe.anybody(request, str(place)).marked(marks)
    if relay is None and int(request.ciaddr):
        return client
    circuit, remote = (relay.circuit, relay.remote) if relay else ("", "")
    if (client.circuit_id, client.remote_id) == (circuit, remote):
        return client
    return replace(client, circuit_id=circuit, remote_id=remote)


def _as_leased(
    request: Message,
    client: Client,
    relay: Relay | None,
    registry: Registry,
    leases: Iterable[Lease],
) -> Machine | None:
    """
    The machine that a card was when it got the reserved address that it has or had: firmware tells
    a UUID, a relay the port, and the system that comes up after it neither.
    """
    for lease in leases:
        if client.mac is None or not lease.reserved or not isinstance(lease.address, IPv4Address):
            continue
        owner = registry.reserved.get(lease.address)
        if owner is not None and owner.key == lease.machine:
            return None if _denies(request, client, relay, owner) else owner.for_card(client.mac)
    return None


def _denies(request: Message, client: Client, relay: Relay | None, owner: Machine) -> bool:
    """Whether what *client* says now tells that it is not *owner*, or not any more."""
    said = owner.variables
    if "circuit_id" in said or "remote_id" in said:
        return relay is not None or not int(request.ciaddr)
    if "uuid" in said:
        return bool(client.uuid)
    return not any(mark in said for mark in MARKS)  # its cards alone, and this is none of them


def _key_of(request: Message, client: Client, subnet: Subnet) -> str:
    """Whose lease it is, empty where nothing tells the client from others."""
    hardware = request.htype, request.chaddr[: request.hlen]
    said = request.options.get(Option.CLIENT_ID, b"")
    return identity.key(client.mac, said, hardware, subnet.addressing.match_client_id)


def _asked_from(
    request: Message,
    arrival: Arrival,
    registry: Registry,
    links: Sequence[IPv4Interface],
    relay: Relay | None,
) -> tuple[IPv4Address, tuple[Subnet, ...]]:
    """The address that tells where the client is, and the subnets of its cable, its own first."""
    ready = prepared(registry)
    if relay is not None:
        return relay.link, ready.cable(relay.link)
    if int(request.ciaddr) and arrival.unicast:
        cable = ready.cable(request.ciaddr)
        if cable[0].network is not None:
            return request.ciaddr, cable
    return arrival.address, ready.here(arrival.interface, arrival.address, tuple(links))
