"""
Whatever clients say and whatever befalls the daemon, no address ever has two holders.

A holder is a card that got an ACK, whose time by its own clock is not over, and that has neither
released nor declined the address, nor was told to give it up.  Sequences of steps are made from a
seed; one that fails is printed with its seed, and without the steps that do not matter.

Two variants, since no server can know everything:

*right*: the wall clock is right whenever the host boots.  Then the file alone must do, without ARP;
cards move between networks while they hold addresses, and answer nobody.

*wrong*: the host boots with any wall clock, and somebody forges what others say.  Then ARP must do:
cards are where they hold addresses, and answer; each has one address, the last that it was given.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netbootd.addressing import LeaseTimes
from netbootd.dhcp.message import MessageType
from netbootd.mac import MAC

from .lan import FAR, LARGE, SAME, SMALL, Card, Lan, Settings, World

Step = tuple[str, int, int]
PAIR = 2  # the first cards may be two of one machine, which ARP alone can tell apart
SEQUENCES, STEPS = 40, 80
_MEMORY = Path("/dev/shm")

#: How often each step is taken, in both variants.
STEPS_OF = {
    "discover": 20,
    "select": 30,
    "reboot": 12,
    "renew": 12,
    "rebind": 8,
    "rebind_ended": 4,
    "release": 6,
    "decline": 4,
    "inform": 2,
    "claim": 8,
    "steal": 4,
    "repeat": 8,
    "pass_short": 14,
    "pass_long": 10,
    "wall": 4,
    "shut": 4,
    "open": 8,
    "kill": 6,
    "restart": 3,
    "boot": 3,
    "full": 2,
    "well": 4,
    "pool": 4,
    "hole": 3,
    "reserve": 6,
    "times": 2,
    "switch": 3,
    "swap_card": 3,
}
VARIANTS = {"right": {"move": 5}, "wrong": {"forge": 5}}


class Play:
    """One sequence in one world; every step works with any numbers, so that any may be left out."""

    def __init__(self, folder: Path, variant: str) -> None:
        self.right = variant == "right"
        self.xid = 0
        self.was_full = False
        self.lans = (LARGE, SMALL, FAR) if self.right else (LARGE, SMALL)
        pools = {LARGE: (100, 107), SMALL: (4, 6), FAR: (4, 7)}
        pools = {lan: pools[lan] for lan in self.lans}
        self.settings = Settings(pools, probe=not self.right)
        self.world = World(folder, self.settings, self._cards())

    def _cards(self) -> list[Card]:
        cards = []
        for number in range(9):
            lan = self.lans[min(number // 2, 1) if number < 7 else number % len(self.lans)]
            mac = MAC(bytes((0x52, 0x54, 0, 0, 0, number)))
            said = (b"", b"\x01" + mac, SAME, b"\0own%d" % number)[number % 4]
            cards.append(Card(mac, lan, said, faithful=not self.right or number < PAIR))
        return cards

    def play(self, steps: list[Step]) -> str:
        """What went wrong, empty for nothing."""
        world = self.world
        for number, (verb, one, other) in enumerate(steps):
            getattr(self, verb)(one, other)
            if one % 5:
                world.answered()
            if world.two_holders:
                address, cards = world.two_holders
                return f"after step {number} {address} is held by {' and '.join(cards)}"
            if world.faults:
                raise world.faults[0]
        return ""

    def close(self) -> None:
        self.world.gate.store.close()

    # -- what clients do -----------------------------------------------------------------------

    def card(self, one: int) -> Card:
        return self.world.cards[one % len(self.world.cards)]

    def next_xid(self) -> int:
        self.xid += 1
        return self.xid

    def say(self, card: Card, kind: MessageType, unicast: bool = False, **more) -> None:
        self.world.send(card, card.message(kind, self.next_xid(), **more), unicast=unicast)

    def some_address(self, lan: Lan, number: int):
        """One of the pool, or near it."""
        first, last = self.settings.pools[lan]
        return lan.address(first + number % (last - first + 3))

    def discover(self, one: int, other: int) -> None:
        card, options = self.card(one), {}
        if other % 3 == 1:
            options["REQUESTED_ADDRESS"] = self.some_address(card.lan, other)
        if other % 4 == 0:
            options["RAPID_COMMIT"] = b""
        if other % 7:
            card.offers.clear()
        self.say(card, MessageType.DISCOVER, **options)

    def select(self, one: int, other: int) -> None:
        card = self.card(one)
        if not card.offers:
            self.discover(one, 2)
        if card.offers:
            address, server = card.offers[-1 if other % 4 else other % len(card.offers)]
            self.say(card, MessageType.REQUEST, REQUESTED_ADDRESS=address, SERVER_ID=server)

    def reboot(self, one: int, other: int) -> None:
        card = self.card(one)
        if card.last:
            self.say(card, MessageType.REQUEST, REQUESTED_ADDRESS=card.last)

    def renew(self, one: int, other: int) -> None:
        self._extend(self.card(one), unicast=True)

    def rebind(self, one: int, other: int) -> None:
        self._extend(self.card(one), unicast=False)

    def _extend(self, card: Card, unicast: bool) -> None:
        if card.last in card.has(self.world.now):
            self.say(card, MessageType.REQUEST, unicast, ciaddr=card.last)

    def rebind_ended(self, one: int, other: int) -> None:
        """One that slept, and believes that it still has its address."""
        card = self.card(one)
        if card.last:
            self.say(card, MessageType.REQUEST, bool(other % 2), ciaddr=card.last)

    def release(self, one: int, other: int) -> None:
        card = self.card(one)
        if card.last in card.has(self.world.now):
            self.world.ends(card, card.last)
            card.waits = None
            message = card.message(
                MessageType.RELEASE, self.next_xid(), ciaddr=card.last, SERVER_ID=card.lan.ours.ip
            )
            self.world.send(card, message, unicast=True)

    def decline(self, one: int, other: int) -> None:
        card = self.card(one)
        if card.last in card.has(self.world.now):
            self.world.ends(card, card.last)
            options = {"REQUESTED_ADDRESS": card.last, "SERVER_ID": card.lan.ours.ip}
            self.say(card, MessageType.DECLINE, **options)

    def inform(self, one: int, other: int) -> None:
        card = self.card(one)
        if card.last:
            self.say(card, MessageType.INFORM, True, ciaddr=card.last)

    def claim(self, one: int, other: int) -> None:
        """It wants an address that may well be another's."""
        card = self.card(one)
        address = self.some_address(card.lan, other // 4)
        options = {"SERVER_ID": card.lan.ours.ip} if other % 4 == 0 else {}
        if other % 4 == 1:
            self.say(card, MessageType.REQUEST, bool(one % 2), ciaddr=address)
        else:
            self.say(card, MessageType.REQUEST, REQUESTED_ADDRESS=address, **options)

    def steal(self, one: int, other: int) -> None:
        """It releases or declines what is another's, in its own name."""
        card, victim = self.card(one), self.card(other)
        if victim is card or not victim.last or victim.last in card.holds:
            return
        if other % 2:
            self.say(card, MessageType.RELEASE, True, ciaddr=victim.last)
        else:
            self.say(card, MessageType.DECLINE, REQUESTED_ADDRESS=victim.last)

    def forge(self, one: int, other: int) -> None:
        """Somebody releases or declines in the name of another."""
        victim = self.card(one)
        if not victim.last:
            return
        xid = self.next_xid()
        if other % 2:
            message = victim.message(MessageType.RELEASE, xid, ciaddr=victim.last)
        else:
            message = victim.message(MessageType.DECLINE, xid, REQUESTED_ADDRESS=victim.last)
        waits = victim.waits
        self.world.send(victim, message, unicast=bool(other % 2))
        victim.waits = waits

    def repeat(self, one: int, other: int) -> None:
        """The network delivers a message again, late; but nothing that ends a lease."""
        card = self.card(one)
        ends = (MessageType.RELEASE, MessageType.DECLINE)
        sent = [one for one in card.sent if one[0].message.message_type not in ends]
        if sent:
            self.world.deliver(*sent[other % len(sent)])

    def move(self, one: int, other: int) -> None:
        card = self.card(one)
        if card.faithful:
            card.holds.clear()
        card.lan = self.lans[other % len(self.lans)]
        card.waits = None
        card.offers.clear()

    # -- time and the host ---------------------------------------------------------------------

    def pass_short(self, one: int, other: int) -> None:
        self.world.passes(other % 40 + 0.5)

    def pass_long(self, one: int, other: int) -> None:
        self.world.passes(other % 900)

    def wall(self, one: int, other: int) -> None:
        """Somebody sets the wall clock."""
        off = (-1e8, -3000, -600, -1, 1, 600, 3000, 1e8)[other % 8]
        self.world.host.wall += off
        self.world.wall_off += off

    def shut(self, one: int, other: int) -> None:
        self.world.gate.shut = True

    def open(self, one: int, other: int) -> None:
        self.world.gate.shut = False
        self.world.gate.open()
        self.world.settle()

    def kill(self, one: int, other: int) -> None:
        """Now; it is started again at once, or after a while."""
        self.world.kill(other % 4)
        self._away(one % 2 * (other % 500))
        self.world.start()

    def restart(self, one: int, other: int) -> None:
        self.world.stop()
        self.world.start()

    def boot(self, one: int, other: int) -> None:
        """The host goes down and comes up again."""
        world = self.world
        if self.right:
            world.host.wall -= world.wall_off
            world.wall_off = 0.0
            self.restart(one, other)  # an idle minute would do: the clocks are written down
        world.kill(other % 4)
        world.host.reboots(after=0.0)
        self._away(other % 300)
        if not self.right:
            self.wall(one, other // 300)
        world.start()

    def _away(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.host.passes(seconds)

    def full(self, one: int, other: int) -> None:
        """The disk: what waits for it is refused."""
        self.world.gate.full = self.was_full = True
        if self.right:  # given unwritten to one card, and ARP does not tell the other
            self.world.machine = tuple(self.world.cards[:PAIR])
        self.world.leasing._troubled("database or disk is full")
        self.open(one, other)

    def well(self, one: int, other: int) -> None:
        if self.world.gate.full:
            self.world.gate.full = False
            self.world.leasing._troubled("")
            self.world.leasing._write_all()
            self.world.settle()

    # -- reloads -------------------------------------------------------------------------------

    def pool(self, one: int, other: int) -> None:
        lan = self.lans[one % len(self.lans)]
        first = 4 + other % 3 if lan is not LARGE else 100 + other % 5
        self.settings.pools[lan] = first, first + (3, 1, 5)[other % 3]
        self.world.reload()

    def hole(self, one: int, other: int) -> None:
        lan = self.lans[one % len(self.lans)]
        first, _ = self.settings.pools[lan]
        hole = (first + other % 3, first + other % 3 + other % 2)
        self.settings.exclude[lan] = hole if other % 5 else None
        self.world.reload()

    def reserve(self, one: int, other: int) -> None:
        """An address is reserved for a card, whoever has it now; or no longer."""
        card = self.card(one)
        if self.bound(card):
            return
        self.settings.reserved.pop(card.mac, None)
        address = self.some_address(card.lan, other // 3)
        if other % 3 and address not in self.settings.reserved.values():
            self.settings.reserved[card.mac] = address
        self.world.reload()

    def bound(self, card: Card) -> bool:
        """
        What was reserved while the disk was full stays so, where ARP is not asked: it was given
        unwritten, to the machine that it was reserved for.
        """
        return self.right and self.was_full and card.mac in self.settings.reserved

    def times(self, one: int, other: int) -> None:
        default = 30 + other % 600
        self.settings.times = LeaseTimes(default=default, least=20, most=2 * default)
        self.world.reload()

    def switch(self, one: int, other: int) -> None:
        settings = self.settings
        settings.authoritative = bool(other & 1)
        settings.rapid_commit = bool(other & 2)
        settings.probe = not self.right or bool(other & 4)
        settings.match_client_id = other & 24 == 24
        self.world.reload()

    def swap_card(self, one: int, other: int) -> None:
        """Two cards of one machine: it is booted by the other, and the first one is silent."""
        first, second = self.world.cards[:PAIR]
        if self.bound(first):
            return
        self.settings.pairs = () if other % 5 == 0 else ((first.mac, second.mac),)
        self.settings.reserved.setdefault(first.mac, self.some_address(first.lan, other))
        self.settings.reserved.pop(second.mac, None)
        self.world.reload()
        card, silent = (first, second) if other % 2 else (second, first)
        silent.holds.clear()
        silent.waits = silent.last = None
        self.discover(self.world.cards.index(card), 2)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


def made(seed: int, variant: str) -> list[Step]:
    chance = random.Random(f"{variant} {seed}")
    weights = {**STEPS_OF, **VARIANTS[variant]}
    verbs = chance.choices([*weights], [*weights.values()], k=STEPS)
    return [(verb, chance.randrange(1 << 16), chance.randrange(1 << 16)) for verb in verbs]


def outcome(steps: list[Step], variant: str) -> tuple[str, int]:
    """What went wrong, and how many ACKs were heard."""
    with _folder() as folder:
        play = Play(folder, variant)
        try:
            return play.play(steps), play.world.acks
        finally:
            play.close()


def shrunk(steps: list[Step], variant: str) -> list[Step]:
    """Without what does not matter: halves first, then less and less."""
    size = len(steps)
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if outcome(fewer, variant)[0]:
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


def hold(seeds: range, variant: str) -> None:
    """Fail with the first seed that gives an address two holders, and the steps that matter."""
    acks = 0
    for seed in seeds:
        steps = made(seed, variant)
        wrong, heard = outcome(steps, variant)
        acks += heard
        if wrong:
            least = shrunk(steps, variant)
            lines = "\n".join(map(str, least))
            pytest.fail(f"{variant} {seed}: {outcome(least, variant)[0]}\n{lines}", pytrace=False)
    assert acks > 5 * len(seeds), "hardly anybody got an address: this tests nothing"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("part", range(4))
def test_no_address_ever_has_two_holders(variant, part):
    hold(range(part * SEQUENCES, (part + 1) * SEQUENCES), variant)


@pytest.mark.e2e
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_address_has_two_holders_in_a_long_time(variant):
    hold(range(1000, 4000), variant)
