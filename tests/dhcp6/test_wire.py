"""
Bytes to Message and back, with scapy's own dissection and build as the referee.

Whatever the bytes: a Message or a WireError, and nothing else.
"""

from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import dhcp6 as scapy

from netbootd.dhcp6 import wire
from netbootd.dhcp6.message import (
    Association,
    Message,
    MessageType,
    Option,
    Relay,
    Status,
    association,
    card_of,
    options_of,
    status,
)
from netbootd.errors import WireError
from netbootd.mac import MAC

NODE = "52:54:00:12:34:56"
ADDRESS = "2001:db8:1::1000"
LINK = "2001:db8:1::1"
LINK_LOCAL = "fe80::5054:ff:fe12:3456"


def solicit():
    """What scapy makes of a SOLICIT such as EDK2's."""
    return (
        scapy.DHCP6_Solicit(trid=0x123456)
        / scapy.DHCP6OptClientId(duid=scapy.DUID_LL(lladdr=NODE))
        / scapy.DHCP6OptElapsedTime()
        / scapy.DHCP6OptIA_NA(
            iaid=7,
            T1=1,
            T2=2,
            ianaopts=[scapy.DHCP6OptIAAddress(addr=ADDRESS, preflft=3, validlft=4)],
        )
        / scapy.DHCP6OptOptReq(reqopts=[59, 60])
        / scapy.DHCP6OptUserClass(userclassdata=[scapy.USER_CLASS_DATA(data=b"iPXE")])
        / scapy.DHCP6OptVendorClass(
            enterprisenum=343, vcdata=[scapy.VENDOR_CLASS_DATA(data=b"PXEClient:Arch:00007")]
        )
        / scapy.DHCP6OptClientArchType(archtypes=[7])
        / scapy.DHCP6OptRapidCommit()
    )


# -- the referee -------------------------------------------------------------------------------


def test_a_solicit_is_read_as_scapy_wrote_it():
    message = wire.decode(bytes(solicit()))
    assert (message.name, message.xid) == ("SOLICIT", 0x123456)
    assert message.duid_mac == MAC.parse(NODE)
    assert message.associations == (Association(7, (IPv6Address(ADDRESS),), ((3, 4),)),)
    assert message.requested == (59, 60)
    assert message.user_classes == ("iPXE",)
    assert message.vendor_classes == ("PXEClient:Arch:00007",)
    assert message.enterprise == (343).to_bytes(4, "big")
    assert message.arch is not None
    assert message.arch.number == 7
    assert message.rapid_commit


def test_what_is_written_scapy_reads():
    one = Association(7, (IPv6Address(ADDRESS),), ((300, 600),), (Status.SUCCESS, "yours"))
    reply = Message(
        MessageType.REPLY,
        0x123456,
        (association(one, 150, 240), (Option.BOOT_FILE_URL, b"tftp://")),
    )
    read = scapy.DHCP6_Reply(wire.encode(reply))
    ia, address = read[scapy.DHCP6OptIA_NA], read[scapy.DHCP6OptIAAddress]
    assert (read.trid, ia.iaid, ia.T1, ia.T2) == (0x123456, 7, 150, 240)
    assert (address.addr, address.preflft, address.validlft) == (ADDRESS, 300, 600)
    assert read[scapy.DHCP6OptStatusCode].statusmsg == b"yours"
    assert read[scapy.DHCP6OptBootFileUrl].optdata == b"tftp://"


def forwarded(inner, link=LINK, hops=0):
    return (
        scapy.DHCP6_RelayForward(hopcount=hops, linkaddr=link, peeraddr=LINK_LOCAL)
        / scapy.DHCP6OptIfaceId(ifaceid=b"vlan7")
        / scapy.DHCP6OptClientLinkLayerAddr(clladdr=NODE)
        / scapy.DHCP6OptRelayMsg(message=inner)
    )


def test_what_a_relay_wraps_is_read_and_wrapped_again():
    message = wire.decode(bytes(forwarded(solicit())))
    assert message.name == "SOLICIT"
    assert message.link == IPv6Address(LINK)
    assert message.relayed_mac == MAC.parse(NODE)
    reply = scapy.DHCP6_RelayReply(wire.encode(message._replace(type=2, options=())))
    assert (reply.linkaddr, reply.peeraddr) == (LINK, LINK_LOCAL)
    assert reply[scapy.DHCP6OptIfaceId].ifaceid == b"vlan7"
    assert scapy.DHCP6OptClientLinkLayerAddr not in reply
    assert reply[scapy.DHCP6OptRelayMsg].message.trid == 0x123456


