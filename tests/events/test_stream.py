"""Who is told of what, when, and in which order; and that a queue tells the same as none."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from netbootd.chronicle import Chronicle
from netbootd.events import narration
from netbootd.events.event import (
    Dropped,
    NodeScripted,
    Offered,
    Passed,
    Refused,
    Scripted,
    Served,
    Unserved,
)
from netbootd.events.lease import LeaseEnded
from netbootd.events.loops import LoopDetector
from netbootd.events.stream import Stream
from netbootd.hooks.leases import LeaseHooks
from netbootd.metrics import Metrics
from netbootd.nodelogs import NodeLogs
from netbootd.record.record import Record
from netbootd.record.standing import Attempt, Outcome, Standing
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.systemd import Notifier
from netbootd.telling import Teller
from netbootd.vitals import Vitals
from tests.boots import stories
from tests.boots.stories import CARD, HERE, NFS, OTHER_CARD, STRANGER, THERE

START = 1_750_000_000.0


class Turns:
    """A reactor that turns when told to; its clock goes on by *each* second at every look."""

    def __init__(self, each: float = 0.0) -> None:
        self.each, self.time, self.calls = each, 0.0, []

    def seconds(self) -> float:
        self.time += self.each
        return self.time

    def callLater(self, seconds, work) -> None:
        assert seconds == 0
        self.calls.append(work)

    def turn(self, packets_s: float = 0.0) -> None:
        self.time += packets_s
        calls, self.calls = self.calls, []
        for work in calls:
            work()


def script(number: int) -> NodeScripted:
    return NodeScripted(peer=f"192.0.2.{number}", says="x")


class Rig:
    """A stream with a queue; ``told`` is what a narrator of everything was told."""

    def __init__(self, each: float = 0.0) -> None:
        self.reactor, self.now, self.problems = Turns(each), START, []
        self.told: list = []
        self.stream = Stream(self.problems.append, self.reactor, lambda: self.now)
        self.stream.narrate(lambda event, at, times: self.told.append((event, at - START, times)))

    def turn(self) -> None:
        self.reactor.turn()


def test_a_listener_is_told_at_once_and_a_narrator_in_the_next_turn():
    rig, heard = Rig(), []
    rig.stream.subscribe(heard.append)
    event = script(1)
    rig.stream.publish(event)
    rig.now += 5
    assert (heard, rig.told) == ([event], [])
    rig.turn()
    assert rig.told == [(event, 0.0, 1)]
    assert not rig.reactor.calls


def test_without_a_reactor_everybody_is_told_at_once():
    heard: list = []
    stream = Stream(pytest.fail, now=lambda: 7.0)
    stream.narrate(lambda *told: heard.append(told))
    stream.publish(script(1))
    assert heard == [(script(1), 7.0, 1)]


def test_each_hears_the_kinds_that_it_asked_for_and_what_is_one_of_them():
    stream, heard = Stream(pytest.fail), Counter()
    stream.subscribe(lambda event: heard.update(["passed"]), Passed)
    stream.subscribe(lambda event: heard.update(["all"]))
    stream.narrate(lambda *_: heard.update(["told"]), Passed, NodeScripted)
    for event in (
        Passed(protocol="DHCP", reason="x"),
        Unserved(protocol="DHCP", reason="x"),
        script(1),
        Scripted(says="x"),
    ):
        stream.publish(event)
    assert heard == {"passed": 2, "all": 4, "told": 3}


def test_what_listeners_and_narrators_publish_comes_behind_its_cause():
    for stream in (Stream(pytest.fail), Stream(pytest.fail, reactor := Turns())):
        told: list[str] = []
        first, second, third = script(1), script(2), script(3)

        def listen(event, stream=stream, first=first, second=second):
            if event is first:
                stream.publish(second)

        def narrate(event, _at, _times, stream=stream, told=told, first=first, third=third):
            if event is first:
                stream.publish(third)
            told.append(event.peer[-1])

        stream.subscribe(listen)
        stream.narrate(narrate)
        stream.publish(first)
        reactor.turn()
        reactor.turn()
        assert told == ["1", "2", "3"]


def test_a_narrator_or_a_rest_that_fails_ends_nothing():
    rig = Rig()

    def broken(*_):
        raise RuntimeError("broken")

    rig.stream.narrate(broken)
    rig.stream.rests(broken)
    for number in range(3):
        rig.stream.publish(script(number))
        rig.turn()
    assert len(rig.told) == 3
    assert len(rig.problems) == 6


@pytest.mark.fast_path("slices")
def test_the_same_object_again_is_told_once_with_how_often():
    rig = Rig()
    one, other = script(1), script(2)
    for event in (one, other, one, one):
        rig.stream.publish(event)
        rig.now += 1
    rig.turn()
    assert rig.told == [(one, 0.0, 3), (other, 1.0, 1)]
    rig.stream.publish(one)
    rig.turn()
    assert rig.told[-1] == (one, 4.0, 1)


def test_an_equal_one_is_another_and_so_is_one_behind_another_of_its_machine():
    rig = Rig()
    one, between = script(1), replace(script(1), says="y")
    for event in (one, replace(one), between, one):
        rig.stream.publish(event)
    rig.turn()
    assert [(event.says, times) for event, _, times in rig.told] == [
        ("x", 1),
        ("x", 1),
        ("y", 1),
        ("x", 1),
    ]


@pytest.mark.fast_path("slices")
def test_a_slice_ends_and_the_rest_is_told_in_the_next_turns():
    """Each event takes as long as half a slice, and so does each look at the clock."""
    rig = Rig(each=0.000_4)
    rests: list = []
    rig.stream.rests(lambda: rests.append(len(rig.told)))
    for number in range(20):
        rig.stream.publish(script(number))
    rig.turn()
    assert 1 <= len(rig.told) < 5
    while rig.reactor.calls:
        rig.turn()
    assert [event.peer for event, _, _ in rig.told] == [f"192.0.2.{n}" for n in range(20)]
    assert len(rests) > 4


@pytest.mark.fast_path("slices")
def test_where_packets_take_all_of_the_time_narration_has_a_share_of_it():
    rig = Rig(each=0.000_01)
    for number in range(200):
        rig.stream.publish(script(number))
    rig.turn()
    shares = []
    for _ in range(5):
        before = len(rig.told)
        rig.reactor.turn(0.001)  # packets
        shares.append(len(rig.told) - before)
    assert all(5 <= share <= 20 for share in shares)


def test_in_a_full_queue_the_publisher_tells_the_oldest(monkeypatch):
    monkeypatch.setattr(narration, "_MOST", 10)
    rig = Rig()
    for number in range(25):
        rig.stream.publish(script(number))
    assert [event.peer for event, _, _ in rig.told] == [f"192.0.2.{n}" for n in range(15)]
    rig.stream.drain()
    assert len(rig.told) == 25
    rig.turn()
    assert len(rig.told) == 25


def test_in_a_full_queue_narrators_are_told_of_one_after_the_other(monkeypatch):
    """What one publishes meanwhile does not come before what others are still to be told of."""
    monkeypatch.setattr(narration, "_MOST", 3)
    rig, told, depth = Rig(), [], 0

    def publishing(event, _at, _times):
        nonlocal depth
        depth += 1
        assert depth == 1
        if event.says == "x":
            rig.stream.publish(replace(event, says="y"))
        depth -= 1

    rig.stream.narrate(publishing)
    rig.stream.narrate(lambda event, at, _: told.append((event.says, event.peer, at)))
    for number in range(20):
        rig.stream.publish(script(number))
        rig.now += 1
        assert len(rig.stream._narration) <= 3
    rig.stream.drain()
    for says in "xy":
        of_one = [(peer, at) for said, peer, at in told if said == says]
        assert [peer for peer, _ in of_one] == [f"192.0.2.{number}" for number in range(20)]
        assert [at for _, at in of_one] == sorted(at for _, at in of_one)


def test_in_a_full_queue_nobody_is_told_before_who_decides(monkeypatch):
    """A listener that publishes is heard out, and so are those behind it."""
    monkeypatch.setattr(narration, "_MOST", 0)
    rig, heard = Rig(), []

    def listen(event):
        if event.says == "x":
            rig.stream.publish(replace(event, says="y"))

    rig.stream.subscribe(listen)
    rig.stream.subscribe(lambda _: heard.append(len(rig.told)))
    for number in range(3):
        told, heard[:] = len(rig.told), []
        rig.stream.publish(script(number))
        assert heard == [told, told]


# -- the same as told at once ----------------------------------------------------------------------

CONFIG = """
{ "targets" : { "nfs" : { "a" : { "kernel" : "images/vmlinuz", "initrd" : "images/initrd",
                                  "boot_args" : "x" } } },
  "machines" : { "%s" : { "type" : "nfs", "name" : "a", "hostname" : "one" },
                 "%s" : { "type" : "nfs", "name" : "a" } },
  "netbootd" : { "state" : "state", "files" : "srv", "hooks" : { "lease" : [ "/bin/true" ] } } }
