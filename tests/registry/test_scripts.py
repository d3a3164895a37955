"""Which fragments a machine runs, where they come from, and what is said of wrong ones."""

from __future__ import annotations

import os

import pytest

from netbootd.check import check
from netbootd.errors import Level
from netbootd.registry import scripts
from netbootd.registry.load import load
from tests.scripts.machines import NODE, Configuration, of


@pytest.fixture
def c(tmp_path):
    return Configuration(tmp_path)


def run(c):
    """The parts and names of what the machine runs."""
    registry = c.load()
    pieces = scripts.pieces(registry.machines[NODE], registry)
    return [(piece.part, piece.fragment.name) for piece in pieces]


def test_where_nothing_is_named_what_the_machine_has_data_for_is_set_up(c):
    assert run(c) == []
    c.machine.update(hostname="node7", interfaces={})
    c.target["dns"] = "10.0.0.1"
    c.written["vars"] = {"ntp": "10.0.0.2"}
    assert run(c) == [
        ("by default", name) for name in ("hostname", "hosts", "network", "dns", "ntp")
    ]


def test_what_lies_below_a_mount_comes_after_it(c):
    c.machine.update(ssh_keys=["k"], mounts=["nas:/homes /home nfs soft"], modules=["nfs"])
    assert [name for _, name in run(c)] == ["modules", "mounts", "ssh_keys"]


@pytest.mark.parametrize(
    ("type_", "vms", "gets"),
    [("smartos", ["web"], True), ("smartos", [], False), ("nfs", ["web"], False)],
)
def test_vms_are_created_on_smartos(c, type_, vms, gets):
    c.written["targets"] = {type_: {"a": {"platform": "x", "kernel": "k"}}}
    c.machine.update(type=type_, vms=vms)
    assert (("by default", "smartos-vms") in run(c)) is gets


def test_lists_come_from_all_then_the_type_the_target_and_the_machine(c):
    for name in ("one", "two", "three", "four", "five"):
        c.put(f"scripts/{name}", f"echo {name}")
    c.written["scripts"] = {"nfs": "two", "*": ["one"], "install": ["five"]}
    c.target["scripts"] = ["three"]
    c.machine["scripts"] = ["four", "one"]
    assert run(c) == [
        ("all machines", "one"),
        ("type nfs", "two"),
        ("target nfs/a", "three"),
        (f"machine {NODE}", "four"),
    ], "each once, where it comes first"


def test_the_word_default_stands_for_the_default_in_its_place(c):
    c.put("scripts/first", "")
    c.put("scripts/last", "")
    c.written["scripts"] = {"*": ["first", "default", "last"]}
    c.machine["hostname"] = "node7"
    assert [name for _, name in run(c)] == ["first", "hostname", "hosts", "last"]


@pytest.mark.parametrize("file", ["dns", "dns.j2", "dns.sh", "dns.sh.j2"])
def test_an_admins_file_takes_the_place_of_ours(c, file):
    c.put(f"scripts/{file}", "echo 'my own'\n")
    c.machine["dns"] = "10.0.0.1"
    assert "(scripts/" in c.script()
    assert "echo 'my own'\n" in c.script()
    assert "resolv.conf" not in c.script()


def test_only_templates_are_rendered(c):
    c.put("scripts/verbatim", "echo '{{ hostname }}'\n")
    c.put("scripts/made.j2", "echo {{ hostname }}\n")
    c.machine.update(hostname="node7", scripts=["verbatim", "made"])
    assert "echo '{{ hostname }}'\n" in c.script()
    assert "echo node7\n" in c.script()


def test_a_template_may_build_on_another_and_on_ours(c):
    c.put("scripts/inner.sh", "echo inner\n")
    c.put(
        "scripts/outer.j2", '{% include "scripts/inner.sh" %}\n{% include "netbootd/dns.sh.j2" %}'
    )
    c.machine.update(dns="10.0.0.1", scripts=["outer"])
    assert "echo inner\n" in c.script()
    assert "nameserver 10.0.0.1\n" in c.script()