def test_of_several_relays_the_one_next_to_the_client_tells_the_link():
    inner = forwarded(solicit())
    message = wire.decode(bytes(forwarded(inner, "2001:db8:99::1", 1)))
    assert [relay.hops for relay in message.relays] == [1, 0]
    assert message.link == IPv6Address(LINK)


def test_a_relay_that_says_no_link_leaves_it_to_the_next():
    message = wire.decode(bytes(forwarded(forwarded(solicit(), "::"), LINK, 1)))
    assert message.link == IPv6Address(LINK)


# -- who asks ----------------------------------------------------------------------------------


def from_client(duid: bytes) -> Message:
    return Message(MessageType.SOLICIT, options=((Option.CLIENT_ID, duid),))


def test_a_duid_of_the_smbios_uuid_tells_it():
    raw = bytes.fromhex("0004 33221100 5544 7766 8899aabbccddeeff")
    assert from_client(raw).uuid == "00112233-4455-6677-8899-aabbccddeeff"


def test_a_duid_with_time_tells_the_card():
    raw = bytes.fromhex("0001 0001 2a2b2c2d 525400123456")
    assert from_client(raw).duid_mac == MAC.parse(NODE)


@pytest.mark.parametrize("raw", ["", "00", "0003", "0003 0001 5254", "0003 0020 525400123456"])
def test_other_identifiers_tell_no_card(raw):
    assert from_client(bytes.fromhex(raw)).duid_mac is None


def test_an_identifier_that_is_too_long_is_none():
    assert from_client(b"\0\2" + bytes(200)).client_id == b""


def test_the_address_of_firmware_tells_its_card():
    assert card_of(IPv6Address(LINK_LOCAL)) == MAC.parse(NODE)
    assert card_of(IPv6Address("fe80::1")) is None
    assert card_of(IPv6Address("2001:db8::5054:ff:fe12:3456")) is None


def test_the_first_label_of_a_name_is_the_hosts():
    data = b"\1" + b"\4node\7example\0"
    assert Message(1, options=((Option.FQDN, data),)).host_name == "node"
    assert Message(1, options=((Option.FQDN, b"\1\77node"),)).host_name == ""


# -- hostile bytes -----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\1", b"\1\0\0", b"\0\0\0\0", b"\x0d\0\0\0", b"\x0c\0"])
def test_what_is_no_message_is_a_wire_error(data):
    with pytest.raises(WireError):
        wire.decode(data)


def test_a_nest_of_relays_without_end_is_a_wire_error():
    data = bytes(solicit())
    for _ in range(40):
        data = b"\x0c\0" + bytes(32) + b"\0\x09" + len(data).to_bytes(2, "big") + data
    with pytest.raises(WireError, match="relays"):
        wire.decode(data)


def read_all(message: Message) -> None:
    for name in dir(Message):
        if isinstance(getattr(Message, name), property):
            getattr(message, name)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_wire_error(data):
    try:
        message = wire.decode(data)
    except WireError:
        return
    read_all(message)


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 255), st.sampled_from([solicit(), forwarded(solicit())]))
def test_a_garbled_message_is_read_or_a_wire_error(at, value, packet):
    data = bytearray(bytes(packet))
    data[at % len(data)] = value
    try:
        message = wire.decode(bytes(data))
    except WireError:
        return
    read_all(message)
    wire.encode(message._replace(type=7))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=40)), max_size=8))
def test_a_round_trip_keeps_the_options(options):
    message = Message(MessageType.REPLY, 5, tuple(options))
    assert tuple(options_of(wire.encode(message)[4:])) == tuple(options)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=4))
def test_relays_come_back_as_they_were(names):
    relays = tuple(
        Relay(number, IPv6Address(LINK), IPv6Address(LINK_LOCAL), ((Option.INTERFACE_ID, name),))
        for number, name in enumerate(names)
    )
    sent = wire.encode(Message(MessageType.REPLY, 5, (status(0, "fine"),), relays))
    forward, at = bytearray(sent), 0
    for name in names:  # a reply of relays becomes a request of theirs, each nested in the last
        forward[at] = MessageType.RELAY_FORW
        at += 34 + 4 + len(name) + 4
    assert wire.decode(bytes(forward)).relays == relays
