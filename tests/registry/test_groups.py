"""What machines have in common, and whose word counts."""

from __future__ import annotations

import json

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.boot.script import boot_script
from netbootd.errors import Level
from netbootd.mac import MAC
from netbootd.registry.load import load

NODE = MAC.parse("00:25:90:27:db:b4")
OTHER = MAC.parse("00:25:90:27:db:b5")
BASE = "http://192.0.2.1:3000"


@pytest.fixture
def loaded(tmp_path):
    (tmp_path / "k").write_bytes(b"kernel")

    def make(machines, groups=None, **sections):
        document = {
            "netbootd": {"files": str(tmp_path)},
            "targets": {
                "nfs": {"a": {"kernel": "k", "boot_args": "root=a", "note": "target"}},
                "install": {"b": {"kernel": "k", "boot_args": "root=b"}},
            },
            "groups": groups or {},
            "machines": machines,
            **sections,
        }
        file = tmp_path / "c.json"
        file.write_text(json.dumps(document, indent=1))
        return load(file)

    return make


def args(registry, mac=NODE):
    return registry.machine(mac).target.args


def of(registry, code):
    return [finding for finding in registry.findings if finding.code == code]


def test_a_change_of_the_group_changes_all_its_members(loaded):
    machines = {str(mac): {"group": "compute"} for mac in (NODE, OTHER)}
    before = loaded(machines, {"compute": {"type": "nfs", "name": "a"}})
    after = loaded(machines, {"compute": {"type": "install", "name": "b"}})
    assert {before.machine(mac).title for mac in (NODE, OTHER)} == {"nfs/a"}
    assert {after.machine(mac).title for mac in (NODE, OTHER)} == {"install/b"}


@pytest.mark.parametrize(
    ("entry", "groups", "title"),
    [
        ({"group": "g"}, {"g": {"type": "nfs", "name": "a"}}, "nfs/a"),
        ({"group": "g", "name": "b"}, {"g": {"type": "install"}}, "install/b"),
        ({"group": "g", "type": "nfs", "name": "a"}, {"g": {"type": "x", "name": "y"}}, "nfs/a"),
        (
            {"groups": ["g", "h"]},
            {"g": {"type": "nfs", "name": "a"}, "h": {"type": "install", "name": "b"}},
            "nfs/a",
        ),
        ({"group": "g"}, {"g": {"rack": 4}}, "install/b"),
        ({"group": "g"}, {"g": {"name": "b"}}, "install/b"),
        ({"group": "g"}, {"g": {"enabled": False}}, "localboot (switched off)"),
        ({"group": "g", "enabled": True}, {"g": {"enabled": False}}, "install/b"),
    ],
)
def test_type_and_name_come_from_the_entry_then_its_groups_then_the_default(
    loaded, entry, groups, title
):
    default = {"type": "install", "name": "b"}
    assert loaded({"default": default, str(NODE): entry}, groups).machine(NODE).title == title


def test_a_type_alone_takes_no_name_from_a_group_or_the_default(loaded):
    groups = {"g": {"type": "nfs", "name": "a"}}
    registry = loaded({str(NODE): {"group": "g", "type": "install"}}, groups)
    assert of(registry, "machine-no-name")[0].level is Level.TARGET
    assert "cannot boot" in registry.machine(NODE).target.reason


def test_the_first_of_several_groups_wins_and_the_entry_over_all(loaded):
    groups = {
        "g": {"type": "nfs", "name": "a", "boot_args": "from=g", "rack": "g", "row": "g"},
        "h": {"boot_args": "from=h", "rack": "h", "row": "h", "hall": "h", "note": "h"},
    }
    entry = {"groups": ["g", "h"], "row": "own"}
    registry = loaded({str(NODE): entry}, groups, vars={"hall": "vars", "city": "vars"})
    machine = registry.machine(NODE)
    assert machine.groups == ("g", "h")
    assert args(registry)[-1] == "from=g"
    told = registry.variables_of(machine)
    assert {key: told[key] for key in ("rack", "row", "hall", "note", "city")} == {
        "rack": "g",
        "row": "own",
        "hall": "h",
        "note": "h",  # a group's word counts over the target's
        "city": "vars",
    }


def test_vars_are_variables_of_their_level(loaded):
    groups = {"g": {"type": "nfs", "name": "a", "vars": {"ntp": "group", "dns": "group"}}}
    entry = {"group": "g", "vars": {"ntp": "own", "gateway": "vars"}, "gateway": "key"}
    variables = loaded({str(NODE): entry}, groups).machine(NODE).variables
    assert variables == {"ntp": "own", "dns": "group", "gateway": "key"}


def test_vars_that_are_no_object_are_said(loaded):
    registry = loaded({str(NODE): {"type": "nfs", "name": "a", "vars": 7}})
    (finding,) = of(registry, "section-type")
    assert finding.path == f'machines."{NODE}".vars'
    assert "object" in finding.text


