"""Which reply style firmware follows: what is tried next, and what is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.mac import MAC
from netbootd.record import styles
from netbootd.record.styles import Kind, Offer, Past, StyleMemory, Tried, Worked, choose

ORDER = ("boot-server", "direct", "menu")
CARD = MAC.parse("52:54:00:12:34:56")
TWIN = MAC.parse("52:54:00:12:34:57")
OTHER = MAC.parse("00:25:90:27:db:b4")
KIND = Kind.of(CARD, 7, "PXEClient:Arch:00007:UNDI:003000")
LATER = styles.PATIENCE_S + 1


class Firmware:
    """Asks, and may follow the offer it gets; time passes as told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.kept: dict[str, Worked | None] = {}
        self.memory = StyleMemory(lambda: self.now, lambda: 1e9 + self.now, self.kept.__setitem__)

    def discover(self, mac=CARD, after=0.0, kind=KIND):
        self.now += after
        chosen = choose(ORDER, self.memory.past(mac, kind))
        self.memory.offered(Offer(mac, kind, ORDER[0], chosen))
        return chosen

    def styles(self, times, mac=CARD, after=LATER):
        return [self.discover(mac, after).style for _ in range(times)]


def test_each_style_is_tried_in_its_turn_and_then_the_first_again():
    assert Firmware().styles(5) == ["boot-server", "direct", "menu", "boot-server", "direct"]


def test_the_reason_of_a_switch_is_told_and_the_round():
    firmware = Firmware()
    firmware.discover()
    second = firmware.discover(after=4)
    assert (second.after, second.round) == ("boot-server", 1)
    assert second.why == "an offer in style boot-server was not followed"
    firmware.discover(after=8)
    again = firmware.discover(after=16)
    assert (again.style, again.after, again.round) == ("boot-server", "menu", 2)


@pytest.mark.parametrize("pauses", [(0.25, 0.5, 1.0, 1.0), (1.0, 1.9), (2.9,)])
def test_a_retransmission_is_no_failure(pauses):
    """U-Boot repeats itself after 0.25 s, iPXE after 1 s."""
    firmware = Firmware()
    firmware.discover()
    for pause in pauses:
        chosen = firmware.discover(after=pause)
        assert (chosen.style, chosen.after) == ("boot-server", "")


def test_one_that_repeats_itself_for_ever_is_told_in_the_next_style_at_last():
    firmware = Firmware()
    found = [firmware.discover(after=1.0).style for _ in range(6)]
    assert found == ["boot-server"] * 4 + ["direct"] * 2


def test_what_was_followed_stays_and_is_known_of_the_kind():
    firmware = Firmware()
    firmware.discover()
    firmware.discover(after=LATER)
    found = firmware.memory.followed(CARD)
    assert (found.style, found.first, found.times, found.mac) == (
        "direct",
        "boot-server",
        1,
        str(CARD),
    )
    assert firmware.kept == {KIND.key: found}
    assert firmware.styles(1) == ["direct"]
    assert firmware.discover(TWIN).style == "direct"
    assert firmware.discover(OTHER, kind=Kind.of(OTHER, 7, KIND.rom)).style == "boot-server"


def test_what_is_known_already_is_no_news_but_counted():
    firmware = Firmware()
    for times in range(1, 4):
        firmware.discover(after=LATER)
        news = firmware.memory.followed(CARD)
        assert (news is None) == (times > 1)
        assert firmware.kept[KIND.key].times == times
        assert firmware.memory.followed(CARD) is None  # the next block of the same file


def test_a_style_that_worked_is_left_after_the_second_miss_only():
    """Somebody has pulled a cable."""
    firmware = Firmware()
    firmware.discover()
    firmware.memory.followed(CARD)
    assert firmware.styles(4) == ["boot-server", "boot-server", "direct", "menu"]


def test_after_a_miss_the_style_that_works_is_trusted_again():
    firmware = Firmware()
    firmware.discover()
    firmware.memory.followed(CARD)
    for _ in range(3):
        firmware.styles(2)
        firmware.memory.followed(CARD)
    assert firmware.styles(1) == ["boot-server"]


def test_the_last_style_that_worked_counts_for_the_kind():
    firmware = Firmware()
    firmware.discover()
    firmware.memory.followed(CARD)
    firmware.styles(3, TWIN)
    assert firmware.memory.followed(TWIN).style == "direct"
    assert firmware.kept[KIND.key].times == 1
    assert firmware.discover(MAC.parse("52:54:00:00:00:01")).style == "direct"
    assert firmware.styles(1) == ["boot-server"]  # its own experience counts more


