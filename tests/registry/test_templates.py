"""Templates that come with netbootd are compiled when they are needed, and are right."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import jinja2.meta
import pytest

from netbootd import precut, rendering
from netbootd.boot.client import Client, Stage
from netbootd.boot.script import boot_script
from netbootd.check import check
from netbootd.mac import MAC
from netbootd.registry import scripts, templates
from netbootd.registry.load import load
from netbootd.targets.ipxe import OURS, Templates

A = "52:54:00:12:34:56"
LINUX = {"type": "linux", "name": "node"}
OF_LOADERS = [
    file.name
    for folder in OURS
    for file in sorted(folder.iterdir())
    if file.suffix not in (".py", "") and file.is_file()
]
FRAGMENTS = scripts._built_in_texts()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "netbootd.json"
    kernel = {"kernel": "http://192.0.2.9/vmlinuz"}
    site = {"targets": {"linux": {"node": kernel}}, "machines": {A: LINUX}}
    file.write_text(json.dumps(site))
    return file


@pytest.fixture
def compiled(monkeypatch) -> list[str]:
    """The names of templates that are compiled from now on."""
    names: list[str] = []
    scripts.built_in.cache_clear()
    compiles = jinja2.Environment.compile

    def noted(environment, source, name=None, *rest, **more):
        names.append(name)
        return compiles(environment, source, name, *rest, **more)

    monkeypatch.setattr(jinja2.Environment, "compile", noted)
    return names


def script_of(registry):
    client = Client(mac=MAC.parse(A), stage=Stage.IPXE, address="192.0.2.5")
    return boot_script(client, registry, "http://192.0.2.1").text


def named_as_jinja_finds(text):
    return list(jinja2.meta.find_referenced_templates(rendering.environment().parse(text)))


@pytest.mark.parametrize("name", OF_LOADERS)
def test_those_of_loaders_compile_with_all_that_they_name(name, compiled):
    ours = Templates()
    made = ours.file(name)
    assert rendering.named_by_ours(made.source) == named_as_jinja_finds(made.source)
    assert not compiled
    made.warm()
    assert name in compiled


@pytest.mark.parametrize("name", FRAGMENTS)
def test_fragments_compile_with_all_that_they_name(name, compiled):
    text = FRAGMENTS[name]
    assert rendering.named_by_ours(text) == named_as_jinja_finds(text)
    together = rendering.compile_together(FRAGMENTS)[name]
    later = rendering.compile_later(FRAGMENTS)[name]
    assert later == together
    assert later.builds_on == together.builds_on
    compiled.clear()
    later.warm()
    assert set(compiled) == {name, *later.builds_on}


def test_a_configuration_compiles_none_that_it_does_not_need(site, compiled):
    registry = load(site)
    assert not compiled
    assert "vmlinuz" in script_of(registry)
    parts = {"vlan.ipxe", "failed.ipxe", "verify.ipxe", "unverified.ipxe"}
    assert set(compiled) == {"linux.ipxe", *parts}


def test_none_is_compiled_by_a_request_once_they_are_warm(site, compiled):
    registry = load(site)
    templates.warm(registry)
    assert {"first.ipxe", "waiting.ipxe", "linux.ipxe", "grub.cfg", "vlan.ipxe"} <= set(compiled)
    assert {"netbootd/network.sh.j2", "netbootd/usbkey.sh"} <= set(compiled)
    compiled.clear()
    assert "vmlinuz" in script_of(registry)
    assert not compiled


@pytest.mark.fast_path("pieces")
def test_an_answer_file_is_looked_at_before_it_is_asked_for(site, monkeypatch):
    """And a broken one beside it is left alone."""
    (site.parent / "ks.cfg.j2").write_text("host {{ mac }}")
    (site.parent / "broken.j2").write_text("{% if %}")
    content = json.loads(site.read_text()) | {"netbootd": {"files": "."}}
    site.write_text(json.dumps(content))
    registry, looked = load(site), []
    look = precut.Pieces._read
    monkeypatch.setattr(precut.Pieces, "_read", lambda one: looked.append(one) or look(one))
    templates.warm(registry)
    assert [one for one in looked if "host {{ mac }}" in one._sources]
    looked.clear()
    assert registry.answers["ks.cfg"].render({"mac": A}) == f"host {A}"
    assert not looked


def test_what_is_rendered_is_what_was_read(site):
    registry = load(site)
    (site.parent / "linux.ipxe").write_text("#!ipxe\nshell\n")
    (site.parent / "failed.ipxe").write_text("shell\n")
    assert "shell" not in script_of(registry)
    assert "vmlinuz" in script_of(registry)
    assert script_of(load(site)) == "#!ipxe\nshell\n"


def test_a_broken_file_of_the_operators_in_one_of_ours_is_told(site):
    """``linux.ipxe`` is ours, and includes it."""
    (site.parent / "failed.ipxe").write_text("exit\n{{ mac | nonsense }}\n")
    (told,) = (one for one in check(site).findings if one.code == "template-error")
    assert "failed.ipxe:2: No filter named 'nonsense'" in told.text
