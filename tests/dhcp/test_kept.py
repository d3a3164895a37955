"""
An answer that is kept is the answer that would be given: the same packets, orders and reloads, at
the same times, go to an edge that keeps its answers and to one that keeps none.
"""

import json
import random
from dataclasses import replace
from ipaddress import IPv4Interface

import pytest

from netbootd.config import ProxyDhcp
from netbootd.dhcp import kept, wire
from netbootd.dhcp.destination import Port
from netbootd.dhcp.edge import Edge
from netbootd.dhcp.kept import _MOST_OF_ONE
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.message import Option
from netbootd.events.event import Scripted
from netbootd.events.stream import Stream
from netbootd.features import Feature
from netbootd.interfaces import Interface
from netbootd.learning import Learner
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.record.standing import Armed, arms, holds, released
from netbootd.record.styles import StyleMemory
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.marks import Marks
from netbootd.urls import PROGRAMS

from . import captures
from .registries import library, registry
from .test_service import TO_ALL, SilentPeer, to

CARDS = [MAC.parse(f"52:54:00:aa:00:0{number}") for number in range(1, 5)]
OTHER = MAC.parse("b8:27:eb:00:00:01")
TARGETS = {
    "localboot": {"disk": {}},
    "smartos": {"a": {"platform": "20260101T000000Z"}, "once": {"platform": "x", "once": True}},
}
SUBNETS = {
    "192.168.77.0/24": {"reply_style": "menu"},
    "203.0.113.0/24": {"boot_server": "http://192.168.77.2:3000", "known_only": True},
    "198.51.100.0/24": {"serve": False},
}


class World:
    """One edge of two interfaces' listeners, and all that it remembers."""

    def __init__(self, known, most, shapes=0):
        self.seconds = 1000.0
        self.events = []
        record = Record(lambda: self.seconds, secret=b"s" * 32)
        styles = StyleMemory(lambda: self.seconds, lambda: self.seconds)
        self.live = LiveRegistry(known, record, styles)
        self.stream = Stream(pytest.fail)
        self.stream.subscribe(self.events.append)
        self.stream.subscribe(Learner(styles, self.stream.publish))
        self.edge = Edge(self.live, self.stream, most_kept=most, most_shapes=shapes)
        self.peers, self.listeners = {}, {}
        for port in Port:
            self.peers[port] = SilentPeer()
            self.listeners[port] = Listener(self.peers[port], port, interface(), self.edge)

    def hears(self, port, datagram, info, source):
        self.peers[port].waiting.append((datagram, info, source))
        self.listeners[port].doRead()

    def says(self):
        """What was sent and told since the last time."""
        sent = [self.peers[port].sent[:] for port in Port]
        events = self.events[:]
        self.events.clear()
        for peer in self.peers.values():
            peer.sent.clear()
        return sent, events, self.edge.counts

    @property
    def remembers(self):
        styles, sightings = self.live.styles, self.live.sightings
        tried = {card: styles.tried(card) for card in CARDS}
        return tried, styles.kinds, {card: sightings.of(card) for card in CARDS}


def interface(*addresses):
    addresses = addresses or ("192.168.77.2/24",)
    return Interface("eth1", 7, 1500, up=True, addresses=tuple(map(IPv4Interface, addresses)))


@pytest.fixture(scope="module")
def registries(tmp_path_factory):
    """Six, which differ in who is known, what is said of networks, and how a proxy tells it."""
    listed, anybody = registry(*map(str, CARDS)), registry(default=True)
    found = [listed, anybody, registry(str(CARDS[0]))]
    for known, settings in ((anybody, ProxyDhcp(learn=False)), (listed, ProxyDhcp(unicast=True))):
        found.append(replace(known, config=replace(known.config, proxydhcp=settings)))
    folder = tmp_path_factory.mktemp("kept")
    for number, subnets in enumerate(({}, SUBNETS)):
        file = folder / f"{number}.json"
        machines = {
            str(CARDS[0]): {"type": "smartos", "name": "a", "serial": "4711"},
            str(CARDS[1]): {"type": "smartos", "name": "once"},
            "52:54:00:*": {"type": "smartos", "name": "a", "reply_style": "direct"},
            "default": {"type": "localboot", "name": "disk"},
        }
        file.write_text(json.dumps({"targets": TARGETS, "machines": machines, "subnets": subnets}))
        found.append(replace(load(file), library=library(*PROGRAMS)))
    return found


