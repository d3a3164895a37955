"""``SHA256SUMS`` beside loaders: what is listed and altered is refused, and every change is told."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from twisted.logger import globalLogPublisher

from netbootd.cli import main
from netbootd.errors import Forbidden, Level
from netbootd.programs import find_programs
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.snapshot import changes
from netbootd.sums import NAME, Sums
from netbootd.systemd import Notifier
from netbootd.telling import Teller

from . import binaries
from .http.inmemory import Rig

NOTE_SUMS = Path(__file__).parents[1] / "firmware" / "note-sums"
GOOD, OTHER = binaries.ipxe(), binaries.ipxe(binaries.ARM64)


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


@pytest.fixture
def site(tmp_path):
    """A configuration whose firmware folder holds a loader and lists the *good* one."""

    def make(held: bytes = GOOD, listed: str = f"{digest(GOOD)}  snponly.efi\n") -> Path:
        (tmp_path / "firmware").mkdir(exist_ok=True)
        (tmp_path / "firmware" / "snponly.efi").write_bytes(held)
        (tmp_path / "firmware" / NAME).write_text(listed)
        (tmp_path / "c.json").write_text(
            """{ "targets" : { "localboot" : { "disk" : { } } }, "machines" : {
            "default" : { "type" : "localboot", "name" : "disk" } },
            "netbootd" : { "files" : "files", "firmware" : "firmware" } }"""
        )
        return tmp_path / "c.json"

    return make


def test_the_listed_file_is_served_and_told_to_be_that(site, capsys):
    registry = load(site())
    assert registry.library.lookup("snponly.efi").size == len(GOOD)
    assert not [one for one in registry.findings if one.code.startswith("loader-")]
    assert main(["firmware", "--config", str(site())]) == 0
    assert f"sha256 {digest(GOOD)}, as SHA256SUMS lists it" in capsys.readouterr().out


def test_another_file_than_the_listed_one_is_refused_to_whoever_asks(site):
    library = load(site(held=OTHER)).library
    assert library.program("snponly.efi") is None
    for path in ("snponly.efi", "/snponly.efi"):
        with pytest.raises(Forbidden, match="not what SHA256SUMS lists"):
            library.lookup(path)


def test_the_operator_is_told_why_and_the_client_is_not(tmp_path):
    rig = Rig(tmp_path)
    assert rig.get("/ipxe.efi").status == 200
    (tmp_path / "firmware" / NAME).write_text(f"{digest(OTHER)}  ipxe.efi\n")
    rig.live.swap(load(tmp_path / "c.json"))
    for path in ("/ipxe.efi", "/52-54-00-12-34-56/ipxe.efi"):
        answer = rig.get(path)
        assert (answer.status, answer.text) == (403, "403 Forbidden: not served\n")
        assert rig.events[-1].reason == "'ipxe.efi' is not what SHA256SUMS lists"


def test_one_in_the_file_root_is_refused_there_too(site, tmp_path):
    file = site()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "snponly.efi").write_bytes(OTHER)
    (tmp_path / "files" / NAME).write_text(f"{digest(GOOD)} *./snponly.efi\n")
    with pytest.raises(Forbidden, match="not what SHA256SUMS lists"):
        load(file).library.lookup("snponly.efi")


def test_check_and_firmware_say_both_hashes_and_fail(site, capsys):
    file = site(held=OTHER)
    assert main(["check", str(file)]) != 0
    told = capsys.readouterr().out
    assert (
        f"has SHA-256 {digest(OTHER)}, and SHA256SUMS lists {digest(GOOD)}: it is refused" in told
    )
    assert main(["firmware", "--config", str(file)]) != 0
    told = capsys.readouterr().out
    assert f"WRONG: refused: SHA256SUMS lists {digest(GOOD)}" in told


def test_it_is_no_reason_not_to_start_and_one_not_to_reload(site):
    (finding,) = [one for one in load(site(held=OTHER)).findings if one.code == "loader-altered"]
    assert finding.level is Level.RELOAD


def test_a_choice_of_it_says_why_it_is_not_there(site, tmp_path):
    file = site(held=OTHER)
    config = file.read_text().replace('"firmware" }', '"firmware", "loader" : "snponly.efi" }')
    file.write_text(config)
    (finding,) = [one for one in load(file).findings if one.code == "loader-missing"]
    assert "snponly.efi is not what SHA256SUMS lists" in finding.text


def test_files_that_are_not_listed_are_served_as_before(site):
    assert load(site(listed=f"{digest(GOOD)}  another.efi\n")).library.lookup("snponly.efi")


def test_a_list_that_cannot_be_read_lets_nothing_pass(site, tmp_path):
    file = site()
    (tmp_path / "firmware" / NAME).unlink()
    (tmp_path / "firmware" / NAME).mkdir()
    registry = load(file)
    assert registry.library.program("snponly.efi") is None
    levels = {one.code: one.level for one in registry.findings}
    assert levels["loader-sums"] is levels["loader-altered"] is Level.RELOAD


def test_a_line_that_is_none_is_told_with_its_place(tmp_path):
    (tmp_path / NAME).write_text(
        f"# ours\n\n{digest(GOOD).upper()}  a.efi\n{'0' * 63}  b.efi\nnonsense\n"
    )
    sums = Sums()
    assert sums.of(tmp_path / "a.efi", tmp_path) == digest(GOOD)
    assert sums.of(tmp_path / "b.efi", tmp_path) == ""
    assert [(one.place.line, one.level) for one in sums.faults] == [
        (4, Level.WARNING),
        (5, Level.WARNING),
    ]


@pytest.mark.parametrize("options", [(), ("-b",), ("--tag",)])
def test_whatever_sha256sum_writes_is_read_from_the_folder_or_that_above(tmp_path, options):
    inside = tmp_path / "fw" / "efi64"
    inside.mkdir(parents=True)
    (inside / "syslinux.efi").write_bytes(GOOD)
    (inside / "a b.efi").write_bytes(OTHER)
    for folder, names in (
        (inside, ["syslinux.efi", "a b.efi"]),
        (tmp_path / "fw", ["./efi64/syslinux.efi", "efi64/a b.efi"]),
    ):
        made = subprocess.run(
            ["sha256sum", *options, *names], cwd=folder, capture_output=True, text=True, check=True
        )
        (folder / NAME).write_text(made.stdout)
        found = find_programs(tmp_path / "root", [tmp_path / "fw"])
        assert {one.listed for one in found.values()} == {digest(GOOD), digest(OTHER)}
        assert not any(one.altered for one in found.values())
        (folder / NAME).unlink()


def test_a_change_is_logged_with_both_hashes(site, tmp_path):
    before = load(site(listed=""))
    (tmp_path / "firmware" / "ipxe.efi").write_bytes(OTHER)
    (tmp_path / "firmware" / "snponly.efi").write_bytes(OTHER)
    after = load(tmp_path / "c.json")
    changed = changes(before, after)
    assert str(changed) == "0 added, 0 removed, 0 changed, 2 loaders changed"
    assert str(changes(after, after)) == "0 added, 0 removed, 0 changed"
    told = []
    globalLogPublisher.addObserver(told.append)
    try:
        teller = Teller(LiveRegistry(after), tmp_path / "c.json", Notifier({}))
        teller.reloaded(after, changed)
    finally:
        globalLogPublisher.removeObserver(told.append)
    lines = [event["line"] for event in told if event.get("line", "").startswith("loader ")]
    place = tmp_path / "firmware"
    assert lines == [
        f"loader {place}/ipxe.efi is new, SHA-256 {digest(OTHER)}",
        f"loader {place}/snponly.efi changed: SHA-256 was {digest(GOOD)}, is {digest(OTHER)}",
    ]
    (gone,) = changes(after, before).loaders[:1]
    assert gone == f"loader {place}/ipxe.efi is gone, SHA-256 {digest(OTHER)}"


def test_what_is_fetched_or_built_is_noted_beside_what_was_noted_before(tmp_path):
    for name, data in (("a.efi", GOOD), ("b.efi", OTHER)):
        (tmp_path / name).write_bytes(data)
    for names in (["a.efi"], ["b.efi"], ["a.efi", "b.efi"]):
        subprocess.run([NOTE_SUMS, tmp_path, *names], check=True, capture_output=True)
    (tmp_path / "a.efi").write_bytes(OTHER)
    subprocess.run([NOTE_SUMS, tmp_path, "a.efi"], check=True, capture_output=True)
    listed = (tmp_path / NAME).read_text()
    assert sorted(listed.splitlines()) == [
        f"{digest(OTHER)}  {name}" for name in ("a.efi", "b.efi")
    ]
    assert sorted(os.listdir(tmp_path)) == [NAME, "a.efi", "b.efi"]
