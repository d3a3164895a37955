"""Machines in little room, and their way from another process: they read as if they were plain."""

from __future__ import annotations

import io
import json
import shutil
import threading
from dataclasses import fields, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from netbootd import rehearsal
from netbootd.errors import ConfigErrors
from netbootd.mac import MAC
from netbootd.registry import crossing
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.roll import Index, Roll, Unfit
from netbootd.registry.snapshot import changes

ETC = Path(__file__).parents[2] / "etc"
#: Mappings that find machines, and compare as such.
FINDS = {"machines", "named", "addresses", "reserved", "pis", "called"}
LISTED = {
    "52:54:00:00:00:01": {
        "group": "rack",
        "ip": "192.0.2.1/24",
        "hostname": "one.example.org",
        "vars": {"bay": 7, "share": 0.5, "tags": ["a", {"b": None}], "on": True},
    },
    "52-54-00-00-00-02": {"name": "disk", "ip": "192.0.2.2", "macs": ["52:54:00:00:00:12"]},
    "52:54:00:00:00:03": {"name": "nothing", "serial": "10000000abcdef01"},
    "52:54:00:00:00:04": {"enabled": False, "loader": "snponly.efi", "reply_style": "boot-file"},
    "storage": {"mac": "52:54:00:00:00:05", "hostname": "storage", "ip": "192.0.2.5"},
    "cardless": {"uuid": "10a30a5a-5cf2-4c9a-8d0e-000000000001", "ip": "192.0.2.6"},
    "52:54:00:00:00:07": {"hostname": "twin"},
    "52:54:00:00:00:08": {"hostname": "TWIN", "scripts": "chrony", "x": 2**80},
    "52:54:01:*": {"name": "disk"},
    "default": {"type": "localboot", "name": "disk"},
}


def written(folder, machines=LISTED, **others):
    file = folder / "netbootd.json"
    groups = {"rack": {"vars": {"ntp": "192.0.2.100"}, "type": "localboot", "name": "disk"}}
    whole = {"targets": {"localboot": {"disk": {}}}, "groups": groups, "machines": machines}
    file.write_text(json.dumps({**whole, **others}, indent=1))
    return file


def crossed(registry, folder):
    pipe = io.BytesIO()
    crossing.give(registry, pipe)
    pipe.seek(0)
    return crossing.take(pipe, folder)


@pytest.mark.parametrize("name", ["first", "notice"])
def test_a_broken_page_of_the_admin_is_ours_there_as_well(tmp_path, name):
    (tmp_path / f"{name}.ipxe").write_text("{% if %}")
    registry = load(written(tmp_path))
    assert_the_same(registry, crossed(registry, tmp_path))


def plain(name, value):
    if name == "marked":
        return {mark: dict(found) for mark, found in value.items()}
    if name == "vms":
        return sorted(value.names) if hasattr(value, "names") else None
    return dict(value) if name in FINDS else value


def assert_the_same(one, other):
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        assert plain(field.name, mine) == plain(field.name, theirs), field.name
    for mac, machine in one.machines.items():
        again = other.machines[mac]
        for name in ("place", "written", "groups", "key"):  # which say nothing of its boot
            assert getattr(again, name) == getattr(machine, name)
        assert again.variables == machine.variables
        assert list(again.variables) == list(machine.variables)


def test_a_registry_is_the_same_on_the_other_side(tmp_path):
    registry = load(written(tmp_path))
    other = crossed(registry, tmp_path)
    assert isinstance(other.machines, Roll)
    assert isinstance(other.reserved, Index)
    assert_the_same(registry, other)
    assert str(changes(registry, other)) == "0 added, 0 removed, 0 changed"


def test_so_is_one_with_every_type_of_target(tmp_path):
    shutil.copy(ETC / "netbootd.json", tmp_path)
    (tmp_path / "machines.d").mkdir()
    for example in (ETC / "machines.d").glob("*.example"):
        shutil.copy(example, tmp_path / "machines.d" / example.stem)
    registry = rehearsal.rehearsed_here(tmp_path / "netbootd.json")
    assert len(registry.machines) > 10
    assert_the_same(registry, crossed(registry, tmp_path))


