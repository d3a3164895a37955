"""
Ever new cards, addresses, UUIDs, names, paths and ports at every door of one daemon: nothing that it
remembers of them grows without end.

The daemon is the real one, put together as for ``netbootd run`` and not started: no socket, thread
or file, and its reactor is in our hands.  Afterwards everything that can be reached from it is
looked at: no container may hold more than the largest that is meant to.
"""

from __future__ import annotations

import gc
import os
import random
import sys
from collections import deque
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Interface
from types import FrameType, ModuleType

import pytest
from twisted.internet.testing import MemoryReactorClock

from netbootd import journal
from netbootd.daemon import Daemon
from netbootd.dhcp.destination import Port
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.snoop import Heard
from netbootd.dhcpgate import Gate
from netbootd.errors import NotFound
from netbootd.http.resource import Work, asked_simply
from netbootd.logbook import book
from netbootd.record.store import Store
from netbootd.registry.load import load
from netbootd.systemd import Notifier
from netbootd.tftp.wire import ReadRequest
from tests.dhcp.test_lessor import INTERFACE
from tests.end_to_end import flood

#: The largest that there is, but for two that are made smaller here: MACs whose words are remembered
#: (``registry.sightings``), and lines that wait for the disk (``logbook.book``).
MOST = 16_500
STRANGERS = 18_000
SMALL = 128
LISTED = "52:54:00:77:77:77"
CONFIG = (
    """{
  "boot_servers" : { "one" : { "ip" : "192.0.2.10" } },
  "targets" : { "nfs" : { "a" : { "kernel" : "/images/vmlinuz" } } },
  "machines" : { "%s" : { "type" : "nfs", "name" : "a" }, "default" : { "type" : "nfs", "name" : "a" },
                 "named" : { "uuid" : "01020304-0506-0708-090a-0b0c0d0e0f10",
                             "type" : "nfs", "name" : "a" } },
  "netbootd" : { "files" : "files", "firmware" : "firmware", "state" : "state", "syslog" : true,
                 "pace" : true },
}"""
    % LISTED
)


class Wire(Listener):
    """What leaves goes nowhere."""

    sent = 0

    def send(self, datagram, ours, to):
        type(self).sent += 1


