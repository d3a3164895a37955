"""
What is laid into another machine's answer is what would be decided: the same packets of many
machines, of few kinds and of odd ones, go to an edge that lays in and to one that never does.
"""

import json
import random
import socket
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netbootd.config import ProxyDhcp
from netbootd.dhcp.destination import Port
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.urls import PROGRAMS

from . import captures, test_kept
from .registries import library
from .test_kept import UEFI, World, order, reload_, time_passes, unplugged
from .test_service import TO_ALL, to

LISTED = [MAC.parse(f"52:54:00:aa:00:{number:02x}") for number in range(1, 17)]
STRANGERS = [MAC.parse(f"52:54:00:bb:00:{number:02x}") for number in range(1, 9)]
ODD = [
    *map(MAC.parse, ("b8:27:eb:00:00:01", "b8:27:eb:00:00:02")),
    *map(MAC.parse, ("00:00:00:00:00:00", "00:00:00:00:00:01", "00:00:00:00:00:02")),
    *map(MAC.parse, ("01:00:5e:00:00:01", "01:00:5e:00:00:02")),
]
CARDS = [*LISTED, *STRANGERS, *ODD]
TARGETS = {
    **test_kept.TARGETS,
    "ipxe": {"signed": {"script": "#!ipxe", "loader": "snponly.efi"}},
}
PLAIN = {"type": "smartos", "name": "a"}
ENTRIES = [
    *(PLAIN, {**PLAIN, "hostname": "b"}, {**PLAIN, "groups": ["rack"]}, PLAIN),
    *({**PLAIN, "reply_style": "direct"}, {**PLAIN, "reply_style": "direct"}),
    *({**PLAIN, "loader": "snponly.efi"}, {**PLAIN, "loader": "snponly.efi"}),
    *({**PLAIN, "name": "once"}, {**PLAIN, "name": "once"}),
    *({"type": "localboot", "name": "disk"}, {"type": "localboot", "name": "disk"}),
    *({**PLAIN, "groups": ["styled"]}, {**PLAIN, "groups": ["styled"], "serial": "4711"}),
]
GROUPS = {"rack": {"rack": "7"}, "styled": {"reply_style": "menu", "loader": "ipxe.efi"}}
DEFAULT = {"default": {"type": "localboot", "name": "disk"}}
NAMED = {"twins": {**PLAIN, "mac": [str(LISTED[14]), str(LISTED[15])]}}
SUBNETS = {
    "192.168.77.0/24": {"reply_style": "menu", "default": PLAIN},
    "198.51.100.0/24": {"loader": "snponly.efi"},
    "203.0.113.0/24": {"boot_server": "http://192.168.77.2:3000", "known_only": True},
    "10.0.0.0/8": {"serve": False},
}
UUIDS = [bytes(3) + bytes([number]) * 13 for number in range(1, 9)]
ODD_UUIDS = [bytes(16), b"\xff" * 16, b"RPi4" + bytes(range(12)), b"RPi5" + bytes(range(12))]


def written(folder, number, *parts, serial=False, subnets=None):
    machines = {str(card): entry for card, entry in zip(LISTED, ENTRIES, strict=False)}
    if not serial:
        machines = {
            key: {name: value for name, value in entry.items() if name != "serial"}
            for key, entry in machines.items()
        }
    for part in parts:
        machines |= part
    file = folder / f"{number}.json"
    said = {"targets": TARGETS, "groups": GROUPS, "machines": machines, "subnets": subnets or {}}
    file.write_text(json.dumps(said))
    return replace(load(file), library=library(*PROGRAMS))


@pytest.fixture(scope="module")
def registries(tmp_path_factory):
    """They differ in by what machines are known, and what is said of networks and of styles."""
    folder = tmp_path_factory.mktemp("shapes")
    star = {"52:54:00:bb:*": {**PLAIN, "reply_style": "direct"}}
    found = [
        written(folder, 0, DEFAULT, NAMED),
        written(folder, 1, DEFAULT, subnets=SUBNETS),
        written(folder, 2, NAMED, star, DEFAULT),
        written(folder, 3, DEFAULT, NAMED, serial=True),
        written(folder, 4),
    ]
    settings = ProxyDhcp(learn=False), ProxyDhcp(unicast=True), ProxyDhcp(style="menu")
    for one in settings:
        found.append(replace(found[0], config=replace(found[0].config, proxydhcp=one)))
    return found


# -- what is heard, from whom ------------------------------------------------------------------


