"""An iPXE that cannot do what its target needs is replaced by ours, and only once."""

from __future__ import annotations

import json

import pytest

from netbootd import arch
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Hold, Loader, Script, identify, next_step
from netbootd.features import Feature
from netbootd.mac import MAC
from netbootd.record.standing import Armed, Standing
from netbootd.registry.load import load
from netbootd.registry.replacements import WITHIN_S, Replacements

NODE = MAC.parse("00:25:90:27:db:b4")
TARGETS = {
    "linux/a": {"kernel": "k"},
    "linux/secure": {"kernel": "https://example.net/k"},
    "linux/nfs": {"kernel": "nfs://192.0.2.9/k"},
    "smartos/a": {"platform": "20260101T000000Z"},
    "iscsi/a": {"iscsi": {"server": "192.0.2.9", "target": "iqn.2026-01.net.example:a"}},
    "sanboot/http": {"sanboot": "http://192.0.2.9/a.iso"},
    "menu/a": {"choices": ["linux/a"]},
    "localboot/a": {},
}
ALL = frozenset(range(0x10, 0x2A))


@pytest.fixture
def registry(tmp_path):
    def make(title="linux/a", loaders=("undionly.kpxe", "snponly.efi"), **machine):
        (tmp_path / "firmware").mkdir()
        for name in loaders:
            (tmp_path / "firmware" / name).write_bytes(b"loader")
        targets = {}
        for one, keys in TARGETS.items():
            targets.setdefault(one.partition("/")[0], {})[one.partition("/")[2]] = keys
        type_, _, name = title.partition("/")
        whole = {
            "targets": targets,
            "machines": {str(NODE): {"type": type_, "name": name, **machine}},
            "netbootd": {"files": "files", "firmware": "firmware"},
        }
        (tmp_path / "c.json").write_text(json.dumps(whole))
        return load(tmp_path / "c.json")

    return make


def decide(registry, features, number=0, **more):
    client = Client(stage=Stage.IPXE, mac=NODE, arch=arch.arch_of(number), features=features)
    return next_step(client, identify(client, registry), registry, **more)


@pytest.mark.parametrize(
    ("title", "number", "needed"),
    [
        ("linux/a", 0, {Feature.BZIMAGE}),
        ("linux/a", 7, {Feature.EFI}),
        ("linux/secure", 7, {Feature.EFI, Feature.HTTPS}),
        ("linux/nfs", 0, {Feature.BZIMAGE, Feature.NFS}),
        ("smartos/a", 0, {Feature.MULTIBOOT}),
        ("iscsi/a", 0, {Feature.ISCSI}),
        ("sanboot/http", 0, {Feature.HTTP}),
        ("menu/a", 0, {Feature.MENU}),
        ("localboot/a", 0, set()),
    ],
)
def test_each_target_needs_what_it_takes_and_no_more(registry, title, number, needed):
    known = registry(title)
    assert isinstance(decide(known, frozenset(needed) or frozenset({0x29}), number).step, Script)
    for feature in needed:
        decision = decide(known, ALL - {feature}, number)
        assert isinstance(decision.step, Loader), feature
        assert any(feature.word in reason for reason in decision.because)


@pytest.mark.parametrize("title", ["linux/a", "iscsi/a", "smartos/a"])
def test_a_machine_in_a_vlan_needs_an_ipxe_that_knows_of_vlans(registry, title):
    known = registry(title, vlan=20)
    assert isinstance(decide(known, ALL).step, Script)
    decision = decide(known, ALL - {Feature.VLAN})
    assert isinstance(decision.step, Loader)
    assert f"its iPXE has no VLAN, which {title} needs: it gets ours first" in decision.because


def test_a_boot_server_behind_tls_needs_an_ipxe_with_https(registry, tmp_path):
    registry()
    whole = json.loads((tmp_path / "c.json").read_text())
    whole["boot_servers"] = {"default": "https://boot.example.net"}
    (tmp_path / "c.json").write_text(json.dumps(whole))
    known = load(tmp_path / "c.json")
    assert isinstance(decide(known, ALL).step, Script)
    assert isinstance(decide(known, ALL - {Feature.HTTPS}).step, Loader)


@pytest.mark.parametrize(("title", "tag"), [("localboot/a", 20), ("linux/a", "no number")])
def test_where_no_script_changes_over_no_ipxe_needs_to_know_of_vlans(registry, title, tag):
    decision = decide(registry(title, vlan=tag), ALL - {Feature.VLAN})
    assert isinstance(decision.step, Script)
    assert decision.warning == ""


def test_ours_gets_its_script_in_any_case_with_a_warning(registry):
    decision = decide(registry(), ALL - {Feature.BZIMAGE}, replaced=True)
    assert isinstance(decision.step, Script)
    assert "bzImage" in decision.warning
    assert "linux/a" in decision.warning


def test_one_that_says_nothing_of_itself_may_be_able_to_do_anything(registry):
    decision = decide(registry("smartos/a"), None)
    assert isinstance(decision.step, Script)
    assert decision.warning == ""


@pytest.mark.parametrize(
    "more",
    [
        {"loaders": ()},
        {"loader": "pxelinux"},
        {"loader": "shim-grub", "loaders": ("shimx64.efi", "grubx64.efi"), "number": 7},
    ],
)
def test_without_an_ipxe_of_ours_it_gets_its_script_with_a_warning(registry, more):
    number = more.pop("number", 0)
    decision = decide(registry(**more), ALL - {Feature.BZIMAGE, Feature.EFI}, number)
    assert isinstance(decision.step, Script)
    assert "there is no iPXE to replace it" in decision.warning


def test_what_is_armed_decides_what_is_needed(registry):
    armed = Standing(armed=Armed(target="smartos/a", times=1, until=10.0))
    decision = decide(registry(), ALL - {Feature.MULTIBOOT}, standing=armed, now=1.0)
    assert isinstance(decision.step, Loader)
    assert decision.machine.title == "smartos/a"


def test_a_machine_that_is_held_gets_no_other_loader(registry):
    decision = decide(registry(), frozenset({0x13}), standing=Standing(held="it circles"))
    assert isinstance(decision.step, Hold)


# -- once ------------------------------------------------------------------------------------------


def test_a_lost_offer_is_made_again_and_a_new_ipxe_is_known():
    memory = Replacements()
    assert not memory.done(NODE, 1, 0.0)
    memory.note(NODE, 1, 0.0)
    assert not memory.done(NODE, 1, 4.0)
    assert memory.done(NODE, 2, 9.0)
    assert not memory.done(NODE, 2, WITHIN_S + 1)
    assert not memory.done(None, 2, 9.0)


def test_a_clock_that_is_set_back_forgets_and_no_flood_fills_the_memory():
    memory = Replacements(most=2)
    memory.note(NODE, 1, 100.0)
    assert not memory.done(NODE, 2, 50.0)
    for last in range(3):
        memory.note(MAC.parse(f"00:25:90:00:00:0{last}"), 1, 100.0)
    assert not memory.done(NODE, 2, 101.0)
    assert memory.done(MAC.parse("00:25:90:00:00:02"), 2, 101.0)
