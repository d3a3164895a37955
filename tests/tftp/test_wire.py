"""Bytes to packets and back; tftpy is the referee for the two short ways around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tftpy.TftpPacketTypes import TftpPacketACK, TftpPacketDAT

from netbootd.errors import WireError
from netbootd.tftp import wire
from netbootd.tftp.blocks import laid
from netbootd.tftp.wire import Ack, Data, Error, OptionAck, ReadRequest, WriteRequest

CAPTURES = json.loads((Path(__file__).parents[1] / "captures" / "tftp-requests.json").read_text())

OPTIONS_APART = ReadRequest("a", "octet", {"tsize": "0", "blksize": "8"})
PACKETS = [
    (b"\0\1undionly.kpxe\0octet\0", ReadRequest("undionly.kpxe")),
    (b"\0\1a\0OcTeT\0", ReadRequest("a")),
    (
        b"\0\1a\0octet\0BLKSIZE\x001468\0tsize\x000\0",
        ReadRequest("a", "octet", {"blksize": "1468", "tsize": "0"}),
    ),
    (b"\0\1notes\0netascii\0", ReadRequest("notes", "netascii")),
    (b"\0\1root\0mail\0", ReadRequest("root", "mail")),
    (b"\0\1\0octet\0", ReadRequest("")),
    # A name may be any bytes: UTF-8 where it is, Latin-1 where not.
    ("\0\1größe\0octet\0".encode(), ReadRequest("größe")),
    (b"\0\1gr\xf6\xdfe\0octet\0", ReadRequest("größe")),
    (b"\0\1\xff\xfe\0octet\0", ReadRequest("\xff\xfe")),
    # A ROM that sends its whole buffer.
    (b"\0\1a\0octet\0tsize\x000\0" + bytes(400), ReadRequest("a", "octet", {"tsize": "0"})),
    # An option without a value, as RFC 2090 asks for multicast, is not asked.
    (b"\0\1a\0octet\0multicast\0\0", ReadRequest("a")),
    (b"\0\1a\0octet\0tsize\0\0", ReadRequest("a")),
    (
        b"\0\1a\0octet\0tsize\0\0BlkSize\x001468\0multicast\0\0timeout\x005\0",
        ReadRequest("a", "octet", {"blksize": "1468", "timeout": "5"}),
    ),
    (b"\0\1a\0octet\0\0\0tsize\x000\0", ReadRequest("a", "octet", {"tsize": "0"})),
    (b"\0\1a\0octet\0tsize\x000\0\0blksize\x008\0", OPTIONS_APART),
    # The last name has no value, the last value no end.
    (b"\0\1a\0octet\0blksize\0", ReadRequest("a")),
    (b"\0\1a\0octet\0blksize", ReadRequest("a")),
    (b"\0\1a\0octet\0blksize\x001468", ReadRequest("a")),
    (b"\0\1a\0octet\0blksize\0\x001\x002\0", ReadRequest("a", "octet", {"1": "2"})),
    # Not ASCII: a strange option is as good as an unknown one, a strange value is refused later.
    (b"\0\1a\0octet\0gr\xf6\xdfe\x001\0", ReadRequest("a", "octet", {"größe": "1"})),
    (b"\0\1a\0octet\0blksize\x00\xff\0", ReadRequest("a", "octet", {"blksize": "\xff"})),
    (b"\0\2a\0octet\0", WriteRequest("a")),
    (b"\0\3\0\1abc", Data(1, b"abc")),
    (b"\0\3\xff\xff", Data(65535, b"")),
    (b"\0\4\0\0", Ack(0)),
    (b"\0\4\xff\xfe", Ack(65534)),
    (b"\0\4\0\7trailing", Ack(7)),
    (b"\0\5\0\x08User aborted the transfer\0", Error(8, "User aborted the transfer")),
    (b"\0\5\0\0\0", Error(0, "")),
    (b"\0\5\x12\x34", Error(0x1234, "")),
    (b"\0\5\0\0one\0two\0", Error(0, "one")),
    (b"\0\6blksize\x001468\0", OptionAck({"blksize": "1468"})),
]

NONSENSE = [
    b"",
    b"\0",
    b"\0\1",
    b"\0\4\0",
    b"\0\3\0",
    b"\0\5\0",
    b"\0\0\0\0",
    b"\0\7\0\0",
    b"\xff\xff\xff\xff",
    b"\0\1name",
    b"\0\1name\0",
    b"\0\1name\0octet",
    b"\0\1name\0oc\xfftet\0",
    b"\0\1" + b"n" * 1500 + b"\0octet\0",
    b"\0\6blksize\0",
]


@pytest.mark.parametrize(("datagram", "packet"), PACKETS)
def test_a_packet_is_understood(datagram, packet):
    assert wire.decode(datagram) == packet


@pytest.mark.parametrize("datagram", NONSENSE)
def test_nonsense_is_a_wire_error(datagram):
    with pytest.raises(WireError):
        wire.decode(datagram)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda each: each["loader"] + " " + each["op"])
def test_what_real_firmware_sends_is_understood(capture):
    fields = capture["fields"]
    if capture["op"] == "ERROR":
        expected = Error(int(fields[0]), fields[1])
    else:
        options = dict(zip(fields[2::2], fields[3::2], strict=True))
        expected = ReadRequest(fields[0], fields[1], options)
    assert wire.decode(bytes.fromhex(capture["hex"])) == expected


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda each: each["loader"] + " " + each["op"])
def test_what_we_encode_is_what_firmware_sends(capture):
    datagram = bytes.fromhex(capture["hex"])
    assert wire.encode(wire.decode(datagram)) == datagram


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_a_wire_error(datagram):
    try:
        wire.decode(datagram)
    except WireError:
        return


@given(
    st.sampled_from([each["hex"] for each in CAPTURES]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=5),
    st.integers(0, 200),
)
def test_damaged_requests_are_a_packet_or_a_wire_error(capture, flips, length):
    damaged = bytearray(bytes.fromhex(capture))
    for at, value in flips:
        damaged[at % len(damaged)] = value
    try:
        wire.decode(bytes(damaged[:length]))
    except WireError:
        return


@given(st.integers(0, 65535), st.binary(max_size=600))
def test_a_block_that_is_laid_out_is_what_tftpy_writes(block, data):
    packet = TftpPacketDAT()
    packet.blocknumber, packet.data = block, data
    assert laid(data, 600, block, block) == packet.encode().buffer
    assert laid(data, 600, block + (1 << 16), block + (1 << 16)) == wire.encode(Data(block, data))


@given(st.integers(0, 65535))
def test_the_short_way_to_an_ack_agrees_with_tftpy(block):
    packet = TftpPacketACK()
    packet.blocknumber = block
    datagram = packet.encode().buffer
    assert wire.acknowledged(datagram) == block
    assert wire.decode(datagram) == Ack(block)


@given(st.binary(max_size=8))
def test_the_short_way_sees_an_ack_where_decode_does(datagram):
    try:
        packet = wire.decode(datagram)
    except WireError:
        packet = None
    assert wire.acknowledged(datagram) == (packet.block if isinstance(packet, Ack) else -1)


@pytest.mark.parametrize(
    ("packet", "datagram"),
    [
        (
            OptionAck({"tsize": "74213", "blksize": "1468"}),
            b"\0\6tsize\x0074213\0blksize\x001468\0",
        ),
        (Error(1, "file not found"), b"\0\5\0\1file not found\0"),
        (Error(0, "größe\0"), b"\0\5\0\0gr??e?\0"),
        (Data(1, b""), b"\0\3\0\1"),
    ],
)
def test_nothing_stands_behind_the_last_zero(packet, datagram):
    assert wire.encode(packet) == datagram


def test_an_error_text_fits_the_buffer_of_a_rom():
    assert len(wire.encode(Error(0, "x" * 1000))) <= 128


@pytest.mark.parametrize(
    ("datagram", "opcode"), [(b"", 0), (b"\1", 0), (b"\0\1", 1), (b"\1\0x", 256)]
)
def test_the_opcode_is_read_where_there_is_one(datagram, opcode):
    assert wire.opcode_of(datagram) == opcode