def values(payload):
    """Where the options of a captured packet are, that are not PAD."""
    at, found = 240, {}
    while at < len(payload) and payload[at] != 255:
        if payload[at]:
            found[payload[at]] = slice(at + 2, at + 2 + payload[at + 1])
            at = found[payload[at]].stop
        else:
            at += 1
    return found


def of_machine(dice, payload, card):
    """*payload* as the machine of *card* says it."""
    said, at = bytearray(payload), values(payload)
    said[28:34] = card
    if 97 in at and at[97].stop - at[97].start == 17:
        own = UUIDS[card[5] % len(UUIDS)]
        said[at[97].start + 1 : at[97].stop] = (
            own if dice.random() < 0.9 else dice.choice(ODD_UUIDS)
        )
        if dice.random() < 0.03:
            said[at[97].start] = 1
    if 61 in at:
        size = at[61].stop - at[61].start
        said[at[61]] = (b"\1" + card * 4)[:size]
    return said


def packet(dice, payload, card, port):
    """The way that it comes by is the usual one, mostly."""
    said = of_machine(dice, payload, card)
    if dice.random() < 0.1:
        said[10] ^= 0x80
    if dice.random() < 0.05:
        said[24:28] = bytes((203, 0, 113, dice.choice((9, 10))))
    info, source = TO_ALL, ("0.0.0.0", 68)
    if port is Port.BOOT_SERVER or dice.random() < 0.05:
        net = dice.choice(("192.168.77.", "192.168.77.", "198.51.100.", "203.0.113.", "10.1.1."))
        source = f"{net}{card[5]}", dice.choice((68, 4011))
        said[12:16] = socket.inet_aton(source[0])
        info = dice.choice((to("192.168.77.2"), to("192.168.77.2"), to("198.51.100.2"), TO_ALL))
    elif dice.random() < 0.15:
        info = dice.choice((to("192.168.77.2"), to("198.51.100.2")))
        source = dice.choice((source, source, ("192.168.77.9", 68)))
    if dice.random() < 0.05:
        said[12:16] = dice.choice((bytes(4), bytes((192, 168, 77, 50))))
    return port, bytes(said), info, source


FIRMWARE = [capture.payload for capture in captures.everything() if b"PXEClient" in capture.payload]
_UEFI = captures.capture(UEFI).payload
_ID = b"\x3d\x07\1" + bytes(6)
_UUID = values(_UEFI)[97]
#: As firmware says it that is none of the captured ones.
MADE_UP = [
    _UEFI.replace(b"\x5d\2\0\7", b"\x5d\2\0\0"),  # a BIOS, or a Raspberry Pi
    _UEFI[:-1] + _ID + b"\xff",
    _UEFI[:243] + _ID + _UEFI[243:],
]
#: UUIDs in two parts (RFC 3396) or of an unknown type, and a client identifier in the field for the
#: file as well.
ELSEWHERE = [
    _UEFI[: _UUID.start - 2] + b"\x61\3\0\1\2" + _UEFI[_UUID.start - 2 :],
    _UEFI[: _UUID.start] + b"\1" + _UEFI[_UUID.start + 1 :],
    _UEFI[: _UUID.start - 1]
    + b"\x08"
    + _UEFI[_UUID.start :][:8]
    + b"\x61\x09"
    + _UEFI[_UUID.start + 8 :],
    _UEFI[:108] + (_ID + b"\xff").ljust(128, b"\0") + _UEFI[236:-1] + b"\x34\1\1" + _ID + b"\xff",
]
#: A port of InfiniBand, whose MAC is made of its GUID, where an Ethernet card has its own.
INFINIBAND = _UEFI[:1] + b"\x20" + _UEFI[2:-1] + b"\x3d\x08" + bytes(8) + b"\xff"
ANYTHING = ELSEWHERE + [
    capture.payload for capture in captures.everything() if len(capture.payload) > 240
]


def heard(dice, payloads):
    usual = dice.random() < 0.9
    payload = dice.choice(payloads if usual else ANYTHING)
    asks = payload[240:243] == b"\x35\x01\x03"
    port = Port.BOOT_SERVER if asks == (dice.random() < 0.95) else Port.DHCP
    port, said, info, source = packet(dice, payload, dice.choice(CARDS), port)
    said = said[:4] + dice.randbytes(6) + said[10:]
    return lambda world: world.hears(port, said, info, source)


def readdressed(dice):
    cable = test_kept.interface(
        *dice.choice(
            (("192.168.77.2/24",), ("192.168.77.2/24", "198.51.100.2/24"), ("10.9.9.9/8",))
        )
    )
    cable = replace(cable, name=dice.choice(("eth1", "eth2")))

    def happen(world):
        for listener in world.listeners.values():
            listener.interface = cable

    return happen


