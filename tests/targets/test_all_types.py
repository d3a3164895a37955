"""What holds for every type: a machine may change over, an admin may write the template anew."""

from __future__ import annotations

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.boot.script import boot_script
from netbootd.check import rehearse
from netbootd.errors import Level
from netbootd.simulate.script import Player, settings_of
from netbootd.targets.catalogue import TYPE_KEYS, TYPES
from netbootd.targets.ipxe import Templates
from netbootd.targets.settings import KNOWN_KEYS

from .conftest import NODE, OWN

LINUX = {"kernel": "k", "initrd": "i"}
#: A target of each type, and the words that only its script has.
EACH = {
    "nfs": (LINUX | {"root": "nas:/d", "initramfs": "dracut"}, "root=nfs:nas:/d"),
    "install": (LINUX | {"answer": "a.cfg", "os": "suse"}, "autoyast="),
    "ramroot": (LINUX | {"image": "r", "initramfs": "dracut"}, "root=live:"),
    "http": (LINUX | {"image": "r", "initramfs": "live-boot"}, "boot=live"),
    "smartos": ({"platform": "20260101T000000Z"}, "type=rootfs"),
    "biosupdate": ({"initrd": "dos.img"}, "needs legacy BIOS"),
    "memdisk": ({"initrd": "cd.iso"}, "iso raw"),
    "localboot": ({}, "sanboot --no-describe"),
    "sanboot": ({"sanboot": "a.iso"}, "sanboot http://"),
    "iscsi": ({"iscsi": {"server": "nas", "target": "iqn.x"}}, "sanboot iscsi:"),
    "wimboot": ({"tree": "pe"}, "BCD"),
    "esxi": ({"tree": "esxi"}, "-c http://"),
    "menu": ({"choices": ["nfs/x"]}, "item 1 nfs/x"),
    "chain": ({"chain": "x.lkrn"}, "chain --autofree"),
    "ipxe": ({"script": "mine.ipxe"}, "echo mine"),
    "any": (LINUX, "initrd=initrd"),
}
EVERY = pytest.mark.parametrize("type_", EACH)


@pytest.fixture
def site(site):
    (site.folder / "mine.ipxe").write_text("#!ipxe\necho mine {{ target }}\n")
    return site


def test_each_type_is_here():
    assert EACH.keys() - {"any"} == TYPES.keys()


def test_one_machine_changes_over_all_types(site):
    targets = {f"{type_}/x": keys for type_, (keys, _) in EACH.items()}
    scripts = {}
    for type_, (_, word) in EACH.items():
        site.load(targets, {"type": type_, "name": "x"})
        answer = site.answer()
        assert answer.status == 200, answer.logged
        assert answer.says == f"{type_}/x"
        assert word in answer.text
        scripts[type_] = answer.text
    assert len(set(scripts.values())) == len(EACH)


@EVERY
def test_a_template_of_the_admin_takes_the_place_of_ours(site, type_):
    keys, _ = EACH[type_]
    if type_ == "ipxe":
        return  # it has none but the admin's
    name = TYPES[type_].template_name if type_ in TYPES else "linux"
    text = '#!ipxe\n# {{ mac.raw }}\n{% include "netbootd/' + name + '.ipxe" %}\necho {{ rack }}\n'
    (site.folder / f"{name}.ipxe").write_text(text)
    site.load({f"{type_}/x": keys, **({"nfs/x": LINUX} if type_ != "nfs" else {})}, {"rack": 7})
    lines = site.text().splitlines()
    assert lines[1] == f"# {NODE.raw}"
    assert lines[-1] == "echo 7"
    assert str(site.folder / f"{name}.ipxe") in site.registry.watched


@EVERY
def test_lines_of_the_admins_go_into_ours_and_nothing_of_it_is_lost(site, type_):
    keys, _ = EACH[type_]
    if type_ == "ipxe":
        return  # it has none but the admin's
    targets = {f"{type_}/x": keys, **({"nfs/x": LINUX} if type_ != "nfs" else {})}
    site.load(targets, {"rack": 7})
    ours = site.text().splitlines()
    name = TYPES[type_].template_name if type_ in TYPES else "linux"
    block = "{% block before %}\necho rack {{ machine.rack }}\n{% endblock %}\n"
    (site.folder / f"{name}.ipxe").write_text(
        '{% extends "netbootd/' + name + '.ipxe" %}\n' + block
    )
    site.load(targets, {"rack": 7})
    lines = site.text().splitlines()
    assert lines[0] == "#!ipxe"
    lines.remove("echo rack 7")
    assert lines == ours


