"""``netbootd firmware``: which boot programs are there, of whom, and what is missing."""

import json
import shutil
import subprocess
from os import fsdecode
from pathlib import Path

import pytest

from netbootd import firmware, loaders
from netbootd.cli import main
from netbootd.dhcp.pxe import OUR_USER_CLASS
from netbootd.programs import LARGEST
from netbootd.registry.load import load

from . import binaries

FIRMWARE = Path(__file__).parents[1] / "firmware"


@pytest.fixture
def site(tmp_path):
    def make(setting="", machines="", **files):
        (tmp_path / "firmware").mkdir()
        for name, data in files.items():
            (tmp_path / "firmware" / name.replace("__", ".")).write_bytes(data)
        config = """{ "targets" : { "localboot" : { "disk" : { } } }, "machines" : {
            "default" : { "type" : "localboot", "name" : "disk" }, %s },
            "netbootd" : { "files" : "files", "firmware" : "firmware" %s } }"""
        (tmp_path / "c.json").write_text(config % (machines, setting))
        return tmp_path / "c.json"

    return make


def test_a_program_is_listed_with_all_that_is_known_of_it(site):
    file = site(snponly__efi=binaries.ipxe(script="#!ipxe\nset user-class netbootd\n"))
    row = firmware.take(load(file)).rows[0]
    assert (row.family, row.set, row.file) == ("efi-x64", "ipxe", "snponly.efi")
    assert (row.product, row.version, row.brand) == ("iPXE", "1.21.1+git", "netbootd")
    assert row.path.endswith("/firmware/snponly.efi")
    assert len(row.sha256) == 64
    assert row.chosen
    assert not row.signed
    assert not row.wrong
    assert row.origin == ""


def test_all_is_well_where_one_loader_is_there_and_the_rest_is_named_with_its_source(site, capsys):
    assert main(["firmware", "--config", str(site(snponly__efi=binaries.ipxe()))]) == 0
    told = capsys.readouterr().out
    assert "* snponly.efi  iPXE 1.21.1+git, not signed" in told
    assert "'firmware/fetch-trixie'" in told
    assert "undionly.kpxe: Debian's package ipxe" in told


def test_a_file_for_another_machine_is_wrong(site, capsys):
    assert (
        main(["firmware", "--config", str(site(snponly__efi=binaries.ipxe(binaries.ARM64)))]) == 1
    )
    assert "WRONG: it is for efi-arm64" in capsys.readouterr().out


def test_a_file_that_was_not_copied_whole_is_wrong(site, capsys):
    assert main(["firmware", "--config", str(site(snponly__efi=binaries.ipxe()[:-5]))]) == 1
    assert "WRONG: its end is missing" in capsys.readouterr().out


def test_a_uefi_program_cannot_be_a_bios_loader(site):
    inventory = firmware.take(load(site(undionly__kpxe=binaries.ipxe())))
    assert [row.wrong for row in inventory.rows] == ["it is for efi-x64"]
    assert not inventory.well


@pytest.mark.parametrize(
    ("setting", "machines"),
    [
        (', "loader" : "shim-grub"', ""),
        (', "loader" : { "efi-x64" : "own.efi" }', ""),
        ("", '"00:25:90:27:db:b4" : { "loader" : "pxelinux" }'),
    ],
)
def test_a_choice_without_its_file_is_found_by_firmware_and_by_check(
    site, capsys, setting, machines
):
    file = site(setting, machines, snponly__efi=binaries.ipxe())
    assert main(["firmware", "--config", str(file)]) == 1
    assert "chosen, and not there" in capsys.readouterr().out
    main(["check", str(file)])
    assert "loader-missing" in capsys.readouterr().out


def test_a_choice_that_is_too_large_is_not_said_to_be_absent(site, tmp_path, capsys):
    (tmp_path / "files").mkdir()
    with (tmp_path / "files" / "own.efi").open("wb") as huge:
        huge.truncate(LARGEST + 1)
    main(["check", str(site(', "loader" : { "efi-x64" : "own.efi" }'))])
    told = capsys.readouterr().out
    assert "own.efi cannot be read, or is larger than 16 MiB" in told


def test_a_chosen_file_is_listed_and_starred(site, capsys):
    file = site(', "loader" : { "efi-x64" : "own.efi" }', own__efi=binaries.pe(signer="Own CA"))
    main(["firmware", "--config", str(file)])
    assert "* own.efi  unknown, signed (Own CA)" in capsys.readouterr().out


def test_as_json_it_is_for_programs(site, capsys):
    assert main(["firmware", "--json", "--config", str(site(snponly__efi=binaries.ipxe()))]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["programs"][0]["file"] == "snponly.efi"
    assert {one["family"] for one in told["missing"]} >= {"efi-arm64", "bios"}


def test_the_package_of_a_file_is_told_with_its_version(tmp_path):
    here = next(p for p in (Path("/bin/sh"), Path("/bin/ls")) if p.exists())
    owned = firmware.owners([here, tmp_path / "nobodys"])
    if owned:  # there is a dpkg
        assert list(owned) == [here]
        assert owned[here].split(" ")[1][0].isdigit()


def test_a_name_that_is_no_text_and_one_that_holds_a_pattern_harm_nothing(site, tmp_path, capsys):
    file = site(snponly__efi=binaries.ipxe())
    for name in (b"\xff.efi", b"[a]*?.efi", b"-x.efi"):
        (tmp_path / "firmware" / fsdecode(name)).write_bytes(b"MZ")
    assert main(["firmware", "--config", str(file)]) == 0
    assert "* snponly.efi" in capsys.readouterr().out


# -- what makes or fetches them ----------------------------------------------------------------


SCRIPTS = ("build-ipxe", "fetch-trixie", "note-sums")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not here")
def test_the_scripts_that_get_boot_programs_are_sound(script):
    subprocess.run(["shellcheck", str(FIRMWARE / script)], check=True)


def test_what_no_package_has_is_made_by_a_script():
    text = (FIRMWARE / "build-ipxe").read_text()
    made = {name for name, where in loaders.SOURCES.items() if "build-ipxe" in where}
    assert all(f"[{name}]=" in text for name in made)


def test_the_readme_has_the_sources_of_all_sets():
    text = (FIRMWARE / "README.rst").read_text()
    assert all(f"``{word}``" in text for word in loaders.SETS)


def test_an_ipxe_of_ours_takes_the_user_class_that_dhcp_knows():
    assert f"set user-class {OUR_USER_CLASS}\n" in (FIRMWARE / "embedded.ipxe").read_text()
