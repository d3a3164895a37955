"""``ipxe``: a script of the admin's own."""

from __future__ import annotations

import pytest

from netbootd.errors import Level

from .conftest import NODE


def test_it_is_rendered_with_what_our_own_know(site):
    (site.folder / "scripts").mkdir()
    own = "#!ipxe\necho {{ mac.dashed }} {{ target }} {{ machine.rack }} {{ rack }}\nchain {{ base }}/x\n"
    (site.folder / "scripts" / "mine.ipxe").write_text(own)
    site.one("ipxe/a", {"script": "scripts/mine.ipxe"}, {"rack": 4})
    assert site.text() == (
        f"#!ipxe\necho {NODE.dashed} ipxe/a 4 4\nchain http://192.0.2.1:3000/x\n"
    )
    assert str(site.folder / "scripts" / "mine.ipxe") in site.registry.watched


def test_it_may_build_on_ours(site):
    (site.folder / "mine.ipxe").write_text('{% extends "netbootd/localboot.ipxe" %}')
    ways = {"efi": {"how": "exit"}, "bios": {"how": "exit"}}
    lines = site.one("ipxe/a", {"script": "mine.ipxe"}, ways)
    assert lines == ["iseq ${platform} efi && exit 1", "exit 1"]


@pytest.mark.parametrize(
    ("text", "place"),
    [("#!ipxe\n{% if %}\n", "mine.ipxe:2"), ('#!ipxe\n{% include "no.ipxe" %}', "no.ipxe")],
)
def test_a_broken_one_is_named_with_its_line_and_refuses_a_reload(site, text, place):
    (site.folder / "mine.ipxe").write_text(text)
    site.load({"ipxe/a": {"script": "mine.ipxe"}})
    [fault] = [f for f in site.registry.findings if f.code == "template-error"]
    assert place in fault.text
    assert fault.level is Level.RELOAD
    assert site.answer().status == 500


@pytest.mark.parametrize("script", ["none.ipxe", "../netbootd.json", "/etc/passwd", ""])
def test_one_that_is_not_there_is_told(site, script):
    site.load({"ipxe/a": {"script": script}})
    assert site.codes() & {"template-error", "target-empty"}
    assert site.answer().status == 500


def test_an_undefined_name_is_found_by_check(site):
    (site.folder / "mine.ipxe").write_text("#!ipxe\necho {{ nobody_knows }}\n")
    site.load({"ipxe/a": {"script": "mine.ipxe"}})
    assert any("nobody_knows" in told for told in site.told("template-error"))


def test_one_that_is_no_script_is_found_by_check(site):
    (site.folder / "mine.ipxe").write_text("echo hello\n")
    site.load({"ipxe/a": {"script": "mine.ipxe"}})
    assert any("#!ipxe" in told for told in site.told("template-error"))


def test_a_kernel_makes_it_generic(site):
    assert site.one("ipxe/a", {"kernel": "k"})[0].startswith("kernel --name kernel ")
