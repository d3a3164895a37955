"""Templates of answer files: how they are found, whose they are, and what is said when one is wrong."""

from __future__ import annotations

import os

import pytest

from netbootd import answers
from netbootd.boot.client import Client, Stage
from netbootd.boot.script import boot_script
from netbootd.check import check
from netbootd.content import Library
from netbootd.errors import Level, RenderError
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.rendering import BrokenText, TextTemplate

ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:02"
CONFIG = """{
  "vars" : { "domain" : "example.net" },
  "targets" : { "install" : { "deb" : {
      "kernel" : "k", "os" : "debian12", "answer" : "install/deb.cfg", %s } } },
  "machines" : {
     "52:54:00:00:00:01" : { "type" : "install", "name" : "deb", "disk" : "vda", %s },
     "52:54:00:00:00:02" : { "type" : "install", "name" : "deb", "disk" : "vda", %s },
  },
  "netbootd" : { "files" : "files" },
}"""


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    (root / "k").write_bytes(b"kernel")
    return root


@pytest.fixture
def write(root):
    def write(**files):
        for name, text in files.items():
            path = root / name.replace("__", "/").replace("_j2", ".j2")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.fixture
def loaded(tmp_path, root):
    def loaded(target="", one="", two=""):
        (tmp_path / "c.json").write_text(CONFIG % (target, one, two))
        return load(tmp_path / "c.json")

    return loaded


def survey(root):
    findings = []
    return answers.survey(Library(root), findings.append), findings


def said(findings, code):
    return [finding for finding in findings if finding.code == code]


# -- finding them ----------------------------------------------------------------------------------


def test_templates_are_found_wherever_they_stand_below_the_root(root, write):
    write(install__a__b_j2="b", top_j2="t", images__x="no template")
    found, findings = survey(root)
    assert sorted(found.templates) == ["install/a/b", "top"]
    assert findings == []


def test_a_root_that_is_not_there_has_none(tmp_path):
    found, findings = survey(tmp_path / "none")
    assert (found.templates, findings) == ({}, [])


def test_links_are_followed_as_long_as_they_stay_below_the_root(root, write, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.j2").write_text("secret")
    write(install__real__a_j2="a")
    (root / "install" / "alias").symlink_to("real")
    (root / "install" / "b.j2").symlink_to("real/a.j2")
    (root / "out").symlink_to(outside)
    (root / "out.j2").symlink_to(outside / "secret.j2")
    (root / "install" / "real" / "up").symlink_to("..")
    (root / "install" / "loop").symlink_to("loop")
    (root / "self").symlink_to(".")
    (root / "gone.j2").symlink_to("nowhere")
    found, findings = survey(root)
    assert [path for path in found.templates if "up" not in path and "loop" not in path] == [
        "install/alias/a",
        "install/b",
        "install/real/a",
    ]
    assert all(path.count("up/") < 3 for path in found.templates)
    assert findings == []


def test_what_is_no_regular_file_is_passed_over(root):
    os.mkfifo(root / "pipe.j2")
    (root / "folder.j2").mkdir()
    (root / ".hidden").mkdir()
    (root / ".hidden" / "old.j2").write_text("{{ snapshot }}")
    found, findings = survey(root)
    assert (found.templates, findings) == ({}, [])


def test_the_walk_ends_and_says_so(root, write, monkeypatch):
    monkeypatch.setattr(answers, "_MOST_ENTRIES", 30)
    write(install__deep__er__a_j2="a", **{f"images__{number}__x": "" for number in range(40)})
    found, [finding] = survey(root)
    assert list(found.templates) == ["install/deep/er/a"]  # first come those of the right folder
    assert (finding.level, finding.code) == (Level.NOTE, "files-many")


def test_one_may_include_others_and_nothing_else(root, write, loaded, tmp_path):
    (tmp_path / "secret").write_text("secret")
    write(
        install__a_j2="{% include 'install/b.j2' %}",
        install__b_j2="{{ mac }}{% include ['none.j2', 'c.j2'] %}{% include 'x' ignore missing %}",
        c_j2="c",
        install__child_j2="{% extends 'install/b.j2' %}",
        install__out_j2="{% include '../secret' %}",
    )
    registry = loaded()
    found, findings = survey(root)
    assert findings == []
    assert found.templates["install/a"].render({"mac": "m"}) == "mc"
    assert found.templates["install/child"].render({"mac": "m"}) == "mc"
    (finding,) = said(registry.findings, "template-error")
    assert (finding.level, finding.place.file) == (Level.RELOAD, str(root / "install/out.j2"))
    assert "there is no template '../secret'" in finding.text


def test_rendering_reads_no_file(root, write):
    write(a_j2="{% include name %}", b_j2="b")
    found, _ = survey(root)
    (root / "b.j2").unlink()
    assert found.templates["a"].render({"name": "b.j2"}) == "b"
    with pytest.raises(RenderError):
        found.templates["a"].render({"name": "/etc/hostname"})


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (b"ok\n{% if %}\n", 2, "Expected an expression"),
        (b"{% for x in y %}", 1, "Unexpected end of template"),
        (b"\n\n{{ x|nofilter }}", 3, "No filter named 'nofilter'"),
        (b"gr\xf6\xdfe", 0, "is not UTF-8"),
        (b"x" * ((1 << 20) + 1), 0, "larger than"),
        (b"(" * 10 + b"{{" + b"(" * 5000 + b"}}", 0, ""),
    ],
)
def test_one_that_does_not_compile_is_told_with_its_line(root, loaded, text, line, says):
    (root / "install").mkdir()
    (root / "install" / "bad.j2").write_bytes(text)
    registry = loaded()
    (finding,) = said(registry.findings, "template-error")
    assert finding.level is Level.RELOAD
    assert (finding.place.file, finding.place.line) == (str(root / "install/bad.j2"), line)
    assert says in finding.text
    assert isinstance(registry.answers["install/bad"], BrokenText)
    with pytest.raises(RenderError, match=r"install/bad\.j2"):
        registry.answers["install/bad"].render({})