# -- what may happen, to both alike ------------------------------------------------------------


def packet(dice):
    """A captured one, of one of a few machines, and the way that it comes by."""
    payload = bytearray(dice.choice(PACKETS))
    if dice.random() < 0.9 and len(payload) > 240:
        card = bytes(payload[28:34])
        payload = bytearray(payload.replace(card, dice.choice(CARDS)))
    if dice.random() < 0.1:
        payload[10] ^= 0x80
    if dice.random() < 0.1:
        payload[24:28] = bytes((203, 0, 113, 9))
    port = dice.choice((Port.DHCP, Port.DHCP, Port.BOOT_SERVER))
    info = dice.choice((TO_ALL, TO_ALL, to("192.168.77.2"), to("198.51.100.2"), b""))
    source = dice.choice((("0.0.0.0", 68), ("0.0.0.0", 68), ("192.168.77.50", 4011)))
    return port, payload, info, source


def heard(dice, packet):
    """*packet* in a conversation of its own, some seconds old."""
    port, payload, info, source = packet
    datagram = bytes(payload[:4] + dice.randbytes(6) + payload[10:])
    return lambda world: world.hears(port, datagram, info, source)


def time_passes(dice):
    seconds = dice.choice((0.1, 0.5, 2.9, 3.1, 20.0, 130.0, 400.0))

    def happen(world):
        world.seconds += seconds

    return happen


def reload_(dice, registries):
    number = dice.randrange(len(registries))
    return lambda world: world.live.swap(registries[number])


def order(dice, cards=CARDS):
    """What an operator does, and what a script that is served does."""
    card = dice.choice(cards)
    kind = dice.randrange(6)
    target = dice.choice(("smartos/once", "localboot/disk", "smartos/a"))
    until = dice.choice((0.0, 1.0, 50.0))

    def happen(world):
        record, key = world.live.record, str(card)
        standing = record.of(key)
        if kind == 0:
            times = Armed(target=target, until=world.seconds + until if until else 0.0)
            record.put(key, arms(standing, times))
        elif kind == 1:
            record.put(key, arms(standing, None))
        elif kind == 2:
            record.put(key, holds(standing, "somebody said so"))
        elif kind == 3:
            record.put(key, released(standing))
        elif kind == 4:
            record.begin(key, target, armed=False, mac=card, peer="192.168.77.50", listed=True)
        else:
            record.put(key, replace(standing, completed=("smartos/once",)))

    return happen


def learned(dice, cards=CARDS):
    """What shows that an offer was followed, or what else a machine is known by."""
    card, kind = dice.choice(cards), dice.randrange(3)

    def happen(world):
        if kind == 0:
            world.live.styles.forget()
        elif kind == 1:
            world.live.sightings.note(card, Marks(serial="4711"))
        else:
            world.stream.publish(Scripted(mac=card, says="boots"))

    return happen


def readdressed(dice):
    addresses = dice.choice(
        (("192.168.77.2/24",), ("192.168.77.2/24", "198.51.100.2/24"), ("10.9.9.9/8",))
    )
    cable = interface(*addresses)

    def happen(world):
        for listener in world.listeners.values():
            listener.interface = cable

    return happen


def unplugged(dice):
    problem = dice.choice((None, None, OSError(101, "Network is unreachable")))

    def happen(world):
        for peer in world.peers.values():
            peer.problem = problem

    return happen


#: Those that a proxy answers are met more often.
PACKETS = [
    capture.payload
    for capture in captures.everything()
    for _ in range(4 if b"PXEClient" in capture.payload else 1)
]


