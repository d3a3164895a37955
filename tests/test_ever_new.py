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
from collections import deque
from contextlib import suppress
from types import FrameType, ModuleType

import pytest
from twisted.internet.testing import MemoryReactorClock

from netbootd import journal
from netbootd.daemon import Daemon
from netbootd.dhcp.budget import Gate
from netbootd.dhcp.destination import Port
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.snoop import Heard
from netbootd.errors import NotFound
from netbootd.http.resource import asked_simply
from netbootd.logbook import book
from netbootd.registry.load import load
from netbootd.systemd import Notifier
from netbootd.tftp.wire import ReadRequest
from tests.dhcp.test_lessor import INTERFACE
from tests.end_to_end import flood

#: The largest that there is, but for two that are made smaller here: MACs whose words are remembered
#: (``registry.sightings``), and lines that wait for the disk (``logbook.book``).
MOST = 16_500
STRANGERS = 18_000
CONFIG = """{
  "boot_servers" : { "one" : { "ip" : "192.0.2.10" } },
  "targets" : { "nfs" : { "a" : { "kernel" : "/images/vmlinuz" } } },
  "machines" : { "default" : { "type" : "nfs", "name" : "a" },
                 "named" : { "uuid" : "01020304-0506-0708-090a-0b0c0d0e0f10",
                             "type" : "nfs", "name" : "a" } },
  "netbootd" : { "files" : "files", "firmware" : "firmware", "state" : "state", "syslog" : true,
                 "pace" : true },
}"""


class Wire(Listener):
    """What leaves goes nowhere."""

    sent = 0

    def send(self, datagram, ours, to):
        type(self).sent += 1


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The daemon and its reactor."""
    monkeypatch.setattr(book, "_MOST_LINES", 4096)
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


def largest(root):
    """The containers that hold the most, of all that can be reached from *root*."""
    seen, found, to_see = {id(root)}, [], [root]
    while to_see:
        one = to_see.pop()
        if isinstance(one, type | ModuleType | FrameType) or (
            callable(one) and not hasattr(one, "__self__")
        ):
            continue
        if isinstance(one, dict | set | list | deque | tuple):
            found.append((len(one), type(one).__name__, repr(next(iter(one), None))[:60]))
        for other in gc.get_referents(one):
            if id(other) not in seen and gc.is_tracked(other):
                seen.add(id(other))
                to_see.append(other)
    return sorted(found, reverse=True)[:5]


def address_of(number):
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"


def turn(reactor, number):
    """Time passes, and what was put off is done."""
    if number % 50 == 0:
        reactor.advance(0.05)


def test_dhcp(made):
    daemon, reactor = made
    edge = daemon._listening.dhcp._edge
    wire = Wire(None, Port.DHCP, INTERFACE, edge)
    wire.gate = Gate(0.0)
    frames = flood.frames("discover", bytes(4), bytes(6), STRANGERS)
    for number, frame in enumerate(frames):
        edge.receive(Heard(frame[42:], ("0.0.0.0", 68), None), wire)
        turn(reactor, number)
    assert Wire.sent > STRANGERS * 0.9
    assert largest(daemon)[0][0] < MOST, largest(daemon)


def test_tftp(made):
    """What a request asks for is looked for and opened; no transfer is begun, for it has sockets."""
    daemon, reactor = made
    admission = daemon._listening.tftp._admission
    dice = random.Random(1)
    for number in range(STRANGERS):
        peer = address_of(number)
        admission._gate.lets_in(peer, reactor.seconds())
        path = f"{dice.randbytes(6).hex(':')}/undionly.kpxe" if number % 2 else f"lost/{number}"
        with suppress(NotFound):
            admission._locate(ReadRequest(path), peer, "192.0.2.10").content.close()
        turn(reactor, number)
    assert largest(daemon)[0][0] < MOST, largest(daemon)


def test_http(made):
    """First contact with a UUID and a MAC, scripts, files and what is not there."""
    daemon, reactor = made
    site, dice = daemon._http._site, random.Random(2)
    for number in range(STRANGERS):
        peer, mac = address_of(number), dice.randbytes(6).hex(":")
        target = (
            f"/boot/{mac}?uuid={dice.randbytes(16).hex()}&serial={number}",
            f"/boot?mac={mac}&uuid={dice.randbytes(16).hex()}",
            f"/{mac}/images/lost{number}",
        )[number % 3].encode()
        sightings = site.live.sightings
        asked = asked_simply(b"GET", target, {}, ("192.0.2.10", 3000), peer, sightings)
        if (event := getattr(site.answer(asked), "event", None)) is not None:
            site.events.publish(event)
        turn(reactor, number)
    assert largest(daemon)[0][0] < MOST, largest(daemon)


def test_syslog_and_netconsole(made):
    daemon, reactor = made
    logs, dice = daemon._logs.service, random.Random(3)
    for number in range(STRANGERS):
        peer = address_of(number)
        name = dice.randbytes(4).hex().encode()
        logs.syslog(b"<13>1 - %s app - - - Kernel panic - not syncing" % name, peer, 514)
        logs.netconsole(b"6,%d,1758426,-,ncfrag=0/900;a part" % number, peer, 6666)
        logs.netconsole(b"a line without an end", peer, 6666)
        if not number % 1000:
            logs._each_second()
        turn(reactor, number)
    assert largest(daemon)[0][0] < MOST, largest(daemon)
