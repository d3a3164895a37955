"""
The DHCP server: RFC 2131, section 4.3, message by message.

A request, how it arrived, the registry and the table of leases in; a decision out.  There is no
clock and no I/O: *now* is passed in, and what must be written before the reply leaves stands in the
decision.  The table itself is changed at once, so that the next request sees what this one got.

Where the client is and who it is: ``asking``.  Which address: ``assign``.  What the reply says of
booting: ``served``.  The reply: ``replying``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from netbootd.dhcp import assign, granting, naming, proxy, pxe, replying, served, telling
from netbootd.dhcp.asking import Asking, Probed, asking
from netbootd.dhcp.assign import Nothing, Place
from netbootd.dhcp.booting import NOTHING_KNOWN, Known
from netbootd.dhcp.destination import Arrival
from netbootd.dhcp.given import Ask, Given, Noted
from netbootd.dhcp.granting import How, Wrong
from netbootd.dhcp.message import Message, MessageType, Op, Option
from netbootd.dhcp.proxy import NOT_NETBOOT, Ignored
from netbootd.events.event import Event
from netbootd.events.lease import (
    AddressInUse,
    Leased,
    LeaseEnded,
    LeaseOffered,
    Naked,
    NoAddress,
)
from netbootd.leases.lease import INFINITE, Address, Lease, State
from netbootd.leases.table import Leases
from netbootd.registry.marks import UNMARKED, Marks
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet

#: Seconds that an offer waits for its REQUEST.
OFFERED_S = 60.0
#: Seconds that nobody gets an address that somebody else seems to use.
DECLINED_S = 900.0
#: Addresses that one client may decline within that time.
MOST_DECLINED = 3
_LONGEST_ID = 255  # bytes that are kept of a client's identifier

Answered = Given | Ask | Noted | Ignored


def nobody(_address: Address) -> bool:
    """No address was asked for."""
    return False


def answer(
    request: Message,
    arrival: Arrival,
    registry: Registry,
    leases: Leases,
    *,
    now: float,
    links: Sequence[IPv4Interface],
    marks: Marks = UNMARKED,
    known: Known = NOTHING_KNOWN,
    saving: bool = True,
    rival: bool = False,
    asked: Probed = nobody,
    taken: Probed = nobody,
) -> Answered:
    """
    What we say to *request*, and what becomes of *leases*, at *now* (seconds of their clock).

    *links* are our addresses on the interface.  *saving* False: leases cannot be written down.
    *rival*: another DHCP server was heard here.  *asked* tells whether nobody answered for an
    address a moment ago, *taken* whether its holder did (see ``Ask``).
    """
    if request.op != Op.REQUEST:
        return Ignored("a reply of another server")
    if reason := pxe.unsupported(request):
        return Ignored(reason, code="reserved")
    client = asking(
        request,
        arrival,
        registry,
        leases,
        now=now,
        links=links,
        marks=marks,
        asked=asked,
        taken=taken,
        saving=saving,
        rival=rival,
    )
    if not client.key:
        return Ignored(f"nothing tells it from others: {pxe.addressed(request)}", code="reserved")
    return _not_served(client) or _answer(client, known)


def ahead(
    subnet: Subnet,
    registry: Registry,
    leases: Leases,
    *,
    now: float,
    links: Sequence[IPv4Interface],
    count: int,
) -> list[IPv4Address]:
    """The next *count* addresses that strangers will be offered in *subnet*, to be asked for."""
    ours = frozenset(one.ip for one in links)
    return assign.ahead(subnet, registry, leases, now=now, ours=ours, count=count)


def _not_served(asking: Asking) -> Ignored | None:
    """A subnet where nobody is served, or only who is listed."""
    subnet, config = asking.subnet, asking.registry.config
    if not subnet.served:
        return Ignored(f"in subnet {subnet.name}, where nobody is served", code="subnet")
    known_only = config.known_only if subnet.known_only is None else subnet.known_only
    if known_only and asking.machine is None:
        return _no_address(asking, Nothing("it is not listed, and known_only is set", "unlisted"))
    return None


def _answer(asking: Asking, known: Known) -> Answered:
    match asking.request.message_type:
        case MessageType.DISCOVER:
            return discover(asking, known)
        case MessageType.REQUEST:
            return requested(asking, known)
        case MessageType.DECLINE:
            return declined(asking)
        case MessageType.RELEASE:
            return released(asking)
        case MessageType.INFORM:
            return inform(asking, known)
        case None if Option.MESSAGE_TYPE not in asking.request.options:
            return bootp(asking, known)
    return Ignored(f"{asking.request.message_name}: nothing that a DHCP server answers")


# -- 4.3.1 DHCPDISCOVER ------------------------------------------------------------------------


def discover(asking: Asking, known: Known) -> Answered:
    """Offer an address, and keep it for the client for a while."""
    if reason := proxy.astray(asking.request, asking.arrival):
        return Ignored(reason, unserved=True, code="relay", client=asking.client)
    place = assign.choose(asking)
    if isinstance(place, Ask):
        return place
    if isinstance(place, Nothing):
        return _no_address(asking, place)
    if Option.RAPID_COMMIT in asking.request.options and place.subnet.addressing.rapid_commit:
        return _committed(asking, place, How.SELECTING, known, MessageType.ACK)
    if pxe.is_raspberry_pi(asking.request):
        # Its first ROMs take the first offer they hear, and never say so.
        return _committed(asking, place, How.SELECTING, known, MessageType.OFFER)
    return _offered(asking, place, known)


def _offered(asking: Asking, place: Place, known: Known) -> Given:
    lease = asking.leases.at(place.address)
    events: tuple[Event, ...] = ()
    if lease is None or lease.key != asking.key or not lease.active(asking.now):
        events = _ends(asking, lease)
        lease = _lease(asking, place, State.OFFERED, asking.now + OFFERED_S)
        asking.leases.put(lease)
    boot = served.boot_of(asking, known)
    seconds = _seconds(asking, place.subnet, lease if lease.active(asking.now) else None)
    reply = replying.leased(asking, MessageType.OFFER, place, seconds, boot)
    event = LeaseOffered(
        **_about(asking, boot),
        address=str(place.address),
        interface=asking.arrival.interface,
        relay=_relay(asking),
        netboot=asking.boots,
    )
    return Given(
        reply=reply,
        lease=lease,
        boot=boot.answer(asking, reply),
        refused=boot.refused,
        events=(*events, event),
    )


# -- 4.3.2 DHCPREQUEST -------------------------------------------------------------------------


def requested(asking: Asking, known: Known) -> Answered:
    """Give the address that is requested, or say no."""
    chosen = asking.request.server_id
    if chosen is not None and int(chosen) and not asking.is_us(chosen):
        return _another_chosen(asking, chosen)
    told = granting.how_of(asking)
    if told is None:
        return Ignored("a REQUEST of no address")
    how, address = told
    place = granting.grant(asking, how, address)
    if isinstance(place, Ask):
        return place
    if isinstance(place, Nothing):
        return _no_address(asking, place)
    if isinstance(place, Wrong):
        return _refused(asking, address, place)
    return _committed(asking, place, how, known, MessageType.ACK)


def _another_chosen(asking: Asking, chosen: IPv4Address) -> Ignored:
    """It takes what another server offered: ours is free again."""
    for lease in asking.leases.of(asking.key):
        if lease.state is State.OFFERED:
            asking.leases.drop(lease.address)
    code = "" if asking.boots else NOT_NETBOOT
    return Ignored(f"it takes the offer of {chosen}", code=code)


def _refused(asking: Asking, address: IPv4Address, wrong: Wrong) -> Answered:
    if not wrong.told:
        return Ignored(wrong.reason, code="not-ours")
    event = Naked(
        **_about(asking),
        address=str(address),
        reason=wrong.reason,
        interface=asking.arrival.interface,
    )
    return Given(reply=replying.nak(asking, wrong.reason), events=(event,))


def _committed(
    asking: Asking, place: Place, how: How, known: Known, kind: MessageType | None
) -> Given:
    """The client has the *place* from here on; with an ACK, or what else is its last word."""
    before = asking.leases.at(place.address)
    held = before if before and before.key == asking.key and before.active(asking.now) else None
    seconds = INFINITE if kind is None else _seconds(asking, place.subnet, held)
    lease = _lease(asking, place, State.LEASED, asking.now + seconds, held)
    write: tuple[Lease, ...] = (lease,)
    if not asking.saving:
        lease, write = held or lease, ()
    if lease is not held:
        asking.leases.put(lease)
    boot = served.boot_of(asking, known)
    reply = replying.leased(asking, kind, place, seconds, boot)
    event = Leased(
        **_about(asking, boot),
        address=str(place.address),
        seconds=seconds,
        how=str(how),
        key=asking.key,
        hostname=lease.hostname,
        reserved=place.reserved,
        interface=asking.arrival.interface,
        relay=_relay(asking),
        netboot=asking.boots,
    )
    return Given(
        reply=reply,
        lease=lease,
        write=write,
        before=(before,) if write else (),
        boot=boot.answer(asking, reply),
        refused=boot.refused,
        events=(*_ends(asking, before), event),
    )


# -- 4.3.3 DHCPDECLINE -------------------------------------------------------------------------


def declined(asking: Asking) -> Answered:
    """Somebody else answers for the client's address: nobody gets it for a while."""
    lease = _its_lease(asking, asking.wanted, State.OFFERED, State.LEASED)
    if lease is None:
        return Ignored(f"it declines {asking.wanted}, which is not its own")
    if asking.leases.declined(asking.key) >= MOST_DECLINED:
        return Ignored(f"it declined {MOST_DECLINED} addresses already")
    over = replace(lease, state=State.DECLINED, until=asking.now + DECLINED_S)
    asking.leases.put(over)
    event = AddressInUse(
        **_about(asking),
        address=str(lease.address),
        seconds=int(DECLINED_S),
        interface=asking.arrival.interface,
    )
    return Noted(write=(over,), events=(*_ends(asking, lease, "released"), event))