class Wire6:
    """As above, of DHCPv6."""

    crowded = False

    def __init__(self):
        own = tuple(map(IPv6Interface, ("fe80::1/64", "2001:db8::1/64")))
        self.interface = replace(INTERFACE, addresses6=own)
        self.gate = Gate(0.0)

    def send(self, datagram, to, port):
        pass


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The daemon and its reactor."""
    monkeypatch.setattr(book, "_MOST_LINES", 4096)
    monkeypatch.setattr(Store, "keep", lambda *_: None)  # its thread, which takes it, does not run
    for folder in ("files/images", "firmware", "state"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "firmware" / "undionly.kpxe").write_bytes(bytes(1000))
    (tmp_path / "files" / "images" / "vmlinuz").write_bytes(bytes(1000))
    file = tmp_path / "netbootd.json"
    file.write_text(CONFIG)
    reactor = MemoryReactorClock()
    registry = load(file)
    with open(os.devnull, "w") as nowhere:
        lines = journal.Lines(nowhere, to_journal=True)
        daemon = Daemon(reactor, file, (), registry, Notifier({}), lines, verbose=True)
        daemon._live.sightings._most = 4096
        yield daemon, reactor


@pytest.fixture
def small(made, monkeypatch):
    """The same with every bound SMALL: those of modules, and those that somebody was given."""
    daemon, reactor = made
    for name, module in list(sys.modules.items()):
        if not name.startswith("netbootd."):
            continue
        for constant, value in list(vars(module).items()):
            if "MOST" in constant and type(value) is int and SMALL < value < 1 << 20:
                monkeypatch.setattr(module, constant, SMALL)
    for one in reachable(daemon):
        if SMALL < getattr(one, "_most", 0) < 1 << 20:
            one._most = SMALL
    return daemon, reactor


def largest(root):
    """The containers that hold the most, of all that can be reached from *root*."""
    return sorted(sizes(root).values(), reverse=True)[:5]


def sizes(root):
    """How many each container holds that can be reached from *root*, its kind and its first."""
    return {
        id(one): (len(one), type(one).__name__, repr(next(iter(one), None))[:60])
        for one in reachable(root)
        if isinstance(one, dict | set | list | deque | tuple)
    }


def reachable(root):
    """All objects that can be reached from *root*."""
    seen, to_see = {id(root)}, [root]
    while to_see:
        one = to_see.pop()
        if isinstance(one, type | ModuleType | FrameType) or (
            callable(one) and not hasattr(one, "__self__")
        ):
            continue
        yield one
        for other in gc.get_referents(one):
            if id(other) not in seen and gc.is_tracked(other):
                seen.add(id(other))
                to_see.append(other)


def address_of(number):
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"


def turn(reactor, number):
    """Time passes, and what was put off is done."""
    if number % 50 == 0:
        reactor.advance(0.05)


def feed_dhcp(daemon, reactor, count):
    edge = daemon._listening.dhcp._edge
    wire = Wire(None, Port.DHCP, INTERFACE, edge)
    wire.gate = Gate(0.0)
    frames = flood.frames("discover", bytes(4), bytes(6), count)
    for number, frame in enumerate(frames):
        edge.receive(Heard(frame[42:], ("0.0.0.0", 68), None), wire)
        turn(reactor, number)


def feed_tftp(daemon, reactor, count):
    """What a request asks for is looked for and opened; no transfer is begun, for it has sockets."""
    admission = daemon._listening.tftp._admission
    dice = random.Random(1)
    for number in range(count):
        peer = address_of(number)
        admission._gate.lets_in(peer, reactor.seconds())
        path = f"{dice.randbytes(6).hex(':')}/undionly.kpxe" if number % 2 else f"lost/{number}"
        with suppress(NotFound):
            admission._locate(ReadRequest(path), peer, "192.0.2.10").content.close()
        turn(reactor, number)


def feed_http(daemon, reactor, count):
    """
    First contact with a UUID and a MAC, scripts, of a listed machine as well, files, what is not
    there and the API.
    """
    site, dice = daemon._http._site, random.Random(2)
    for number in range(count):
        peer, mac = address_of(number), dice.randbytes(6).hex(":")
        sightings = site.live.sightings
        said = {"authorization": f"Bearer {number}", "host": "192.0.2.10:3000"}
        for target in (
            f"/boot/{mac}?uuid={dice.randbytes(16).hex()}&serial={number}",
            f"/boot?mac={mac}&uuid={dice.randbytes(16).hex()}",
            f"/{mac}/images/lost{number}",
            f"/boot/{LISTED}",
            "/api/v1/machines",
        ):
            here = ("192.0.2.10", 3000)
            asked = asked_simply(b"GET", target.encode(), said, here, peer, sightings)
            reply = site.answer(asked)
            if isinstance(reply, Work):
                reply = reply.make()
            if (event := getattr(reply, "event", None)) is not None:
                site.events.publish(event)
        turn(reactor, number)


def feed_logs(daemon, reactor, count):
    """Syslog and netconsole."""
    logs, dice = daemon._logs.service, random.Random(3)
    for number in range(count):
        peer = address_of(number)
        name = dice.randbytes(4).hex().encode()
        logs.syslog(b"<13>1 - %s app - - - Kernel panic - not syncing" % name, peer, 514)
        logs.netconsole(b"6,%d,1758426,-,ncfrag=0/900;a part" % number, peer, 6666)
        logs.netconsole(b"a line without an end", peer, 6666)
        if not number % 1000:
            logs._each_second()
        turn(reactor, number)


def feed_dhcp6(daemon, reactor, count):
    edge = daemon._listening.dhcp6._edge
    edge._duid = bytes(18)
    wire = Wire6()
    for number in range(count):
        card = b"\x02\0" + number.to_bytes(4, "big")
        message = flood.solicit(card, number.to_bytes(3, "big"))
        peer = str(IPv6Address(flood.link_local(card)))
        edge.receive(message, f"{peer}%eth0", False, wire)
        turn(reactor, number)


FEEDS = [feed_dhcp, feed_dhcp6, feed_tftp, feed_http, feed_logs]


@pytest.mark.parametrize("feed", FEEDS)
def test_nothing_is_larger_than_the_largest_that_is_meant_to_be(made, feed):
    daemon, reactor = made
    feed(daemon, reactor, STRANGERS)
    assert largest(daemon)[0][0] < MOST, largest(daemon)


@pytest.mark.parametrize("feed", FEEDS)
def test_every_bound_holds_and_not_the_number_that_was_tried(small, feed):
    """
    Each bound of the code (MOST...) is SMALL here, so that ten times as many pass all of them: what
    has grown beyond that has none.
    """
    daemon, reactor = small
    before = sizes(daemon)
    feed(daemon, reactor, 10 * SMALL)
    grown = [
        (size, kind, first)
        for number, (size, kind, first) in sizes(daemon).items()
        if size - before.get(number, (0,))[0] > 4 * SMALL
    ]
    assert grown == []
    for _ in range(360):
        reactor.advance(10)
    assert len(daemon._events._narration) == 0
    assert reactor.getDelayedCalls() == [], "what waited for something goes on waiting"
