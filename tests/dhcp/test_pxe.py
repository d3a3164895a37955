"""Who a packet comes from, and how that client wants to be told its boot file."""

from ipaddress import IPv4Address

import pytest

from netbootd.boot.client import Stage
from netbootd.dhcp import pxe, wire
from netbootd.dhcp.message import Message, Op, Option, sub_options

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
        (request(UEFI)._replace(hlen=16), "hardware type 1, address 52:54:00:12:34:56:00"),
        (request(UEFI)._replace(htype=32, hlen=0), "hardware type 32, address none"),
        (
            request({**UEFI, Option.CLIENT_ID: b"\x20\0\7"})._replace(htype=32, hlen=0),
            "client identifier 20:00:07",
        ),
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
    ("options", "style"),
    [
        (UEFI, "UEFI"),
        (BIOS, "BIOS"),
        (HTTP, "HTTP boot"),
        (IPXE, "iPXE"),
        ({**UEFI, Option.USER_CLASS: b"iPXE"}, "iPXE"),
        ({**IPXE, Option.IPXE: NO_HTTP}, "iPXE"),  # gets a loader, but said in its own way
        ({Option.VENDOR_CLASS: b"PXEClient"}, "BIOS"),
    ],
)
def test_style(options, style):
    message = request(options)
    assert pxe.style_of(message, pxe.client_of(message)) is pxe.STYLES[style]


@pytest.mark.parametrize("style", pxe.STYLES.values(), ids=pxe.STYLES)
def test_every_style_says_where_it_comes_from(style):
    assert style.source
    assert style.vendor_class in (b"PXEClient", b"HTTPClient")


def fields(style="UEFI", file="a/snponly.efi", vendor_options=b"", **options):
    message = request({Option[name]: value for name, value in options.items()})
    return pxe.fields(message, pxe.STYLES[style], SERVER, file, vendor_options)


def test_uefi_client_gets_no_option_43():
    assert pxe.STYLES["UEFI"].vendor_options == b""
    assert Option.VENDOR_OPTIONS not in fields().options


def test_option_43_says_take_the_file_at_once():
    for style in ("BIOS", "iPXE"):
        assert dict(sub_options(pxe.STYLES[style].vendor_options))[6] == b"\x08"


def test_options_stand_in_the_order_that_was_tested():
    echoed = {"UUID": bytes(17), "CLIENT_ID": b"\1a", "RELAY_AGENT": b"\1\1a"}
    found = fields("iPXE", "u" * 200, b"\6\1\x08\xff", **echoed)
    assert list(found.options) == [54, 60, 97, 43, 67, 175, 61, 82]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UUID", b""),
        ("UUID", bytes(16)),
        ("UUID", b"\1" + bytes(16)),
        ("CLIENT_ID", b""),
        ("RELAY_AGENT", b""),
    ],
)
def test_a_wrong_or_empty_option_is_not_echoed(name, value):
    assert Option[name] not in fields(**{name: value}).options


@pytest.mark.parametrize(
    ("style", "length", "header", "option"),
    [
        ("UEFI", 127, 127, None),
        ("UEFI", 128, 0, 129),
        ("UEFI", 254, 0, 255),
        ("UEFI", 255, 0, 255),
        ("HTTP boot", 127, 127, 128),
        ("HTTP boot", 128, 0, 129),
        ("HTTP boot", 255, 0, 255),
    ],
)
def test_a_long_name_goes_into_option_67_with_a_nul_where_there_is_room(
    style, length, header, option
):
    found = fields(style, "u" * length)
    assert len(found.file) == header
    value = found.options.get(Option.BOOT_FILE)
    assert (None if value is None else len(value)) == option
    assert value is None or value.endswith(b"\0") == (length < 255)


def test_the_server_names_itself_except_to_http_boot():
    assert (fields().siaddr, fields().sname) == (SERVER, b"192.0.2.1")
    assert (fields("HTTP boot").siaddr, fields("HTTP boot").sname) == (SERVER, b"")


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