def test_a_broken_part_is_told_once_and_breaks_all_that_build_on_it(write, loaded):
    write(
        part_j2="{% if %}",
        install__a_j2="{% include 'part.j2' %}",
        b_j2="{% include 'install/a.j2' %}",
        c_j2="c",
    )
    registry = loaded()
    (finding,) = said(registry.findings, "template-error")
    assert finding.level is Level.RELOAD  # since one in install/ builds on it
    broken = [path for path, one in registry.answers.items() if isinstance(one, BrokenText)]
    assert broken == ["b", "install/a", "part"]


def test_templates_of_others_elsewhere_below_the_root_are_a_note(write, loaded, tmp_path):
    write(
        images__ansible__a_j2="{{ x|to_nice_yaml }}",
        images__ansible__b_j2="{{ ansible_host }}",
        images__ansible__c_j2="c",
        images__ansible__c="plain",
    )
    registry = loaded()
    found = [f for f in registry.findings if f.code.startswith("template-")]
    assert [f.code for f in found] == ["template-error", "template-name-unknown", "template-unused"]
    assert {f.level for f in found} == {Level.NOTE}


def test_a_broken_one_elsewhere_counts_where_a_target_names_it(write, loaded):
    write(images__boot__a_j2="{% if %}")
    registry = loaded('"boot_args" : "ks=http://192.0.2.1/images/boot/a"')
    (finding,) = said(registry.findings, "template-error")
    assert finding.level is Level.RELOAD


def test_a_mark_of_windows_at_the_beginning_is_dropped(root):
    (root / "user-data.j2").write_bytes(b"\xef\xbb\xbf#cloud-config\r\n")
    found, _ = survey(root)
    assert found.templates["user-data"].render({}) == "#cloud-config\n"


def test_there_is_an_end_to_how_many_are_compiled(write, root, monkeypatch):
    monkeypatch.setattr(answers, "_MOST_TEMPLATES", 3)
    write(install__a_j2="a", **{f"other__{number}_j2": "" for number in range(9)})
    found, [finding] = survey(root)
    assert len(found.templates) == 3
    assert "install/a" in found.templates
    assert (finding.level, finding.code) == (Level.NOTE, "files-many")


