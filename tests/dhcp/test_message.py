"""What a message's options say, and that a badly written one says nothing."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.dhcp.message import Message, Op, Option, sub_options
from netbootd.mac import MAC


def request(**options: bytes) -> Message:
    return Message(op=Op.REQUEST, options={Option[name]: value for name, value in options.items()})


@pytest.mark.parametrize(
    ("htype", "hlen", "mac"),
    [
        (1, 6, MAC.parse("52:54:00:12:34:56")),
        (6, 6, MAC.parse("52:54:00:12:34:56")),  # "IEEE 802 networks"
        (0, 6, None),
        (1, 16, None),  # EDK2 may send the system's GUID
        (32, 0, None),  # InfiniBand, RFC 4390
        (32, 20, None),
    ],
)
def test_only_an_ethernet_address_is_a_mac(htype, hlen, mac):
    chaddr = bytes.fromhex("525400123456").ljust(16, b"\0")
    assert Message(op=1, htype=htype, hlen=hlen, chaddr=chaddr).mac == mac


@pytest.mark.parametrize(
    ("value", "number", "name"),
    [
        (b"\x01", 1, "DISCOVER"),
        (b"\x09", 9, "message type 9"),
        (b"", None, "BOOTP request"),
        (b"\x01\x02", None, "BOOTP request"),
    ],
)
def test_message_type_is_one_byte(value, number, name):
    message = request(MESSAGE_TYPE=value)
    assert (message.message_type, message.message_name) == (number, name)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (b"", 548),
        (b"\x02\x40", 548),  # 576, the smallest that is legal
        (b"\x00\x10", 548),  # less is not
        (b"\x04\xec", 1232),  # 1260, Intel's ROMs
        (b"\x05\xc0", 1444),  # 1472, EDK2
        (b"\xff\xff", 1472),
        (b"\x05", 548),
    ],
)
def test_limit_is_of_the_message_and_within_ethernet(value, limit):
    assert request(MAX_SIZE=value).limit == limit


@pytest.mark.parametrize(
    ("value", "classes"),
    [
        (b"", ()),
        (b"iPXE", ("iPXE",)),
        (b"iPXE\0", ("iPXE",)),
        (b"\x04iPXE", ("iPXE",)),
        (b"\x04iPXE\x08netbootd", ("iPXE", "netbootd")),
        (b"\x04iPXE\x09netbootd", ("\x04iPXE\tnetbootd",)),  # lengths that do not add up
        (b"\x00", ()),
        (b"\x04iPXE\x00", ("\x04iPXE",)),
    ],
)
def test_user_class_is_a_list_or_plain_text(value, classes):
    assert request(USER_CLASS=value).user_classes == classes


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"\x00\x07", 7),
        (b"\x00\x07\x00\x10", 7),
        (b"\xfe\xfe\x00\x07", 7),  # the first that has a name
        (b"\xfe\xfe", 0xFEFE),
        (b"\x00\x07\x00", 7),
    ],
)
def test_the_first_known_architecture_counts(value, number):
    assert request(ARCH=value).arch.number == number


@pytest.mark.parametrize("value", [b"", b"\x07"])
def test_half_an_architecture_is_none(value):
    assert request(ARCH=value).arch is None


def test_uuid_has_its_first_three_fields_turned():
    """The SMBIOS UUID 00112233-4455-6677-8899-aabbccddeeff as firmware sends it."""
    value = bytes.fromhex("00 33221100 5544 7766 8899aabbccddeeff")
    assert request(UUID=value).uuid == "00112233-4455-6677-8899-aabbccddeeff"


@pytest.mark.parametrize("value", [b"", b"\x00" * 16, b"\x01" + b"\x00" * 16, b"\x00" * 18])
def test_uuid_of_another_shape_is_none(value):
    assert request(UUID=value).uuid == ""


def test_text_loses_trailing_nuls_and_keeps_every_other_byte():
    message = request(VENDOR_CLASS=b"PXEClient\xff\0\0")
    assert message.vendor_class == "PXEClient\xff"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("", []),
        ("ff", []),
        ("060108 ff 0a0100", [(6, "08")]),
        ("060108 00 4704 80000000", [(6, "08"), (0x47, "80000000")]),
        ("060108 47", [(6, "08")]),
        ("060108 4705 80000000", [(6, "08")]),
        ("0600", [(6, "")]),
    ],
)
def test_sub_options_stop_at_a_lying_length(data, found):
    expected = [(code, bytes.fromhex(value)) for code, value in found]
    assert list(sub_options(bytes.fromhex(data))) == expected


def test_server_id_is_an_address_or_none():
    assert str(request(SERVER_ID=b"\xc0\0\x02\x01").server_id) == "192.0.2.1"
    assert request(SERVER_ID=b"\xc0\0\x02").server_id is None


@given(st.binary(min_size=16, max_size=16))
def test_a_uuid_is_written_as_the_standard_library_does(said):
    assert request(UUID=b"\0" + said).uuid == str(UUID(bytes_le=said))
