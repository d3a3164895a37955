"""
Bytes to Message and back, with scapy's own dissection and build as the referee.

Whatever the bytes: a Message or a WireError, and nothing else.
"""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP

from netbootd.dhcp import wire
from netbootd.dhcp.message import Message, Op, Option
from netbootd.errors import WireError

from . import captures

EVERY_CAPTURE = pytest.mark.parametrize("capture", captures.everything(), ids=str)
HEADER = captures.capture("qemu-ovmf-x64-pxe-discover").payload[:240]


def decode(options: str, *, sname: str = "", file: str = "") -> Message:
    packet = bytearray(HEADER)
    packet[44 : 44 + 64] = bytes.fromhex(sname).ljust(64, b"\0")
    packet[108 : 108 + 128] = bytes.fromhex(file).ljust(128, b"\0")
    return wire.decode(bytes(packet) + bytes.fromhex(options))


def reply(**changes) -> Message:
    return Message(op=Op.REPLY, **changes)


# -- the referee -------------------------------------------------------------------------------


@EVERY_CAPTURE
def test_the_header_is_what_scapy_reads(capture):
    ours, theirs = wire.decode(capture.payload), BOOTP(capture.payload)
    for name in ("op", "htype", "hlen", "hops", "xid", "secs", "chaddr"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("ciaddr", "yiaddr", "siaddr", "giaddr"):
        assert str(getattr(ours, name)) == getattr(theirs, name)
    assert ours.flags == int(theirs.flags)
    if Option.OVERLOAD not in ours.options:
        assert ours.file == theirs.file.partition(b"\0")[0]
        assert ours.sname == theirs.sname.partition(b"\0")[0]


@EVERY_CAPTURE
def test_the_options_are_what_scapy_reads(capture):
    if capture.name == "tp-srv-overload-file":
        pytest.skip("scapy does not look into overloaded fields")
    ours = wire.decode(capture.payload).options
    theirs = {}
    for option in BOOTP(capture.payload)[DHCP].options:
        if option == "end":
            break
        if option != "pad":
            code, _, *value = bytes(DHCP(options=[option]))
            theirs[code] = bytes(value)
    assert dict(ours) == theirs


def test_a_reply_is_byte_for_byte_what_scapy_builds():
    """Here scapy is given its own names and types; ``encode`` gives it bytes."""
    ours = reply(
        xid=0x5EF80E04,
        flags=0x8000,
        siaddr=wire.IPv4Address("192.0.2.1"),
        giaddr=wire.IPv4Address("192.0.2.9"),
        chaddr=bytes.fromhex("525400aa0002").ljust(16, b"\0"),
        sname=b"192.0.2.1",
        file=b"52:54:00:aa:00:02/snponly.efi",
        options={
            53: b"\x02",
            54: b"\xc0\0\x02\x01",
            60: b"PXEClient",
            97: bytes(17),
            43: bytes.fromhex("060108ff"),
            67: b"http://192.0.2.1/a\0",
            175: b"\1\1\1",
            61: b"\1\x52\x54\0\xaa\0\2",
            82: b"\1\4port",
        },
    )
    theirs = BOOTP(
        op=2,
        xid=0x5EF80E04,
        flags=0x8000,
        siaddr="192.0.2.1",
        giaddr="192.0.2.9",
        chaddr=bytes.fromhex("525400aa0002"),
        sname=b"192.0.2.1",
        file=b"52:54:00:aa:00:02/snponly.efi",
    ) / DHCP(
        options=[
            ("message-type", "offer"),
            ("server_id", "192.0.2.1"),
            ("vendor_class_id", "PXEClient"),
            ("pxe_client_machine_identifier", bytes(17)),
            ("vendor_specific", bytes.fromhex("060108ff")),
            ("boot-file-name", b"http://192.0.2.1/a\0"),
            (175, b"\1\1\1"),
            ("client_id", b"\1\x52\x54\0\xaa\0\2"),
            ("relay_agent_information", b"\1\4port"),
            "end",
        ]
    )
    assert wire.encode(ours) == bytes(theirs).ljust(300, b"\0")


@EVERY_CAPTURE
def test_what_was_read_can_be_written_and_read_again(capture):
    message = wire.decode(capture.payload)
    assert wire.decode(wire.encode(message)) == message


# -- reading -----------------------------------------------------------------------------------


def test_a_split_option_is_joined_in_order():
    """RFC 3396, section 7; other options may stand between."""
    message = decode("3c03505845 350101 3c06436c69656e74 ff")
    assert message.vendor_class == "PXEClient"
    assert list(message.options) == [60, 53]


@pytest.mark.parametrize(
    ("overload", "options", "file", "sname"),
    [
        ("01", {52: b"\1", 60: b"PXE", 77: b"f"}, b"", b"\x4d\1s\xff"),
        ("02", {52: b"\2", 60: b"PXE", 77: b"s"}, b"\x4d\1f\xff", b""),
        ("03", {52: b"\3", 60: b"PXE", 77: b"fs"}, b"", b""),
        ("00", {52: b"\0", 60: b"PXE"}, b"\x4d\1f\xff", b"\x4d\1s\xff"),
    ],
)
def test_overloaded_fields_hold_options_file_first(overload, options, file, sname):
    """RFC 2132, section 9.3; RFC 3396, section 5."""
    message = decode(f"3401{overload} 3c03505845 ff", file="4d0166ff", sname="4d0173ff")
    assert message.options == options
    assert (message.file, message.sname) == (file, sname)


def test_overload_inside_an_overloaded_field_means_nothing():
    message = decode("340101 ff", file="340102 3c0141 ff", sname="4d0173ff")
    assert message.sname == b"M\1s\xff"
    assert Option.USER_CLASS not in message.options


def test_pads_may_stand_anywhere_and_nothing_counts_after_the_end():
    assert decode("00 350101 0000 3c0141 ff 3c0142").options == {53: b"\1", 60: b"A"}


@pytest.mark.parametrize("tail", ["3c", "3c09505845", "3cff", "3c0a505845436c69656e74"])
def test_a_length_past_the_end_ends_the_walk_and_keeps_what_was_read(tail):
    assert decode(f"350101 {tail}").options == {53: b"\1"}


def test_a_missing_end_is_forgiven():
    assert decode("350101").options == {53: b"\1"}


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda p: p[:239], "239 bytes"),
        (lambda p: b"", "0 bytes"),
        (lambda p: b"\0" + p[1:], "op is 0"),
        (lambda p: b"\3" + p[1:], "op is 3"),
        (lambda p: p[:2] + b"\x11" + p[3:], "hardware address of 17 bytes"),
        (lambda p: p[:236] + bytes(64), "BOOTP without options"),
    ],
)
def test_what_is_no_dhcp_is_refused(damage, complaint):
    with pytest.raises(WireError, match=complaint):
        wire.decode(damage(captures.capture("qemu-ovmf-x64-pxe-discover").payload))


