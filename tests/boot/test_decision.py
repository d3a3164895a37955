"""Decisions are tables: client and registry on the left, what it gets on the right."""

from __future__ import annotations

import pytest

from netbootd import arch
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Loader, Refusal, Script, identify, next_step
from netbootd.mac import MAC
from netbootd.registry.load import load

KNOWN = MAC.parse("00:25:90:27:db:b4")
OFF = MAC.parse("00:25:90:27:db:b5")
STRANGER = MAC.parse("52:54:00:12:34:56")
CONFIG = """{
  "targets" : { "nfs" : { "a" : { "kernel" : "k" }, "b" : { "kernel" : "k" } } },
  "machines" : {
     %s
     "00:25:90:27:db:b4" : { "type" : "nfs", "name" : "a", "ip" : "192.0.2.50" },
     "00:25:90:27:db:b5" : { "type" : "nfs", "name" : "a", "enabled" : false },
  },
  "netbootd" : { "firmware" : "firmware", "files" : "files" %s },
}"""
DEFAULT = '"default" : { "type" : "nfs", "name" : "b" },'


@pytest.fixture
def registry(tmp_path):
    def make(default=DEFAULT, settings="", loaders=("undionly.kpxe", "ipxe.efi")):
        (tmp_path / "firmware").mkdir(exist_ok=True)
        for name in loaders:
            (tmp_path / "firmware" / name).write_bytes(b"loader")
        (tmp_path / "c.json").write_text(CONFIG % (default, settings))
        return load(tmp_path / "c.json")

    return make


def decide(registry, **client):
    asker = Client(**client)
    return next_step(asker, identify(asker, registry), registry)


@pytest.mark.parametrize(
    ("mac", "title"), [(KNOWN, "nfs/a"), (STRANGER, "nfs/b"), (OFF, "localboot (switched off)")]
)
def test_ipxe_gets_the_script_of_its_own_target(registry, mac, title):
    decision = decide(registry(), stage=Stage.IPXE, mac=mac)
    assert isinstance(decision.step, Script)
    assert decision.machine.title == title
    assert decision.because


@pytest.mark.parametrize(
    ("number", "loader"), [(0, "undionly.kpxe"), (7, "ipxe.efi"), (9, "ipxe.efi")]
)
def test_firmware_gets_the_first_loader_that_is_there(registry, number, loader):
    decision = decide(registry(), stage=Stage.FIRMWARE, mac=KNOWN, arch=arch.arch_of(number))
    assert decision.step == Loader(loader)
    assert loader in decision.because[-1]


@pytest.mark.parametrize("number", [6, 11, 12, 4711])
def test_firmware_without_a_loader_is_refused_with_the_way_out(registry, number):
    decision = decide(registry(), stage=Stage.FIRMWARE, mac=KNOWN, arch=arch.arch_of(number))
    assert isinstance(decision.step, Refusal)
    assert "loader" in decision.step.reason


def test_firmware_that_does_not_say_what_it_is_is_refused(registry):
    decision = decide(registry(), stage=Stage.FIRMWARE, mac=KNOWN)
    assert "option 93" in decision.step.reason


@pytest.mark.parametrize("stage", list(Stage))
def test_without_a_default_a_stranger_gets_nothing_at_any_stage(registry, stage):
    decision = decide(registry(default=""), stage=stage, mac=STRANGER, arch=arch.BIOS)
    told = "not in the configuration, and there is no machines.default"
    assert decision.step == Refusal(told, code="unknown")


@pytest.mark.parametrize("stage", list(Stage))
def test_known_only_leaves_strangers_out_in_spite_of_the_default(registry, stage):
    strict = registry(settings=', "known_only" : true')
    decision = decide(strict, stage=stage, mac=STRANGER, arch=arch.EFI_X64)
    assert isinstance(decision.step, Refusal)
    assert not isinstance(decide(strict, stage=Stage.IPXE, mac=KNOWN).step, Refusal)


def test_a_machine_is_known_by_its_address_where_there_is_no_mac(registry):
    client = Client(stage=Stage.FIRMWARE, address="192.0.2.50")
    assert identify(client, registry()).mac == KNOWN
    assert identify(Client(stage=Stage.FIRMWARE, address="192.0.2.51"), registry()) is None


def test_the_same_question_has_the_same_answer(registry):
    one = registry()
    asked = {"stage": Stage.FIRMWARE, "mac": KNOWN, "arch": arch.BIOS}
    assert decide(one, **asked) == decide(one, **asked)
