"""Overlays as the configuration names them, and everything that may be wrong with that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from netbootd import precut
from netbootd.check import check
from netbootd.errors import Level, RenderError
from netbootd.mac import MAC
from netbootd.overlay import tree
from netbootd.registry import overlays, templates
from netbootd.registry.load import load
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Facts

A, B = "52:54:00:12:34:56", "52:54:00:12:34:57"


class Site:
    """A configuration with one target, and a folder of overlays."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "netbootd.json"
        self.folder = folder / "overlays"
        self.target: dict[str, object] = {"kernel": "http://192.0.2.9/vmlinuz", "overlay": True}
        self.machines: dict[str, dict[str, object]] = {}

    def put(self, path: str, content: str = "") -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def machine(self, mac: str, **keys: object) -> None:
        self.machines[mac] = {"type": "linux", "name": "node", **keys}

    def load(self) -> Registry:
        return load(self.write())

    def write(self) -> Path:
        config = {"targets": {"linux": {"node": self.target}}, "machines": self.machines}
        self.file.write_text(json.dumps(config, indent=1))
        return self.file


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def wrong(registry: Registry) -> list[tuple[str, str, int]]:
    """Code, file name and line of what keeps a reload from happening."""
    return [
        (one.code, Path(one.place.file).name, one.place.line)
        for one in registry.findings
        if one.level is Level.RELOAD
    ]


def archive(registry: Registry, mac: str) -> bytes:
    machine = registry.machines[MAC.parse(mac)]
    facts = Facts(
        mac=MAC.parse(mac), base="http://b", retry="", variables=registry.variables_of(machine)
    )
    return bytes(overlays.build(machine, facts, registry))


def test_the_targets_overlays_come_before_the_machines_own(site):
    site.put("base/etc/motd", "base")
    site.put("rack/etc/motd", "rack")
    site.target["overlays"] = ["base"]
    site.machine(A, overlays=["rack"])
    site.machine(B)

    registry = site.load()

    assert not wrong(registry)
    assert overlays.names_of(registry.machines[MAC.parse(A)]) == ("base", "rack")
    assert b"rack" in archive(registry, A)
    assert b"rack" not in archive(registry, B)


def test_a_template_is_rendered_with_the_machines_variables(site):
    site.put("base/etc/rack.j2", "rack {{ rack }} of {{ mac }}")
    site.target["overlays"] = ["base"]
    site.machine(A, rack="r7")

    assert b"rack r7 of 52:54:00:12:34:56" in archive(site.load(), A)


def test_a_name_that_is_not_there_is_said_with_the_nearest(site):
    site.put("compute/x")
    site.target["overlays"] = ["comptue"]
    site.machine(A)

    registry = site.load()

    (finding,) = [one for one in registry.findings if one.code == "overlay-unknown"]
    assert finding.level is Level.RELOAD
    assert 'did you mean "compute"' in finding.text
    assert (Path(finding.place.file).name, finding.place.line > 1) == ("netbootd.json", True)
    with pytest.raises(RenderError, match="comptue"):
        archive(registry, A)


@pytest.mark.parametrize("name", ["..", "../overlays/base", "a/b"])
def test_a_name_is_that_of_a_folder_right_there(site, name):
    site.put("base/x")
    site.put("a/b/x")
    site.machine(A, overlays=[name])

    assert [code for code, _, _ in wrong(site.load())] == ["overlay-unknown"]


def test_a_link_to_a_folder_elsewhere_is_no_overlay(site, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("SECRET")
    site.put("base/x")
    (site.folder / "leak").symlink_to(tmp_path / "secret")
    site.machine(A, overlays=["leak"])

    registry = site.load()

    assert [code for code, _, _ in wrong(registry)] == ["overlay-unknown"]
    assert "leak" not in registry.overlays


def test_a_link_out_of_the_folder_is_refused_with_its_place(site):
    site.put("base/etc/x")
    (site.folder / "base/etc/link").symlink_to("../../../secret")
    site.machine(A, overlays=["base"])

    registry = site.load()

    assert wrong(registry) == [("overlay-leaves", "link", 0)]
    with pytest.raises(RenderError, match='overlay "base" has a fault'):
        archive(registry, A)


def test_an_undefined_name_is_found_at_load_with_file_and_line(site):
    site.put("base/etc/x.j2", "one\ntwo {{ rack }}\n")
    site.machine(A, overlays=["base"], rack="r1")
    site.machine(B, overlays=["base"])

    registry = site.load()

    assert wrong(registry) == [("overlay-error", "x.j2", 2)]
    (finding,) = [one for one in registry.findings if one.code == "overlay-error"]
    assert B in finding.text
    assert "'rack' is undefined" in finding.text


def test_a_template_with_a_syntax_error_is_said_once(site):
    site.put("base/etc/x.j2", "one\n{% if %}\n")
    for number in range(3):
        site.machine(f"52:54:00:12:34:0{number}", overlays=["base"])

    assert wrong(site.load()) == [("template-error", "x.j2", 2)]


def test_a_value_that_makes_no_sense_is_said_where_the_machine_stands(site):
    site.machine(A, hostname="two words")

    registry = site.load()

    ((code, file, line),) = wrong(registry)
    assert (code, file) == ("overlay-error", "netbootd.json")
    assert line > 1


def test_the_machine_that_stands_for_all_others_is_tried_too(site):
    site.put("base/etc/x.j2", "{{ hostname }}")
    site.machine("default", overlays=["base"])

    assert [code for code, _, _ in wrong(site.load())] == ["overlay-error"]


def test_one_of_each_kind_is_tried_at_load_and_all_of_them_by_check(site):
    site.put("base/etc/x.j2", "{{ 1 // disks }}")
    site.machine(A, overlays=["base"], disks=2)
    site.machine(B, overlays=["base"], disks=0)

    assert not wrong(site.load())
    (finding,) = [one for one in check(site.write()).findings if one.code == "overlay-error"]
    assert B in finding.text
    assert "ZeroDivisionError" in finding.text


def test_an_overlay_that_nobody_names_may_be_anything(site):
    site.put("draft/etc/x.j2", "{% if %}")
    site.machine(A)

    registry = site.load()

    assert not wrong(registry)
    assert not registry.overlays


def test_its_files_and_folders_are_watched(site):
    file = site.put("base/etc/x")
    site.machine(A, overlays=["base"])

    watched = site.load().watched

    assert {str(path) for path in (site.folder, file.parent.parent, file.parent, file)} <= {
        *watched
    }


@pytest.mark.fast_path("dicts")
def test_templates_are_looked_at_before_the_first_build(site, monkeypatch):
    """
    A configuration from another process has those that nobody has rendered; to look at one takes
    10 ms, and the first build is made while others wait.
    """
    site.put("base/etc/rack.j2", "rack {{ rack }} of {{ mac }}")
    site.target["overlays"] = ["base"]
    site.machine(A, rack="r7")
    registry, looked = site.load(), []
    fresh = replace(registry, overlays={"base": tree.read(site.folder / "base", [])})
    look = precut.Pieces._read
    monkeypatch.setattr(precut.Pieces, "_read", lambda one: looked.append(one) or look(one))

    templates.warm(fresh)

    assert [one for one in looked if "rack {{ rack }} of {{ mac }}" in one._sources]
    assert len(looked) == len({id(one) for one in looked})
    looked.clear()
    assert archive(fresh, A) == archive(registry, A)
    assert not looked