@pytest.mark.parametrize(("htype", "hlen"), [(32, 0), (32, 16), (1, 16), (0, 6)])
def test_other_hardware_is_read(htype, hlen):
    packet = bytes((1, htype, hlen)) + HEADER[3:] + b"\xff"
    assert (wire.decode(packet).htype, wire.decode(packet).hlen) == (htype, hlen)


# -- hostile bytes -----------------------------------------------------------------------------


def survive(datagram: bytes) -> None:
    """Decode, and read everything a message can say."""
    try:
        message = wire.decode(datagram)
    except WireError:
        return
    for name in dir(type(message)):
        getattr(message, name)


@EVERY_CAPTURE
def test_a_capture_cut_anywhere_is_read_or_refused(capture):
    for length in range(len(capture.payload)):
        survive(capture.payload[:length])


@EVERY_CAPTURE
def test_a_capture_with_any_byte_changed_is_read_or_refused(capture):
    for at in range(len(capture.payload)):
        for flip in (0x01, 0x80, 0xFF):
            broken = bytearray(capture.payload)
            broken[at] ^= flip
            survive(bytes(broken))


@EVERY_CAPTURE
def test_a_doubled_capture_is_read(capture):
    assert wire.decode(capture.payload * 2).xid == wire.decode(capture.payload).xid