"""


class Daemon:
    """All narrators behind one stream, and what came of them."""

    def __init__(self, folder, reactor) -> None:
        folder.mkdir()
        (folder / "srv").mkdir()
        (folder / "c.json").write_text(CONFIG % (CARD, OTHER_CARD))
        registry = load(folder / "c.json")
        self.now = START
        self.live = LiveRegistry(registry, Record(lambda: self.now))
        self.reactor = Clock()
        self.stream = Stream(pytest.fail, reactor, lambda: self.now)
        self.lines, self.hooks, self.filed = [], [], []
        teller = Teller(
            self.live,
            folder,
            Notifier({}),
            verbose=True,
            write=lambda level, text, at: self.lines.append((level, text, at)),
        )
        self.chronicle = Chronicle(self.reactor, folder / "state", self.live, lambda: -1.0)
        logs = NodeLogs(
            self.reactor, self.live, self.chronicle, pytest.fail, pytest.fail, lambda: -1.0
        )
        logs.book.subscribe(self.filed.append)
        self.metrics = Metrics(lambda: Vitals(generation=1, loaded=START), START)
        self.chronicle.subscribe(self.metrics.boot)
        loops = LoopDetector()
        self.stream.subscribe(lambda event: self._detect(loops, event), *LoopDetector.KINDS)
        for narrator in (teller.event, self.chronicle, logs, self.metrics):
            self.stream.narrate(narrator)
        self.stream.narrate(LeaseHooks(self, self.live))
        self.stream.subscribe(self._complete, Served)
        self.teller = teller

    def _detect(self, loops, event) -> None:
        if found := loops.notice(event, self.now):
            self.stream.publish(found)

    def _complete(self, event) -> None:
        """As the keeper's record has it when the last file has gone out."""
        if event.path.endswith("initrd") and event.peer == HERE:
            attempt = Attempt(
                number=1, target=NFS, began=self.now, outcome=Outcome.DONE, ended=self.now
            )
            self.live.record.put(str(CARD), Standing(attempts=(attempt,)))

    def run(self, kind, data) -> None:
        """As Hooks has it."""
        self.hooks.append((kind, dict(data)))

    def outcome(self):
        counts = [
            line
            for line in self.metrics.render(False).decode().splitlines()
            if line.startswith("netbootd") and "_created" not in line
        ]
        boots = {key: self.chronicle.recent(key) for key in self.chronicle.items()}
        return {
            "lines": self.lines,
            "boots": boots,
            "strangers": self.chronicle.strangers(),
            "heard": self.chronicle.heard,
            "filed": self.filed,
            "hooks": self.hooks,
            "metrics": counts,
            "counts": self.teller.status()["events"],
        }


