"""What the daemon's own log says, however much there is to be said of strangers."""

from __future__ import annotations

from pathlib import Path

import pytest

from netbootd import telling
from netbootd.events.event import Scripted, Shed, Unserved
from netbootd.mac import MAC
from netbootd.registry.live import LiveRegistry
from netbootd.systemd import Notifier
from netbootd.telling import Teller
from tests.dhcp.registries import registry

LISTED = "52:54:00:00:00:01"


@pytest.fixture
def made():
    """A teller, and the lines that it wrote."""
    lines = []
    live = LiveRegistry(registry(LISTED))
    write = lambda _level, text, _at: lines.append(text)  # noqa: E731
    return Teller(live, Path("x"), Notifier({}), verbose=False, write=write), lines


def unserved(mac=None, peer=""):
    return Unserved(mac=mac, peer=peer, protocol="DHCP", reason="nobody knows it")


def strangers(teller, count, at):
    for number in range(count):
        teller.event(unserved(MAC(b"\2" + number.to_bytes(5, "big"))), at)


def test_of_a_flood_of_strangers_so_many_are_told_and_the_rest_is_counted(made):
    teller, lines = made
    strangers(teller, 20_000, 100.0)
    told = [line for line in lines if "nobody knows it" in line]
    assert len(told) == telling._STRANGERS_BURST
    assert len(lines) == len(told) + 1
    assert lines[-1].startswith("1 lines about machines that are not listed were left out")
    strangers(teller, 2000, 170.0)
    assert sum("were left out" in line for line in lines) == 2


def test_who_forges_the_questions_of_doctor_gets_no_more_lines(made):
    teller, lines = made
    forged = Unserved(asker="netbootd doctor", protocol="DHCP", reason="nobody knows it")
    for _ in range(10_000):
        teller.event(forged, 100.0)
    assert lines[0] == "netbootd doctor DHCP request not answered: nobody knows it"
    assert len(lines) == telling._STRANGERS_BURST + 1


def test_listed_machines_are_told_of_all_the_same(made):
    teller, lines = made
    strangers(teller, 20_000, 100.0)
    del lines[:]
    teller.event(unserved(MAC.parse(LISTED)), 100.0)
    teller.event(Scripted(mac=MAC.parse(LISTED), peer="192.0.2.7", says="nfs/a"), 100.0)
    teller.event(unserved(peer="192.0.2.7"), 100.0)
    teller.event(Shed(protocol="TFTP", count=7), 100.0)
    assert len(lines) == 4
    teller.event(unserved(peer="192.0.2.8"), 100.0)
    assert len(lines) == 4