def happenings(dice, registries, count):
    packets = [packet(dice)]
    for _ in range(count):
        number = dice.random()
        if number < 0.3:
            packets.append(packet(dice))
            yield heard(dice, packets[-1])
        elif number < 0.8:
            yield heard(dice, dice.choice(packets[-6:]))
        elif number < 0.88:
            yield time_passes(dice)
        elif number < 0.94:
            yield order(dice)
        elif number < 0.98:
            yield learned(dice)
        else:
            kinds = (lambda d: reload_(d, registries), readdressed, unplugged)
            yield dice.choice(kinds)(dice)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_kept_is_what_would_be_decided(seed, registries):
    dice = random.Random(seed)
    first = dice.choice(registries)
    keeps, decides = World(first, 64), World(first, 0)
    for happen in happenings(dice, registries, 300):
        happen(keeps)
        happen(decides)
        assert keeps.says() == decides.says()
    assert keeps.remembers == decides.remembers


UEFI = "qemu-ovmf-x64-pxe-discover"


def asks(world, xid, name=UEFI, port=Port.DHCP, source=("0.0.0.0", 68)):
    payload = captures.capture(name).payload
    info = TO_ALL if port is Port.DHCP else to("192.168.77.2")
    world.hears(port, payload[:4] + xid.to_bytes(4, "big") + payload[8:], info, source)


AGAIN = pytest.mark.parametrize("name", [UEFI, "qemu-ipxe-bios-discover", "qemu-undionly-discover"])


@AGAIN
def test_who_asks_again_is_told_the_same_in_its_own_conversation(name):
    world = World(registry(default=True), 64)
    for xid in range(5):
        asks(world, xid, name)
    [sent, _], events, counts = world.says()
    assert [wire.decode(datagram).xid for datagram, _, _ in sent] == list(range(5))
    assert len({datagram[8:] for datagram, _, _ in sent}) == 1
    assert counts == {1: 5, 2: 5}
    assert all(event == events[0] for event in events)


@pytest.mark.fast_path("kept")
@AGAIN
def test_what_is_asked_for_again_is_kept(name, decided):
    world = World(registry(default=True), 64)
    for xid in range(5):
        asks(world, xid, name)
    assert len(decided) == 2
    events = world.says()[1]
    assert all(event is events[1] for event in events[1:])


@pytest.mark.fast_path("kept")
def test_pairs_of_offer_and_boot_server_are_kept_once_a_style_works(decided):
    world = World(registry(default=True), 64)
    for xid in range(0, 20, 2):
        asks(world, xid)
        asks(world, xid + 1, "qemu-ovmf-x64-4011-binl-request", Port.BOOT_SERVER, ("10.0.0.9", 68))
        world.seconds += 30
    assert len(decided) < 6


def test_no_more_is_kept_than_is_to_be(decided):
    world = World(registry(default=True), 1)
    for name in (UEFI, "qemu-ipxe-bios-discover") * 3:
        asks(world, 1, name)
    assert len(decided) == 6


@pytest.mark.fast_path("kept")
def test_strangers_throw_out_nothing_of_who_is_listed(decided):
    world = World(registry(str(CARDS[0]), default=True), 16)
    said = bytearray(captures.capture(UEFI).payload)
    for number in (0, 0, *range(100)):
        said[28:34] = CARDS[0] if not number else bytes((2, 0, 0, 0, 0, number))
        for _ in range(2):
            world.hears(Port.DHCP, bytes(said), TO_ALL, ("0.0.0.0", 68))
    assert len(world.edge._keeping) == 1 + 16 // 4
    decided.clear()
    said[28:34] = CARDS[0]
    world.hears(Port.DHCP, bytes(said), TO_ALL, ("0.0.0.0", 68))
    assert not decided