def happenings(chance: random.Random, *, again: bool):
    """
    What might be published in a lively hour, each with the seconds since the one before; *again*:
    the edge publishes the same object where it says the same.
    """
    kept: dict = {}
    for _ in range(150):
        card, peer = chance.choice(((CARD, HERE), (OTHER_CARD, THERE), (STRANGER, "192.0.2.150")))
        many = chance.choice(STORY)(card, peer)
        for event in many if isinstance(many, list) else [many]:
            same = again and isinstance(event, Offered | Dropped)
            one = kept.setdefault(event, event) if same else replace(event)
            for _ in range(chance.choice((1, 1, 4)) if same else 1):
                yield chance.choice((0.001, 0.01, 1.0, 30.0)), one


STORY = [
    lambda mac, peer: stories.firmware(mac),
    stories.boots,
    stories.loads,
    stories.gets,
    lambda mac, peer: stories.by_tftp(f"{mac}/undionly.kpxe", mac, peer),
    lambda mac, peer: stories.asks_size("undionly.kpxe", None, peer),
    lambda mac, peer: stories.by_http("images/initrd", None, peer, sent=500),
    lambda mac, peer: stories.part("images/disk", 500, 500, 2000, peer),
    lambda mac, peer: stories.reports("failed", mac, peer, output="no disk"),
    lambda mac, peer: stories.reports("done", mac, peer),
    lambda mac, peer: stories.is_denied(mac),
    stories.in_use,
    lambda mac, peer: stories.runs(mac),
    lambda mac, peer: LeaseEnded(mac=mac, address=peer, how="released"),
    lambda mac, peer: Passed(mac=mac, protocol="DHCP", reason="not for us"),
    lambda mac, peer: Dropped(peer=peer, protocol="TFTP", reason="short"),
    lambda mac, peer: Refused(mac=mac, peer=peer, protocol="TFTP", path="a", status=1, reason="no"),
]