# -- 4.3.4 DHCPRELEASE -------------------------------------------------------------------------


def released(asking: Asking) -> Answered:
    """The client has its address no more."""
    lease = _its_lease(asking, asking.request.ciaddr, State.LEASED)
    if lease is None:
        return Ignored(f"it releases {asking.request.ciaddr}, which is not its own")
    free = replace(lease, state=State.FREE, until=asking.now)
    asking.leases.put(free)
    return Noted(write=(free,), events=_ends(asking, lease, "released"))


def _its_lease(asking: Asking, address: IPv4Address | None, *states: State) -> Lease | None:
    """The client's lease of *address*, if it is one of ours and speaks to us."""
    chosen = asking.request.server_id
    if address is None or (chosen is not None and int(chosen) and not asking.is_us(chosen)):
        return None
    lease = asking.leases.at(address)
    own = lease is not None and lease.key == asking.key and lease.state in states
    return lease if own else None


# -- 4.3.5 DHCPINFORM --------------------------------------------------------------------------


def inform(asking: Asking, known: Known) -> Answered:
    """Options alone, for who has an address of its own."""
    subnet = asking.subnet_at(asking.request.ciaddr)
    if subnet is None:
        return Ignored(f"INFORM of {asking.request.ciaddr}, which is of no network here")
    boot = served.boot_of(asking, known)
    reply = replying.informed(asking, subnet, boot)
    return Given(reply=reply, boot=boot.answer(asking, reply), refused=boot.refused)