def test_each_way_to_a_machine_leads_there(tmp_path):
    registry = crossed(load(written(tmp_path)), tmp_path)
    second = MAC.parse("52:54:00:00:00:12")
    assert registry.machine(second).macs == (MAC.parse("52:54:00:00:00:02"), second)
    assert registry.by_address("192.0.2.1").variables["ntp"] == "192.0.2.100"
    assert registry.reserved[IPv4Address("192.0.2.5")].named == "storage"
    assert registry.by_mark("serial", "10000000ABCDEF01").mac == MAC.parse("52:54:00:00:00:03")
    assert [machine.named for machine in registry.cardless] == ["cardless"]
    assert registry.called["one.example.org"].address == IPv4Address("192.0.2.1")
    assert "twin" not in registry.called
    assert registry.machines.get(MAC.parse("52:54:00:00:00:99")) is None
    with pytest.raises(KeyError):
        registry.machines[MAC.parse("52:54:00:00:00:99")]


def test_a_roll_lets_machines_go_that_nobody_asks_for(tmp_path, monkeypatch):
    monkeypatch.setattr("netbootd.registry.roll._MOST_MADE", 2)
    machines = load(written(tmp_path)).machines
    roll = Roll.of(machines)
    for _ in range(2):
        assert {mac: roll.get(mac) for mac in roll} == machines
    assert list(roll.values()) == list(machines.values())
    assert len(roll) == len(machines)


def test_what_no_row_can_hold_is_said(tmp_path):
    machines = load(written(tmp_path)).machines
    mac = MAC.parse("52:54:00:00:00:01")
    for odd in ({"variables": {"ip": object()}}, {"address": IPv4Address("192.0.2.77")}):
        with pytest.raises(Unfit):
            Roll.of({mac: replace(machines[mac], **odd)})


@pytest.mark.parametrize(
    ("key", "entry", "told"),
    [
        ("52:54:00:00:00:01", None, "0 added, 1 removed, 0 changed"),
        ("52:54:00:00:00:0a", {"ip": "192.0.2.10"}, "1 added, 0 removed, 0 changed"),
        ("52:54:00:00:00:07", {"hostname": "other"}, "0 added, 0 removed, 1 changed"),
        ("52:54:00:00:00:07", {"label": "twin"}, "0 added, 0 removed, 1 changed"),
        (
            "52:54:00:00:00:07",
            {"hostname": "twin", "loader": "x.efi"},
            "0 added, 0 removed, 1 changed",
        ),
        ("cardless", {"uuid": LISTED["cardless"]["uuid"]}, "0 added, 0 removed, 1 changed"),
        ("default", {"type": "localboot", "name": "disk", "a": 1}, "0 added, 0 removed, 1 changed"),
    ],
)
def test_changes_are_the_same_for_rolls_and_dicts(tmp_path, key, entry, told):
    before = load(written(tmp_path))
    old = crossed(before, tmp_path)
    # Everybody stands elsewhere in the file, which is no change.
    machines = {"52:54:02:*": {}, **LISTED, key: entry}
    after = load(
        written(tmp_path, {one: value for one, value in machines.items() if value is not None})
    )
    after = replace(after, wildcards=before.wildcards)
    new = crossed(after, tmp_path)
    assert str(changes(before, after)) == told
    assert str(changes(old, new)) == told
    assert str(changes(before, new)) == told


def test_a_changed_group_changes_its_members(tmp_path):
    old = crossed(load(written(tmp_path)), tmp_path)
    changed = {"rack": {"dhcp_options": {"time-offset": 0}, "vars": {"ntp": "192.0.2.100"}}}
    new = crossed(load(written(tmp_path, groups=changed)), tmp_path)
    assert changes(old, new).changed == 1


def test_a_template_that_changed_meanwhile_is_stale(tmp_path):
    template = tmp_path / "localboot.ipxe"
    template.write_text("#!ipxe\nexit 1\n")
    registry = load(written(tmp_path))
    template.write_text("#!ipxe\nexit 2\n")
    with pytest.raises(crossing.Stale):
        crossed(registry, tmp_path)


# --- by another process --------------------------------------------------------------------------


@pytest.fixture
def large(monkeypatch):
    """Every configuration is."""
    monkeypatch.setattr(rehearsal, "_LARGE_BYTES", 0)