def test_what_is_done_after_a_failure_stands_once(site):
    (site.folder / "failed.ipxe").write_text(":failed\nshell\n")
    for type_, (keys, _) in EACH.items():
        if type_ not in ("ipxe", "menu", "localboot"):
            site.load({f"{type_}/x": keys})
            assert "\n:failed\nshell\n" in site.text(), type_


@EVERY
@pytest.mark.parametrize("platform", ["pcbios", "efi"])
def test_every_script_can_be_read_to_its_end(site, type_, platform):
    keys, _ = EACH[type_]
    site.load({f"{type_}/x": keys, **({"nfs/x": LINUX} if type_ != "nfs" else {})})
    fetched = []

    def fetch(command, url):
        fetched.append(url)
        assert url.startswith(("http://", "iscsi:")), (command, url)
        return True

    player = Player(settings_of(NODE, platform, "x86_64", "192.0.2.77"), fetch, lambda text: None)
    player.play(site.text())
    assert "${" not in "".join(fetched)


@EVERY
def test_a_target_of_each_type_is_the_same_when_it_is_loaded_again(site, type_):
    keys, _ = EACH[type_]
    others = {"nfs/x": LINUX} if type_ != "nfs" else {}
    first = site.load({f"{type_}/x": keys, **others}).targets[f"{type_}/x"]
    again = site.load({f"{type_}/x": keys, **others}).targets[f"{type_}/x"]
    assert first == again
    assert first is not again


@EVERY
def test_no_type_hides_what_the_generic_form_would_boot(site, type_):
    """Whatever the type is called: the same kernel, arguments and initrds in the same order."""
    keys = {"kernel": "k", "initrd": ["i", "j"], "boot_args": "a b root=c"}
    lines = [line for line in site.one(f"{type_}/x", keys) if line.startswith(("kernel", "initrd"))]
    urls = [word for line in lines for word in line.split() if word.startswith("http")]
    assert list(dict.fromkeys(urls)) == [f"{OWN}/k", f"{OWN}/i", f"{OWN}/j"]
    words = [word for word in lines[0].split()[4:] if not word.startswith("initrd=")]
    assert words == ["a", "b", "root=c"]


@EVERY
def test_a_stranger_who_gets_it_by_default_boots_it_too(site, type_):
    keys, word = EACH[type_]
    registry = site.load({f"{type_}/x": keys, **({"nfs/x": LINUX} if type_ != "nfs" else {})})
    stranger = type(NODE).parse("52:54:00:00:00:99")
    answer = boot_script(Client(stage=Stage.IPXE, mac=stranger), registry, OWN)
    assert word in answer.text


def test_the_keys_of_types_are_no_free_data_and_no_type_takes_a_common_one():
    assert set() == TYPE_KEYS & KNOWN_KEYS
    for kind in TYPES.values():
        assert kind.keys <= TYPE_KEYS


def test_every_type_has_a_template_of_its_name_or_its_family():
    for name, kind in TYPES.items():
        if name != "ipxe":
            assert getattr(Templates().get(kind.template_name), "source", ""), name


def test_a_key_of_another_type_is_free_data(site):
    """An inventory's ``platform`` or ``bios`` means nothing to an NFS root, and templates see it."""
    (site.folder / "nfs.ipxe").write_text("#!ipxe\necho {{ platform }} {{ machine.bios }}\n")
    site.load({"nfs/a": LINUX | {"root": "nas:/d", "tree": "oak"}}, {"platform": "R640", "bios": 2})
    assert site.text() == "#!ipxe\necho R640 2\n"
    assert site.registry.variables_of(site.registry.machines[NODE])["tree"] == "oak"


def test_what_comes_after_must_be_there(site):
    site.load({"install/a": {"kernel": "k", "after": "nfs/debiam"}, "nfs/debian": {"kernel": "k"}})
    assert any("nfs/debian" in text for text in site.told("target-unknown"))
    assert site.answer().status == 500


def test_an_undefined_name_in_a_template_of_ours_keeps_a_reload_out(site):
    text = '{% extends "netbootd/nfs.ipxe" %}\n{% block before %}\necho {{ machine.rackk }}\n{% endblock %}\n'
    (site.folder / "nfs.ipxe").write_text(text)
    registry = site.load({"nfs/a": {"kernel": "k", "boot_args": "root=x"}})
    [finding] = rehearse(registry)
    assert finding.level is Level.RELOAD
    assert "nfs.ipxe:3: " in finding.text
    assert "rackk" in finding.text
    answer = site.answer()
    assert answer.status == 500
    assert "its template has an error: nfs.ipxe:3: " in answer.text
    assert "rackk" in answer.text