# -- BOOTP clients (RFC 1534) ------------------------------------------------------------------


def bootp(asking: Asking, known: Known) -> Answered:
    """A reservation and no time: nobody would ever renew it."""
    if not asking.subnet.addressing.bootp:
        return Ignored("BOOTP, which is not served in its subnet")
    place = assign.reservation(asking)
    if isinstance(place, Ask):
        return place
    if not isinstance(place, Place):
        return _no_address(
            asking, place or Nothing("BOOTP, and no address is reserved for it", "no-pool")
        )
    return _committed(asking, place, How.BOOTP, known, None)


# -- leases ------------------------------------------------------------------------------------


def _lease(
    asking: Asking, place: Place, state: State, until: float, held: Lease | None = None
) -> Lease:
    lease = Lease(
        address=place.address,
        key=asking.key,
        state=state,
        since=held.since if held else asking.now,
        until=until,
        mac=asking.client.mac,
        client_id=asking.request.options.get(Option.CLIENT_ID, b"")[:_LONGEST_ID].hex(),
        machine=asking.machine.key if asking.machine else "",
        port=asking.port,
        reserved=place.reserved,
    )
    name = naming.name_of(asking, lease)
    return replace(lease, hostname=name) if name else lease


def _seconds(asking: Asking, subnet: Subnet, held: Lease | None) -> int:
    """
    For how long: what the client asks for, within bounds (option 51).

    What is *held* and cannot be written down anew ends when it would have ended.
    """
    times = subnet.addressing.times
    said = asking.request.options.get(Option.LEASE_TIME, b"")
    asked = int.from_bytes(said, "big") if len(said) == 4 else times.default
    seconds = min(max(asked, times.least), times.most)
    if held is None or asking.saving:
        return seconds
    return max(1, min(seconds, int(held.until - asking.now)))


# -- what is told ------------------------------------------------------------------------------


def _no_address(asking: Asking, nothing: Nothing) -> Ignored:
    event = NoAddress(
        **_about(asking),
        reason=nothing.reason,
        code=nothing.code,
        subnet=asking.subnet.name,
        interface=asking.arrival.interface,
    )
    return Ignored(
        nothing.reason, unserved=True, code=nothing.code, client=asking.client, event=event
    )


def _ends(asking: Asking, lease: Lease | None, how: str = "expired") -> tuple[Event, ...]:
    """That *lease* is over, where somebody had it; it may be over and not yet told of."""
    if lease is None or lease.state is not State.LEASED:
        return ()
    if how == "expired" and (lease.key == asking.key or lease.active(asking.now)):
        return ()
    return (
        LeaseEnded(
            mac=lease.mac,
            address=str(lease.address),
            how=how,
            key=lease.key,
            hostname=lease.hostname,
        ),
    )


def _about(asking: Asking, boot: served.Boot | None = None) -> dict[str, Any]:
    """Who, for an event."""
    machine = asking.machine
    if boot is not None and boot.decision is not None:
        machine = boot.decision.machine
    ciaddr = asking.request.ciaddr
    return {
        **telling.who(asking.client.mac, str(ciaddr) if int(ciaddr) else ""),
        "target": machine.title if machine else "",
    }


def _relay(asking: Asking) -> str:
    return str(asking.relay.address) if asking.relay else ""
