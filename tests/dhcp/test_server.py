"""Request, registry and leases on the left, the answer on the right; in the order of RFC 2131."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from netbootd.addressing import LeaseTimes, Match, Serving
from netbootd.dhcp.given import Given
from netbootd.dhcp.message import MessageType
from netbootd.dhcp.prepared import prepared
from netbootd.events.lease import AddressInUse, Leased, LeaseEnded, LeaseOffered, Naked, NoAddress
from netbootd.leases.lease import Lease, State
from netbootd.mac import MAC

from .servers import (
    CARD,
    OTHER,
    ROUTER,
    US,
    Server,
    address,
    machine,
    message,
    pool,
    registry,
    subnet,
    told,
)

UEFI = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7", 97: bytes(17)}
ELSEWHERE = IPv4Address("10.1.0.2")


def lease(at: str, mac: str = OTHER, state=State.LEASED, *, left: float = 3600, **said) -> Lease:
    """Of *mac*, with *left* seconds from the begin of each test."""
    values = {"since": 500.0, "mac": MAC.parse(mac), **said}
    return Lease(address=address(at), key=mac, state=state, until=1000.0 + left, **values)


def serving(*leases: Lease, machines=(), **said) -> Server:
    """A server of one subnet, which has *leases* already."""
    server = Server(registry(subnet(**said), machines=machines))
    for one in leases:
        server.leases.put(one)
    return server


# -- 4.3.1 DISCOVER: which address -------------------------------------------------------------


def test_a_discover_is_offered_the_first_free_address_of_the_pool():
    server = serving()
    got = server.discover()
    assert told(got) == "OFFER .100"
    assert got.write == ()
    assert (got.reply.op, got.reply.siaddr, got.reply.ciaddr) == (2, US, IPv4Address(0))
    assert server.state(".100") == (CARD, State.OFFERED)
    assert server.leases.at(address(".100")).until == 1060.0
    assert isinstance(got.events[0], LeaseOffered)


def test_a_repeated_discover_is_offered_the_same():
    server = serving()
    assert [told(server.discover()) for _ in range(3)] == ["OFFER .100"] * 3
    assert told(server.discover(OTHER)) == "OFFER .101"
    assert told(server.discover()) == "OFFER .100"


def test_an_offer_does_not_end_the_lease_that_it_repeats():
    server = serving()
    server.lease()
    assert told(server.discover()) == "OFFER .100"
    assert server.state(".100") == (CARD, State.LEASED)


RESERVED = machine(CARD, ".50")
TWO_CARDS = machine(CARD, ".50", OTHER)
IN_POOL = machine(CARD, ".101")


@pytest.mark.parametrize(
    ("leases", "machines", "wanted", "expected"),
    [
        # 1 the reservation
        ([], [RESERVED], None, "OFFER .50"),
        ([], [RESERVED], ".102", "OFFER .50"),
        ([lease(".101", CARD)], [RESERVED], None, "OFFER .50"),
        ([], [IN_POOL], None, "OFFER .101"),
        ([], [machine(CARD, "10.9.0.5")], None, "OFFER .100"),  # of another network
        ([], [machine(CARD, ".254")], None, "OFFER .100"),  # the router's
        ([], [machine(CARD, ".1")], None, "OFFER .100"),  # ours
        ([], [machine(CARD, ".255")], None, "OFFER .100"),
        # 2 what it has or had
        ([lease(".102", CARD)], [], None, "OFFER .102"),
        ([lease(".102", CARD)], [], ".103", "OFFER .102"),
        ([lease(".102", CARD, left=-1)], [], None, "OFFER .102"),
        ([lease(".102", CARD, State.FREE, left=-1)], [], None, "OFFER .102"),
        ([lease(".102", CARD, State.FREE, left=-1), lease(".103", CARD)], [], None, "OFFER .103"),
        ([lease(".200", CARD)], [], None, "OFFER .100"),  # no pool has it any more
        ([lease("10.9.0.1", CARD)], [], None, "OFFER .100"),  # of another network
        ([lease(".102", CARD, State.DECLINED)], [], None, "OFFER .100"),
        # 3 what it asks for
        ([], [], ".102", "OFFER .102"),
        ([lease(".102")], [], ".102", "OFFER .100"),
        ([lease(".102", state=State.OFFERED)], [], ".102", "OFFER .100"),
        ([lease(".102", state=State.DECLINED)], [], ".102", "OFFER .100"),
        ([lease(".102", state=State.FREE)], [], ".102", "OFFER .102"),
        ([], [machine(OTHER, ".102")], ".102", "OFFER .100"),  # reserved for another
        ([], [], ".200", "OFFER .100"),  # of no pool
        ([], [], ".1", "OFFER .100"),
        ([], [], "10.9.0.1", "OFFER .100"),
        # 4 a free one
        ([lease(".100")], [], None, "OFFER .101"),
        ([], [machine(OTHER, ".100")], None, "OFFER .101"),
        ([lease(".100"), lease(".101", state=State.DECLINED)], [], None, "OFFER .102"),
    ],
)
def test_which_address_is_offered(leases, machines, wanted, expected):
    server = serving(*leases, machines=machines)
    options = {50: address(wanted).packed} if wanted else {}
    assert told(server.discover(options=options)) == expected


def test_an_address_that_became_another_machines_is_its_own_when_the_lease_is_over():
    server = serving()
    had = server.lease(OTHER)
    server.registry = registry(subnet(), machines=[machine(CARD, ".100")])
    assert told(server.discover()) == "OFFER .101"  # its own is still with the other
    assert told(server.renew(OTHER, ".100")) == "NAK"
    assert told(server.discover(OTHER)) == "OFFER .102"
    server.select(OTHER, ".102")
    assert told(server.discover()) == "OFFER .101"  # the other may have heard no NAK
    server.now = had.until
    assert told(server.discover()) == "OFFER .100"


def test_a_hole_of_millions_of_addresses_is_not_walked_through():
    holes = (pool("10.0.0.0", "10.199.255.255").range, pool("10.200.1.0", "10.255.255.254").range)
    server = Server(
        registry(subnet("10.0.0.0/8", [pool("10.0.0.0", "10.255.255.255")], exclude=holes)),
        links=("10.200.0.0/8",),
    )
    assert told(server.discover()) == "OFFER 10.200.0.1"
    ground = prepared(server.registry).ground(server.registry.subnets.of("10.200.0.1"))
    assert [str(one.range) for one in ground.pools] == [
        "10.200.0.0-10.200.0.255",
        "10.255.255.255-10.255.255.255",
    ]


BY_UUID = {"uuid": "12345678-1234-5678-9abc-def012345678"}


def kept(mac: str = CARD) -> Lease:
    """What the machine by that UUID got when its firmware told it."""
    return lease(".50", mac, reserved=True, machine="box")


def box(**variables):
    """Listed without a card."""
    return replace(machine(OTHER, ".50", **variables), mac=None, macs=(), named="box")


def test_a_machine_by_its_uuid_keeps_its_address_when_its_system_does_not_tell_that():
    server = serving(kept(), machines=[box(**BY_UUID)])
    assert told(server.renew(at=".50")) == "ACK .50"
    assert told(server.reboot(at=".50")) == "ACK .50"
    assert told(server.discover()) == "OFFER .50"
    assert server.discover().lease.machine == "box"
    assert told(server.discover(OTHER)) == "OFFER .100"


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        (BY_UUID, {97: b"\0" + bytes(range(16))}),  # another machine, that has the card now
        ({}, {}),  # its card is not listed any more
        ({"circuit_id": "Gi0/1"}, {}),  # it is plugged in elsewhere
    ],
)
def test_what_a_card_was_does_not_count_where_it_is_something_else(variables, options):
    server = serving(kept(), machines=[box(**variables)])
    assert told(server.discover(options=options)) == "OFFER .100"


def test_a_machine_by_its_port_keeps_its_address_when_it_renews_past_the_relay():
    server = serving(kept(), machines=[box(circuit_id="Gi0/1")])
    assert told(server.renew(at=".50")) == "ACK .50"


def test_holes_of_a_pool_our_own_address_and_the_router_are_never_offered():
    span = pool(".0", ".7")
    holes = (pool(".2", ".3").range,)
    options = {3: address(".4").packed}
    server = serving(pools=[span], exclude=holes, options=options)
    got = [str(server.lease(f"52:54:00:00:00:{n:02x}").address) for n in range(3)]
    assert got == ["10.1.0.5", "10.1.0.6", "10.1.0.7"]
    assert told(server.discover()) == "nothing (exhausted)"


def test_the_offer_that_was_never_taken_is_reused_when_all_else_is_taken():
    server = serving(pools=[pool(".100", ".101")])
    server.discover("52:54:00:00:00:01")
    server.now += 1
    server.discover("52:54:00:00:00:02")
    server.now += 1
    assert told(server.discover("52:54:00:00:00:03")) == "OFFER .100"
    assert server.state(".100") == ("52:54:00:00:00:03", State.OFFERED)


def test_whoever_takes_an_offer_that_was_reused_gets_the_address_all_the_same():
    server = serving(pools=[pool(".100", ".100")])
    server.discover()
    server.discover(OTHER)
    assert told(server.select(CARD)) == "ACK .100"
    assert told(server.select(OTHER)) == "NAK"


def test_an_exhausted_pool_is_told_with_its_subnet():
    server = serving(lease(".100"), pools=[pool(".100", ".100")])
    got = server.discover()
    assert told(got) == "nothing (exhausted)"
    assert got.unserved
    assert isinstance(got.event, NoAddress)
    assert (got.event.code, got.event.subnet, got.event.interface) == (
        "exhausted",
        "10.1.0.0/24",
        "eth1",
    )


def test_a_lease_that_is_over_is_given_to_another_and_told_to_have_ended():
    server = serving(lease(".100", left=-1, hostname="old"), pools=[pool(".100", ".100")])
    server.leases.expire(server.now)
    assert told(server.discover()) == "OFFER .100"
    late = serving(lease(".100", left=-1, hostname="old"), pools=[pool(".100", ".101")])
    got = late.discover(options={50: address(".100").packed})
    assert told(got) == "OFFER .100"
    ended, _ = got.events
    assert isinstance(ended, LeaseEnded)
    assert (ended.key, ended.how, ended.hostname) == (OTHER, "expired", "old")


@pytest.mark.parametrize(
    ("match", "options", "known", "expected"),
    [
        (Match(listed=True), {}, True, "OFFER .100"),
        (Match(listed=True), {}, False, "nothing (no-pool)"),
        (Match(listed=False), {}, True, "nothing (no-pool)"),
        (Match(vendor_class="PXEClient*"), UEFI, False, "OFFER .100"),
        (Match(vendor_class="PXEClient*"), {60: b"MSFT 5.0"}, False, "nothing (no-pool)"),
        (Match(vendor_class="PXEClient*"), {}, False, "nothing (no-pool)"),
        (Match(user_class="iP?E"), {77: b"iPXE"}, False, "OFFER .100"),
        (Match(user_class="iPXE"), {77: b"\4iPXE\3foo"}, False, "OFFER .100"),
        (Match(user_class="iPXE"), {77: b"gPXE"}, False, "nothing (no-pool)"),
        # The client may say what it likes where no relay does.
        (Match(circuit_id="ge-1"), {82: b"\1\4ge-1"}, False, "nothing (no-pool)"),
    ],
)
def test_a_pool_is_for_whom_it_says(match, options, known, expected):
    server = serving(pools=[pool(match=match)], machines=[machine(CARD)] if known else [])
    assert told(server.discover(options=options)) == expected


def test_a_lease_is_not_kept_in_a_pool_that_is_for_others_now():
    server = serving(
        lease(".100", CARD), pools=[pool(match=Match(listed=True)), pool(".110", ".111")]
    )
    assert told(server.discover()) == "OFFER .110"
    assert told(server.renew()) == "NAK"


# -- two cards of one machine ------------------------------------------------------------------


def two_cards(**said) -> Server:
    server = serving(lease(".50", OTHER, machine=CARD, reserved=True), machines=[TWO_CARDS], **said)
    assert TWO_CARDS.key == CARD
    return server


def test_the_network_is_asked_before_another_card_of_the_machine_gets_its_address():
    server = two_cards()
    got = server.discover()
    assert told(got) == "ask .50"
    assert got.holder == OTHER
    server.silent.add("10.1.0.50")
    assert told(server.discover()) == "OFFER .50"
    assert server.state(".50") == (CARD, State.OFFERED)


def test_a_card_that_has_just_got_the_address_keeps_it_whatever_was_heard():
    """Both may have waited for the same silence."""
    server = two_cards()
    server.leases.put(lease(".50", OTHER, machine=CARD, reserved=True, since=995.0))
    server.silent.add("10.1.0.50")
    assert told(server.discover()) == "OFFER .100"


def test_a_second_card_gets_another_address_while_the_first_answers():
    server = two_cards()
    server.taken.add("10.1.0.50")
    assert told(server.discover()) == "OFFER .100"
    assert server.state(".50") == (OTHER, State.LEASED)
    nowhere = two_cards(pools=[])
    nowhere.taken.add("10.1.0.50")
    got = nowhere.discover()
    assert told(got) == "nothing (no-pool)"
    assert f"10.1.0.50, which is reserved for it, is with {OTHER}" in got.reason


def test_a_stranger_keeps_what_was_reserved_since_until_its_lease_is_over():
    server = serving(lease(".50", OTHER), machines=[RESERVED])
    assert told(server.discover()) == "OFFER .100"
    assert told(server.renew(OTHER, ".50")) == "NAK"
    server.now += 3600
    assert told(server.discover()) == "OFFER .50"


# -- asking the network ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leases", "machines", "expected"),
    [
        ([], [], "ask .100"),
        ([], [RESERVED], "ask .50"),
        ([lease(".100", CARD)], [], "OFFER .100"),
        ([lease(".100", CARD, State.OFFERED)], [], "OFFER .100"),
        ([lease(".100", CARD, State.FREE, left=-1)], [], "OFFER .100"),
        ([lease(".100"), lease(".101"), lease(".102"), lease(".103")], [], "nothing (exhausted)"),
    ],
)
def test_the_network_is_asked_of_an_address_that_the_client_never_had(leases, machines, expected):
    server = serving(*leases, machines=machines, probe=True)
    assert told(server.discover()) == expected
    if expected.startswith("ask"):
        server.silent.add(str(address(expected[4:])))
        assert told(server.discover()) == f"OFFER {expected[4:]}"


def test_the_card_that_answered_for_an_address_may_have_it():
    found = replace(lease(".100", CARD, State.DECLINED), key="")
    server = serving(found, probe=True)
    server.silent.add("10.1.0.100")  # as far as the others go
    assert told(server.reboot(CARD)) == "ACK .100"
    assert told(serving(found, probe=True).reboot(OTHER)) == "NAK"


# -- 4.3.2 REQUEST -----------------------------------------------------------------------------


def test_a_request_of_the_offer_is_acknowledged_once_it_is_on_disk():
    server = serving()
    server.discover()
    server.now += 2
    got = server.select()
    assert told(got) == "ACK .100"
    assert got.write == (got.lease,)
    assert [one.state for one in got.before] == [State.OFFERED]
    assert server.leases.at(address(".100")) is got.lease
    assert (got.lease.state, got.lease.since, got.lease.until) == (State.LEASED, 1002.0, 4602.0)
    assert (got.lease.key, str(got.lease.mac), got.lease.port) == (CARD, CARD, "eth1")
    (event,) = got.events
    assert isinstance(event, Leased)
    assert (event.address, event.seconds, event.how) == ("10.1.0.100", 3600, "new")


def test_a_request_to_another_server_frees_our_offer():
    server = serving()
    server.discover()
    assert told(server.select(by=ELSEWHERE)) == "nothing (not-netboot)"
    assert server.state(".100") is None


def test_a_request_to_any_address_of_ours_on_the_interface_is_ours():
    server = serving()
    server.links = ("10.1.0.1/24", "10.1.0.2/24")
    server.discover()
    assert told(server.select(by=ELSEWHERE)) == "ACK .100"


LEASED = lease(".100", CARD)
FREED = lease(".100", CARD, State.FREE, left=-1)
STRANGER = lease(".100")
DECLINED = lease(".100", state=State.DECLINED)


@pytest.mark.parametrize(
    ("leases", "machines", "at", "selecting", "rebooting", "renewing", "rebinding"),
    [
        # its own, known or lost
        ([LEASED], [], ".100", "ACK", "ACK", "ACK", "ACK"),
        ([FREED], [], ".100", "ACK", "ACK", "ACK", "ACK"),
        ([], [], ".100", "ACK", "ACK", "ACK", "ACK"),
        ([lease(".100", left=-1)], [], ".100", "ACK", "ACK", "ACK", "ACK"),
        ([lease(".100", state=State.OFFERED)], [], ".100", "ACK", "ACK", "ACK", "ACK"),
        # another's
        ([STRANGER], [], ".100", "NAK", "NAK", "NAK", "NAK"),
        ([DECLINED], [], ".100", "NAK", "NAK", "NAK", "NAK"),
        # no pool's, a hole's, reserved, ours, the router's, of another network
        ([], [], ".200", "NAK", "NAK", "NAK", "NAK"),
        ([lease(".200", CARD)], [], ".200", "NAK", "NAK", "NAK", "NAK"),
        ([], [], ".103", "NAK", "NAK", "NAK", "NAK"),
        ([], [machine(OTHER, ".100")], ".100", "NAK", "NAK", "NAK", "NAK"),
        ([LEASED], [machine(OTHER, ".100")], ".100", "NAK", "NAK", "NAK", "NAK"),
        ([], [], ".1", "NAK", "NAK", "NAK", "NAK"),
        ([], [], ".254", "NAK", "NAK", "NAK", "NAK"),
        ([], [], "10.9.0.1", "NAK", "NAK", "NAK", "NAK"),
        ([], [], "255.255.255.255", "NAK", "NAK", "NAK", "NAK"),
        # a reservation
        ([], [RESERVED], ".50", "ACK", "ACK", "ACK", "ACK"),
        ([LEASED], [RESERVED], ".100", "ACK", "NAK", "ACK", "ACK"),
    ],
)
def test_what_a_request_gets_in_each_state(
    leases, machines, at, selecting, rebooting, renewing, rebinding
):
    def server() -> Server:
        return serving(*leases, machines=machines, exclude=(pool(".103", ".103").range,))

    for got, expected in (
        (server().select(at=at), selecting),
        (server().reboot(at=at), rebooting),
        (server().renew(at=at), renewing),
        (server().renew(at=at, rebind=True), rebinding),
    ):
        assert told(got) == (f"ACK {at}" if expected == "ACK" else expected)


@pytest.mark.parametrize("quiet", ["rival", "not authoritative"])
@pytest.mark.parametrize(
    ("leases", "at", "selecting", "others"),
    [
        ([LEASED], ".100", "ACK .100", "ACK .100"),
        ([FREED], ".100", "ACK .100", "ACK .100"),
        ([], ".100", "ACK .100", "nothing (not-ours)"),
        ([STRANGER], ".100", "NAK", "nothing (not-ours)"),
        ([], ".200", "NAK", "nothing (not-ours)"),
        ([lease(".200", CARD)], ".200", "NAK", "NAK"),  # it was ours to give, and is no more
        ([], "10.9.0.1", "NAK", "nothing (not-ours)"),
    ],
)
def test_where_others_give_addresses_too_nothing_is_said_of_what_is_not_ours(
    quiet, leases, at, selecting, others
):
    def server() -> Server:
        made = serving(*leases, authoritative=quiet == "rival")
        made.rival = quiet == "rival"
        return made

    assert told(server().select(at=at)) == selecting
    assert told(server().reboot(at=at)) == others
    assert told(server().renew(at=at)) == others
    assert told(server().renew(at=at, rebind=True)) == others


def test_a_nak_has_nothing_but_what_table_3_lists():
    got = serving().ask(
        message(
            MessageType.REQUEST,
            options={50: address("10.9.0.1").packed, 61: b"\1abcdef", 55: b"\1\3", 12: b"me"},
            flags=0,
            xid=7,
        )
    )
    reply = got.reply
    assert (reply.flags, reply.xid, int(reply.yiaddr), int(reply.siaddr)) == (0, 7, 0, 0)
    assert (reply.file, reply.sname, int(reply.ciaddr)) == (b"", b"", 0)
    assert list(reply.options) == [53, 54, 56, 61]
    assert reply.options[54] == US.packed
    assert got.lease is None
    (event,) = got.events
    assert isinstance(event, Naked)
    assert event.address == "10.9.0.1"
    assert "not of this network" in event.reason


@pytest.mark.parametrize(
    ("options", "ciaddr", "expected"),
    [
        ({}, "0.0.0.0", "nothing"),
        ({54: US.packed}, "0.0.0.0", "nothing"),
        ({50: bytes(4)}, "0.0.0.0", "nothing"),
        ({50: b"\x0a\1"}, "0.0.0.0", "nothing"),
        # A server of all zeros is none.
        ({50: address(".100").packed, 54: bytes(4)}, "0.0.0.0", "ACK .100"),
        ({50: address(".100").packed, 54: b"\x0a"}, "0.0.0.0", "ACK .100"),
        ({54: US.packed}, "10.1.0.100", "ACK .100"),
        ({50: address(".101").packed}, "10.1.0.100", "ACK .100"),
    ],
)
def test_a_request_of_no_clear_state(options, ciaddr, expected):
    request = message(MessageType.REQUEST, options=options, ciaddr=IPv4Address(ciaddr))
    assert told(serving().ask(request)) == expected


def test_renewing_says_ciaddr_again_and_keeps_when_the_lease_began():
    server = serving()
    first = server.lease()
    server.now += 1800
    got = server.renew()
    assert (str(got.reply.ciaddr), str(got.reply.yiaddr)) == ("10.1.0.100", "10.1.0.100")
    assert (got.lease.since, got.lease.until) == (first.since, 1000 + 1800 + 3600)
    assert got.before == (first,)
    assert got.events[0].how == "renewed"
    assert server.renew(rebind=True).events[0].how == "rebound"
    assert server.reboot().events[0].how == "init-reboot"


def test_who_renews_what_we_know_nothing_of_is_asked_for_on_the_network():
    """Its own answer is no objection; after a boot with a wrong clock another may answer."""
    assert told(serving(probe=True).renew()) == "ask .100"
    assert told(serving(probe=True).reboot()) == "ask .100"


def test_who_renews_its_own_lease_is_not_asked_for_on_the_network():
    server = serving()
    server.lease()
    assert told(server.renew()) == "ACK .100"


# -- lease times -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 600),
        (b"\0\0\0\1", 300),
        (b"\0\0\1\x90", 400),
        (b"\0\0\x10\0", 900),
        (b"\xff\xff\xff\xff", 900),
        (b"", 600),
        (b"\1\2", 600),
    ],
)
def test_lease_times_stay_within_bounds(asked, seconds):
    server = serving(times=LeaseTimes(600, 300, 900))
    options = {} if asked is None else {51: asked}
    for got in (server.discover(options=options), server.select(options=options)):
        said = {code: int.from_bytes(got.reply.options[code], "big") for code in (51, 58, 59)}
        assert said == {51: seconds, 58: seconds // 2, 59: seconds * 7 // 8}


def test_a_lease_without_end_has_no_times_to_renew():
    server = serving(times=LeaseTimes(600, 300, 0xFFFFFFFF))
    got = server.discover(options={51: b"\xff\xff\xff\xff"})
    assert got.reply.options[51] == b"\xff\xff\xff\xff"
    assert 58 not in got.reply.options
    assert 59 not in got.reply.options


# -- a folder that cannot be written -----------------------------------------------------------


def test_an_offer_that_cannot_be_written_down_becomes_no_lease():
    offered = lease(".100", CARD, State.OFFERED)
    assert told(unsaved(offered).discover()) == "nothing (unsaved)"
    assert told(unsaved(offered).select()) == "nothing (unsaved)"
    reserved = replace(offered, address=address(".50"), reserved=True)
    assert told(unsaved(reserved, machines=[RESERVED]).select(at=".50")) == "ACK .50"


def unsaved(*leases: Lease, machines=()) -> Server:
    server = serving(*leases, machines=machines)
    server.saving = False
    return server


def test_nobody_gets_a_new_lease_that_cannot_be_written():
    assert told(unsaved().discover()) == "nothing (unsaved)"
    assert told(unsaved().select()) == "nothing (unsaved)"
    assert told(unsaved().reboot()) == "nothing (unsaved)"
    assert told(unsaved(FREED).discover()) == "nothing (unsaved)"


def test_reservations_are_served_without_being_written():
    server = unsaved(machines=[RESERVED])
    assert told(server.discover()) == "OFFER .50"
    got = server.select(at=".50")
    assert told(got) == "ACK .50"
    assert got.write == ()
    assert server.state(".50") == (CARD, State.LEASED)


def test_a_renewal_that_cannot_be_written_gets_what_is_left():
    server = unsaved(lease(".100", CARD, left=1000))
    got = server.renew()
    assert told(got) == "ACK .100"
    assert got.write == ()
    assert int.from_bytes(got.reply.options[51], "big") == 1000
    assert server.leases.at(address(".100")).until == 2000.0


# -- rapid commit, Raspberry Pi ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "options", "expected"),
    [(True, {80: b""}, "ACK .100"), (False, {80: b""}, "OFFER .100"), (True, {}, "OFFER .100")],
)
def test_rapid_commit_is_for_who_asks_where_it_is_allowed(allowed, options, expected):
    got = serving(rapid_commit=allowed).discover(options=options)
    assert told(got) == expected
    assert (80 in got.reply.options) == (expected[0] == "A")
    assert len(got.write) == (expected[0] == "A")


def test_a_raspberry_pi_has_what_it_is_offered_since_it_never_says_so():
    server = serving()
    pi = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 97: b"\0" + b"\x44" * 16}
    got = server.discover("b8:27:eb:01:02:03", options=pi)
    assert told(got) == "OFFER .100"
    assert got.write == (got.lease,)
    assert (got.lease.state, got.lease.until) == (State.LEASED, 4600.0)
    assert b"Raspberry Pi Boot   " in got.reply.options[43] if got.boot else True


# -- 4.3.3 DECLINE, 4.3.4 RELEASE, 4.3.5 INFORM ------------------------------------------------


def decline(server: Server, mac: str = CARD, at: str = ".100", **options):
    said = {50: address(at).packed, **{int(code[1:]): value for code, value in options.items()}}
    return server.ask(message(MessageType.DECLINE, mac, options=said))


def test_an_address_that_is_declined_is_for_nobody_for_a_while():
    server = serving()
    server.lease()
    got = decline(server)
    assert [one.state for one in got.write] == [State.DECLINED]
    assert got.write[0].until == 1900.0
    ended, in_use = got.events
    assert isinstance(ended, LeaseEnded)
    assert isinstance(in_use, AddressInUse)
    assert (in_use.address, in_use.seconds, str(in_use.mac)) == ("10.1.0.100", 900, CARD)
    assert told(server.discover()) == "OFFER .101"
    assert told(server.discover(OTHER, {50: address(".100").packed})) == "OFFER .102"


def test_a_reserved_address_that_is_declined_leaves_its_machine_one_of_the_pool():
    server = serving(machines=[RESERVED])
    server.lease()
    assert told(decline(server, at=".50")) == "noted"
    assert told(server.discover()) == "OFFER .100"
    server.now += 901
    assert told(server.discover()) == "OFFER .50"


@pytest.mark.parametrize(
    ("leases", "at", "options"),
    [
        ([STRANGER], ".100", {}),
        ([], ".100", {}),
        ([FREED], ".100", {}),
        ([LEASED], ".101", {}),
        ([LEASED], ".100", {"_54": ELSEWHERE.packed}),
        ([LEASED], "10.9.0.1", {}),
    ],
)
def test_nobody_declines_what_is_not_its_own(leases, at, options):
    server = serving(*leases)
    before = list(server.leases)
    assert told(decline(server, at=at, **options)) == "nothing"
    assert list(server.leases) == before


def test_one_client_declines_a_few_addresses_and_no_more():
    server = serving(pools=[pool(".100", ".200")])
    for _ in range(10):
        got = server.discover()
        server.select(at=str(got.reply.yiaddr))
        decline(server, at=str(got.reply.yiaddr))
    assert sum(one.state is State.DECLINED for one in server.leases) == 3


def test_a_release_is_written_and_the_address_is_its_last_holders_first():
    server = serving()
    server.lease()
    got = server.ask(message(MessageType.RELEASE, ciaddr=address(".100")), unicast=True)
    assert [one.state for one in got.write] == [State.FREE]
    (event,) = got.events
    assert isinstance(event, LeaseEnded)
    assert event.how == "released"
    assert told(server.discover(OTHER)) == "OFFER .101"
    assert told(server.discover()) == "OFFER .100"


@pytest.mark.parametrize(
    ("mac", "at", "options"),
    [
        (OTHER, ".100", {}),
        (CARD, ".101", {}),
        (CARD, "0.0.0.0", {}),
        (CARD, ".100", {54: ELSEWHERE.packed}),
    ],
)
def test_nobody_releases_what_is_not_its_own(mac, at, options):
    server = serving(LEASED)
    request = message(MessageType.RELEASE, mac, ciaddr=address(at), options=options)
    assert told(server.ask(request, unicast=True)) == "nothing"
    assert server.state(".100") == (CARD, State.LEASED)


@pytest.mark.parametrize("unicast", [True, False])
def test_an_inform_gets_options_and_no_address(unicast):
    request = message(MessageType.INFORM, ciaddr=address(".77"), options={55: b"\1\3\6"})
    got = serving().ask(request, unicast=unicast)
    assert told(got) == "ACK"
    assert str(got.reply.ciaddr) == "10.1.0.77"
    assert list(got.reply.options) == [53, 54, 1, 3, 6, 15]
    assert (got.lease, got.write) == (None, ())


def test_an_inform_of_a_network_that_is_not_ours_is_not_answered():
    for ciaddr in ("10.9.0.1", "0.0.0.0"):
        request = message(MessageType.INFORM, ciaddr=IPv4Address(ciaddr))
        assert told(serving().ask(request)) == "nothing"


# -- BOOTP -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bootp", "machines", "expected"),
    [
        (True, [RESERVED], "BOOTP .50"),
        (True, [], "nothing (no-pool)"),
        (False, [RESERVED], "nothing"),
    ],
)
def test_bootp_is_for_reservations_where_it_is_allowed(bootp, machines, expected):
    server = serving(bootp=bootp, machines=machines)
    got = server.ask(message(None))
    assert told(got) == expected
    if isinstance(got, Given):
        assert {51, 53, 54, 58, 59}.isdisjoint(got.reply.options)
        assert got.reply.options[1] == b"\xff\xff\xff\0"
        assert got.lease.until > 1000.0 + 10**9
        assert got.events[0].how == "bootp"


def test_a_message_type_of_the_wrong_size_is_no_bootp():
    server = serving(bootp=True, machines=[RESERVED])
    assert told(server.ask(message(None, options={53: b"\1\1"}))) == "nothing"


@pytest.mark.parametrize("kind", [MessageType.OFFER, MessageType.ACK, MessageType.NAK])
def test_what_a_server_says_is_not_answered(kind):
    assert told(serving().ask(message(kind))) == "nothing"
    assert told(serving().ask(message(MessageType.DISCOVER)._replace(op=2))) == "nothing"


# -- who is served -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "settings", "known", "expected"),
    [
        ({}, {}, False, "OFFER .100"),
        ({"served": False}, {}, True, "nothing (subnet)"),
        ({"known_only": True}, {}, False, "nothing (unlisted)"),
        ({"known_only": True}, {}, True, "OFFER .100"),
        ({"known_only": False}, {"known_only": True}, False, "OFFER .100"),
        ({}, {"known_only": True}, False, "nothing (unlisted)"),
        ({}, {"known_only": True}, True, "OFFER .100"),
    ],
)
@pytest.mark.parametrize("default", [True, False])
def test_who_gets_nothing_at_all(said, settings, known, expected, default):
    machines = [machine(CARD)] if known else []
    server = Server(registry(subnet(**said), machines=machines, default=default, **settings))
    assert told(server.discover()) == expected
    if expected == "nothing (unlisted)":
        assert told(server.renew()) == expected
        assert told(server.ask(message(MessageType.INFORM, ciaddr=address(".9")))) == expected


# -- links -------------------------------------------------------------------------------------


def test_all_subnets_of_one_cable_have_their_pools_used():
    one = subnet(pools=[pool(".100", ".100")], shared_network="lab")
    two = subnet("10.2.0.0/24", [pool("10.2.0.5", "10.2.0.5")], shared_network="lab")
    server = Server(registry(one, two, machines=[machine(OTHER, "10.2.0.9")]))
    assert told(server.discover("52:54:00:00:00:01")) == "OFFER .100"
    got = server.discover("52:54:00:00:00:02")
    assert told(got) == "OFFER 10.2.0.5"
    assert got.reply.options[1] == b"\xff\xff\xff\0"
    assert told(server.discover(OTHER)) == "OFFER 10.2.0.9"
    assert told(server.reboot("52:54:00:00:00:02", "10.2.0.5")) == "ACK 10.2.0.5"


def test_two_networks_on_one_interface_share_its_cable_unless_one_is_not_ours():
    one = subnet(pools=[pool(".100", ".100")])
    two = subnet("10.2.0.0/24", [pool("10.2.0.5", "10.2.0.5")])
    server = Server(registry(one, two), links=("10.1.0.1/24", "10.2.0.1/24"))
    server.discover("52:54:00:00:00:01")
    server.select("52:54:00:00:00:01")
    assert told(server.discover()) == "OFFER 10.2.0.5"
    theirs = subnet("10.2.0.0/24", [pool("10.2.0.5", "10.2.0.5")], serving=Serving.PROXY)
    server.registry = registry(one, theirs)
    assert told(server.discover()) == "nothing (exhausted)"


def test_a_client_routers_away_renews_by_the_subnet_of_its_address():
    far = subnet("10.2.0.0/24", [pool("10.2.0.5", "10.2.0.9")])
    server = Server(registry(subnet(), far))
    assert told(server.renew(at="10.2.0.6")) == "ACK 10.2.0.6"
    assert told(server.renew(at="10.2.0.6", rebind=True)) == "NAK"  # it moved to this cable


def test_an_interface_that_no_subnet_speaks_of_serves_reservations():
    made = registry(subnet("10.9.0.0/24"), machines=[machine(CARD, ".50")])
    config = replace(made.config, dhcp=replace(made.config.dhcp, mode=Serving.SERVER))
    server = Server(replace(made, config=config), silent={"10.1.0.50"})
    got = server.discover()
    assert told(got) == "OFFER .50"
    assert got.reply.options[1] == b"\xff\xff\xff\0"
    assert got.reply.options[28] == b"\x0a\1\0\xff"
    assert told(server.discover(OTHER)) == "nothing (no-pool)"


# -- what is learned of a client ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "variables", "name"),
    [
        ({}, {}, ""),
        ({12: b"Laptop7"}, {}, "laptop7"),
        ({12: b"laptop7.example.org\0"}, {}, "laptop7"),
        ({12: b"laptop7"}, {"hostname": "node1"}, "node1"),
        ({}, {"hostname": "node1.example.org"}, "node1"),
        ({12: b"no name"}, {}, ""),
        ({12: b"-x"}, {}, ""),
        ({12: b"a" * 64}, {}, ""),
        ({12: b"<script>"}, {}, ""),
        ({81: b"\0\0\0laptop8"}, {}, "laptop8"),
        ({81: b"\4\0\0\x07laptop8\7example\0"}, {}, "laptop8"),
        ({81: b"\4\0\0"}, {}, ""),
        ({81: b""}, {}, ""),
        ({81: b"\4\0\0\xffab"}, {}, "ab"),
    ],
)
def test_the_name_that_goes_with_a_lease(options, variables, name):
    machines = [machine(CARD, **variables)] if variables else []
    server = serving(machines=machines)
    server.discover(options=options)
    got = server.select(options=options)
    assert got.lease.hostname == got.events[0].hostname == name


def test_another_identifier_is_the_same_client_unless_the_subnet_says_otherwise():
    """The firmware, iPXE and the system say different things in option 61."""
    words = ({}, {61: b"\1" + bytes.fromhex("525400123456")}, {61: b"\xff" + bytes(18)})
    server = serving()
    assert [told(server.discover(options=said)) for said in words] == ["OFFER .100"] * 3
    server = serving(match_client_id=True)
    found = [told(server.discover(options=said)) for said in words]
    assert found == ["OFFER .100", "OFFER .100", "OFFER .101"]


def test_the_server_id_is_our_address_and_the_router_is_the_configured_one():
    reply = serving().discover().reply
    assert reply.server_id == US
    assert reply.options[3] == ROUTER.packed
