"""What is told of a configuration that takes the place of another."""

from __future__ import annotations

import json

import pytest

from netbootd.registry.load import load
from netbootd.registry.snapshot import changes

NET, OTHER = "10.1.0.0/24", "10.2.0.0/24"
NODE = "52:54:00:00:00:01"
DISK = {"type": "localboot", "name": "disk"}
BEFORE = {
    "targets": {"localboot": {"disk": {}}},
    "subnets": {NET: {"dhcp": "server", "pools": "10.1.0.100-10.1.0.103", "default": DISK}},
    "machines": {"default": DISK, NODE: DISK},
    "netbootd": {"files": "files", "state": "state"},
}
WIDER = {NET: {**BEFORE["subnets"][NET], "pools": "10.1.0.100-10.1.0.140"}}
SETTINGS = {**BEFORE["netbootd"], "known_only": True}


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ({}, "0 added, 0 removed, 0 changed"),
        ({"subnets": WIDER}, "0 added, 0 removed, 0 changed, 1 subnet changed"),
        ({"subnets": {}}, "0 added, 1 removed, 0 changed, 1 subnet changed"),
        ({"subnets": {**WIDER, OTHER: {}}}, "0 added, 0 removed, 0 changed, 2 subnets changed"),
        ({"netbootd": SETTINGS}, "0 added, 0 removed, 0 changed, settings changed"),
        ({"vars": {"rack": 1}}, "0 added, 0 removed, 0 changed, settings changed"),
        ({"machines": {"default": DISK}}, "0 added, 1 removed, 0 changed"),
    ],
)
def test_what_a_reload_took_is_counted_where_it_changed(tmp_path, after, told):
    file = tmp_path / "c.json"
    file.write_text(json.dumps(BEFORE))
    old = load(file)
    file.write_text("\n" + json.dumps({**BEFORE, **after}, indent=2))
    assert str(changes(old, load(file))) == told


def test_what_others_write_beside_the_configuration_is_not_watched(tmp_path):
    """A hosts file or a log of ours there would make each reload the cause of the next."""
    file = tmp_path / "c.json"
    file.write_text(json.dumps(BEFORE))
    watched = load(file).watched
    assert str(file) in watched
    assert str(tmp_path / "machines.d") in watched
    assert str(tmp_path) not in watched


def test_a_template_that_is_not_there_yet_is_watched_for(tmp_path):
    file = tmp_path / "c.json"
    linux = {"kernel": "k", "initrd": "i"}
    file.write_text(json.dumps({"targets": {"nfs": {"one": linux}}}))
    assert str(tmp_path / "nfs.ipxe") in load(file).watched
