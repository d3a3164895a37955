"""Which options a reply has, in which order, and what goes where a client takes no long message."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from netbootd.config import Syslog
from netbootd.dhcp import wire
from netbootd.dhcp.message import MessageType

from .servers import CARD, US, Server, machine, message, registry, subnet

ROUTES = b"\x10\x0a\x09\x0a\1\0\xfe\0\x0a\1\0\xfe"
SAID = {
    3: b"\x0a\1\0\xfe",
    6: b"\x0a\1\0\5",
    15: b"example.org",
    26: b"\x05\xdc",
    42: b"\x0a\1\0\6",
    119: b"\7example\3org\0",
    121: ROUTES,
}


def offer(
    options=None, *, said=SAID, machines=(), syslog: bool = True, boots: bool = False, **fields
):
    known = registry(subnet(options=said), machines=machines, default=boots)
    config = replace(known.config, syslog=Syslog(enabled=syslog))
    server = Server(replace(known, config=config))
    return server.discover(options=options or {}, **fields).reply


def test_what_is_listed_comes_in_its_order_and_after_it_what_everybody_needs():
    reply = offer({55: bytes([15, 121, 6, 200, 0, 255, 42])})
    assert list(reply.options) == [53, 54, 51, 58, 59, 15, 121, 6, 42, 1, 3]


def test_who_lists_nothing_gets_everything():
    reply = offer()
    assert list(reply.options) == [53, 54, 51, 58, 59, 1, 3, 6, 15, 28, 26, 42, 119, 121, 249, 7]


@pytest.mark.parametrize(
    ("listed", "value"), [(121, ROUTES), (249, ROUTES), (119, SAID[119]), (28, b"\x0a\1\0\xff")]
)
def test_what_is_told_only_where_it_is_asked_for(listed, value):
    assert offer({55: bytes([listed])}).options[listed] == value
    assert listed not in offer({55: b"\1"}).options


def test_logs_come_to_us_unless_the_configuration_has_another_place_or_we_take_none():
    assert offer({55: b"\7"}).options[7] == US.packed
    assert offer({55: b"\7"}, said={7: b"\x0a\1\0\7"}).options[7] == b"\x0a\1\0\7"
    assert 7 not in offer({55: b"\7"}, syslog=False).options


@pytest.mark.parametrize(
    ("variables", "own", "target", "code", "value"),
    [
        ({"hostname": "node1"}, {}, {}, 12, b"node1"),
        ({"hostname": 7}, {}, {}, 12, None),
        ({}, {}, {}, 12, None),
        ({"ntp": "10.1.0.9"}, {}, {}, 42, b"\x0a\1\0\x09"),
        ({"ntp": ["10.1.0.9", "10.1.0.8"]}, {}, {}, 42, b"\x0a\1\0\x09\x0a\1\0\x08"),
        ({"ntp": "pool.ntp.org"}, {}, {}, 42, SAID[42]),
        ({"ntp": ["10.1.0.9", 7]}, {}, {}, 42, SAID[42]),
        ({"ntp": {}}, {}, {}, 42, SAID[42]),
        ({"ntp": []}, {}, {}, 42, SAID[42]),
        ({"ntp": "10.1.0.9"}, {42: b"\x0a\1\0\1"}, {}, 42, b"\x0a\1\0\1"),
        ({}, {6: b"\x0a\1\0\1"}, {}, 6, b"\x0a\1\0\1"),
        ({}, {}, {6: b"\x0a\1\0\2"}, 6, b"\x0a\1\0\2"),
        ({}, {6: b"\x0a\1\0\1"}, {6: b"\x0a\1\0\2"}, 6, b"\x0a\1\0\1"),
        ({}, {200: b"own"}, {}, 200, b"own"),
    ],
)
def test_the_nearest_that_says_it_counts(variables, own, target, code, value):
    node = replace(machine(CARD, **variables), own_options=own)
    common = replace(node.target.common, dhcp_options=target)
    node = replace(node, target=replace(node.target, common=common))
    reply = offer({55: bytes([code])}, machines=[node])
    assert reply.options.get(code) == value


def test_what_the_protocol_says_is_never_configured():
    said = {53: b"\x63", 54: b"\1\1\1\1", 51: b"\0\0\0\0", 61: b"us", 82: b"us", 58: b"xxxx"}
    reply = offer(said=said)
    assert reply.options[53] == b"\2"
    assert reply.options[54] == US.packed
    assert reply.options[51] == (3600).to_bytes(4, "big")
    assert 61 not in reply.options
    assert 82 not in reply.options


def test_what_the_client_says_of_itself_comes_back():
    uuid = b"\0" + bytes(range(16))
    reply = offer({61: b"\1me", 82: b"\1\1a", 97: uuid, 12: b"me", 81: b"\0\0\0me"})
    assert reply.options[61] == b"\1me"
    assert reply.options[97] == uuid
    assert list(reply.options)[-1] == 82
    assert reply.options[82] == b"\1\1a"
    assert {12, 81}.isdisjoint(reply.options)


@pytest.mark.parametrize("said", [{61: b""}, {82: b""}, {97: b""}, {97: b"\0abc"}, {55: b""}])
def test_no_option_of_a_reply_is_empty(said):
    assert all(offer(said).options.values())


# -- booting -----------------------------------------------------------------------------------

UEFI = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7"}
FILE = f"{CARD}/snponly.efi".encode()


def test_firmware_gets_siaddr_and_file_and_the_options_that_it_lists():
    reply = offer({**UEFI, 55: b"\1"}, boots=True)
    assert (reply.siaddr, reply.file, reply.sname) == (US, FILE, b"")
    assert {43, 60, 66, 67, 175}.isdisjoint(reply.options)
    reply = offer({**UEFI, 55: bytes([66, 67])}, boots=True)
    assert (reply.file, reply.options[67], reply.options[66]) == (FILE, FILE + b"\0", b"10.1.0.1")


def test_who_may_not_boot_gets_its_address_and_no_file():
    known = registry(subnet())
    got = Server(known).discover(options=UEFI)
    assert got.reply.file == b""
    assert int(got.reply.yiaddr)
    assert got.boot is None
    assert got.refused.code == "unknown"
    assert got.refused.unserved


def test_petitboot_is_told_where_its_configuration_is():
    reply = offer({93: b"\0\x0e"}, boots=True)
    assert reply.options[209] == b"pxelinux.cfg/01-52-54-00-12-34-56"
    assert reply.options[210] == b"tftp://10.1.0.1/"
    uboot = {60: b"U-Boot.armv8", 93: b"\0\x16"}
    assert {209, 210}.isdisjoint(offer(uboot, boots=True).options)
    assert 209 in offer({**uboot, 55: b"\xd1"}, boots=True).options


def test_files_may_be_at_another_server_than_ours():
    net = replace(subnet(), boot_server="http://10.1.0.7:3000")
    reply = Server(registry(net, default=True)).discover(options=UEFI).reply
    assert (str(reply.siaddr), reply.server_id) == ("10.1.0.7", US)
    ipxe = Server(registry(net, default=True)).discover(options={77: b"iPXE"}).reply
    assert ipxe.file == f"http://10.1.0.7:3000/boot/{CARD}".encode()


def test_options_of_the_configuration_are_kept_for_who_boots_but_not_over_the_boot_file():
    said = {**SAID, 67: b"phone.cfg", 66: b"10.1.0.3"}
    reply = offer({**UEFI, 55: bytes([66, 67, 15])}, said=said, boots=True)
    assert (reply.options[66], reply.options[67]) == (b"10.1.0.1", FILE + b"\0")
    phone = offer({55: bytes([66, 67])}, said=said, boots=True)
    assert (phone.options[66], phone.options[67]) == (b"10.1.0.3", b"phone.cfg")


# -- room --------------------------------------------------------------------------------------

LONG = {code: bytes([code]) * 60 for code in range(200, 208)}


@pytest.mark.parametrize("size", [None, 576, 590, 700, 800, 1000, 1500])
def test_a_reply_is_as_long_as_the_client_takes(size):
    options = {} if size is None else {57: size.to_bytes(2, "big")}
    reply = offer(options, said={**SAID, **LONG})
    limit = 548 if size is None else min(max(size - 28, 548), 1472)
    assert len(wire.encode(reply, limit)) <= limit
    assert {1, 3, 51, 53, 54, 58, 59} <= reply.options.keys()


def test_what_was_not_listed_goes_first_and_then_what_was_listed_last():
    said = {**SAID, **LONG}
    reply = offer({55: bytes([200, 201, 202, 203, 204, 205, 206, 207])}, said=said)
    kept = [code for code in reply.options if code >= 200]
    assert kept == [200, 201, 202, 203]
    assert {6, 15}.isdisjoint(reply.options)


def test_a_long_option_is_split_and_read_again():
    search = b"\x3f" + b"a" * 63 + b"\0"
    said = {**SAID, 119: search * 5}
    reply = offer({55: b"\x77", 57: b"\5\xdc"}, said=said)
    read = wire.decode(wire.encode(reply, 1472))
    assert read.options[119] == search * 5


def test_bootp_has_room_for_64_bytes():
    known = registry(subnet(bootp=True, options={**SAID, **LONG}), machines=[machine(CARD, ".50")])
    got = Server(known).ask(message(None))
    assert len(wire.encode(got.reply, 300)) == 300
    assert {1, 3} <= got.reply.options.keys()


def test_flags_and_header_are_the_clients():
    reply = offer(flags=0x8000, xid=0x12345678, secs=9)
    assert (reply.flags, reply.xid, reply.secs, reply.hops) == (0x8000, 0x12345678, 0, 0)
    assert reply.giaddr == IPv4Address(0)
    assert reply.message_type == MessageType.OFFER
