"""Capture files as foreign programs write them, and as nobody should."""

from __future__ import annotations

import contextlib
import io
import random
import struct

import pytest

from netbootd.errors import NetbootdError
from netbootd.replay.capture import Damaged, NoCapture, frames
from netbootd.replay.datagram import datagram
from tests.dhcp.captures import capture

from .files import BEGAN, WRAPPERS, asked, write

PACKETS = ["qemu-ovmf-x64-pxe-discover", "qemu-ipxe-bios-discover", "qemu-undionly-discover"]


@pytest.fixture
def written(tmp_path):
    def written(**options):
        return write(tmp_path / "a.pcap", [asked(name) for name in PACKETS], **options)

    return written


@pytest.mark.parametrize("ng", [False, True], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_packet_comes_out_of_what_scapy_writes(written, wrapper, ng):
    with written(wrapper=wrapper, ng=ng).open("rb") as opened:
        found = [(frame, datagram(frame)) for frame in frames(opened)]
    assert [frame.number for frame, _ in found] == [1, 2, 3]
    assert [frame.at - BEGAN for frame, _ in found] == pytest.approx([0, 0.5, 1.0], abs=1e-5)
    for name, (_, got) in zip(PACKETS, found, strict=True):
        assert got.payload == capture(name).payload
        assert (got.sport, got.dport, got.tcp, got.cut) == (68, 67, False, False)
    expected = {"VLAN": (12,), "VLAN in VLAN": (100, 12)}.get(wrapper, ())
    assert {got.vlans for _, got in found} == {expected}


def _classic(order: str, magic: int, unit: int) -> bytes:
    payload = bytes(asked(PACKETS[0]))
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 101)
    return head + struct.pack(order + "IIII", 7, unit // 2, len(payload), len(payload)) + payload


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize(
    ("magic", "unit"), [(0xA1B2C3D4, 10**6), (0xA1B23C4D, 10**9)], ids=["us", "ns"]
)
def test_both_orders_of_bytes_and_both_units_of_time_are_read(order, magic, unit):
    [frame] = frames(io.BytesIO(_classic(order, magic, unit)))
    assert frame.at == 7.5
    assert datagram(frame).dport == 67


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def _section(order: str) -> bytes:
    return _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_a_section_of_pcapng_says_the_unit_of_its_times_and_where_they_begin(order):
    packet = bytes(asked(PACKETS[0]))
    nanoseconds = struct.pack(order + "HHBxxx", 9, 1, 9)
    offset = struct.pack(order + "HHq", 14, 8, 1000)
    interface = struct.pack(order + "HHI", 101, 0, 0) + nanoseconds + offset + bytes(4)
    enhanced = struct.pack(order + "IIIII", 0, 0, 2_500_000_000, len(packet), len(packet) + 9)
    begin = _section(order) + _block(order, 1, interface)
    unknown = _block(order, 5, b"statistics")
    simple = _block(order, 3, struct.pack(order + "I", len(packet)) + packet)
    found = list(frames(io.BytesIO(begin + unknown + _block(order, 6, enhanced + packet) + simple)))
    assert [(frame.number, frame.at) for frame in found] == [(1, 1002.5), (2, 0.0)]
    assert found[0].size == len(packet) + 9
    assert found[0].data == found[1].data == packet


@pytest.mark.parametrize("high", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_time_beyond_all_calendars_is_none(high):
    packet = bytes(asked(PACKETS[0]))
    enhanced = struct.pack("<IIIII", 0, high, 0, len(packet), len(packet)) + packet
    begin = _section("<") + _block("<", 1, struct.pack("<HHI", 101, 0, 0))
    [frame] = frames(io.BytesIO(begin + _block("<", 6, enhanced)))
    assert frame.at == 0.0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00rest", "uncompress"),
        (b"#!/bin/sh", "neither pcap nor pcapng"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "its header is cut off"),
    ],
    ids=["empty", "gzip", "script", "header"],
)
def test_what_is_no_capture_is_told_as_what_it_is(content, told):
    with pytest.raises(NoCapture, match=told):
        list(frames(io.BytesIO(content)))


@pytest.mark.parametrize("ng", [False, True], ids=["pcap", "pcapng"])
def test_a_capture_that_is_cut_off_anywhere_gives_what_is_whole(written, ng):
    content = written(ng=ng).read_bytes()
    whole = list(frames(io.BytesIO(content)))
    counts = set()
    for size in range(30, len(content)):
        got = []
        with contextlib.suppress(Damaged, NoCapture):
            for frame in frames(io.BytesIO(content[:size])):
                got.append(frame)
        assert got == whole[: len(got)]
        counts.add(len(got))
    assert counts == {0, 1, 2}


@pytest.mark.parametrize("ng", [False, True], ids=["pcap", "pcapng"])
def test_lengths_in_the_file_are_not_believed(written, ng):
    content = bytearray(written(ng=ng).read_bytes())
    chance = random.Random(7)
    for _ in range(3000):
        spoilt = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            spoilt[chance.randrange(4, len(spoilt))] = chance.choice((0, 1, 0x7F, 0xFF))
        try:
            for frame in frames(io.BytesIO(bytes(spoilt))):
                assert len(frame.data) <= len(content)
                datagram(frame)
        except NetbootdError:
            pass


@pytest.mark.parametrize("link", [0, 1, 12, 101, 105, 113, 228, 276])
def test_frames_of_any_bytes_raise_nothing(link):
    from netbootd.replay.capture import Frame

    chance = random.Random(link)
    whole = bytes(WRAPPERS["VLAN"](asked(PACKETS[0])))
    for size in (*range(80), 400):
        for data in (chance.randbytes(size), whole[:size], b"\x45" + chance.randbytes(size)):
            datagram(Frame(1, 0.0, link, data, size))


def test_a_fragment_is_no_datagram_and_the_first_one_is_cut():
    from netbootd.replay.capture import Frame

    packet = asked(PACKETS[0])
    packet.flags = "MF"
    assert datagram(Frame(1, 0.0, 101, bytes(packet), 0)).cut
    packet.flags, packet.frag = 0, 10
    del packet.chksum
    assert datagram(Frame(1, 0.0, 101, bytes(packet), 0)) is None