def happenings(dice, registries, count):
    payloads = [dice.choice(FIRMWARE), dice.choice(MADE_UP), _UEFI]
    for _ in range(count):
        number = dice.random()
        if number < 0.9:
            yield heard(dice, payloads)
        elif number < 0.93:
            yield time_passes(dice)
        elif number < 0.96:
            yield order(dice, CARDS)
        elif number < 0.985:
            yield test_kept.learned(dice, CARDS)
        else:
            kinds = (lambda d: reload_(d, registries), readdressed, unplugged)
            yield dice.choice(kinds)(dice)


def remembers(world):
    styles, sightings = world.live.styles, world.live.sightings
    tried = {card: styles.tried(card) for card in CARDS}
    return tried, styles.kinds, {card: sightings.of(card) for card in CARDS}


@pytest.mark.parametrize("kept", [0, 64])
@pytest.mark.parametrize("seed", range(24))
def test_what_is_laid_in_is_what_would_be_decided(seed, kept, registries):
    dice = random.Random(seed)
    first = dice.choice(registries)
    lays_in, decides = World(first, kept, 64), World(first, 0)
    for happen in happenings(dice, registries, 400):
        happen(lays_in)
        happen(decides)
        assert lays_in.says() == decides.says()
    assert remembers(lays_in) == remembers(decides)


# -- how often it is -----------------------------------------------------------------------------


def asks(world, payload, card):
    said = of_machine(random.Random(1), payload, card)
    world.hears(Port.DHCP, bytes(said), TO_ALL, ("0.0.0.0", 68))


def asks_boot_server(world, card, source, ciaddr):
    request = captures.capture("qemu-ovmf-x64-4011-binl-request").payload
    said = of_machine(random.Random(1), request, card)
    said[12:16] = socket.inet_aton(ciaddr)
    world.hears(Port.BOOT_SERVER, bytes(said), to("192.168.77.2"), (source, 4011))


def boots(world, card, number):
    """DISCOVER, and what UEFI firmware asks on port 4011."""
    asks(world, _UEFI, card)
    asks_boot_server(world, card, f"192.168.77.{number}", f"192.168.77.{number}")


@pytest.mark.parametrize("cards", [LISTED[:3], STRANGERS])
def test_one_of_a_rack_is_decided_for_all(cards, registries, decided, request):
    world = World(registries[0], 64, 64)
    for number, card in enumerate(cards):
        boots(world, card, 10 + number)
    sent, events, _ = world.says()
    assert list(map(len, sent)) == [len(cards)] * 2
    assert [event.mac for event in events if type(event).__name__ == "Offered"] == [
        card for card in cards for _ in range(2)
    ]
    if "shapes" not in request.config.without:
        assert len(decided) <= 3


@pytest.mark.fast_path("kept")
def test_who_was_told_so_is_told_the_very_same_again(registries):
    world = World(registries[0], 64, 64)
    for card in STRANGERS * 3:
        asks(world, _UEFI, card)
    _, events, _ = world.says()
    count = len(STRANGERS)
    assert all(events[at] is events[at + count] for at in range(count, 2 * count))


def test_no_more_shapes_are_kept_than_are_to_be(registries, decided):
    world = World(registries[0], 0, 1)
    for card in STRANGERS[:3]:
        for payload in (_UEFI, MADE_UP[0]):
            asks(world, payload, card)
    assert len(decided) == 6


def test_a_port_of_infiniband_is_known_by_its_guid(registries):
    lays_in, decides = World(registries[0], 0, 64), World(registries[0], 0)
    for card, named in ((LISTED[0], LISTED[0]), (LISTED[3], LISTED[9])):
        said = bytearray(INFINIBAND)
        said[2], said[28:34], said[-9:-1] = 6, card, named[:3] + bytes(2) + named[3:]
        for world in (lays_in, decides):
            world.hears(Port.DHCP, bytes(said), TO_ALL, ("0.0.0.0", 68))
    said = lays_in.says()
    assert said == decides.says()
    assert len(said[0][0]) == 2


@pytest.mark.parametrize("payload", ELSEWHERE)
def test_who_says_it_in_another_place_is_decided(payload, registries, decided):
    world = World(registries[0], 0, 64)
    for card in STRANGERS[:3]:
        asks(world, payload, card)
    assert len(decided) == 3


#: A network that we are in, and are nothing to; but for the address by which clients on its cable
#: are told where they are.
HALF_OFF = {"192.168.0.0/16": {"dhcp": "off"}, "192.168.77.2/32": {"dhcp": "proxy"}}


