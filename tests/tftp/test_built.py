"""What was built is given again while it would be built the same, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netbootd.mac import MAC
from netbootd.registry import overlays
from netbootd.registry.facts import facts_of
from netbootd.registry.load import load
from netbootd.tftp import built
from netbootd.tftp.built import Built

CONFIG = """{
  "targets" : { "nfs" : { "a" : { "kernel" : "k", "overlays" : [ "site" ] } } },
  "machines" : { "default" : { "type" : "nfs", "name" : "a" } },
  "netbootd" : { "firmware" : [], "files" : "files" },
}"""
MACS = [MAC.parse(f"52:54:00:00:00:0{n}") for n in range(1, 5)]


@pytest.fixture
def registry(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "overlays" / "site" / "etc").mkdir(parents=True)
    (tmp_path / "overlays" / "site" / "etc" / "motd.j2").write_text("{{ mac }}")
    (tmp_path / "c.json").write_text(CONFIG)
    return load(tmp_path / "c.json")


def _of(registry, mac, token="t"):
    machine = registry.machine(mac)
    return machine, facts_of(mac, machine, registry, "http://192.0.2.1", "192.0.2.7", token)


@pytest.mark.fast_path("built")
def test_the_same_is_built_once(registry, monkeypatch):
    made, machine_and_facts = Built(), _of(registry, MACS[0])
    first = made.overlay(*machine_and_facts, registry)
    assert bytes(first.held) == bytes(overlays.build(*machine_and_facts, registry))
    monkeypatch.setattr(overlays, "build", None)
    assert made.overlay(*_of(registry, MACS[0]), registry) is first


def test_another_boot_machine_or_registry_is_built_anew(registry):
    made = Built()
    first = made.overlay(*_of(registry, MACS[0]), registry)
    for other in (
        (*_of(registry, MACS[0], "another"), registry),
        (*_of(registry, MACS[1]), registry),
        (*_of(registry, MACS[0]), replace(registry)),
    ):
        found = made.overlay(*other)
        assert found is not first
        assert bytes(found.held) == bytes(overlays.build(*other))


def test_little_is_kept(registry, monkeypatch):
    made = Built()
    size = made.overlay(*_of(registry, MACS[0]), registry).size
    monkeypatch.setattr(built, "_ROOM", 2 * size + size // 2)
    for mac in MACS * 2:
        made.overlay(*_of(registry, mac), registry)
    assert list(made._kept) == MACS[2:]
    assert made._size == sum(one.body.size for one in made._kept.values())
    monkeypatch.setattr(built, "_ROOM", 0)
    made.overlay(*_of(registry, MACS[0]), registry)
    assert list(made._kept) == MACS[:1]
