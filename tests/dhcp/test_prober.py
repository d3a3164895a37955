"""ARP on a real cable: who has an address, and that silence is an answer as well."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address

import pytest
from scapy.layers.l2 import ARP

from netbootd.dhcp import arp
from netbootd.errors import WireError
from netbootd.mac import MAC

from .namespaces import USABLE, Namespace, cable
from .wires import ROOT

OURS = MAC.parse("02:00:00:00:00:01")
wire = pytest.mark.wire
needs_root = pytest.mark.skipif(not USABLE, reason="needs root and the command ip (iproute2)")


def test_a_probe_names_no_address_of_ours():
    packet = ARP(arp.probe(IPv4Address("192.0.2.7"), OURS))
    assert (packet.op, packet.hwsrc, packet.psrc) == (1, str(OURS), "0.0.0.0")
    assert (packet.hwdst, packet.pdst) == ("00:00:00:00:00:00", "192.0.2.7")


@pytest.mark.parametrize("operation", ["who-has", "is-at"])
def test_whoever_names_an_address_as_its_own_claims_it(operation):
    packet = bytes(ARP(op=operation, hwsrc=str(OURS), psrc="192.0.2.7", pdst="192.0.2.9"))
    assert arp.claim(packet) == (IPv4Address("192.0.2.7"), OURS)


def test_a_probe_of_somebody_else_claims_nothing():
    assert arp.claim(arp.probe(IPv4Address("192.0.2.7"), OURS)) is None


@pytest.mark.parametrize("packet", [b"", bytes(27), bytes(28), b"\xff" * 60])
def test_what_is_no_arp_is_told(packet):
    with pytest.raises(WireError):
        arp.claim(packet)


def asked(home: Namespace, *addresses: str) -> list[str]:
    """What ``tests.dhcp.lone_prober`` found out, a line for each of *addresses*."""
    command = home.command(sys.executable, "-m", "tests.dhcp.lone_prober", "eth0", *addresses)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.splitlines()


@wire
@needs_root
def test_a_card_that_has_the_address_is_named_and_silence_is_told():
    home, away = Namespace(), Namespace()
    try:
        cable(home, "eth0", away, "eth0")
        home.add("eth0", "192.0.2.1/24")
        away.add("eth0", "192.0.2.77/24")
        away.run("link", "set", "eth0", "address", "02:00:00:00:00:77")
        lines = asked(home, "192.0.2.77", "192.0.2.78")
        assert sorted(lines) == ["192.0.2.77 02:00:00:00:00:77", "192.0.2.78 silent"]
    finally:
        home.remove()
        away.remove()