@pytest.mark.fast_path("reader")
def test_another_process_reads_the_same(tmp_path, large):
    file = written(tmp_path)
    registry = rehearsal.rehearsed(file, ("eth7",))
    assert isinstance(registry.machines, Roll)
    assert_the_same(rehearsal.rehearsed_here(file, ("eth7",)), registry)


@pytest.mark.fast_path("reader")
def test_so_it_does_where_a_sandbox_lets_it_change_no_priority(tmp_path, large, monkeypatch):
    refuses = """\
import os
def refuse(*_): raise PermissionError(1, "Operation not permitted")
os.nice = os.sched_setscheduler = refuse
"""
    monkeypatch.setattr(rehearsal, "_PROGRAM", refuses + rehearsal._PROGRAM)
    assert isinstance(rehearsal.rehearsed(written(tmp_path)).machines, Roll)


def test_with_what_is_pending(tmp_path, large):
    file = written(tmp_path)
    drop_in = tmp_path / "machines.d" / "managed-a.json"
    pending = {drop_in: json.dumps({"machines": {"52:54:00:00:00:0b": {}}}).encode()}
    registry = rehearsal.rehearsed(file, (), pending)
    assert MAC.parse("52:54:00:00:00:0b") in registry.machines


def test_its_refusal_is_ours(tmp_path, large):
    file = written(tmp_path)
    file.write_text(file.read_text()[:-5])
    with pytest.raises(ConfigErrors) as refused:
        rehearsal.rehearsed(file)
    with pytest.raises(ConfigErrors) as here:
        rehearsal.rehearsed_here(file)
    assert refused.value.findings == here.value.findings
    assert refused.value.files == here.value.files


@pytest.mark.fast_path("dicts")
@pytest.mark.parametrize("broken", ["/nonexistent", "/bin/false"])
def test_where_there_is_none_it_is_read_here(tmp_path, large, monkeypatch, broken, caplog):
    file = written(tmp_path)
    monkeypatch.setattr("sys.executable", broken)
    registry = rehearsal.rehearsed(file)
    assert isinstance(registry.machines, dict)
    assert_the_same(rehearsal.rehearsed_here(file), registry)
    assert "reading it here" in caplog.text


@pytest.fixture
def hung(tmp_path, monkeypatch):
    """A reader that says nothing, and never ends."""
    program = tmp_path / "hung"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))


@pytest.mark.fast_path("reader")
def test_who_stops_waits_for_no_reader_and_begins_none(tmp_path, large, hung):
    file = written(tmp_path)
    reading = rehearsal.Rehearsal(file, served=[str(file)])
    stopping = threading.Timer(0.3, reading.stop)
    stopping.start()
    for _ in range(2):
        with pytest.raises(ConfigErrors, match="netbootd stops"):
            reading()
    stopping.join()


@pytest.mark.fast_path("reader", "dicts")
def test_one_that_takes_too_long_is_ended_and_not_followed_by_us(
    tmp_path, large, hung, monkeypatch
):
    monkeypatch.setattr(rehearsal, "_PATIENCE_S", 0.2)
    file = written(tmp_path)
    with pytest.raises(ConfigErrors, match="ended by signal 9") as refused:
        rehearsal.Rehearsal(file, served=[str(file)])()
    assert refused.value.files == (str(file),)
    assert isinstance(rehearsal.rehearsed(file).machines, dict)  # nothing is served yet


@pytest.mark.fast_path("reader", "dicts")
def test_what_was_included_counts_for_who_serves(tmp_path, monkeypatch):
    file = written(tmp_path)
    included = tmp_path / "many.json"
    included.write_text(json.dumps({"machines": {"52:54:00:00:00:0c": {}}}) + " " * 1_000_000)
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "includes": [included.name]}))
    reading = rehearsal.Rehearsal(file)
    assert isinstance(reading().machines, dict)
    assert isinstance(reading().machines, Roll)


@pytest.mark.fast_path("dicts")
def test_a_small_one_needs_no_other_process(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", "/nonexistent")
    assert isinstance(rehearsal.rehearsed(written(tmp_path)).machines, dict)


def test_a_swap_takes_either(tmp_path):
    registry = load(written(tmp_path))
    live = LiveRegistry(registry)
    live.swap(crossed(registry, tmp_path))
    assert live.snapshot.generation == registry.generation + 1
    assert live.snapshot.listed == registry.listed
