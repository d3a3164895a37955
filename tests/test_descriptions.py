"""``netbootd vms``: list, check and show."""

from __future__ import annotations

import json

import pytest

from netbootd.cli import main
from tests.vms.descriptions import IMAGE, WEB, changed

NODE = "00:25:90:27:db:b4"


@pytest.fixture
def config(tmp_path):
    for folder in ("vms", "state/vms"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "vms" / "web01.json").write_bytes(b'{ "uuid": "%s",\r\n "n":5.0 }' % IMAGE.encode())
    (tmp_path / "vms" / "db.json").write_text(json.dumps({**WEB, "alias": "data"}))
    (tmp_path / "state" / "vms" / "spare.json").write_bytes(b"{}\n")
    (tmp_path / "state" / "vms" / "db.json").write_bytes(b"{}\n")
    (tmp_path / "c.json").write_text(
        '{"targets": {"localboot": {"disk": {}}}, "netbootd": {"state": "state"}, "machines":'
        f'{{"{NODE}": {{"type": "localboot", "name": "disk", "vms": ["data", "spare"]}}}}}}'
    )
    return str(tmp_path / "c.json")


def test_list_has_a_line_for_each(config, capsys, tmp_path):
    assert main(["vms", "list", "--config", config]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["db", "data", "joyent", "-", NODE, str(tmp_path / "vms" / "db.json")],
        ["spare", "-", "-", "2", "remarks", NODE, "stored"],
        ["web01", "-", "-", "3", "remarks", "-", str(tmp_path / "vms" / "web01.json")],
    ]


@pytest.mark.parametrize("name", ["web01", IMAGE])
def test_show_prints_it_byte_for_byte(config, capfdbinary, name):
    assert main(["vms", "show", "--config", config, name]) == 0
    assert capfdbinary.readouterr().out == b'{ "uuid": "%s",\r\n "n":5.0 }' % IMAGE.encode()


def test_show_of_none_says_which_is_near(config, capsys):
    assert main(["vms", "show", "--config", config, "web1"]) == 1
    assert 'no VM description "web1"; did you mean "web01"?' in capsys.readouterr().err


def test_a_configuration_without_any_has_an_empty_list(tmp_path, capsys):
    (tmp_path / "c.json").write_text('{"netbootd": {"state": "state"}}')
    assert main(["vms", "list", "--config", str(tmp_path / "c.json")]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (json.dumps(WEB), 0, "nothing wrong"),
        (json.dumps({**WEB, "foo": 1}), 0, "advice: foo: unknown property"),
        (json.dumps(changed(WEB, nic__mtu=100)), 1, "error: nics.0.mtu: bad value"),
        ('{"brand": "joyent",}', 1, "vm.json:1:19: error: strict JSON has no comma"),
        ("", 1, "error: the file is empty"),
    ],
)
def test_check_tells_what_vmadm_would(tmp_path, capsys, text, status, words):
    (tmp_path / "vm.json").write_text(text)
    assert main(["vms", "check", str(tmp_path / "vm.json")]) == status
    assert words in capsys.readouterr().out


def test_check_goes_on_after_a_file_that_is_not_there(tmp_path, capsys):
    (tmp_path / "vm.json").write_text(json.dumps(WEB))
    files = [str(tmp_path / name) for name in ("none.json", "vm.json")]
    assert main(["vms", "check", *files]) == 1
    missing, fine = capsys.readouterr().out.splitlines()
    assert "error: cannot be read: No such file" in missing
    assert fine.endswith("nothing wrong")