def test_arguments_and_lists_add_up_groups_first(loaded):
    groups = {
        "g": {
            "type": "nfs",
            "name": "a",
            "extra_args": "g=1",
            "scripts": ["g", "both"],
            "vms": "v",
        },
        "h": {"extra_args": ["h=1"], "scripts": "h", "overlays": ["h"]},
    }
    entry = {"groups": ["g", "h"], "extra_args": "own=1", "scripts": ["both", "own"]}
    registry = loaded({str(NODE): entry}, groups)
    machine = registry.machine(NODE)
    assert args(registry)[-4:] == ("root=a", "g=1", "h=1", "own=1")
    assert machine.scripts == ("g", "both", "h", "own")
    assert (machine.overlays, machine.vms) == (("h",), ("v",))


def test_members_that_replace_nothing_themselves_share_one_target(loaded):
    machines = {
        str(NODE): {"group": "g", "hostname": "n1"},
        str(OTHER): {"group": "g", "hostname": "n2"},
        "00:25:90:27:db:b6": {"group": "g", "extra_args": "debug"},
    }
    registry = loaded(machines, {"g": {"type": "nfs", "name": "a", "extra_args": "quiet"}})
    assert registry.machine(NODE).target is registry.machine(OTHER).target
    assert args(registry)[-2:] == ("root=a", "quiet")
    assert args(registry, MAC.parse("00:25:90:27:db:b6"))[-2:] == ("quiet", "debug")


def test_an_unknown_group_is_a_notice_with_the_nearest_name(loaded):
    registry = loaded(
        {"default": {"type": "install", "name": "b"}, str(NODE): {"group": "compte"}},
        {"compute": {"type": "nfs", "name": "a"}},
    )
    (finding,) = of(registry, "group-unknown")
    assert finding.level is Level.TARGET
    assert 'did you mean "compute"' in finding.text
    assert finding.place.line > 1
    script = boot_script(Client(stage=Stage.IPXE, mac=NODE), registry, BASE)
    assert "there is no such group" in script.text
    assert script.status == 500


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ((), 'no group "GROUP": there are no groups (section "groups")'),
        (("b7", "a1"), 'no group "GROUP"; there are: b7, a1'),
        (map(str, range(10)), 'no group "GROUP"; there are: 0, 1, 2, 3, 4, 5, 6, 7, and 2 more'),
    ],
)
def test_an_unknown_group_is_told_with_those_that_there_are(loaded, groups, told):
    registry = loaded({str(NODE): {"group": "GROUP"}}, {name: {} for name in groups})
    assert [finding.text for finding in of(registry, "group-unknown")] == [told]


@pytest.mark.parametrize("written", [7, ["compute", 7], None, ""])
def test_a_group_is_a_name(loaded, written):
    registry = loaded({str(NODE): {"group": written}}, {"compute": {}})
    assert of(registry, "group-unknown")
    assert "no such group" in registry.machine(NODE).target.reason


@pytest.mark.parametrize("key", ["mac", "macs", "uuid", "serial", "asset", "ip", "group"])
def test_a_group_is_nobody_in_particular(loaded, key):
    groups = {"g": {"type": "nfs", "name": "a", key: "00:25:90:27:db:b5"}}
    registry = loaded({str(NODE): {"group": "g"}}, groups)
    assert of(registry, "group-key")[0].path == f"groups.g.{key}"
    assert registry.machine(NODE).title == "nfs/a"
    assert registry.machine(NODE).variables == {}
    assert registry.machine(OTHER) is None


def test_a_fault_in_a_group_is_told_once_and_at_the_group(loaded):
    machines = {f"00:25:90:27:db:{number:02x}": {"group": "g"} for number in range(10)}
    registry = loaded(machines, {"g": {"type": "nfs", "name": "a", "boot_args": 7}})
    (finding,) = of(registry, "section-type")
    assert finding.path == "groups.g.boot_args"
    unknown = loaded(machines, {"g": {"type": "nfs", "name": "gone"}})
    (finding,) = of(unknown, "target-unknown")
    assert finding.path == "groups.g.name"


def test_the_default_and_wildcards_may_be_in_groups(loaded):
    groups = {"g": {"type": "nfs", "name": "a"}, "h": {"type": "install", "name": "b"}}
    registry = loaded({"default": {"group": "g"}, "00:25:90:*": {"group": "h"}}, groups)
    assert registry.machine(NODE).title == "install/b"
    assert registry.machine(MAC.parse("52:54:00:00:00:01")).title == "nfs/a"
    assert registry.machine(NODE).groups == ("h",)


def test_a_group_of_a_drop_in_replaces_the_one_of_that_name(loaded, tmp_path):
    (tmp_path / "machines.d").mkdir()
    drop_in = '{"groups": {"g": {"type": "install", "name": "b"}}}'
    (tmp_path / "machines.d" / "switch.json").write_text(drop_in)
    registry = loaded({str(NODE): {"group": "g"}}, {"g": {"type": "nfs", "name": "a"}})
    assert registry.machine(NODE).title == "install/b"
