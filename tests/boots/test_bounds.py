"""Any events in any order: nothing is raised, and everything has an end."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbootd.boots import attempts, identity, shelf, turn
from netbootd.boots.boot import Boot, Outcome
from netbootd.boots.steps import MOST_NOTES, MOST_PATH, MOST_STEPS, MOST_TEXT
from netbootd.boots.turn import Who
from netbootd.boots.written import encode
from netbootd.events import event as events
from netbootd.events.progress import Started
from netbootd.events.witness import NotNetboot, Overheard, Requested
from netbootd.mac import MAC

from . import stories
from .stories import CARD, HERE, KEY, OTHER_CARD, STRANGER, THERE, Story

words = st.one_of(
    st.sampled_from(["", "x", "iPXE", "first", "held", "ack", "acknowledged", "done", "overdue"]),
    st.text(max_size=12),
    st.just("é\udc80\x00" * 300),
)
paths = st.one_of(
    words,
    st.sampled_from(["/images/vmlinuz", "initrd", "undionly.kpxe", "pxelinux.cfg/x", "a.deb"]),
    st.integers(0, 999).map("/{}/vmlinuz".format),
)
numbers = st.integers(0, 10**12)
macs = st.one_of(
    st.sampled_from([None, CARD, OTHER_CARD, STRANGER]),
    st.binary(min_size=6, max_size=6).map(MAC),
)
_FIELDS = {
    "mac": macs,
    "peer": st.sampled_from(["", HERE, THERE, "0.0.0.0"]),
    "address": st.sampled_from(["", HERE, THERE]),
    "protocol": st.sampled_from(["DHCP", "TFTP", "HTTP"]),
    "path": paths,
    "file": paths,
}
_TYPES = {"int": numbers, "float": st.floats(0, 1e9), "bool": st.booleans(), "str": words}


def built(kind):
    """Any event of *kind*."""
    given_fields = {
        name: _FIELDS.get(name, _TYPES.get(field.type))
        for name, field in kind.__dataclass_fields__.items()
        if name in _FIELDS or field.type in _TYPES
    }
    return st.builds(kind, **given_fields)


def kinds(of=events.Event):
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


KINDS = sorted({*kinds(), Started, NotNetboot, Overheard, Requested}, key=lambda k: k.__name__)
any_event = st.one_of(*map(built, KINDS))
any_story = st.lists(st.tuples(any_event, st.sampled_from([0.0, 0.5, 20.0, 700.0, 9e4])))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_story)
def test_any_story_makes_boots_that_can_be_written_and_read(told):
    story = Story()
    for one, after in told:
        for boot in story.tell(one, every=after):
            assert boot.number > 0
            assert boot.began <= boot.last
            assert len(boot.steps) <= MOST_STEPS
            assert len(boot.notes) <= MOST_NOTES
            assert Boot.of_dict(json.loads(encode(boot))) == boot
            texts = [text for step in boot.steps for text in (step.note, step.trouble)]
            assert all(len(text) <= MOST_TEXT for text in texts)
            assert all(len(step.path) <= MOST_PATH for step in boot.steps)
            assert len(encode(boot)) < 600_000
    open_ones = story.follower.shelf.latest.values()
    assert all(boot.outcome is not Outcome.AGAIN for boot in open_ones)


@settings(max_examples=50, deadline=None)
@given(any_story)
def test_the_same_story_makes_the_same_boots(told):
    one, other = Story(), Story()
    for story in (one, other):
        for event, after in told:
            story.tell(event, every=after)
    assert one.boots == other.boots


@pytest.fixture
def small(monkeypatch):
    """The same bounds, where they are soon met."""
    monkeypatch.setattr(shelf, "MOST_MACHINES", 20)
    monkeypatch.setattr(shelf, "MOST_STRANGERS", 10)
    monkeypatch.setattr(shelf, "MOST_OLDER", 30)
    monkeypatch.setattr(identity, "_MOST_ADDRESSES", 10)
    monkeypatch.setattr(identity, "_MOST_UUIDS", 10)
    monkeypatch.setattr(attempts, "_MOST_HIDDEN", 10)


@pytest.mark.parametrize("listed", [True, False])
def test_nothing_grows_with_the_machines(small, listed):
    cards = [MAC(b"\x02" + number.to_bytes(5, "big")) for number in range(200)]
    story = Story({mac: Who(str(mac), listed, f"uuid of {mac}") for mac in cards})
    for number, mac in enumerate(cards):
        peer = f"192.0.2.{number}"
        story.tell(stories.script(mac, peer), *stories.loads(mac, peer), stories.ipxe(mac))
        story.tell(stories.firmware(mac), every=300)
        story.tell(stories.firmware(mac), every=300)
    follower = story.follower
    held = follower.shelf
    assert len(held.latest) == (20 if listed else 10)
    assert sum(len(held.recent(key)) for key in held.latest) <= 20 + 30
    assert len(follower._attempts._hidden) <= 10
    assert len(follower._identities._at) <= 10
    assert len(follower._identities._by_uuid) <= 10


def test_texts_of_the_network_are_kept_once_and_not_for_ever(small):
    """Two nodes ask for one path; then come thousands of others."""
    story, cards = Story(), [MAC(b"\x02" + n.to_bytes(5, "big")) for n in range(2)]
    for mac in cards:
        story.tell(stories.script(mac, HERE), *stories.loads(mac, HERE))
    one, other = (story.follower.shelf.latest[str(mac)].steps[-1].path for mac in cards)
    assert one is other
    for number in range(turn._once.cache_info().maxsize + 1):
        story.tell(stories.script(cards[0], f"peer {number}"))
    kept = turn._once.cache_info()
    assert kept.currsize == kept.maxsize


def test_a_listed_machine_keeps_its_last_boots(small):
    story = Story()
    for _ in range(12):
        story.tell(stories.firmware(), every=300)
    numbers_kept = [boot.number for boot in story.follower.shelf.recent(KEY)]
    assert numbers_kept == [12, 11, 10, 9, 8, 7]
