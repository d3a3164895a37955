"""VM descriptions beside and in the configuration, and the machines that name them."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings

from netbootd.errors import Level
from netbootd.registry.load import load
from tests.vms.descriptions import IMAGE, WEB, texts

NODE = "00:25:90:27:db:b4"


class Site:
    """A configuration file with a folder of descriptions, and a state."""

    def __init__(self, folder):
        self.file = folder / "netbootd.json"
        self.folder = folder / "vms"
        self.stored = folder / "state" / "vms"
        self.folder.mkdir()
        self.stored.mkdir(parents=True)

    def load(self, section="", names=()):
        listed = json.dumps(list(names))
        self.file.write_text(
            '{ "targets": {"localboot": {"disk": {}}}, "netbootd": {"state": "state"},\n'
            '"machines": {"default": {"type": "localboot", "name": "disk"},\n'
            f'"{NODE}": {{"type": "localboot", "name": "disk", "vms": {listed}}}}},\n'
            f'"vms": {{ {section} }} }}'
        )
        return load(self.file)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def told(registry, code):
    return [finding for finding in registry.findings if finding.code == code]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(text=texts)
def test_the_bytes_of_a_file_are_kept_over_a_reload(site, text):
    (site.folder / "web.json").write_bytes(text)
    first, second = site.load(), site.load()
    assert first.vms.get("web").text == second.vms.get("web").text == text
    assert first.vms.get("web").etag == second.vms.get("web").etag


def test_an_entry_of_the_section_is_handed_out_without_its_comments(site):
    vm = site.load('"db": { "b": 512.0, # half\n "alias": "d", }').vms.find("d")
    assert vm.key == "db"
    assert vm.text == b'{ "b": 512.0,\n "alias": "d" }\n'
    assert vm.source == str(site.file)


def test_the_folder_and_its_files_are_watched(site):
    (site.folder / "web.json").write_bytes(b"{}")
    assert {str(site.folder), str(site.folder / "web.json")} <= set(site.load().watched)
    (site.folder / "web.json").unlink()
    site.folder.rmdir()
    assert str(site.folder) in site.load().watched


def test_a_file_that_is_not_json_is_told_with_its_place(site):
    (site.folder / "web.json").write_bytes(b'{\n "a": 1,\n}')
    (finding,) = told(site.load(), "vm-invalid")
    assert finding.level is Level.RELOAD
    assert str(finding.place) == f"{site.folder / 'web.json'}:2:8"


@pytest.mark.parametrize(
    ("section", "words"),
    [('"web": 7', "a number"), ('"a b": {}', "no key"), ('"../x": {}', "no key")],
)
def test_an_entry_that_is_no_description_is_told_with_its_place(site, section, words):
    registry = site.load(section)
    (finding,) = told(registry, "vm-invalid")
    assert finding.level is Level.RELOAD
    assert words in finding.text
    assert finding.place.line == 4
    assert len(registry.vms) == 0


def test_of_two_sources_the_section_counts_and_it_is_said(site):
    (site.folder / "web.json").write_bytes(b'{"from": "file"}')
    registry = site.load('"web": {"from": "section"}')
    assert b"section" in registry.vms.get("web").text
    (finding,) = told(registry, "vm-twice")
    assert "web.json" in finding.place.file


def test_of_two_files_with_one_uuid_one_counts(site):
    for name in ("a", "b"):
        (site.folder / f"{name}.json").write_text('{"uuid": "%s"}' % IMAGE)
    registry = site.load()
    assert [vm.key for vm in registry.vms] == ["a"]
    (finding,) = told(registry, "vm-twice")
    assert '"b" has the uuid of "a"' in finding.text


@pytest.mark.parametrize("stored", ["web", IMAGE])
def test_a_stored_one_gives_way_to_the_configuration_and_it_is_said(site, stored):
    (site.folder / "web.json").write_text('{"uuid": "%s"}' % IMAGE)
    (site.stored / f"{stored}.json").write_bytes(b"{}")
    (finding,) = told(site.load(), "vm-twice")
    assert finding.level is Level.WARNING
    assert "put by HTTP as well" in finding.text


def test_what_vmadm_would_refuse_is_noted(site):
    (site.folder / "web.json").write_text(json.dumps({**WEB, "brand": "vmware", "foo": 1}))
    (finding,) = told(site.load(), "vm-advice")
    assert finding.level is Level.NOTE
    assert "bad brand" in finding.text


def test_a_name_that_means_nothing_yet_is_told_with_the_nearest(site):
    (site.folder / "web01.json").write_text(json.dumps({**WEB, "uuid": IMAGE, "alias": "www"}))
    (site.stored / "db.json").write_text('{"alias": "database"}')
    registry = site.load(names=["web01", IMAGE, "www", "db", "database", "web1"])
    (finding,) = told(registry, "vm-unknown")
    assert finding.level is Level.WARNING
    assert 'no VM description "web1" so far; did you mean "web01"?' in finding.text
    assert finding.path == f'machines."{NODE}".vms'
    assert finding.place.line == 3
    assert registry.vm_users["web1"] == (NODE,)


def test_nobody_is_told_of_unknown_names_who_cannot_see_what_is_stored(site):
    (site.stored).rmdir()
    site.stored.write_text("no folder")
    assert told(site.load(names=["web1"]), "vm-unknown") == []