def test_who_asks_once_takes_no_room(monkeypatch):
    monkeypatch.setattr(kept, "_MOST_ASKED", 8)
    world = World(registry(default=True), 16)
    said = bytearray(captures.capture(UEFI).payload)
    for number in range(16):
        said[28:34] = bytes((2, 0, 0, 0, 0, number))
        world.hears(Port.DHCP, bytes(said), TO_ALL, ("0.0.0.0", 68))
    assert len(world.edge._keeping) == 0
    assert len(world.edge._keeping._asked) <= 8


@pytest.mark.fast_path("kept")
def test_one_machine_throws_nobody_elses_answers_out(decided):
    world = World(registry(default=True), 64)
    asks(world, 1)
    asks(world, 1)
    other = bytearray(captures.capture(UEFI).payload)
    other[28:34] = CARDS[0]
    for number in range(200):
        other[12:16] = number.to_bytes(4, "big")  # ciaddr
        for _ in range(2):
            world.hears(Port.DHCP, bytes(other), TO_ALL, ("0.0.0.0", 68))
    assert len(world.edge._keeping) == 1 + _MOST_OF_ONE
    decided.clear()
    asks(world, 2)
    assert not decided


def test_what_no_firmware_says_is_answered_and_not_kept(decided):
    world = World(registry(default=True), 64)
    short = captures.capture(UEFI).payload
    end = short.rindex(b"\xff")
    fill = b"".join(bytes((code, 200)) + bytes(200) for code in range(224, 230))
    for _ in range(3):
        world.hears(Port.DHCP, short[:end] + fill + b"\xff", TO_ALL, ("0.0.0.0", 68))
    assert len(decided) == 3
    assert len(world.edge._keeping) == 0
    assert len(world.edge._keeping._asked) <= 8


def without_multiboot():
    """An iPXE that lacks what SmartOS needs."""
    said = captures.capture("qemu-ipxe-bios-discover").payload
    listed = wire.decode(said).options[Option.IPXE]
    return said.replace(listed, listed.replace(bytes((Feature.MULTIBOOT, 1)), b"\xee\1"))


def wants_smartos(tmp_path, *loaders):
    file = tmp_path / "netbootd.json"
    machines = {"default": {"type": "smartos", "name": "a"}}
    file.write_text(json.dumps({"targets": TARGETS, "machines": machines}))
    return replace(load(file), library=library(*loaders))


@pytest.mark.parametrize("loaders", [PROGRAMS, ()])
def test_whose_ipxe_is_replaced_is_never_told_what_was_said_before(
    loaders, tmp_path, decided, request
):
    known, said = wants_smartos(tmp_path, *loaders), without_multiboot()
    keeps, decides = World(known, 64), World(known, 0)
    warnings = set()
    for number in range(20):
        for world in (keeps, decides):
            if number == 5:  # by a loader that is gone since
                card = MAC(said[28:34])
                world.live.replacements.note(card, 77, world.live.record.now())
            datagram = said[:4] + (number // 3).to_bytes(4, "big") + said[8:]
            world.hears(Port.DHCP, datagram, TO_ALL, ("0.0.0.0", 68))
            world.seconds += 30
        told = keeps.says()
        assert told == decides.says()
        warnings |= {event.warning for event in told[1]}
    assert len(warnings) == 2
    if "kept" not in request.config.without:
        assert len(decided) == (40 if loaders else 37)


def test_what_was_said_to_a_new_ipxe_is_not_said_when_that_is_forgotten(tmp_path):
    known, said = wants_smartos(tmp_path, *PROGRAMS), without_multiboot()
    keeps, decides = World(known, 64), World(known, 0)
    for world in (keeps, decides):
        for xid in (1, 2, 2, 2):
            datagram = said[:4] + xid.to_bytes(4, "big") + said[8:]
            world.hears(Port.DHCP, datagram, TO_ALL, ("0.0.0.0", 68))
        for number in range(10_000):
            world.live.replacements.note(MAC(number.to_bytes(6, "big")), 1, world.seconds)
        world.hears(Port.DHCP, datagram, TO_ALL, ("0.0.0.0", 68))
    told = keeps.says()
    assert told == decides.says()
    assert told[1][-1] != told[1][-2]