def test_something_fetched_much_later_is_not_due_to_the_offer():
    """A node that booted from its disk may ask for a file of its own an hour later."""
    firmware = Firmware()
    firmware.discover()
    firmware.now += styles.FOLLOWS_WITHIN_S + 1
    assert firmware.memory.followed(CARD) is None
    assert firmware.kept == {}


def test_nobody_follows_what_nobody_was_offered():
    assert Firmware().memory.followed(CARD) is None


def test_a_style_that_is_not_in_the_order_counts_for_nothing():
    tried = Tried(style="gone", since=0.0, kind=KIND, first="gone")
    worked = Worked(style="gone", first="gone")
    assert choose(ORDER, Past(tried, worked, 100.0)).style == "boot-server"


def test_with_one_style_there_is_nothing_to_switch_to():
    tried = Tried(style="only", since=0.0, kind=KIND, first="only")
    chosen = choose(("only",), Past(tried, None, 100.0))
    assert (chosen.style, chosen.after) == ("only", "")


def test_forgetting_a_kind_or_all():
    firmware = Firmware()
    other = Kind.of(OTHER, 0, "PXEClient")
    for mac, kind in ((CARD, KIND), (OTHER, other)):
        firmware.discover(mac, kind=kind)
        firmware.discover(mac, after=LATER, kind=kind)
        firmware.memory.followed(mac)
    assert set(firmware.memory.elsewhere()) == {CARD, OTHER}
    assert firmware.memory.forget(KIND.key) == 1
    assert firmware.kept[KIND.key] is None
    assert firmware.styles(1) == ["boot-server"]
    assert firmware.discover(OTHER, kind=other).style == "direct"
    assert firmware.memory.forget() == 1
    assert firmware.memory.kinds == {}
    assert firmware.discover(OTHER, kind=other).style == "boot-server"


def test_what_the_disk_had_counts_until_something_was_learned():
    firmware = Firmware()
    firmware.discover()
    firmware.memory.followed(CARD)
    old = Worked(style="menu", first="boot-server")
    firmware.memory.fill({KIND.key: old, "00:25:90 0 ROM": old})
    assert firmware.memory.kinds[KIND.key].style == "boot-server"
    assert firmware.memory.past(OTHER, Kind("00:25:90", "0", "ROM")).worked == old


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(styles, "_MOST_CARDS", 3)
    monkeypatch.setattr(styles, "_MOST_KINDS", 2)
    firmware = Firmware()
    for number in range(10):
        mac = MAC(bytes([0, 1, number, 0, 0, number]))
        kind = Kind.of(mac, 7, "ROM")
        chosen = choose(ORDER, firmware.memory.past(mac, kind))
        names = frozenset({f"serial{number}"})
        firmware.memory.offered(Offer(mac, kind, ORDER[0], chosen, names))
        firmware.memory.followed(mac)
    assert len(firmware.memory.kinds) == 2
    assert sum(one is not None for one in firmware.kept.values()) == 2
    assert firmware.memory.named("serial9") is not None
    assert firmware.memory.named("serial0") is None
    assert len(firmware.memory._names) == len(firmware.memory._cards) == 3


def test_a_card_that_changes_its_name_every_time_leaves_none_behind():
    memory = StyleMemory()
    for number in range(10):
        chosen = choose(ORDER, memory.past(CARD, KIND))
        memory.offered(Offer(CARD, KIND, ORDER[0], chosen, frozenset({str(number)})))
    assert list(memory._names) == ["9"]


@given(st.text(max_size=300), st.integers(0, 65535) | st.none())
def test_a_kind_s_key_can_be_read_whatever_firmware_says(rom, arch):
    kind = Kind.of(CARD, arch, rom)
    assert Kind.parse(kind.key) == kind
    assert kind.key.isprintable()
    assert len(kind.key) < 120


@given(st.lists(st.tuples(st.floats(0, 600), st.booleans()), max_size=40))
def test_the_choice_is_the_same_for_the_same_history(history):
    one, other = Firmware(), Firmware()
    for firmware in (one, other):
        for pause, follows in history:
            firmware.discover(after=pause)
            if follows:
                firmware.memory.followed(CARD)
    assert one.memory.kinds == other.memory.kinds
    assert one.memory.tried(CARD) == other.memory.tried(CARD)
    assert one.discover().style in ORDER