def test_templates_that_include_each_other_in_a_circle_fail_when_rendered(root, write):
    write(a_j2="{% include 'b.j2' %}", b_j2="{% include 'a.j2' %}")
    found, _ = survey(root)
    with pytest.raises(RenderError):
        found.templates["a"].render({})


def test_an_unreadable_one_is_a_warning(write, loaded, monkeypatch):
    write(install__a_j2="a")

    def trouble(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Library, "template", trouble)
    (finding,) = said(loaded().findings, "template-error")
    assert finding.level is Level.WARNING
    assert "Input/output error" in finding.text


def test_each_template_and_its_folder_and_all_of_install_are_watched(root, write, loaded):
    write(install__deb_cfg_j2="", install__new__x="no template", other__y_j2="")
    watched = set(loaded().watched)
    wanted = {"install", "install/new", "install/deb_cfg.j2", "other", "other/y.j2"}
    assert {str(root / path) for path in wanted} <= watched
    assert str(root / "images") not in watched


# -- whose they are --------------------------------------------------------------------------------


KNOWN = {"install/a.cfg": None, "install/u/user-data": None, "install/u/meta-data": None}


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("answer", "install/a.cfg", ["install/a.cfg"]),
        ("answer", "/install/a.cfg", ["install/a.cfg"]),
        ("answer", "install/u", ["install/u/user-data", "install/u/meta-data"]),
        ("args", ("ks=http://b:3000/install/a.cfg",), ["install/a.cfg"]),
        ("args", ("inst.ks=http://b/install/${net0/mac:hexhyp}/a.cfg?x=1",), ["install/a.cfg"]),
        ("args", ("url=http://b/install/52-54-00-00-00-01/a%2Ecfg", "quiet"), ["install/a.cfg"]),
        ("args", ("ds=nocloud;s=http://b/install/__mac__/u/",),
             ["install/u/user-data", "install/u/meta-data"]),
        ("args", ("ds=nocloud;s=http://b/install/${mac}/u/;h=x",),
         ["install/u/user-data", "install/u/meta-data"]),
        ("args", ("url=http://b", "http://b/", "ks=nfs:b:/install/a.cfg", "http://b/none"), []),
    ],
)  # fmt: skip
def test_a_target_names_templates_by_its_answer_and_in_its_script(key, value, found):
    class Some:
        answer = value if key == "answer" else ""

    script = f"#!ipxe\nkernel --name kernel http://b/k {' '.join(value)}\n" if key == "args" else ""
    assert list(answers.named_by(Some(), script, KNOWN)) == found


# -- whether they are right ------------------------------------------------------------------------


def test_a_template_that_suits_every_machine_says_nothing(root, write, loaded, tmp_path):
    write(install__x="")
    (root / "install" / "deb.cfg.j2").write_text(
        "{{ disk }} {{ domain }} {{ ip }} {{ mac.raw }} {{ done_url }}"
    )
    registry = loaded()
    assert isinstance(registry.answers["install/deb.cfg"], TextTemplate)
    assert said(registry.findings, "template-error") == []
    assert said(registry.findings, "file-missing") == []
    assert [f for f in check(tmp_path / "c.json").findings if f.level > Level.WARNING] == []


def test_a_name_that_one_machine_lacks_is_an_error_with_line_machine_and_remedy(
    root, write, loaded
):
    write(install__x="")
    (root / "install" / "deb.cfg.j2").write_text("one\n\n{{ gateway }}\n")
    registry = loaded(one='"gateway" : "192.0.2.1"')
    (finding,) = said(registry.findings, "template-error")
    assert finding.level is Level.RELOAD
    assert (finding.place.file, finding.place.line) == (str(root / "install/deb.cfg.j2"), 3)
    for words in (TWO, "install/deb", "'gateway' is undefined", '"vars"', "gateway|default("):
        assert words in finding.text


def test_check_looks_at_every_machine_and_tells_each_fault_once(root, write, loaded, tmp_path):
    write(install__x="")
    # Both have the name, so they are of one kind; only the second's value has no such part.
    (root / "install" / "deb.cfg.j2").write_text("{{ net.address }}")
    registry = loaded(one='"net" : { "address" : 1 }', two='"net" : { "adress" : 1 }')
    assert said(registry.findings, "template-error") == []
    (finding,) = said(check(tmp_path / "c.json").findings, "template-error")
    assert TWO in finding.text
    loaded()
    (finding,) = said(check(tmp_path / "c.json").findings, "template-error")
    assert f"{ONE} (install/deb) and 1 more: 'net' is undefined" in finding.text


