"""Where a secret may stand in a configuration, and what becomes of it."""

from __future__ import annotations

import json
import os

import pytest

from netbootd.errors import ConfigErrors
from netbootd.registry.facts import facts_of
from netbootd.registry.load import load
from netbootd.registry.snapshot import changes

MAC = "52:54:00:00:00:01"
VALUE = "canary-value"
STAND_IN = "<secret:{}/value>"


def here(tmp_path, **more):
    """A configuration with one machine; *more* are sections, and keys of the machine."""
    value = tmp_path / "value"
    value.write_text(VALUE)
    value.chmod(0o600)
    machine = {"type": "nfs", "name": "a", **more.pop("machine", {})}
    target = {"kernel": "http://192.0.2.5/vmlinuz", **more.pop("target", {})}
    config = {
        "targets": {"nfs": {"a": target}},
        "machines": {"default": {"type": "nfs", "name": "a"}, MAC: machine},
        "netbootd": {
            "files": str(tmp_path),
            "state": str(tmp_path / "state"),
            **more.pop("netbootd", {}),
        },
        **more,
    }
    file = tmp_path / "netbootd.json"
    file.write_text(json.dumps(config))
    return file


SECRET = {"secret_file": "value"}


def names(file, *, asks):
    registry = load(file)
    (machine,) = registry.machines.values()
    facts = facts_of(machine.mac, machine, registry, "http://192.0.2.1", asks=asks)
    return facts.names()


@pytest.mark.parametrize(
    "more",
    [
        {"machine": {"pw": SECRET}},
        {"machine": {"vars": {"pw": SECRET}}},
        {"target": {"pw": SECRET}},
        {"vars": {"pw": SECRET}},
        {"machine": {"group": "g"}, "groups": {"g": {"pw": SECRET}}},
        {"machine": {"group": "g"}, "groups": {"g": {"vars": {"pw": SECRET}}}},
        {"pw": SECRET},
    ],
)
def test_a_variable_may_be_a_secret(tmp_path, more):
    file = here(tmp_path, **more)
    assert names(file, asks=True)["pw"] == VALUE
    assert names(file, asks=False)["pw"] == STAND_IN.format(tmp_path)
    assert not [one for one in load(file).findings if one.code.startswith("secret")]


def test_one_may_lie_deep_in_data(tmp_path):
    file = here(tmp_path, machine={"users": [{"name": "root", "pw": SECRET}, SECRET]})
    assert names(file, asks=True)["users"] == [{"name": "root", "pw": VALUE}, VALUE]


@pytest.mark.parametrize(
    "more",
    [
        {"machine": {"kernel": SECRET}},
        {"machine": {"uuid": SECRET}},
        {"machine": {"name": SECRET}},
        {"target": {"boot_args": SECRET}},
        {"target": {"iscsi": {"server": SECRET}}},
        {"netbootd": {"boot_server": SECRET}},
        {"boot_servers": {"default": SECRET}},
        {"vms": {"a": {"alias": SECRET}}},
        {"vms": {"a": SECRET}},
    ],
)
def test_elsewhere_one_is_an_error_with_its_place(tmp_path, more):
    findings = load(here(tmp_path, **more)).findings
    (told,) = [one for one in findings if one.code == "secret-misplaced"]
    assert told.place.line == 1
    assert str(told.level.word) == "error"
    assert VALUE not in " ".join(map(str, findings))


def test_a_description_of_a_vm_has_its_value_for_who_may_have_it(tmp_path):
    file = here(tmp_path, machine={"vms": ["web"]})
    written = file.read_text().rstrip().removesuffix("}")
    file.write_text(
        written
        + """, "vms" : { "web" : { "alias" : "web", "ram" : 1.50,  # as it was
          "customer_metadata" : { "pw" : { "secret_file" : # here
             "value" }, "more" : [ { "secret_file" : "value" }, 7 ] }, } } }"""
    )
    registry = load(file)
    assert not [one for one in registry.findings if one.code.startswith("secret")]
    (vm,) = registry.vms
    stand_in = STAND_IN.format(tmp_path)
    inside = {"pw": stand_in, "more": [stand_in, 7]}
    assert json.loads(vm.text) == {"alias": "web", "ram": 1.5, "customer_metadata": inside}
    assert b"1.50" in vm.text
    given = json.loads(registry.secrets.put_into_json(vm.text))
    assert given["customer_metadata"] == {"pw": VALUE, "more": [VALUE, 7]}
    (tmp_path / "value").chmod(0o644)
    registry = load(file)
    (vm,) = registry.vms
    assert registry.secrets.put_into_json(vm.text) is None


