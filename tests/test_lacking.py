"""Boot files that machines will look for and not find."""

from __future__ import annotations

import json

import pytest

from netbootd.check import check
from netbootd.loaderfile import lacks_command
from tests import binaries

NODE, SERIAL = "52:54:00:12:34:56", "10000000d4659bbd"
PI = {"serial": SERIAL}
OLD = binaries.pe(inside=b"\0iPXE/%s\x001.0.0+git\0ifstat\0")
NEW = binaries.pe(inside=b"\0iPXE/%s\x001.21.1+git\0ifstat\0vcreate\0")
_LACKS = ("pi-firmware", "ipxe-vlan", "ipxe-https")


@pytest.fixture
def told(tmp_path):
    (tmp_path / "k").write_bytes(b"kernel")

    def told(*entries, files=(), **sections):
        for name, data in dict(files).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(data)
        machines = {f"52:54:00:00:00:0{at}": entry for at, entry in enumerate(entries)}
        whole = {
            "netbootd": {"files": str(tmp_path), "firmware": []},
            "targets": {"linux": {"a": {"kernel": "k"}}, "localboot": {"disk": {}}},
            "machines": {"default": {"type": "linux", "name": "a"}, **machines},
            **sections,
        }
        (tmp_path / "c.json").write_text(json.dumps(whole))
        found = check(tmp_path / "c.json").findings
        return {one.code: one.text for one in found if one.code in _LACKS}

    return told


@pytest.mark.parametrize("entry", [PI, {"config_txt": "a=1"}])
def test_a_raspberry_pi_without_firmware_is_told(told, entry):
    text = told(entry)["pi-firmware"]
    assert "start4.elf" in text
    assert "raspi-firmware" in text


@pytest.mark.parametrize(
    "file",
    [
        "start4.elf",
        "bootcode.bin",
        "d4659bbd/start.elf",
        "d4659bbd/start4x.elf",
        "bcm2712-rpi-5-b.dtb",
    ],
)
@pytest.mark.parametrize("entry", [PI, {"config_txt": "a=1"}])
def test_one_that_has_some_is_left_alone(told, file, entry):
    assert told(entry, files={file: b"x"}) == {}


def test_what_is_in_the_folder_of_another_is_of_no_use(told):
    assert "pi-firmware" in told(PI, files={"12345678/start4.elf": b"x"})


def test_several_are_one_remark(told):
    text = told(*({"config_txt": f"a={number}"} for number in range(3)))["pi-firmware"]
    assert text.endswith(" (and 2 other machines)")


@pytest.mark.parametrize("entry", [{}, {"serial": "SN 4711"}, {"serial": "d4659bbd"}])
def test_who_is_no_raspberry_pi_needs_none(told, entry):
    assert told(entry) == {}


def test_an_ipxe_without_vlans_is_told_to_who_needs_them(told):
    text = told({"vlan": 20}, files={"snponly.efi": OLD})["ipxe-vlan"]
    assert text.startswith("linux/a: snponly.efi is an iPXE without vcreate")


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        ({"vlan": 20}, NEW),
        ({"vlan": 20}, binaries.ipxe()),  # nobody knows
        ({"vlan": 5000}, OLD),  # which is an error of its own
        ({"vlan": 20, "loader": "grub"}, OLD),
        ({"vlan": 20, "type": "localboot", "name": "disk"}, OLD),
        ({}, OLD),
    ],
)
def test_nobody_else_is_told_of_vlans(told, entry, data):
    assert told(entry, files={"snponly.efi": data}) == {}


def test_what_a_compressed_program_has_cannot_be_seen():
    assert not lacks_command(b"free base memory after PXE unload", "vcreate")


SECURE = binaries.pe(inside=b"\0iPXE/%s\x001.21.1+git\0ifstat\0https\0")


@pytest.mark.parametrize(
    ("loader", "server", "lacks"),
    [(OLD, "https", True), (SECURE, "https", False), (OLD, "http", False)],
)
def test_a_loader_without_https_is_told_where_the_boot_server_has_that_alone(
    told, loader, server, lacks
):
    servers = {"default": f"{server}://192.0.2.1"}
    found = told(files={"snponly.efi": loader}, boot_servers=servers)
    assert ("ipxe-https" in found) is lacks


def test_where_a_subnets_boot_server_is_by_https_its_machines_are_looked_at(told):
    nets = {"10.7.0.0/24": {"boot_server": "https://10.7.0.1"}}
    found = told({"ip": "10.7.0.9"}, files={"snponly.efi": OLD}, subnets=nets)
    assert "https://10.7.0.1" in found["ipxe-https"]
