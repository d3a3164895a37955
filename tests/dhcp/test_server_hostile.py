"""Clients that lie: what they say may cost them their own address, and nobody else's."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest

from netbootd.dhcp import wire
from netbootd.dhcp.given import Given
from netbootd.dhcp.message import Message, MessageType, Op
from netbootd.leases.lease import State

from .servers import (
    CARD,
    OTHER,
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

INFINIBAND = 32
GUID = bytes.fromhex("0002c903000a0b0c")


def server(count: int = 50, *, machines=(), **said) -> Server:
    return Server(
        registry(subnet(pools=[pool(".100", f".{99 + count}")], **said), machines=machines)
    )


# -- cards that are none -----------------------------------------------------------------------


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
@pytest.mark.parametrize("kind", [one for one in MessageType if one in (1, 3, 4, 7, 8)])
@pytest.mark.parametrize("options", [{}, {61: b"\1me"}])
def test_a_card_that_nobody_can_have_gets_nothing(mac, kind, options):
    told_of = {**options, 50: address(".100").packed}
    made = server()
    assert told(made.ask(message(kind, mac, options=told_of))) == "nothing (reserved)"
    assert len(made.leases) == 0


@pytest.mark.parametrize(
    ("htype", "hlen", "chaddr", "identifier", "expected"),
    [
        (1, 0, b"", None, "nothing (reserved)"),
        (1, 0, b"", b"", "nothing (reserved)"),
        (1, 0, b"", b"\1", "nothing (reserved)"),
        (1, 0, b"", b"\0abc", "OFFER .100"),
        (1, 16, bytes(range(1, 17)), None, "OFFER .100"),
        (1, 16, bytes(16), None, "nothing (reserved)"),
        (0, 6, b"\x52\x54\0\1\2\3", None, "OFFER .100"),
        (INFINIBAND, 0, b"", b"\0\0\0\0" + GUID, "OFFER .100"),
        (INFINIBAND, 0, b"", None, "nothing (reserved)"),
        (INFINIBAND, 20, b"\x80", b"\0\0\0\0" + GUID, "OFFER .100"),
        (INFINIBAND, 8, GUID, None, "OFFER .100"),
        (255, 16, b"\xff" * 16, None, "OFFER .100"),
    ],
)
def test_what_is_no_ethernet_card_is_known_by_what_it_says(
    htype, hlen, chaddr, identifier, expected
):
    options = {53: b"\1", **({} if identifier is None else {61: identifier})}
    request = Message(
        op=Op.REQUEST, htype=htype, hlen=hlen, chaddr=chaddr.ljust(16, b"\0"), options=options
    )
    made = server()
    got = made.ask(request)
    assert told(got) == expected
    if isinstance(got, Given):
        assert told(made.ask(request)) == expected
        wire.encode(got.reply, request.limit)


@pytest.mark.parametrize("identifier", [b"", b"\1", b"\0" * 255, b"\xff" * 255, b"x" * 1200])
def test_an_identifier_of_any_length_does_no_harm(identifier):
    made = server()
    got = made.discover(options={61: identifier})
    assert told(got) == "OFFER .100"
    assert len(wire.encode(got.reply, 548)) <= 548
    assert len(got.lease.client_id) <= 510
    assert len(got.lease.key) < 150


# -- what is another's -------------------------------------------------------------------------


def test_nothing_that_a_stranger_says_moves_the_lease_of_another():
    made = server(machines=[machine(OTHER, ".50")])
    kept = made.lease(CARD)
    reserved = made.lease(OTHER)
    thief = "52:54:00:66:66:66"
    for at in (".100", ".50"):
        here = address(at)
        for kind in MessageType:
            for unicast in (True, False):
                for options in (
                    {50: here.packed, 54: US.packed},
                    {50: here.packed},
                    {50: here.packed, 61: b"\1" + bytes.fromhex(CARD.replace(":", ""))},
                    {},
                ):
                    for ciaddr in (here, IPv4Address(0)):
                        request = message(kind, thief, options=options, ciaddr=ciaddr)
                        got = made.ask(request, unicast=unicast)
                        if isinstance(got, Given):
                            assert got.reply.yiaddr != here
    assert made.leases.at(kept.address) == kept
    assert made.leases.at(reserved.address) == reserved


# -- floods ------------------------------------------------------------------------------------


def cards(count: int):
    return [f"52:54:77:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}" for n in range(count)]


def test_offers_to_a_flood_of_cards_keep_nobody_waiting():
    made = server()
    for mac in cards(500):
        made.now += 0.001
        made.discover(mac)
    assert len(made.leases) == 50
    offer = made.discover()
    assert told(made.select(at=str(offer.reply.yiaddr))).startswith("ACK")
    for mac in cards(500):
        made.discover(mac)
    assert told(made.renew(at=str(offer.reply.yiaddr))).startswith("ACK")


def test_a_flood_of_requests_takes_no_more_than_one_address_for_each_card():
    made = server()
    for at in range(100, 150):
        made.reboot(at=f".{at}")
    held = [one for one in made.leases if one.state is not State.FREE]
    assert {one.key for one in held} == {CARD}
    assert len(held) == 1


def test_a_flood_of_declines_by_one_card_ends_after_a_few():
    made = server()
    for _ in range(60):
        offer = made.discover()
        at = offer.reply.yiaddr.packed
        made.ask(message(MessageType.DECLINE, options={50: at, 54: US.packed}))
    assert sum(one.state is State.DECLINED for one in made.leases) == 3


def test_a_decline_of_what_was_never_offered_is_no_decline():
    made = server()
    for mac, at in zip(cards(50), range(100, 150), strict=True):
        made.ask(message(MessageType.DECLINE, mac, options={50: address(f".{at}").packed}))
    assert len(made.leases) == 0


# -- anything ----------------------------------------------------------------------------------


def anything(dice: random.Random) -> Message:
    """A message of random parts, of which most are such as clients send."""
    at = IPv4Address(f"10.1.0.{dice.randrange(256)}")
    values = [b"", at.packed, bytes(4), US.packed, b"\xff" * 4, dice.randbytes(dice.randrange(300))]
    codes = [12, 50, 51, 53, 54, 55, 57, 60, 61, 77, 80, 81, 82, 93, 97, 175, 255, 43, 52]
    options = {dice.choice(codes): dice.choice(values) for _ in range(dice.randrange(8))}
    options[53] = bytes((dice.randrange(10),)) if dice.random() < 0.95 else options.get(53, b"")
    return Message(
        op=Op.REQUEST,
        htype=dice.choice([1, 1, 1, 0, 6, 32]),
        hlen=dice.choice([6, 6, 6, 0, 8, 16, 20]),
        flags=dice.choice([0, 0x8000, 0xFFFF]),
        ciaddr=dice.choice([IPv4Address(0), at, IPv4Address("10.9.0.1")]),
        giaddr=dice.choice([IPv4Address(0), IPv4Address(0), IPv4Address("10.1.0.9")]),
        chaddr=bytes.fromhex(dice.choice(cards(20)).replace(":", "")).ljust(16, b"\0"),
        options=options,
    )


@pytest.mark.parametrize("seed", range(4))
def test_nobody_is_given_what_another_has_whatever_is_said(seed):
    dice = random.Random(seed)
    node = machine(cards(1)[0], ".50")
    net = subnet(
        pools=[pool(".0", ".255")],
        bootp=True,
        rapid_commit=True,
        options={3: IPv4Address("10.1.0.254").packed},
    )
    made = Server(registry(net, machines=[node], default=True))
    for _ in range(1500):
        made.now += dice.random() * 60
        made.leases.expire(made.now)
        held = {one.address: one for one in made.leases if one.active(made.now)}
        request = anything(dice)
        got = made.ask(request, unicast=dice.random() < 0.3)
        if not isinstance(got, Given):
            continue
        assert len(wire.encode(got.reply, request.limit)) <= request.limit
        given = got.reply.yiaddr
        assert str(given) not in ("10.1.0.1", "10.1.0.254", "10.1.0.255")
        if given in held and got.lease is not None:
            assert got.lease.key == held[given].key
        if str(given) == "10.1.0.50":
            assert got.lease.machine == node.key