@pytest.mark.parametrize(
    ("subnets", "known", "asking"),
    [
        (HALF_OFF, ("192.168.77.9", "192.168.77.9"), ("192.168.99.9", "192.168.99.9")),
        (SUBNETS, ("192.168.77.9", "192.168.77.9"), ("192.168.77.9", "198.51.100.9")),
        (SUBNETS, ("198.51.100.9", "192.168.77.9"), ("198.51.100.9", "198.51.100.9")),
        (SUBNETS, ("192.168.77.9", "192.168.77.9"), ("192.168.77.9", "0.0.0.0")),
        (SUBNETS, ("172.16.0.9", "172.16.0.9"), ("172.16.0.9", "0.0.0.0")),
        (SUBNETS, ("192.168.77.9", "192.168.77.9"), ("0.0.0.0", "192.168.77.9")),
    ],
)
def test_a_boot_server_looks_where_each_client_is(subnets, known, asking, tmp_path):
    known_to_both = written(tmp_path, 0, DEFAULT, subnets=subnets)
    lays_in, decides = World(known_to_both, 0, 64), World(known_to_both, 0)
    for world in (lays_in, decides):
        asks_boot_server(world, STRANGERS[0], *known)
        asks_boot_server(world, STRANGERS[1], *asking)
    said = lays_in.says()
    assert said == decides.says()
    assert any("Offered" in type(event).__name__ for event in said[1])


#: Where in a message a byte is another one, and which.
CHANGES = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=4)


def changed(payload, changes):
    said = bytearray(payload)
    for at, byte in changes:
        if at < len(said):
            said[at] = byte
    return bytes(said)


@settings(deadline=None, max_examples=150)
@given(
    payload=st.sampled_from([_UEFI, *FIRMWARE, *ANYTHING]),
    alike=CHANGES,
    own=st.lists(st.tuples(st.sampled_from(CARDS), CHANGES), min_size=2, max_size=4),
    asks_again=st.booleans(),
)
def test_whatever_bytes_differ(registries, payload, alike, own, asks_again):
    """Of *own* machines each says *payload* with changes that all make and some that it makes."""
    lays_in, decides = World(registries[0], 0, 64), World(registries[0], 0)
    for card, changes in own:
        said = changed(of_machine(random.Random(1), payload, card), (*alike, *changes))
        for world in (lays_in, decides):
            if asks_again:
                ciaddr = socket.inet_ntoa(said[12:16])
                world.hears(Port.BOOT_SERVER, said, to("192.168.77.2"), (ciaddr, 4011))
            else:
                world.hears(Port.DHCP, said, TO_ALL, ("0.0.0.0", 68))
    assert lays_in.says() == decides.says()


def test_who_asks_a_boot_server_by_broadcast_is_answered_from_its_network(tmp_path):
    known_to_both = written(tmp_path, 0, DEFAULT)
    lays_in, decides = World(known_to_both, 0, 64), World(known_to_both, 0)
    request = captures.capture("qemu-ovmf-x64-4011-binl-request").payload
    cable = test_kept.interface("192.168.77.2/24", "198.51.100.2/24")
    for world in (lays_in, decides):
        world.listeners[Port.BOOT_SERVER].interface = cable
        for card, address in zip(LISTED[:3:2], ("192.168.77.9", "198.51.100.9"), strict=True):
            said = of_machine(random.Random(1), request, card)
            said[12:16] = socket.inet_aton(address)
            world.hears(Port.BOOT_SERVER, bytes(said), TO_ALL, (address, 4011))
    said = lays_in.says()
    assert said == decides.says()
    assert [ours for _, ours, _ in said[0][1]] == ["192.168.77.2", "198.51.100.2"]


class Cards:
    """In place of a packet socket: which cards a datagram went to."""

    def __init__(self):
        self.sent = []

    def to_card(self, datagram, source, to, card):
        self.sent.append((datagram, source, to, card))


def test_each_offer_goes_to_its_own_card(tmp_path):
    known = written(tmp_path, 0, DEFAULT)
    known = replace(known, config=replace(known.config, proxydhcp=ProxyDhcp(unicast=True)))
    said = bytearray(_UEFI)
    said[10] &= 0x7F  # no broadcasts
    ways = []
    for shapes in (64, 0):
        world, cards = World(known, 0, shapes), Cards()
        for listener in world.listeners.values():
            listener._raw = cards
        for card in STRANGERS[:3]:
            asks(world, bytes(said), card)
        ways.append(cards.sent)
    assert ways[0] == ways[1]
    assert [card for *_, card in ways[0]] == list(map(bytes, STRANGERS[:3]))
