"""
Every captured packet, and what it gets where we are the DHCP server.

The network is that of the captures, so that a REQUEST takes what its DISCOVER was offered there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from scapy.layers.dhcp import BOOTP, DHCP

from netbootd.addressing import Pool, Range
from netbootd.dhcp import wire
from netbootd.dhcp.given import Given
from netbootd.dhcp.message import Option
from netbootd.errors import WireError

from . import captures
from .servers import Server, registry, subnet, told

US = IPv4Address("192.168.77.1")
FIRST = IPv4Address("192.168.77.50")
NETWORK = subnet(
    "192.168.77.0/24",
    [Pool(Range(FIRST, IPv4Address("192.168.77.60")))],
    options={3: US.packed, 6: US.packed, 15: b"example.org", 42: US.packed},
)
REGISTRY = registry(NETWORK, default=True)


@dataclass(frozen=True)
class Reply:
    """*file* as the header has it; *vendor_class* and *vendor* (option 43 in hex) where there are."""

    told: str
    file: str = ""
    vendor_class: str = ""
    vendor: str = ""


OFFER, ACK = f"OFFER {FIRST}", f"ACK {FIRST}"
LAB = "52:54:00:aa:00:"
BOARD = "52:52:52:52:52:52"
PI = "0601030a0400505845091400001152617370626572727920506920426f6f74ff"
PI_3 = "0601030a0400505845091700001452617370626572727920506920426f6f74202020ff"
PLAIN = Reply(OFFER)


def file(mac: str, name: str) -> Reply:
    return Reply(OFFER, f"{mac}/{name}")


def script(mac: str) -> Reply:
    return Reply(OFFER, f"http://{US}:3000/boot/{mac}")


def by_http(mac: str, name: str, kind: str = OFFER) -> Reply:
    return Reply(kind, f"http://{US}:3000/{mac.replace(':', '-')}/{name}", "HTTPClient")


EXPECTED: dict[str, Reply | str] = {
    # UEFI and BIOS: no option 60 and no 43, so that the file is taken from this very reply.
    "qemu-ovmf-x64-pxe-discover": file(LAB + "02", "snponly.efi"),
    "qemu-ovmf-x64-pxe-request": Reply(ACK, LAB + "02/snponly.efi"),
    "qemu-ovmf-ia32-pxe-discover": file(LAB + "03", "snponly-i386.efi"),
    "qemu-aavmf-arm64-pxe-discover": file(LAB + "04", "snponly-arm64.efi"),
    "qemu-aavmf-arm32-pxe-discover": file(LAB + "05", "snponly-arm32.efi"),
    "tp-intel-bios-discover": file("d0:50:99:4e:05:57", "undionly.kpxe"),
    "tp-intel-bios-request": "nothing",  # of another server
    # UEFI HTTP boot.
    "qemu-ovmf-x64-http-discover": by_http(LAB + "02", "snponly.efi"),
    "qemu-ovmf-x64-http-request": by_http(LAB + "02", "snponly.efi", ACK),
    "qemu-ovmf-ia32-http-discover": by_http(LAB + "03", "snponly-i386.efi"),
    "qemu-aavmf-arm64-http-discover": by_http(LAB + "04", "snponly-arm64.efi"),
    "qemu-aavmf-arm32-http-discover": by_http(LAB + "05", "snponly-arm32.efi"),
    # iPXE: its script, and no waiting for a proxy.
    "qemu-ipxe-bios-discover": script(LAB + "01"),
    "qemu-ipxe-bios-uuid-discover": script(LAB + "0c"),
    "qemu-ipxe-bios-request": Reply(ACK, f"http://{US}:3000/boot/{LAB}01"),
    "qemu-undionly-discover": script(LAB + "01"),
    "qemu-ipxe-arm64-discover": script("52:54:00:12:34:56"),
    "qemu-ipxe-snponly-x64-discover": script(LAB + "02"),
    "tp-qemu-ipxe2-discover": script("52:54:00:12:34:56"),
    # U-Boot reads its own configuration from siaddr, and starts EFI programs by their name.
    "qemu-uboot-arm32-efi-discover": file(BOARD, "snponly-arm32.efi"),
    "qemu-uboot-arm64-efi-discover": file(BOARD, "snponly-arm64.efi"),
    "qemu-uboot-riscv64-efi-discover": file(BOARD, "snponly-riscv64.efi"),
    "qemu-uboot-x86_64-efi-discover": file(LAB + "0b", "snponly.efi"),
    "qemu-uboot-arm32-discover": PLAIN,
    "qemu-uboot-arm64-discover": PLAIN,
    "qemu-uboot-riscv64-discover": PLAIN,
    "qemu-uboot-x86_64-discover": PLAIN,
    "qemu-uboot-x86_64-discover-retry": PLAIN,
    "tp-uboot-riscv64-discover": PLAIN,
    # No loader here is for Open Firmware.
    "qemu-slof-ppc64-discover": PLAIN,
    "qemu-slof-ppc64-request": Reply(ACK),
    # A Raspberry Pi wants the text, and goes by names of its own.
    "tp-rpi3-bootrom-discover": Reply(OFFER, "", "PXEClient", PI_3),
    "tp-rpi4-eeprom-discover": Reply(OFFER, "", "PXEClient", PI),
    "tp-rpi4-eeprom-request": "nothing",  # of another server
    # Systems, and what does not say that it boots.
    "qemu-syslinux-efi-dhcp-discover": PLAIN,
    "qemu-debian-installer-discover": PLAIN,
    "tp-neg-android-discover": PLAIN,
    "tp-neg-dhcpcd-discover": PLAIN,
    "tp-neg-iphone-discover": PLAIN,
    "tp-neg-switch-discover": PLAIN,
    "tp-neg-udhcp-discover": PLAIN,
    "tp-neg-windows-inform": "nothing",  # of another network
    # They want addresses of other networks.
    "tp-neg-htype0-request": Reply("NAK"),
    "tp-networkmanager-request": Reply("NAK"),
    "tp-relayed-request": "nothing (not-ours)",  # we know nothing of that relay's network
    # Other servers.
    "tp-dhcpd-ack-plain": "nothing",
    "tp-dhcpd-offer-plain": "nothing",
    "tp-pixiecore-proxyoffer-menu": "nothing",
    "tp-rpi4-dnsmasq-proxyoffer": "nothing",
    "tp-srv-overload-file": "nothing",
}
CAPTURES = [one for one in captures.everything() if one.to[1] != 4011]
EVERY_CAPTURE = pytest.mark.parametrize("capture", CAPTURES, ids=str)


def ask(payload: bytes):
    """What a new server says to it."""
    return Server(REGISTRY, links=(f"{US}/24",)).ask(wire.decode(payload))


@EVERY_CAPTURE
def test_what_we_say(capture):
    got, expected = ask(capture.payload), EXPECTED[capture.name]
    if isinstance(expected, str):
        assert told(got) == expected
        return
    assert isinstance(got, Given)
    request = wire.decode(capture.payload)
    reply = wire.decode(wire.encode(got.reply, request.limit))
    vendor = reply.options.get(Option.VENDOR_OPTIONS, b"").hex()
    assert Reply(told(got), reply.file.decode(), reply.vendor_class, vendor) == expected


def given() -> list[captures.Capture]:
    return [one for one in CAPTURES if isinstance(EXPECTED.get(one.name), Reply)]


EVERY_REPLY = pytest.mark.parametrize("capture", given(), ids=str)
LISTS_OF_ADDRESSES = (3, 4, 5, 6, 7, 42, 44)


@EVERY_REPLY
def test_every_reply_is_what_firmware_demands(capture):
    """EDK2 drops a packet for one option of a shape that it does not expect."""
    request = wire.decode(capture.payload)
    data = wire.encode(ask(capture.payload).reply, request.limit)
    assert 300 <= len(data) <= request.limit
    reply = wire.decode(data)
    for name in ("htype", "hlen", "xid", "giaddr", "chaddr", "flags"):
        assert getattr(reply, name) == getattr(request, name)
    assert (reply.op, reply.hops, reply.secs) == (2, 0, 0)
    assert next(iter(reply.options)) == Option.MESSAGE_TYPE
    assert reply.server_id == US
    assert all(value for value in reply.options.values()), "no option is empty"
    assert 13 not in reply.options
    assert 81 not in reply.options
    assert reply.options.get(61) == request.options.get(61)
    if reply.message_type == 6:
        return
    assert reply.siaddr == US
    assert reply.yiaddr == FIRST
    for code in (1, 28, 51, 54, 58, 59):
        assert len(reply.options.get(code, bytes(4))) == 4
    assert {1, 3, 51, 54} <= reply.options.keys()
    for code in LISTS_OF_ADDRESSES:
        assert len(reply.options.get(code, bytes(4))) % 4 == 0
    t1, t2, whole = (int.from_bytes(reply.options[code], "big") for code in (58, 59, 51))
    assert t1 < t2 < whole
    if len(request.options.get(Option.UUID, b"")) == 17:
        assert reply.options[Option.UUID] == request.options[Option.UUID]
    if reply.vendor_class != "PXEClient":
        assert Option.VENDOR_OPTIONS not in reply.options


@EVERY_REPLY
def test_options_stand_as_they_were_asked_for(capture):
    request = wire.decode(capture.payload)
    reply = ask(capture.payload).reply
    listed = list(dict.fromkeys(request.options.get(Option.WANTED, b"")))
    last = (Option.CLIENT_ID, Option.RELAY_AGENT)
    first = (53, 54, 51, 58, 59)
    found = [code for code in reply.options if code in listed and code not in (*first, *last)]
    assert found == [code for code in listed if code in found]


@EVERY_REPLY
def test_scapy_reads_what_we_say(capture):
    """The referee: another reader of the same bytes."""
    request, got = wire.decode(capture.payload), ask(capture.payload)
    data = wire.encode(got.reply, request.limit)
    read = BOOTP(data)
    assert read.yiaddr == str(got.reply.yiaddr)
    assert read.siaddr == str(got.reply.siaddr)
    assert read.file.rstrip(b"\0") == got.reply.file
    pairs = [one for one in read[DHCP].options if isinstance(one, tuple)]
    codes = data[240:]
    assert next(one[0] for one in pairs) == "message-type"
    assert len(pairs) == len(got.reply.options)
    assert dict(pairs_of(codes)) == dict(got.reply.options)
    by_name = {one[0]: one[1:] for one in pairs}
    if got.lease is not None:
        seconds = 86400 if Option.LEASE_TIME in request.options else 3600  # one asks for 90 days
        assert by_name["lease_time"] == (seconds,)
        assert by_name["renewal_time"] == (seconds // 2,)
        assert by_name["rebinding_time"] == (seconds * 7 // 8,)
        assert by_name["subnet_mask"] == ("255.255.255.0",)
        assert by_name["router"] == (str(US),)
    assert by_name["server_id"] == (str(US),)


def pairs_of(area: bytes):
    at = 0
    while area[at] != 255:
        yield area[at], area[at + 2 : at + 2 + area[at + 1]]
        at += 2 + area[at + 1]


def test_ipxe_is_told_not_to_wait_for_a_proxy():
    got = ask(captures.capture("qemu-ipxe-bios-discover").payload)
    assert got.reply.options[Option.IPXE] == bytes.fromhex("010101b00101")


def test_who_boots_is_told_of_as_a_proxy_tells_it():
    got = ask(captures.capture("qemu-ovmf-x64-pxe-discover").payload)
    assert (got.boot.file, got.boot.verb, got.boot.boot_server) == ("snponly.efi", "offered", False)
    assert got.boot.offer is None
    acked = ask(captures.capture("qemu-ovmf-x64-pxe-request").payload)
    assert acked.boot.verb == "acknowledged"
    alone = ask(captures.capture("qemu-uboot-arm64-discover").payload)
    assert alone.boot.file == "pxelinux.cfg/01-52-52-52-52-52-52"
    plain = ask(captures.capture("qemu-debian-installer-discover").payload)
    assert (plain.boot, plain.refused) == (None, None)
    open_firmware = ask(captures.capture("qemu-slof-ppc64-request").payload)
    assert open_firmware.refused.code == "no-loader"


def test_every_packet_we_have_is_in_the_table():
    ours = {capture.name for capture in captures.ours() if capture.to[1] != 4011}
    assert ours == {name for name in EXPECTED if name.startswith("qemu-")}


@pytest.mark.skipif(
    not captures.OTHERS.is_dir(), reason="no folder of captures published by others"
)
def test_every_packet_of_others_is_in_the_table():
    theirs = {one.name for one in captures.others() if one.to[1] != 4011}
    assert theirs == {name for name in EXPECTED if name.startswith("tp-")}


# -- bytes that nobody sent --------------------------------------------------------------------


def survive(server: Server, payload: bytes) -> None:
    """Whatever it is, it is answered or not, and what is answered can be sent."""
    try:
        request = wire.decode(payload)
    except WireError:
        return
    for unicast in (False, True):
        got = server.ask(request, unicast=unicast)
        if isinstance(got, Given):
            assert len(wire.encode(got.reply, request.limit)) <= request.limit
            assert all(value for code, value in got.reply.options.items() if code != 80)
        assert len(server.leases) <= 11


@EVERY_CAPTURE
def test_a_packet_cut_anywhere_never_raises(capture):
    server = Server(REGISTRY, links=(f"{US}/24",))
    for length in range(len(capture.payload)):
        survive(server, capture.payload[:length])


@EVERY_CAPTURE
def test_a_packet_with_any_byte_flipped_never_raises(capture):
    server = Server(REGISTRY, links=(f"{US}/24",))
    dice = random.Random(capture.name)
    for at in range(len(capture.payload)):
        garbled = bytearray(capture.payload)
        garbled[at] ^= dice.randrange(1, 256)
        server.now += dice.random()
        survive(server, bytes(garbled))