@pytest.mark.parametrize(("group", "key"), [("ddns", "key"), ("ship", "credentials")])
def test_a_setting_may_name_a_key_as_secrets_are(tmp_path, monkeypatch, group, key):
    def told(value):
        registry = load(here(tmp_path, netbootd={group: {key: value}}))
        findings = tuple(one for one in registry.findings if one.code != "nfs-no-root")
        return getattr(getattr(registry.config, group), key), findings

    assert told(SECRET) == (tmp_path / "value", ())
    assert told("value") == (tmp_path / "value", ())
    unit = "/run/credentials/netbootd.service/own"
    assert str(told({"secret_credential": "own"})[0]) == unit
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert told({"secret_credential": "value"}) == (tmp_path / "value", ())
    with pytest.raises(ConfigErrors, match="no name of a credential"):
        told({"secret_credential": "../value"})


@pytest.mark.parametrize(
    ("mode", "group", "says"),
    [
        (0o600, None, ""),
        (0o640, None, ""),
        (0o640, 54321, "group 54321 may use"),
        (0o604, None, "everybody may use"),
        (0o660, None, "chmod 0600"),
    ],
)
def test_a_key_that_others_may_use_is_told(tmp_path, mode, group, says):
    if group is not None and os.geteuid():
        pytest.skip("only root gives files away")
    file = here(tmp_path, netbootd={"ddns": {"key": "value"}})
    (tmp_path / "value").chmod(mode)
    if group is not None:
        os.chown(tmp_path / "value", -1, group)
    found = [one for one in load(file).findings if one.code == "key-open"]
    assert bool(found) == bool(says)
    for one in found:
        assert says in one.text
        assert one.path == "netbootd.ddns.key"
        assert one.place.line == 1
        assert one.level.word == "warning"


def test_data_that_has_more_keys_is_no_secret(tmp_path):
    data = {"secret_file": "value", "of": "mine"}
    assert names(here(tmp_path, machine={"pw": data}), asks=True)["pw"] == data


def test_what_cannot_be_read_is_told_and_the_machine_gets_nothing_instead(tmp_path):
    file = here(tmp_path, machine={"pw": SECRET})
    (tmp_path / "value").chmod(0o644)
    registry = load(file)
    (told,) = [one for one in registry.findings if one.code == "secret-unreadable"]
    assert "chmod 0600" in told.text
    assert told.path == f'machines."{MAC}".pw'
    assert "pw" not in names(file, asks=True)
    assert str(tmp_path / "value") in registry.watched


def test_a_reload_reads_it_again_and_tells_that_something_changed(tmp_path):
    file = here(tmp_path, machine={"pw": SECRET})
    before = load(file)
    (tmp_path / "value").write_text("another")
    after = load(file)
    assert changes(before, after).settings
    assert not changes(before, before).settings
    assert names(file, asks=True)["pw"] == "another"


def test_a_password_of_iscsi_may_be_one(tmp_path):
    iscsi = {"server": "192.0.2.5", "target": "iqn.2004-01.org.x:y", "username": "u"}
    targets = {"iscsi": {"d": {"iscsi": {**iscsi, "password": SECRET}}}}
    machines = {MAC: {"type": "iscsi", "name": "d"}}
    registry = load(here(tmp_path, targets=targets, machines=machines))
    (machine,) = registry.machines.values()
    scripts = [
        machine.target.script(
            facts_of(machine.mac, machine, registry, "http://192.0.2.1", asks=asks)
        )
        for asks in (True, False)
    ]
    assert f"set password {VALUE}" in scripts[0]
    assert f"set password {STAND_IN.format(tmp_path)}" in scripts[1]
    assert VALUE not in scripts[1]
    assert VALUE not in repr(registry)
