"""Variables that netbootd itself reads: what is wrong with them is said where they are written."""

from __future__ import annotations

import json

import pytest

from netbootd.check import check
from netbootd.errors import Level
from netbootd.registry.load import load

NODE = "00:25:90:27:db:b4"
RACK = "10.1.0.0/24"


@pytest.fixture
def written(tmp_path):
    (tmp_path / "k").write_bytes(b"kernel")
    (tmp_path / "trees").mkdir()

    def make(entry=None, target=None, **sections):
        file = tmp_path / "c.json"
        document = {
            "netbootd": {"files": str(tmp_path), "state": str(tmp_path / "state")},
            "targets": {"linux": {"a": {"kernel": "k", **(target or {})}}},
            "machines": {"default": {"type": "linux", "name": "a"}, NODE: entry or {}},
            **sections,
        }
        file.write_text(json.dumps(document, indent=1))
        return file

    return make


def of(findings, code):
    return [finding for finding in findings if finding.code == code]


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ("machine", f'machines."{NODE}".vlan'),
        ("vars of machine", f'machines."{NODE}".vars.vlan'),
        ("group", "groups.g.vlan"),
        ("vars of group", "groups.g.vars.vlan"),
        ("target", "targets.linux.a.vlan"),
        ("subnet", f'subnets."{RACK}".vars.vlan'),
        ("default of subnet", f'subnets."{RACK}".default.vlan'),
        ("vars", "vars.vlan"),
    ],
)
def test_a_wrong_vlan_is_told_once_at_its_own_place(written, where, path):
    wrong = {"vlan": 5000}
    entry = {"machine": wrong, "vars of machine": {"vars": wrong}}.get(where, {})
    group = {"group": wrong, "vars of group": {"vars": wrong}}.get(where, {})
    subnet = {"subnet": {"vars": wrong}, "default of subnet": {"default": {**wrong, "name": "a"}}}
    file = written(
        {**entry, "group": "g"},
        wrong if where == "target" else {},
        groups={"g": group},
        subnets={RACK: subnet.get(where, {})},
        vars=wrong if where == "vars" else {},
    )
    findings = check(file).findings
    assert not of(findings, "placeholder-empty")
    [finding] = of(findings, "vlan-invalid")
    assert (finding.level, finding.path) == (Level.TARGET, path)
    assert finding.text == '"vlan" must be a number from 1 to 4094, not 5000'
    assert '"vlan"' in file.read_text().splitlines()[finding.place.line - 1]


@pytest.mark.parametrize("ip", ["10.1.0.300", "10.1.0.7/33", "node1", "", 7])
def test_an_address_that_is_none_is_told(written, ip):
    [finding] = of(load(written({"ip": ip})).findings, "ip-invalid")
    assert finding.path == f'machines."{NODE}".ip'


@pytest.mark.parametrize("ip", [" 10.1.0.7 ", "10.1.0.7/24", "2001:db8::7", None])
def test_an_address_is_taken(written, ip):
    assert not of(load(written({"ip": ip})).findings, "ip-invalid")


@pytest.mark.parametrize(
    ("key", "value"), [("fdt", "b.dtb"), ("fdt", "../k"), ("fdtdir", "dtbs"), ("fdtdir", "/k")]
)
@pytest.mark.parametrize("where", ["machine", "target"])
def test_a_device_tree_that_is_not_there_is_told(written, key, value, where):
    file = written(*({key: value} if where == one else {} for one in ("machine", "target")))
    [finding] = of(load(file).findings, "file-missing")
    assert finding.path.endswith(f".{key}")
    assert f'"{key}": ' in finding.text


@pytest.mark.parametrize(
    ("key", "value"), [("fdt", "/k"), ("fdt", "http://192.0.2.1/b.dtb"), ("fdtdir", "trees/")]
)
def test_a_device_tree_that_is_there(written, key, value):
    assert not of(load(written({key: value})).findings, "file-missing")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("vlna", "vlan"),
        ("fdt_dir", "fdtdir"),
        ("configtxt", "config_txt"),
        ("tpye", "type"),
    ],
)
def test_their_misspelt_names_are_worth_a_word(written, key, meant):
    found = load(written({"group": "g", key: "x"}, {key: "x"}, groups={"g": {key: "x"}})).findings
    told = {finding.path: finding.text for finding in of(found, "key-misspelt")}
    paths = {f'machines."{NODE}".{key}', f"groups.g.{key}"}
    assert told.keys() >= paths
    assert all(f'did you mean "{meant}"?' in text for text in told.values())
