"""A reply as a frame: what scapy makes of the same, byte for byte."""

from __future__ import annotations

import random
from ipaddress import IPv6Address

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from netbootd.dhcp6.frame import build

OURS, THEIRS = IPv6Address("fe80::1"), IPv6Address("fe80::5054:ff:fe12:3456")


@pytest.mark.parametrize("size", [0, 1, 2, 99, 100, 1200])
def test_it_is_what_scapy_builds(size):
    payload = random.Random(size).randbytes(size)
    made = IPv6(src=str(OURS), dst=str(THEIRS), hlim=64) / UDP(sport=547, dport=546)
    assert build(payload, (OURS, 547), (THEIRS, 546)) == bytes(made / Raw(payload))


def test_a_checksum_of_zero_is_not_left_out():
    """RFC 8200, section 8.1: it would say that there is none."""
    for number in range(1 << 16):
        packet = build(number.to_bytes(2, "big"), (OURS, 547), (THEIRS, 546))
        assert packet[46:48] != b"\0\0"