def test_nothing_outside_the_folder_can_be_included(c):
    c.put("secret", "of the host")
    c.put("scripts/x.j2", '{% include "scripts/../secret" %}')
    c.machine["scripts"] = ["x"]
    (finding,) = of(c.load(), "script-error")
    assert "no template" in finding.text


def test_a_link_that_leaves_the_folder_is_refused(c):
    (c.folder / "scripts").mkdir()
    (c.folder / "scripts" / "inside").symlink_to("real")
    c.put("scripts/real", "echo real\n")
    (c.folder / "scripts" / "passwd").symlink_to("/etc/passwd")
    c.machine["scripts"] = ["inside"]
    registry = c.load()
    (finding,) = of(registry, "script-unreadable")
    assert finding.level is Level.RELOAD
    assert "leaves" in finding.text
    assert "passwd" not in registry.fragments
    assert "echo real\n" in c.script()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.write_bytes(b"\xff\xfe")])
def test_what_is_no_text_is_said(c, make):
    (c.folder / "scripts").mkdir()
    make(c.folder / "scripts" / "odd")
    (finding,) = of(c.load(), "script-unreadable")
    assert finding.place.file.endswith("scripts/odd")


def test_what_editors_leave_is_no_fragment(c):
    for name in (".hidden", "x~", "#x#"):
        c.put(f"scripts/{name}", "")
    assert not {".hidden", "x~", "#x#"} & c.load().fragments.keys()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (("scripts", "*"), 'scripts."*"'),
        (("scripts", "nfs"), "scripts.nfs"),
        (("targets", "nfs", "a", "scripts"), "targets.nfs.a.scripts"),
        (("machines", str(NODE), "scripts"), f'machines."{NODE}".scripts'),
    ],
)
@pytest.mark.parametrize("written", ["hostnme", ["default", "hostnme"]])
def test_a_name_of_no_fragment_is_an_error_with_its_place(c, section, says, written):
    c.written.setdefault("scripts", {})
    holder = c.written
    for step in section[:-1]:
        holder = holder[step]
    holder[section[-1]] = written
    (finding,) = of(c.load(), "script-unknown", "script-error")
    assert finding.level is Level.RELOAD
    assert 'no script fragment "hostnme"; did you mean "hostname"?' in finding.text
    assert finding.path.startswith(says)
    wrong = c.file.read_text().splitlines()[finding.place.line - 1]
    assert "hostnme" in wrong[finding.place.column - 1 :]
    assert check(c.file).findings


def test_an_undefined_name_is_found_when_the_configuration_is_loaded(c):
    c.put("scripts/rack.j2", "echo {{ mac }}\necho {{ rack }}\n")
    c.target["scripts"] = ["rack"]
    c.written["machines"]["52:54:00:00:00:01"] = {"type": "nfs", "name": "a", "rack": 4}
    (finding,) = of(c.load(), "script-error")
    assert finding.level is Level.RELOAD
    assert f"{NODE} (nfs/a): scripts/rack.j2:2: 'rack' is undefined" in finding.text


def test_data_that_would_leave_their_line_are_found_when_the_configuration_is_loaded(c):
    c.machine["ssh_keys"] = "ssh-rsa A\nLINES\nid"
    (finding,) = of(c.load(), "script-error")
    assert finding.level is Level.RELOAD
    assert "line end" in finding.text


def test_check_looks_at_every_machine(c):
    """At loading it is one of each kind: a template that minds a value may still fail for another."""
    c.put("scripts/rack.j2", "echo {{ 10 // rack }}\n")
    c.target["scripts"] = ["rack"]
    c.machine["rack"] = 4
    c.written["machines"]["52:54:00:00:00:01"] = {"type": "nfs", "name": "a", "rack": 0}
    assert of(c.load(), "script-error") == []
    (finding,) = of(check(c.file), "script-error")
    assert "52:54:00:00:00:01" in finding.text
    assert "ZeroDivisionError" in finding.text