def test_the_consoles_of_its_machines_say_why_they_do_not_install(root, write, loaded):
    write(install__x="")
    (root / "install" / "deb.cfg.j2").write_text("{{ gateway }}")
    registry = loaded(one='"gateway" : "192.0.2.1"')

    def script(mac):
        client = Client(stage=Stage.IPXE, mac=MAC.parse(mac), address="192.0.2.9")
        return boot_script(client, registry, "http://192.0.2.1:3000")

    assert script(ONE).status == 200
    assert script(TWO).status == 500
    assert not script(TWO).boots
    assert (
        "its answer file has an error: install/deb.cfg.j2:1: 'gateway' is undefined"
        in script(TWO).text
    )


def test_one_that_does_not_compile_is_told_on_the_console_as_well(root, write, loaded):
    write(install__x="")
    (root / "install" / "deb.cfg.j2").write_text("{{")
    registry = loaded()
    assert len(said(registry.findings, "template-error")) == 1
    client = Client(stage=Stage.IPXE, mac=MAC.parse(ONE), address="192.0.2.9")
    assert "its answer file has an error" in boot_script(client, registry, "http://x").text


def test_names_of_a_template_that_no_target_names_are_only_looked_for(root, write, loaded):
    write(
        install__other_j2="\n{{ disk }}{{ domain }}{{ mac }}{{ hsotname }}{{ a|default('') }}\n"
        "{% if b is defined %}{{ b }}{% endif %}{% set c = 1 %}{{ c }}{% include 'part.j2' %}"
        "{% for d in range(3) %}{{ loop.index }}{{ d }}{% endfor %}{% macro e(f) %}{{ f }}{% endmacro %}",
        part_j2="{{ c }}{{ ip }}",
    )
    (finding,) = said(loaded().findings, "template-name-unknown")
    assert finding.level is Level.WARNING
    assert '"hsotname"' in finding.text
    assert (finding.place.file, finding.place.line) == (str(root / "install/other.j2"), 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#cloud-config\nautoinstall:\n  version: 1\n  late-commands:\n    - x: y\n", None),
        ("#cloud-config\nautoinstall:\n  version: 1\n  identitty: {}\n", '"identitty"'),
        (
            "#cloud-config\nautoinstall:\n\n    # a\n    version: 1\n    storage:\n      layout: 1\n",
            None,
        ),
        ("#cloud-config \n", "first line"),
        ("\n#cloud-config\n", "first line"),
        ("#!/bin/sh\n", None),
        ("#cloud-config\nruncmd:\n  - identitty: 1\n", None),
    ],
)
def test_user_data_is_looked_at_as_cloud_init_does(root, write, loaded, text, says):
    (root / "install").mkdir()
    (root / "install" / "user-data.j2").write_text(text)
    found = said(
        loaded('"extra" : 1, "boot_args" : "ds=nocloud;s=http://192.0.2.1/install/"').findings,
        "user-data",
    )
    assert [says in finding.text for finding in found] == ([True] if says else [])
    assert all(finding.level is Level.WARNING for finding in found)


def test_a_wildcard_and_the_default_are_tried_too(root, write, tmp_path):
    write(install__x="")
    (root / "install" / "deb.cfg.j2").write_text("{{ gateway }}")
    config = CONFIG % ("", '"gateway" : 1', '"gateway" : 1')
    for entry in ('"default"', '"52:54:01:*"'):
        more = '"machines" : { %s : { "type" : "install", "name" : "deb" },' % entry
        (tmp_path / "c.json").write_text(config.replace('"machines" : {', more))
        (finding,) = said(load(tmp_path / "c.json").findings, "template-error")
        assert finding.text.startswith(f"{entry.strip(chr(34))} (install/deb): 'gateway' is")
        assert said(check(tmp_path / "c.json").findings, "template-error") == [finding]
