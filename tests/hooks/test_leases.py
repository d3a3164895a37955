"""Which leases a hook is told of."""

from __future__ import annotations

import json

from netbootd import mac
from netbootd.events.lease import Leased, LeaseEnded
from netbootd.hooks.hooks import Hooks
from netbootd.hooks.leases import LeaseHooks
from netbootd.record.record import Record
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load

from .conftest import MAC


def lease_events():
    common = {"mac": mac.MAC.parse(MAC), "address": "192.0.2.9", "key": MAC, "hostname": "n1"}
    for how in ("new", "renewed", "rebound", "init-reboot"):
        yield Leased(seconds=60, how=how, interface="eth1", relay="", reserved=True, **common)
    for how in ("expired", "released"):
        yield LeaseEnded(how=how, **common)


def test_a_lease_is_told_of_when_it_begins_and_ends_and_not_in_between(
    turns, lines, script, tmp_path
):
    config = tmp_path / "netbootd.json"
    said = tmp_path / "said"
    hook = script(f"cat >>{said}; echo >>{said}")
    entry = {"type": "localboot", "name": "disk", "hostname": "n1", "rack": 7}
    config.write_text(
        json.dumps(
            {
                "targets": {"localboot": {"disk": {}}},
                "machines": {MAC: entry},
                "netbootd": {"hooks": {"lease": [hook]}},
            }
        )
    )
    live = LiveRegistry(load(config), Record(lambda: 0.0))
    told = Hooks(turns, lambda: live.snapshot.config.hooks)
    listener = LeaseHooks(told, live)
    for event in lease_events():
        listener(event)
        if told._running():
            turns.turn()
    found = [json.loads(line) for line in said.read_text().splitlines()]
    assert [one["event"] for one in found] == ["leased", "leased", "expired", "released"]
    assert [one["seconds"] for one in found] == [60, 60, 0, 0]
    first = found[0]
    assert (first["mac"], first["address"], first["hostname"]) == (MAC, "192.0.2.9", "n1")
    assert (first["how"], first["interface"], first["reserved"]) == ("new", "eth1", True)
    assert first["machine"]["rack"] == 7
    assert not [line for line in lines if line[0] != "debug"]


def test_of_leases_nobody_hears_without_a_hook(turns, tmp_path):
    config = tmp_path / "netbootd.json"
    config.write_text("{}")
    live = LiveRegistry(load(config), Record(lambda: 0.0))
    told = Hooks(turns, lambda: live.snapshot.config.hooks)
    for event in lease_events():
        LeaseHooks(told, live)(event)
    assert told._running() == []