def test_check_finds_what_is_no_program(c):
    c.put("scripts/broken", "echo fine\nif true; then\n")
    c.put("scripts/python", "#!/usr/bin/env python3\nif True:\n    pass\n")
    c.machine["scripts"] = ["broken", "python"]
    c.load()
    (finding,) = of(check(c.file), "script-syntax")
    assert finding.place.file == str(c.folder / "scripts" / "broken")
    assert finding.level is Level.TARGET, "the others run all the same, and a reload goes well"
    assert "yntax error" in finding.text


def test_a_syntax_error_of_a_template_is_said_with_its_line(c):
    c.put("scripts/x.j2", "fine\n{% if %}\n")
    c.machine["scripts"] = ["x"]
    (finding,) = of(c.load(), "script-error")
    assert "scripts/x.j2:2:" in finding.text


def test_a_list_must_be_one(c):
    c.written["scripts"] = {"*": {"hostname": 1}}
    (finding,) = of(c.load(), "section-type")
    assert finding.level is Level.RELOAD


def test_faults_of_the_network_are_found_at_loading_with_their_place(c):
    c.machine["interfaces"] = {
        "eth1": {"mac": "02:00:00:00:00:01", "address": "10.0.0.300/24", "adress": "x"}
    }
    registry = c.load()
    fault, ignored = of(registry, "interfaces")
    assert (fault.level, ignored.level) == (Level.RELOAD, Level.WARNING) or (
        fault.level,
        ignored.level,
    ) == (Level.WARNING, Level.RELOAD)
    for finding in (fault, ignored):
        line = c.file.read_text().splitlines()[finding.place.line - 1]
        assert "dress" in line
    assert {fault.path, ignored.path} == {"interfaces.eth1.address", "interfaces.eth1.adress"}


def test_faults_of_a_network_that_many_share_are_said_once(c):
    c.written["machines"]["52:54:00:00:00:01"] = {"type": "nfs", "name": "a"}
    c.written["machines"]["52:54:00:00:00:02"] = {
        "type": "nfs", "name": "a", "interfaces": {"eth1": {"mtu": 8}},
    }  # fmt: skip
    c.target["interfaces"] = {"eth1": {"mtu": 7}}
    found = [one for one in of(c.load(), "interfaces") if one.level is Level.RELOAD]
    assert len(found) == 2, "one of the target, one of the machine"
    assert len({finding.place for finding in found}) == 2


def test_interfaces_of_his_own_are_an_admins_own_affair(c):
    c.put("scripts/network.j2", "echo {{ interfaces }}\n")
    c.machine["interfaces"] = ["eth0"]
    assert of(c.load(), "interfaces", "script-error") == []
    assert "echo ['eth0']\n" in c.script()


def test_strangers_get_what_the_default_says(c):
    c.written["machines"]["default"] = {"type": "nfs", "name": "a", "scripts": ["no-such"]}
    (finding,) = of(c.load(), "script-unknown")
    assert finding.path.startswith("machines.default")


def test_the_folder_and_its_files_are_watched(c):
    file = c.put("scripts/deep/x", "")
    assert {str(c.folder / "scripts"), str(file.parent), str(file)} <= set(c.load().watched)


def test_without_the_folder_its_coming_is_watched(c):
    assert str(c.folder / "scripts") in c.load().watched


def test_a_broken_fragment_does_not_keep_the_daemon_from_starting(c):
    c.put("scripts/x.j2", "{% if %}")
    c.machine["scripts"] = ["x"]
    c.load()
    assert load(c.file).machines[NODE].title == "nfs/a"


def test_a_variable_of_a_fragment_is_no_slip_of_the_fingers(c):
    c.machine.update(network="netplan", interfaces={}, dns="10.0.0.1", mounts=[], hosts={})
    c.target.update(modules={}, ntp="10.0.0.1")
    assert of(c.load(), "key-misspelt") == []