@given(st.binary(max_size=2048))
def test_any_bytes_are_read_or_refused(datagram):
    survive(datagram)


@given(st.binary(max_size=1200), st.binary(min_size=192, max_size=192))
def test_any_options_are_read_or_refused(options, fields):
    survive(HEADER[:44] + fields + HEADER[236:] + options)


@given(st.binary(max_size=600))
def test_any_options_after_an_overload_are_read_or_refused(options):
    survive(HEADER[:44] + bytes(range(192)) + HEADER[236:] + b"\x34\1\3" + options)


@given(
    st.dictionaries(st.integers(1, 254).filter(lambda c: c != 52), st.binary(max_size=255)),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=127).filter(lambda name: b"\0" not in name),
)
def test_a_message_survives_the_wire(options, xid, file):
    message = reply(options=options, xid=xid, file=file)
    try:
        datagram = wire.encode(message, 1_000_000)
    except WireError as problem:
        raise AssertionError from problem
    assert wire.decode(datagram) == message


# -- writing -----------------------------------------------------------------------------------


def test_a_short_reply_is_padded_to_the_size_relays_expect():
    assert len(wire.encode(reply())) == 300


@pytest.mark.parametrize(("length", "fits"), [(127, True), (128, False)])
def test_the_file_field_keeps_room_for_a_nul(length, fits):
    message = reply(file=b"a" * length)
    if fits:
        assert wire.decode(wire.encode(message)).file == message.file
    else:
        with pytest.raises(WireError, match="file of 128"):
            wire.encode(message)


@pytest.mark.parametrize("code", [Option.BOOT_FILE, Option.VENDOR_OPTIONS, Option.IPXE])
def test_an_option_that_may_not_be_split_has_255_bytes_at_most(code):
    assert wire.decode(wire.encode(reply(options={code: b"x" * 255}))).options[code] == b"x" * 255
    with pytest.raises(WireError, match="256 bytes"):
        wire.encode(reply(options={code: b"x" * 256}))


def test_a_long_echo_is_split():
    """RFC 3396: option 82 behind several relays."""
    value = bytes(range(256)) * 2
    datagram = wire.encode(reply(options={Option.RELAY_AGENT: value}))
    assert datagram[240:242] == b"\x52\xff"
    assert wire.decode(datagram).options[Option.RELAY_AGENT] == value


def test_what_does_not_fit_the_client_is_left_out_whole():
    options = {53: b"\2", 97: bytes(17), 61: b"i" * 200, 82: b"r" * 200}
    kept = wire.decode(wire.encode(reply(options=options), 548)).options
    assert kept == {53: b"\2", 97: bytes(17), 82: b"r" * 200}
    assert wire.decode(wire.encode(reply(options=options), 1472)).options == options


def test_what_cannot_be_left_out_is_never_cut():
    options = {53: b"\2", 67: b"u" * 200, 43: b"v" * 200}
    with pytest.raises(WireError, match="the client takes 548"):
        wire.encode(reply(options=options), 548)


def test_what_a_client_chooses_fills_no_cache():
    """Else a stranger with random identifiers would make us build anew for everybody."""
    before = wire._built.cache_info().currsize
    for number in range(50):
        value = number.to_bytes(17, "big")
        changing = {43: value, 61: value, 67: value, 82: value, 97: value}
        wire.encode(reply(options={250: b"only here", **changing}))
    assert wire._built.cache_info().currsize == before + 1


def test_importing_it_is_quiet():
    """No warnings of scapy's, and no look at the machine's routes; and only when it is needed."""
    code = (
        "import sys; from netbootd.dhcp import wire\n"
        "assert 'scapy' not in sys.modules; wire.warm()\n"
        "from scapy.config import conf\n"
        "assert 'scapy.all' not in sys.modules; assert not conf.route.routes"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
