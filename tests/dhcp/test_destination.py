"""Where a reply goes, and from which of our addresses."""

from ipaddress import IPv4Address, IPv4Interface

import pytest

from netbootd.dhcp.destination import EVERYBODY, destination, is_beyond, local_address
from netbootd.dhcp.message import Message, MessageType, Op, Option

NOBODY = ("0.0.0.0", 68)
BROADCAST = ("255.255.255.255", 68)
RELAY, CLIENT = "192.0.2.9", "192.0.2.50"
CARD = bytes.fromhex("525400aa0002")
OFFER = Message(op=Op.REPLY)


def request(*, ciaddr="0.0.0.0", giaddr="0.0.0.0", **fields) -> Message:
    return Message(op=Op.REQUEST, ciaddr=IPv4Address(ciaddr), giaddr=IPv4Address(giaddr), **fields)


@pytest.mark.parametrize("flags", [0, 0x8000])
@pytest.mark.parametrize(
    ("addresses", "to"),
    [
        ({}, BROADCAST),
        ({"ciaddr": CLIENT}, (CLIENT, 68)),
        ({"giaddr": RELAY}, (RELAY, 67)),
        ({"giaddr": RELAY, "ciaddr": CLIENT}, (RELAY, 67)),
        ({"htype": 32, "hlen": 0}, BROADCAST),
        ({"htype": 1, "hlen": 16}, BROADCAST),
    ],
)
def test_a_reply_without_an_address_goes_by_rfc_2131_whatever_the_flag(addresses, to, flags):
    """A client with the flag clear takes unicast, too; but we give no address to send it to."""
    asked = request(flags=flags, **addresses)
    assert destination(asked, OFFER, NOBODY, boot_server=False) == (*to, None)


@pytest.mark.parametrize(
    ("fields", "given", "unicast_offers", "to"),
    [
        ({}, CLIENT, False, (CLIENT, 68, CARD)),
        ({"flags": 0x8000}, CLIENT, True, (*BROADCAST, None)),
        ({"giaddr": RELAY}, CLIENT, True, (RELAY, 67, None)),
        ({"ciaddr": CLIENT}, CLIENT, True, (CLIENT, 68, None)),
        ({"htype": 32, "hlen": 0}, CLIENT, True, (*BROADCAST, None)),
        ({"hlen": 16}, CLIENT, True, (*BROADCAST, None)),
        ({}, "0.0.0.0", True, (*BROADCAST, CARD)),
        ({"flags": 0x8000}, "0.0.0.0", True, (*BROADCAST, None)),
    ],
)
def test_what_gives_an_address_goes_to_the_clients_card(fields, given, unicast_offers, to):
    """RFC 2131, section 4.1: nobody has the address yet, so nobody would answer an ARP request."""
    asked = request(**{"flags": 0, "chaddr": CARD + bytes(10), **fields})
    reply = OFFER._replace(yiaddr=IPv4Address(given))
    got = destination(asked, reply, NOBODY, boot_server=False, unicast_offers=unicast_offers)
    assert got == to


@pytest.mark.parametrize(
    ("addresses", "source", "to"),
    [
        ({"ciaddr": CLIENT}, (CLIENT, 4011), (CLIENT, 4011)),  # EDK2
        ({"ciaddr": CLIENT}, (CLIENT, 68), (CLIENT, 68)),  # iPXE
        ({"ciaddr": CLIENT}, ("192.0.2.77", 2000), ("192.0.2.77", 2000)),
        ({"ciaddr": CLIENT}, NOBODY, (CLIENT, 68)),
        ({}, NOBODY, BROADCAST),
        ({"giaddr": RELAY, "ciaddr": CLIENT}, (CLIENT, 68), (CLIENT, 68)),
    ],
)
def test_a_boot_server_answers_where_it_was_asked_from(addresses, source, to):
    got = destination(request(**addresses), OFFER, source, boot_server=True)
    assert got.endpoint == to
    assert got.card is None


FIRST, SECOND = IPv4Interface("192.0.2.1/24"), IPv4Interface("198.51.100.1/24")


@pytest.mark.parametrize(
    ("addressed", "fields", "source", "ours"),
    [
        (None, {}, "0.0.0.0", FIRST),
        (None, {"giaddr": "198.51.100.9"}, "0.0.0.0", SECOND),
        (None, {"ciaddr": "198.51.100.50"}, "0.0.0.0", SECOND),
        (None, {}, "198.51.100.50", SECOND),
        (None, {"giaddr": "198.51.100.9", "ciaddr": "192.0.2.50"}, "0.0.0.0", SECOND),
        (None, {"giaddr": "203.0.113.9"}, "0.0.0.0", FIRST),
        (SECOND, {"giaddr": "192.0.2.9"}, "192.0.2.9", SECOND),  # a client compares
    ],
)
def test_we_answer_from_the_address_nearest_to_the_client(addressed, fields, source, ours):
    found = local_address(addressed and addressed.ip, (FIRST, SECOND), request(**fields), source)
    assert found == ours.ip


def test_an_interface_without_addresses_has_none_to_give():
    assert local_address(None, (), request(), "0.0.0.0") is None


@pytest.mark.parametrize(
    ("address", "beyond"),
    [
        ("192.0.2.77", False),
        ("198.51.100.9", False),
        ("203.0.113.9", True),
        ("255.255.255.255", False),
    ],
)
def test_what_is_in_none_of_our_networks_lies_behind_a_router(address, beyond):
    assert is_beyond(address, (FIRST, SECOND)) == beyond


def kind(number: MessageType) -> dict[int, bytes]:
    return {Option.MESSAGE_TYPE: bytes([number])}


def test_a_no_is_broadcast_whatever_address_the_client_believes_to_have():
    asked = request(ciaddr="192.0.2.50", options=kind(MessageType.REQUEST))
    nak = Message(op=2, options=kind(MessageType.NAK))
    to = destination(asked, nak, ("192.0.2.50", 68), boot_server=False)
    assert to == (EVERYBODY, 68, None)


def test_a_no_goes_to_the_relay_that_asked():
    asked = request(giaddr="198.51.100.1", options=kind(MessageType.REQUEST))
    nak = Message(op=2, options=kind(MessageType.NAK))
    assert destination(asked, nak, NOBODY, boot_server=False) == ("198.51.100.1", 67, None)


def test_who_only_wants_to_know_is_answered_at_its_address_even_behind_a_relay():
    addresses = {"ciaddr": "198.51.100.50", "giaddr": "198.51.100.1"}
    asked = request(**addresses, options=kind(MessageType.INFORM))
    ack = Message(op=2, options=kind(MessageType.ACK))
    assert destination(asked, ack, NOBODY, boot_server=False) == ("198.51.100.50", 68, None)
