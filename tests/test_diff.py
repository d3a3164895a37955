"""Which machines would boot differently."""

from __future__ import annotations

import json

import pytest

from netbootd.cli import main
from netbootd.diff import as_text, diff
from netbootd.registry.load import load

NODE = "00:25:90:27:db:b4"
STRANGER = "default"


@pytest.fixture
def written(tmp_path):
    """Writes a configuration into a folder of that name and gives its main file."""

    def written(name, machines=None, files=None, **sections):
        folder = tmp_path / name
        folder.mkdir()
        for path, text in {"files/k": "kernel", **(files or {})}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        document = {
            "netbootd": {"files": "files"},
            "targets": {
                "nfs": {
                    "a": {"kernel": "k", "boot_args": "root=a"},
                    "b": {"kernel": "k", "boot_args": "root=b"},
                }
            },
            "machines": {NODE: {"type": "nfs", "name": "a"}} if machines is None else machines,
            **sections,
        }
        (folder / "netbootd.json").write_text(json.dumps(document, indent=1))
        return folder / "netbootd.json"

    return written


def changes(old, new):
    return diff(load(old), load(new))


def nodes(count, **entry):
    return {
        f"00:25:90:00:{number >> 8:02x}:{number & 255:02x}": {
            "hostname": f"node{number}",
            "ip": f"10.0.{number >> 8}.{number & 255}",
            **entry,
        }
        for number in range(count)
    }


def test_the_same_is_no_change(written):
    assert changes(written("old"), written("new")) == []


def test_a_new_comment_or_place_is_no_change(written):
    new = written("new")
    new.write_text("# moved\n\n" + new.read_text())
    assert changes(written("old"), new) == []


def test_two_thousand_machines_with_one_change_are_told_once(written):
    targets = {
        "nfs": {
            "a": {
                "kernel": "k",
                "boot_args": "root=a host=__hostname__ ip=__ip__",
                "scripts": "motd",
            }
        }
    }
    files = {"scripts/motd.j2": "echo {{ hostname }} {{ mac.dashed }} {{ release }}\n"}
    machines = nodes(2000, type="nfs", name="a")
    old = written("old", machines, files, targets=targets, vars={"release": 1})
    new = written("new", machines, files, targets=targets, vars={"release": 2})
    (change,) = changes(old, new)
    assert len(change.machines) == 2000
    assert set(change.parts) == {"node script"}
    assert "-echo <hostname> <mac> 1\n+echo <hostname> <mac> 2\n" in change.parts["node script"]
    text = as_text([change])
    assert text.startswith("2000 machines: nfs/a, as before, but not the same\n")
    assert "and 1992 more" in text


def test_a_group_that_is_moved_is_one_change(written):
    machines = nodes(5, group="g")
    old = written("old", machines, groups={"g": {"type": "nfs", "name": "a"}})
    new = written("new", machines, groups={"g": {"type": "nfs", "name": "b"}})
    (change,) = changes(old, new)
    assert (change.before, change.after, len(change.machines)) == ("nfs/a", "nfs/b", 5)
    assert "root=a" in change.parts["boot script"]
    assert "+" in change.parts["boot script"]


def test_a_changed_name_of_one_machine_is_a_change(written):
    targets = {"nfs": {"a": {"kernel": "k", "scripts": "motd"}}}
    files = {"scripts/motd.j2": "echo {{ hostname }}\n"}
    entry = {"type": "nfs", "name": "a"}
    old = written("old", {NODE: {**entry, "hostname": "one"}}, files, targets=targets)
    new = written("new", {NODE: {**entry, "hostname": "two"}}, files, targets=targets)
    (change,) = changes(old, new)
    assert "-echo one\n+echo two\n" in change.parts["node script"]


def test_a_machine_that_is_added_or_removed_is_compared_with_what_it_got_before(written):
    default = {"type": "nfs", "name": "a"}
    old = written("old", {"default": default})
    new = written("new", {"default": default, NODE: {"type": "nfs", "name": "b"}})
    (change,) = changes(old, new)
    assert (change.machines, change.before, change.after) == ((NODE,), "nfs/a", "nfs/b")
    (back,) = changes(new, old)
    assert (back.before, back.after) == ("nfs/b", "nfs/a")


def test_a_machine_that_is_named_for_what_it_gets_anyway_is_no_change(written):
    default = {"type": "nfs", "name": "a"}
    assert (
        changes(
            written("old", {"default": default}),
            written("new", {"default": default, NODE: default}),
        )
        == []
    )


