"""The boot part of a reply, option by option."""

from ipaddress import IPv4Address

import pytest

from netbootd import replies
from netbootd.dhcp import fields as module
from netbootd.dhcp.message import Option
from netbootd.dhcp.styles import STYLES

from .test_pxe import UEFI, request

SERVER = IPv4Address("192.0.2.1")


def fields(style=replies.BOOT_SERVER, file="a/snponly.efi", vendor_options=b"", **options):
    message = request({**UEFI, **{Option[name]: value for name, value in options.items()}})
    return module.fields(message, STYLES[style], SERVER, file, vendor_options)


def test_an_empty_option_43_is_left_out():
    """EDK2 drops the whole packet for one."""
    assert Option.VENDOR_OPTIONS not in fields().options


def test_options_stand_in_the_order_that_was_tested():
    echoed = {"UUID": bytes(17), "CLIENT_ID": b"\1a", "RELAY_AGENT": b"\1\1a"}
    found = fields(replies.IPXE, "u" * 200, b"\6\1\x08\xff", **echoed)
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


@pytest.mark.parametrize("style", STYLES)
def test_the_size_of_the_file_is_never_told(style):
    """EDK2 would trust option 13 and skip its question for the exact size."""
    assert 13 not in fields(style).options


@pytest.mark.parametrize(
    ("style", "length", "header", "option"),
    [
        (replies.BOOT_SERVER, 127, 127, None),
        (replies.BOOT_SERVER, 128, 0, 129),
        (replies.BOOT_SERVER, 254, 0, 255),
        (replies.BOOT_SERVER, 255, 0, 255),
        (replies.HTTP, 127, 127, 128),
        (replies.HTTP, 128, 0, 129),
        (replies.HTTP, 255, 0, 255),
        (replies.RASPBERRY_PI, 127, 0, None),
        (replies.RASPBERRY_PI, 128, 0, None),
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
    assert (fields(replies.HTTP).siaddr, fields(replies.HTTP).sname) == (SERVER, b"")


def test_a_raspberry_pi_gets_the_server_in_option_66_and_no_file():
    found = fields(replies.RASPBERRY_PI)
    assert found.options[Option.TFTP_SERVER_NAME] == b"192.0.2.1"
    assert found.file == b""
