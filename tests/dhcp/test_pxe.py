"""Who a packet comes from, what it understands, and what it asks a boot server for."""

from ipaddress import IPv4Address

import pytest

from netbootd.arch import TABLE
from netbootd.boot.client import Stage
from netbootd.dhcp import pxe, wire
from netbootd.dhcp.message import Message, MessageType, Op, Option

from . import captures

SERVER = IPv4Address("192.0.2.1")
CHADDR = bytes.fromhex("525400123456").ljust(16, b"\0")
UEFI = {Option.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003000", Option.ARCH: b"\0\7"}
BIOS = {Option.VENDOR_CLASS: b"PXEClient:Arch:00000:UNDI:002001", Option.ARCH: b"\0\0"}
IPXE = {**BIOS, Option.USER_CLASS: b"iPXE"}
HTTP = {Option.VENDOR_CLASS: b"HTTPClient:Arch:00016:UNDI:003000", Option.ARCH: b"\0\x10"}
FEATURES = bytes.fromhex("eb03020000 170101 130101 150101")
NO_HTTP = bytes.fromhex("eb03020000 170101 150101")


def request(options, **fields) -> Message:
    return Message(op=Op.REQUEST, chaddr=CHADDR, options=dict(options), **fields)


@pytest.mark.parametrize(
    ("options", "stage"),
    [
        ({}, None),
        ({Option.VENDOR_CLASS: b"MSFT 5.0"}, None),
        ({Option.VENDOR_CLASS: b"U-Boot.armv8", Option.ARCH: b"\0\x16"}, None),
        ({Option.ARCH: b"\0\x0c"}, None),  # Open Firmware
        (UEFI, Stage.FIRMWARE),
        (BIOS, Stage.FIRMWARE),
        (HTTP, Stage.HTTP_BOOT),
        (IPXE, Stage.IPXE),
        ({**BIOS, Option.USER_CLASS: b"\x04iPXE"}, Stage.IPXE),
        ({**BIOS, Option.USER_CLASS: b"gPXE"}, Stage.IPXE),
        ({**BIOS, Option.USER_CLASS: b"ipxe"}, Stage.FIRMWARE),  # nobody writes it so
        ({**BIOS, Option.IPXE: b""}, Stage.IPXE),
        ({**BIOS, Option.USER_CLASS: b"netbootd"}, Stage.IPXE),  # our own build
        ({**BIOS, Option.USER_CLASS: b"\x08netbootd"}, Stage.IPXE),
        ({Option.VENDOR_CLASS: b"gPXE", Option.ARCH: b"\0\0"}, Stage.IPXE),
        ({Option.VENDOR_CLASS: b"Etherboot-5.4", Option.ARCH: b"\0\0"}, Stage.FIRMWARE),
        # A chain-loaded iPXE repeats the vendor class it found in the last reply.
        ({**IPXE, Option.VENDOR_CLASS: b"PXEClient"}, Stage.IPXE),
        ({**IPXE, Option.VENDOR_CLASS: b"HTTPClient"}, Stage.IPXE),
        ({**IPXE, Option.IPXE: FEATURES}, Stage.IPXE),
        ({**IPXE, Option.IPXE: NO_HTTP}, Stage.FIRMWARE),
        ({**IPXE, Option.IPXE: bytes.fromhex("eb03020000")}, Stage.IPXE),  # lists no features
    ],
)
def test_stage(options, stage):
    client = pxe.client_of(request(options))
    assert (client.stage if client else None) == stage


@pytest.mark.parametrize(
    ("options", "arch"),
    [
        ({Option.VENDOR_CLASS: b"PXEClient:Arch:00000:UNDI:002001"}, "BIOS x86"),
        # Only the BIOS is believed without option 93: U-Boot prints these digits in hex.
        ({Option.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003000"}, "None"),
        ({Option.VENDOR_CLASS: b"PXEClient"}, "None"),
        ({**BIOS, Option.ARCH: b"\0\7"}, "UEFI x64"),
        ({**UEFI, Option.ARCH: b"\0\x09"}, "UEFI x64 (EBC)"),
    ],
)
def test_architecture_is_option_93(options, arch):
    assert str(pxe.client_of(request(options)).arch) == arch


def test_client_has_what_the_decision_needs():
    uuid = bytes.fromhex("00 33221100 5544 7766 8899aabbccddeeff")
    client = pxe.client_of(request({**UEFI, Option.UUID: uuid}, ciaddr=IPv4Address("192.0.2.50")))
    assert str(client.mac) == "52:54:00:12:34:56"
    assert client.address == "192.0.2.50"
    assert client.uuid == "00112233-4455-6677-8899-aabbccddeeff"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (request(UEFI), None),
        (request(UEFI)._replace(chaddr=bytes(16)), "the all-zero address"),
        (request(UEFI)._replace(chaddr=b"\1" * 16), "multicast"),
    ],
)
def test_who_cannot_be_helped_is_told_why(message, reason):
    told = pxe.unsupported(message)
    assert told is None if reason is None else reason in told


@pytest.mark.parametrize(
    ("options", "mac", "is_pi"),
    [
        (BIOS, "b827eb9b65d4", True),  # models 2 and 3: by their maker
        (BIOS, "dca632ecfc3c", True),
        ({**BIOS, Option.UUID: b"\0RPi4" + bytes(12)}, "525400123456", True),
        ({Option.VENDOR_CLASS: BIOS[Option.VENDOR_CLASS]}, "dca632ecfc3c", True),  # its REQUEST
        (BIOS, "525400123456", False),
        ({**UEFI, Option.ARCH: b"\0\x0b"}, "dca632ecfc3c", False),  # with UEFI firmware
        (IPXE, "dca632ecfc3c", False),
    ],
)
def test_a_raspberry_pi_is_no_bios(options, mac, is_pi):
    message = request(options)._replace(chaddr=bytes.fromhex(mac).ljust(16, b"\0"))
    assert pxe.is_raspberry_pi(message) == is_pi


@pytest.mark.parametrize(
    ("option", "item"),
    [
        ("470480000000ff", "80000000"),
        ("0601084704800100", None),
        ("4704800100007f", "80010000"),
        ("470380000000ff", None),
        ("ff470480000000", None),
        ("", None),
    ],
)
def test_boot_item(option, item):
    found = pxe.boot_item(request({Option.VENDOR_OPTIONS: bytes.fromhex(option)}))
    assert (found.encoded.hex() if found else None) == item


def test_boot_item_is_repeated():
    request_ = wire.decode(captures.capture("qemu-ovmf-x64-4011-menu-request").payload)
    assert pxe.boot_item(request_).option == bytes.fromhex("470480000000ff")


@pytest.mark.parametrize(("layer", "wants"), [("0000", False), ("7fff", False), ("8000", True)])
def test_bit_15_of_the_layer_asks_for_credentials(layer, wants):
    assert pxe.BootItem(bytes.fromhex("8000" + layer)).wants_credentials == wants


# -- iPXE's list of features, and where a client is --------------------------------------------


@pytest.mark.parametrize(
    ("options", "features"),
    [
        (UEFI, None),
        (IPXE, None),
        ({**IPXE, Option.IPXE: bytes.fromhex("eb03020000")}, None),  # lists none
        ({**IPXE, Option.IPXE: FEATURES}, {0x17, 0x13, 0x15}),
        ({**IPXE, Option.IPXE: NO_HTTP}, {0x17, 0x15}),
        ({**IPXE, Option.IPXE: b"\x13\xff"}, None),  # cut off
    ],
)
def test_features_are_what_ipxe_lists(options, features):
    assert pxe.client_of(request(options)).features == features


@pytest.mark.parametrize(
    ("fields", "relay", "network"),
    [
        ({}, b"", "192.0.2.1"),
        ({"giaddr": "198.51.100.9"}, b"", "198.51.100.9"),
        ({"giaddr": "198.51.100.9"}, b"\1\2ab\5\4\xcb\0\x71\0", "203.0.113.0"),
        ({"giaddr": "198.51.100.9"}, b"\5\3abc", "198.51.100.9"),
        ({}, b"\5\4\xcb\0\x71\0", "192.0.2.1"),  # no relay: the client chose its subnet itself
        ({"ciaddr": "198.51.100.7"}, b"\5\4\xcb\0\x71\0", ""),
        ({"ciaddr": "198.51.100.7"}, b"", ""),  # its own address tells
    ],
)
def test_the_network_is_what_the_relay_says_else_where_it_came_in(fields, relay, network):
    addresses = {name: IPv4Address(text) for name, text in fields.items()}
    message = request({**UEFI, Option.RELAY_AGENT: relay} if relay else UEFI, **addresses)
    assert pxe.client_of(message, SERVER).network == network


def test_the_rom_says_its_version_where_it_is_an_ipxe():
    assert pxe.rom_of(request(UEFI)) == "PXEClient:Arch:00007:UNDI:003000"
    ipxe = request({**BIOS, Option.IPXE: bytes.fromhex("eb03011501 130101")})
    assert pxe.rom_of(ipxe) == "PXEClient:Arch:00000:UNDI:002001 iPXE 1.21.1"


def test_a_raspberry_pi_is_an_architecture_of_its_own():
    message = request(BIOS)._replace(chaddr=bytes.fromhex("dca632ecfc3c").ljust(16, b"\0"))
    assert pxe.client_of(message).arch is TABLE[41]


def test_a_raspberry_pi_asks_by_its_serial_number():
    uuid = bytes.fromhex("00525069343031c00032ecfc3cda06ffe0")
    message = request({**BIOS, Option.UUID: uuid})
    assert "e0ff06da" in pxe.pi_serials(message)
    assert pxe.pi_serials(request(BIOS)) == frozenset()


# -- InfiniBand, RFC 4390 ----------------------------------------------------------------------

GUID = bytes.fromhex("0002c90300abcdef")
# What a Mellanox card puts before it, by the driver's documentation; and iPXE's older way.
MELLANOX = bytes.fromhex("ff00000000000200 0002c900") + GUID


@pytest.mark.parametrize(
    ("hlen", "chaddr", "client_id", "mac"),
    [
        (0, b"", MELLANOX, "00:02:c9:ab:cd:ef"),
        (16, bytes.fromhex("80000048fe80000000000000") + GUID[:4], MELLANOX, "00:02:c9:ab:cd:ef"),
        (20, bytes.fromhex("80000048fe80000000000000") + GUID[:4], MELLANOX, "00:02:c9:ab:cd:ef"),
        (8, GUID, b"", "00:02:c9:ab:cd:ef"),
        (0, b"", GUID, "00:02:c9:ab:cd:ef"),
        (0, b"", b"\x20\0\7", None),
        (0, b"", b"", None),
        (20, b"\1" * 16, b"", None),
    ],
)
def test_an_infiniband_card_is_known_by_the_guid_of_its_port(hlen, chaddr, client_id, mac):
    options = {**UEFI, Option.CLIENT_ID: client_id} if client_id else UEFI
    message = request(options)._replace(htype=32, hlen=hlen, chaddr=chaddr.ljust(16, b"\0"))
    found = pxe.mac_of(message)
    assert (str(found) if found else None) == mac
    assert pxe.client_of(message).mac == found
    assert pxe.marks_of(message).client_id == (client_id.hex(":") if client_id else "")


def test_the_system_s_uuid_is_no_card():
    """EDK2 may send it for a hardware address of 16 bytes."""
    message = request(UEFI)._replace(hlen=16)
    assert pxe.mac_of(message) is None
    assert pxe.client_of(message).mac is None
    assert "hardware type 1, address 52:54:00:12:34:56:00" in pxe.addressed(message)


# -- who boots from the network, and not from a proxy ------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        (
            {Option.VENDOR_CLASS: b"U-Boot.armv8", Option.ARCH: b"\0\x16"},
            1,
            "next-server 192.0.2.1",
        ),
        ({Option.VENDOR_CLASS: b"U-Boot"}, 1, "U-Boot"),
        ({Option.VENDOR_CLASS: b"U-Boot"}, 3, None),
        ({Option.ARCH: b"\0\x0e"}, 1, "option 210"),
        ({Option.ARCH: b"\0\x0c"}, 3, "Open Firmware"),
        ({Option.VENDOR_CLASS: b"MSFT 5.0"}, 1, None),
        ({}, 1, None),
    ],
)
def test_whom_a_proxy_cannot_help_is_told_who_can(options, kind, told):
    message = request({Option.MESSAGE_TYPE: bytes((MessageType(kind),)), **options})
    found = pxe.beyond_a_proxy(message, SERVER)
    assert found is None if told is None else told in found
