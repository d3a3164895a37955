"""How many machines are in each state, without holding up whoever asks."""

from __future__ import annotations

import pytest

from netbootd.boots.boot import Boot, Outcome, Stage, Step
from netbootd.census import Census, counted
from netbootd.record.standing import Standing
from netbootd.registry.load import load

NOW = 1_000_000.0
CONFIG = """{
  "targets" : { "nfs" : { "a" : { "kernel" : "k" } } },
  "machines" : {
     "default" : { "type" : "nfs", "name" : "a" },
     %s
     "node-7" : { "mac" : [ "02:00:00:00:00:01", "02:00:00:00:00:02" ],
                  "type" : "nfs", "name" : "a" },
     "02:00:00:00:00:03" : { "type" : "nfs", "name" : "a", "enabled" : false },
     "02:00:00:00:00:04" : { "type" : "nfs", "name" : "a" },
     "02:00:00:00:00:05" : { "type" : "nfs", "name" : "a" },
  },
}"""


def registry_of(folder, more=0):
    others = "".join(
        f'"02:00:00:00:01:{n:02x}" : {{ "type" : "nfs", "name" : "a" }},' for n in range(more)
    )
    (folder / "c.json").write_text(CONFIG % others)
    return load(folder / "c.json")


def boot(key, outcome=Outcome.OPEN, ago=1.0):
    step = Step(stage=Stage.DISCOVER, at=NOW - ago, until=NOW - ago)
    return Boot(number=1, key=key, began=NOW - ago, last=NOW - ago, outcome=outcome, steps=(step,))


def test_each_listed_machine_is_counted_once(tmp_path):
    boots = {
        "node-7": boot("node-7"),
        "02:00:00:00:00:04": boot("02:00:00:00:00:04", ago=600),
        "02:00:00:00:00:99": boot("02:00:00:00:00:99"),  # a stranger
    }
    standings = {"02:00:00:00:00:05": Standing(held="it went in circles")}
    found = counted(registry_of(tmp_path), standings, boots, NOW)
    assert {state: count for state, count in found.items() if count} == {
        "booting": 1,
        "stuck": 1,
        "held": 1,
        "disabled": 1,
    }
    assert found["up"] == 0


class Threads:
    """What was given to a thread, done when the test says so."""

    def __init__(self) -> None:
        self.waiting = []

    def __call__(self, work, then):
        self.waiting.append((work, then))

    def run(self):
        work, then = self.waiting.pop(0)
        then(work())


@pytest.fixture
def threads():
    return Threads()


def test_a_rack_is_counted_at_once(tmp_path, threads):
    found = Census(threads).take(registry_of(tmp_path), {}, {}, NOW)
    assert (found["unknown"], threads.waiting) == (3, [])


def test_a_fleet_is_counted_in_a_thread_and_one_at_a_time(tmp_path, threads):
    registry, census = registry_of(tmp_path, more=100), Census(threads)
    assert census.take(registry, {}, {}, NOW) == {}
    assert census.take(registry, {}, {}, NOW) == {}
    assert len(threads.waiting) == 1
    threads.run()
    assert census.take(registry, {}, {}, NOW)["unknown"] == 103


def test_a_count_that_fails_is_made_again(tmp_path, threads):
    registry, census = registry_of(tmp_path, more=100), Census(threads)
    census.take(registry, {}, {}, NOW)
    threads.waiting.pop()[1](None)
    census._again = 0.0
    assert census.take(registry, {}, {}, NOW) == {}
    threads.run()
    assert census.take(registry, {}, {}, NOW)["unknown"] == 103


def test_what_changes_while_a_thread_counts_does_not_disturb_it(tmp_path, threads):
    registry, boots = registry_of(tmp_path, more=100), {"node-7": boot("node-7")}
    census = Census(threads)
    census.take(registry, {}, boots, NOW)
    boots.clear()
    threads.run()
    assert census.take(registry, {}, boots, NOW)["booting"] == 1
