"""Which addresses are somebody's for real."""

import pytest

from netbootd.events import familiar
from netbootd.events.event import NodeScripted, Offered, Scripted, Served, Transferred
from netbootd.events.familiar import Familiar
from netbootd.events.lease import Leased
from netbootd.events.witness import Overheard, Requested
from netbootd.mac import MAC

LISTED, STRANGER = MAC.parse("52:54:00:00:00:01"), MAC.parse("52:54:00:00:00:02")
HERE, THERE = "192.0.2.7", "192.0.2.8"


def fetched(peer, mac=None):
    return Transferred(mac=mac, peer=peer, path="x", size=1, seconds=1.0, resent=0)


def said(mac, at):
    """What a DHCP client says or is told of its address, in each of its ways."""
    lease = {"seconds": 60, "how": "new", "interface": "lan"}
    offer = {"arch": "BIOS", "file": "x", "server": "192.0.2.1", "interface": "lan"}
    return [
        Requested(mac=mac, server="192.0.2.1", address=at, interface="lan", netboot=True),
        Overheard(mac=mac, message="ack", server="192.0.2.1", address=at),
        Leased(mac=mac, address=at, **lease),
        Offered(mac=mac, peer=at, **offer),
    ]


@pytest.fixture
def known():
    return Familiar(lambda mac: mac == LISTED)


@pytest.mark.parametrize("way", range(4))
def test_what_a_listed_machine_says_of_its_address_is_believed(known, way):
    known(said(LISTED, HERE)[way])
    assert HERE in known
    known(said(STRANGER, THERE)[way])
    assert THERE not in known


def test_an_offer_of_another_server_is_no_address_yet(known):
    known(Overheard(mac=LISTED, message="offer", server="192.0.2.1", address=HERE))
    assert HERE not in known


def served(peer):
    return Served(peer=peer, path="x", status=200, size=1, count=1, sent=1, seconds=1.0)


@pytest.mark.parametrize("event", [served(HERE), NodeScripted(peer=HERE, says="x")], ids=repr)
def test_who_spoke_http_has_proved_its_address(known, event):
    known(event)
    assert HERE in known
    assert HERE in known.proved


@pytest.mark.parametrize("event", [*said(LISTED, HERE), fetched(HERE, LISTED)], ids=repr)
def test_what_could_be_said_by_another_proves_nothing(known, event):
    """DHCP by who knows the MAC; TFTP with a single port by who forges the ACKs as well."""
    known(event)
    assert HERE in known
    assert HERE not in known.proved


def test_a_script_that_was_asked_for_by_tftp_says_nothing_of_its_address(known):
    """Its request may be forged; once it has arrived it is told of as a transfer."""
    known(Scripted(mac=LISTED, peer=HERE, says="x"))
    assert HERE not in known
    assert Scripted not in Familiar.KINDS


@pytest.mark.parametrize("mac", [None, STRANGER])
def test_who_fetched_something_whole_hears_what_is_sent_there(known, mac):
    known(fetched(HERE, mac))
    assert HERE in known


def test_a_machine_has_one_address_by_what_it_says(known):
    known(said(LISTED, HERE)[0])
    known(said(LISTED, THERE)[0])
    assert THERE in known
    assert HERE not in known


def test_an_address_has_one_machine():
    known = Familiar(lambda _: True)
    known(said(LISTED, HERE)[0])
    known(said(STRANGER, HERE)[0])
    known(said(LISTED, THERE)[0])
    assert HERE in known
    assert len(known) == 2


def test_of_too_many_those_of_long_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(familiar, "_MOST", 10)
    known = Familiar(lambda _: True)
    for number in range(30):
        known(fetched(f"198.18.0.{number}"))
        known(said(MAC(bytes((2, 0, 0, 0, 0, number))), f"198.18.1.{number}")[0])
        known(served(f"198.18.2.{number}"))
    assert len(known) == 30
    assert "198.18.0.29" in known
    assert "198.18.1.29" in known