def both(folder, chance: random.Random, *, again: bool):
    """The same told at once and by a queue that is told of when chance has it."""
    clock = Turns(each=0.000_03)
    direct, queued = Daemon(folder / "a", None), Daemon(folder / "b", clock)
    for seconds, event in happenings(chance, again=again):
        for one in (direct, queued):
            one.now += seconds
            one.stream.publish(event)
        while chance.random() < 0.4:
            clock.turn(chance.choice((0.0, 0.001)))
    queued.stream.drain()
    return direct, queued


@pytest.mark.parametrize("seed", range(3))
def test_a_queue_tells_all_narrators_the_same_as_none(tmp_path, seed, monkeypatch):
    monkeypatch.setattr(narration, "_MOST", 50)
    direct, queued = both(tmp_path, random.Random(seed), again=False)
    for what, was in direct.outcome().items():
        assert was, what
        assert queued.outcome()[what] == was


def test_what_is_told_once_for_many_times_is_counted_as_often(tmp_path):
    direct, queued = both(tmp_path, random.Random(7), again=True)
    was, now = direct.outcome(), queued.outcome()
    for what in ("counts", "hooks"):
        assert now[what] == was[what]
    assert events_of(now["metrics"]) == events_of(was["metrics"])
    assert len(now["lines"]) < len(was["lines"])
    assert spelled_out(now["lines"]) == [text for _, text, _ in was["lines"]]
    assert spelled_out([("", line.text, 0) for line in now["filed"]]) == [
        line.text for line in was["filed"]
    ]
    assert {key: times(boots) for key, boots in now["boots"].items()} == {
        key: times(boots) for key, boots in was["boots"].items()
    }


def events_of(lines):
    """Those of boots' durations aside: what was told once has one time."""
    return [line for line in lines if "duration" not in line]


def spelled_out(lines) -> list[str]:
    """The texts, each as often as it says."""
    found = []
    for _, text, _ in lines:
        often = re.fullmatch(r"(.*) \((\d+) times\)", text)
        found += [often[1]] * int(often[2]) if often else [text]
    return found


def times(boots):
    return [
        (
            [(step.stage, step.path, step.times) for step in boot.steps],
            [(note.code, note.text, note.times) for note in boot.notes],
        )
        for boot in boots
    ]