@pytest.mark.parametrize(
    ("key", "entry"), [("gosling", {"serial": "S1"}), ("00:25:90:*", {}), (STRANGER, {})]
)
def test_machines_without_a_mac_of_their_own_are_compared(written, key, entry):
    old = written("old", {key: {**entry, "type": "nfs", "name": "a"}})
    new = written("new", {key: {**entry, "type": "nfs", "name": "b"}})
    (change,) = changes(old, new)
    assert (change.machines, change.after) == ((key,), "nfs/b")


def test_known_only_leaves_strangers_with_nothing(written):
    machines = {"default": {"type": "nfs", "name": "a"}, NODE: {"type": "nfs", "name": "b"}}
    old = written("old", machines)
    new = written("new", machines, netbootd={"files": "files", "known_only": True})
    (change,) = changes(old, new)
    assert (change.machines, change.before, change.after) == ((STRANGER,), "nfs/a", "nothing")


def test_overlays_and_answer_files_are_compared(written):
    targets = {
        "install": {
            "c": {
                "kernel": "k",
                "boot_args": "inst.ks=__base__/install/node.ks",
                "overlays": "site",
            }
        }
    }
    files = {
        "files/install/node.ks.j2": "network --hostname={{ hostname }} {{ release }}\n",
        "overlays/site/etc/issue.j2": "{{ release }}\n",
        "overlays/site/etc/motd": "same\n",
    }
    entry = {"type": "install", "name": "c", "hostname": "n1"}
    old = written("old", {NODE: entry}, files, targets=targets, vars={"release": "one"})
    files["overlays/site/etc/motd"] = "other\n"
    new = written("new", {NODE: entry}, files, targets=targets, vars={"release": "two"})
    (change,) = changes(old, new)
    assert "overlays" in change.parts
    assert "etc/motd" in change.parts["overlays"]
    assert "-one\n+two\n" in change.parts["overlay site/etc/issue"]
    assert "+network --hostname=<hostname> two\n" in change.parts["install/node.ks"]


def test_what_cannot_be_made_is_said(written):
    targets = {"nfs": {"a": {"kernel": "k", "scripts": "motd"}}}
    good, bad = ({"scripts/motd.j2": f"echo {{{{ {name} }}}}\n"} for name in ("mac", "gone"))
    old = written("old", files=good, targets=targets)
    new = written("new", files=bad, targets=targets)
    (change,) = changes(old, new)
    assert "+cannot be made:" in change.parts["node script"]


def test_the_command_takes_files_and_folders(written, capsys):
    old = written("old")
    new = written("new", {NODE: {"type": "nfs", "name": "b"}})
    assert main(["diff", str(old.parent), str(old)]) == 0
    assert capsys.readouterr().out == "every machine boots the same\n"
    assert main(["diff", str(old), str(new.parent)]) == 1
    assert "1 machine: nfs/a -> nfs/b\n" in capsys.readouterr().out
    assert main(["diff", "--json", str(old), str(new)]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert told["machines"] == [NODE]
    assert set(told["diffs"]) == {"boot script"}
    assert main(["diff", str(old), str(new.parent / "gone.json")]) == 2


@pytest.mark.parametrize("key", ["default", "02:00:*"])
def test_who_stands_for_many_is_nobody_who_is_listed(written, key):
    listed = {"02:00:00:00:00:00": {"type": "nfs", "name": "b"}}
    old = written("old", {key: {"type": "nfs", "name": "a"}, **listed})
    new = written("new", {key: {"type": "nfs", "name": "b"}, **listed})
    (change,) = changes(old, new)
    assert change.machines[0] == key
    assert str(next(iter(listed))) not in change.machines


@pytest.mark.parametrize("key", [{"overlay": "25%"}, {"overlay": True, "persist": ["/var/x"]}])
def test_what_only_the_extra_initrd_holds_is_a_change(written, key):
    def layered(**keys):
        return {"nfs": {"a": {"kernel": "k", "boot_args": "root=a", **keys}}}

    vars_ = {"persist_from": "nas:/keep"} if "persist" in key else {}
    old = written("old", targets=layered(overlay=True), vars=vars_)
    new = written("new", targets=layered(**key), vars=vars_)
    (change,) = changes(old, new)
    assert "env" in change.parts
    assert "boot script" not in change.parts
