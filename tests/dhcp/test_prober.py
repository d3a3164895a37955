"""ARP on a real cable: who has an address, and that silence is an answer as well."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address

import pytest
from scapy.layers.l2 import ARP
from twisted.internet.task import Clock

from netbootd.dhcp import arp
from netbootd.dhcp.prober import FRESH_S, MOST_ASKED, WAIT_S, Prober
from netbootd.errors import WireError
from netbootd.interfaces import Interface
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


class Cable:
    """A packet socket that hands out what it is given, and keeps what is sent."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.sent: list[bytes] = []

    def recv(self, _size):
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.pop(0)

    def sendto(self, packet, _to):
        self.sent.append(packet)

    def setsockopt(self, *_):
        pass

    def fileno(self):
        return 5

    def close(self):
        pass


ADDRESS = IPv4Address("192.0.2.77")
HOLDER = MAC.parse("02:00:00:00:00:77")
INTERFACE = Interface("eth0", 2, 1500, up=True, mac=str(OURS))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def prober(clock):
    return Prober(Cable(), INTERFACE, clock)


def claims(card=HOLDER, address=ADDRESS) -> bytes:
    return bytes(ARP(op="is-at", hwsrc=str(card), psrc=str(address)))


def test_silence_is_known_after_two_questions(prober, clock):
    told = []
    assert prober.ask(ADDRESS, lambda: told.append(prober.silent(ADDRESS)))
    clock.pump([WAIT_S / 2, WAIT_S / 2 + 0.01])
    assert told == [True]
    assert len(prober._socket.sent) == 2


def test_an_answer_that_waits_in_the_socket_counts_when_the_time_is_over(prober, clock):
    told = []
    prober.ask(ADDRESS, lambda: told.append(prober.holder(ADDRESS)))
    prober._socket.waiting.append(claims())
    clock.advance(WAIT_S + 1)  # as after a pause of the reactor: timers go first
    assert told == [HOLDER]


def test_whoever_asks_is_told_as_soon_as_somebody_answers(prober):
    told = []
    prober.ask(ADDRESS, lambda: told.append("one"))
    prober.ask(ADDRESS, lambda: told.append("two"))
    prober._socket.waiting.append(claims())
    prober.doRead()
    assert told == ["one", "two"]
    prober.ask(ADDRESS, lambda: told.append("known"))
    assert told[2:] == ["known"]
    assert len(prober._socket.sent) == 1


def test_our_own_card_and_other_addresses_say_nothing(prober, clock):
    told = []
    prober.ask(ADDRESS, lambda: told.append(prober.silent(ADDRESS)))
    prober._socket.waiting += [claims(OURS), claims(address="192.0.2.78"), b"rubbish"]
    clock.advance(WAIT_S + 0.01)
    assert told == [True]
    assert not prober.silent(IPv4Address("192.0.2.78"))


def test_what_was_found_out_is_forgotten_after_a_while(prober, clock):
    prober.ask_ahead([ADDRESS])
    clock.advance(WAIT_S + 0.01)
    assert prober.silent(ADDRESS)
    clock.advance(FRESH_S)
    assert not prober.silent(ADDRESS)


def test_no_more_is_asked_at_a_time_than_there_is_room_for(prober, clock):
    many = [IPv4Address(0x0A000000 + number) for number in range(MOST_ASKED + 10)]
    assert prober.ask_ahead(many)
    assert not prober.ask(ADDRESS, pytest.fail)
    clock.advance(WAIT_S + 0.01)
    assert sum(prober.silent(one) for one in many) == MOST_ASKED
