"""What follows an offer, as events tell it."""

from __future__ import annotations

import pytest

from netbootd.events.event import (
    Offered,
    Refused,
    Reported,
    Scripted,
    Served,
    StyleFound,
    TransferEnded,
    TransferFailed,
    Transferred,
    Unserved,
)
from netbootd.learning import Learner
from netbootd.mac import MAC
from netbootd.record.styles import Kind, Offer, StyleMemory, choose

CARD = MAC.parse("52:54:00:12:34:56")
KIND = Kind.of(CARD, 7, "ROM")
ORDER = ("boot-server", "direct")


def told(message):
    return Offered(
        mac=CARD, arch="UEFI x64", file="f", server="s", interface="eth0", message=message
    )


def served(path):
    return Served(mac=CARD, path=path, status=200, size=9, count=9, sent=9, seconds=0.1)


@pytest.fixture
def memory():
    found = StyleMemory()
    chosen = choose(ORDER, found.past(CARD, KIND))
    found.offered(Offer(CARD, KIND, ORDER[0], chosen, frozenset({"e0ff06da"})))
    return found


FOLLOWS = [
    told("acknowledged"),
    Transferred(mac=CARD, path=f"{CARD}/snponly.efi", size=9, seconds=0.1),
    Transferred(path=f"{CARD}/snponly.efi", size=9, seconds=0.1),
    TransferEnded(path=f"/{CARD}/snponly.efi", reason="the client aborts"),
    TransferFailed(mac=CARD, path="snponly.efi", reason="silence"),
    Refused(protocol="TFTP", path=f"{CARD}/undionly.0", status=1, reason="not found"),
    Refused(protocol="TFTP", path="e0ff06da/start4.elf", status=1, reason="not found"),
    Transferred(path="E0FF06DA/start.elf", size=9, seconds=0.1),
    served("/52-54-00-12-34-56/snponly.efi"),
    Scripted(mac=CARD, says="linux/one"),
]
DOES_NOT = [
    told("offered"),
    Unserved(mac=CARD, protocol="DHCP", reason="no"),
    Transferred(path="snponly.efi", size=9, seconds=0.1),
    Transferred(path="00:25:90:27:db:b4/snponly.efi", size=9, seconds=0.1),
    Refused(mac=CARD, protocol="HTTP", path="/favicon.ico", status=404, reason="not found"),
    Reported(mac=CARD, outcome="done"),
    served("/images/vmlinuz"),
]


@pytest.mark.parametrize("event", FOLLOWS, ids=str)
def test_what_follows_an_offer(memory, event):
    published = []
    learner = Learner(memory, published.append)
    learner(event)
    learner(event)
    [found] = published
    assert isinstance(found, StyleFound)
    assert (found.mac, found.style, found.like) == (CARD, "boot-server", KIND.key)
    assert memory.kinds[KIND.key].times == 1


@pytest.mark.parametrize("event", DOES_NOT, ids=str)
def test_what_says_nothing_of_it(memory, event):
    published = []
    Learner(memory, published.append)(event)
    assert published == []
    assert memory.kinds == {}


def test_the_log_tells_which_style_and_whose(memory):
    published = []
    Learner(memory, published.append)(FOLLOWS[0])
    assert str(published[0]) == (
        f"{CARD} follows offers in style boot-server: so begin all like 52:54:00 7 ROM"
    )
    assert published[0].level == "debug"  # it is what such firmware begins with anyway
