"""IPv4 packets made and read by hand, with scapy as the referee."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, IPOption_NOP
from scapy.packet import Raw

from netbootd.dhcp import frame
from netbootd.errors import WireError

OURS, CLIENT = ("192.0.2.1", 67), ("255.255.255.255", 68)
ENDPOINTS = st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 0xFFFF))


@settings(deadline=None)
@given(st.binary(max_size=1472), ENDPOINTS, ENDPOINTS)
def test_what_we_build_is_what_scapy_builds(payload, source, to):
    fields = {"src": source[0], "dst": to[0], "id": 0, "ttl": 64}
    theirs = IP(**fields) / UDP(sport=source[1], dport=to[1]) / payload
    assert frame.build(payload, source, to) == bytes(theirs)


@settings(deadline=None)
@given(st.binary(max_size=1472), ENDPOINTS, ENDPOINTS, st.binary(max_size=40))
def test_what_was_built_can_be_read_whatever_pads_the_frame(payload, source, to, padding):
    packet = frame.build(payload, source, to) + padding
    assert frame.parse(packet, checked=False) == (payload, source, to)


def packet(ip=None, udp=None, payload=b"DISCOVER") -> bytes:
    header = IP(src="0.0.0.0", dst="255.255.255.255", **(ip or {}))
    return bytes(header / UDP(sport=68, dport=67, **(udp or {})) / Raw(payload))


def test_ip_options_are_stepped_over():
    made = packet(ip={"options": [IPOption_NOP()] * 4})
    assert made[0] == 0x46
    assert frame.parse(made, checked=False).payload == b"DISCOVER"


def test_a_sender_may_leave_the_udp_checksum_out():
    assert frame.parse(packet(udp={"chksum": 0}), checked=False).payload == b"DISCOVER"


def test_a_checksum_that_is_not_there_yet_is_not_looked_at():
    """What a veth or a virtual card delivers holds that of the pseudo-header only."""
    partial = packet(udp={"chksum": 0x1234})
    assert frame.parse(partial, checked=True).payload == b"DISCOVER"
    with pytest.raises(WireError, match="UDP checksum"):
        frame.parse(partial, checked=False)


def test_a_checksum_of_zero_is_sent_as_ones():
    """RFC 768: all zeros would say that there is none."""
    payload = struct.pack("!H", _filler())
    built = frame.build(payload, OURS, CLIENT)
    assert built[26:28] == b"\xff\xff"
    assert frame.parse(built, checked=False).payload == payload


def _filler() -> int:
    """Two bytes that make the checksum of a datagram from OURS to CLIENT zero."""
    return int.from_bytes(frame.build(b"\0\0", OURS, CLIENT)[26:28], "big")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b"", "no IPv4 packet"),
        (packet()[:19], "no IPv4 packet"),
        (b"\x65" + packet()[1:], "impossible lengths"),
        (packet(ip={"ihl": 4}), "impossible lengths"),
        (packet(ip={"len": 10}), "impossible lengths"),
        (packet(ip={"len": 2000}), "impossible lengths"),
        (packet(ip={"ttl": 9, "chksum": 0x1234}), "header's checksum"),
        (packet(ip={"proto": 6}), "no whole UDP"),
        (packet(ip={"flags": "MF"}), "no whole UDP"),
        (packet(ip={"frag": 3}), "no whole UDP"),
        (packet(udp={"len": 7}), "UDP header of impossible"),
        (packet(udp={"len": 17}), "UDP header of impossible"),
        (packet(ip={"len": 24}), "cut short"),
    ],
)
def test_a_broken_packet_is_a_wire_error(broken, why):
    with pytest.raises(WireError, match=why):
        frame.parse(broken, checked=False)


@settings(deadline=None)
@given(st.binary(max_size=80), st.booleans())
def test_nothing_else_than_a_wire_error_is_raised(noise, checked):
    for data in (noise, packet()[: len(noise)], packet()[:20] + noise):
        with contextlib.suppress(WireError):
            frame.parse(data, checked=checked)
