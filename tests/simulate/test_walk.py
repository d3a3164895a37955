"""The whole walk in memory: every kind of firmware, and every way it can end."""

from __future__ import annotations

import struct

import pytest

from netbootd.cli import main

NODE = "00:25:90:27:db:b4"
CONFIG = """{
  "targets" : {
     "nfs" : { "a" : { "kernel" : "k", "initrd" : "i", "boot_args" : "root=/dev/nfs" } },
     "localboot" : { "disk" : { } },
     "biosupdate" : { "b" : { "initrd" : "i" } },
  },
  "machines" : {
     "default" : { "type" : "localboot", "name" : "disk" },
     "00:25:90:27:db:b4" : { %s },
  },
  "netbootd" : { "firmware" : "fw", "files" : "files" },
}"""


def efi_program(machine):
    """The least of a PE program: its two magic numbers and the machine type."""
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine) + bytes(100)


@pytest.fixture
def simulate(tmp_path, capsys):
    for folder in ("fw", "files"):
        (tmp_path / folder).mkdir()
    (tmp_path / "fw" / "undionly.kpxe").write_bytes(bytes(74213))
    (tmp_path / "fw" / "memdisk").write_bytes(bytes(1000))
    (tmp_path / "fw" / "snponly.efi").write_bytes(efi_program(0x8664))
    (tmp_path / "fw" / "snponly-arm64.efi").write_bytes(efi_program(0x8664))
    (tmp_path / "files" / "k").write_bytes(bytes(100_000))
    (tmp_path / "files" / "i").write_bytes(bytes(200_000))

    def simulate(*arguments, entry='"type" : "nfs", "name" : "a"', mac=NODE):
        (tmp_path / "c.json").write_text(CONFIG % entry)
        status = main(["simulate", "--config", str(tmp_path / "c.json"), *arguments, mac])
        return status, capsys.readouterr().out

    simulate.folder = tmp_path
    return simulate


@pytest.mark.parametrize(
    ("kind", "signs"),
    [
        ("bios", ["undionly.kpxe", "51 blocks of 1456, windows of 1", "The kernel starts"]),
        ("efi", ["4011", "snponly.efi", "windows of 4", "an EFI program for x86_64"]),
        ("ipxe", ["/boot/00:25:90:27:db:b4", "100,000 bytes", "200,000 bytes"]),
        ("http", ["HTTPClient", "http://192.0.2.1:3000/00-25-90-27-db-b4/snponly.efi"]),
    ],
)
def test_every_kind_of_firmware_reaches_the_kernel(simulate, kind, signs):
    status, told = simulate("--firmware", kind)
    assert status == 0
    assert "The kernel starts." in told
    assert [sign for sign in signs if sign not in told] == []


def test_only_uefi_asks_port_4011(simulate):
    assert "4011\n" not in simulate("--firmware", "bios")[1]
    assert "DHCPREQUEST" not in simulate("--firmware", "ipxe")[1]


def test_a_stranger_follows_the_default_to_its_disk(simulate):
    status, told = simulate("--firmware", "bios", mac="52:54:00:00:00:01")
    assert status == 0
    assert "The first disk starts." in told
    assert "machines.default: localboot/disk" in told


def test_memdisk_runs_under_bios_and_says_why_not_under_uefi(simulate):
    entry = '"type" : "biosupdate", "name" : "b"'
    assert "The kernel starts." in simulate("--firmware", "bios", entry=entry)[1]
    told = simulate("--firmware", "efi", entry=entry)[1]
    assert "memdisk cannot run under UEFI" in told
    assert "next boot device" in told


@pytest.mark.parametrize(
    ("arguments", "entry", "says"),
    [
        (["--arch", "6"], '"type" : "nfs", "name" : "a"', "no loader for UEFI IA32"),
        (["--arch", "4711"], '"type" : "nfs", "name" : "a"', "unknown architecture 4711"),
        (["--arch", "11"], '"type" : "nfs", "name" : "a"', "0xaa64"),
        ([], '"type" : "nfs", "name" : "zz"', "nfs/zz cannot boot: there is no such target"),
        ([], '"type" : "nfs", "name" : "a", "kernel" : "zz"', "404"),
        ([], '"type" : "nfs", "name" : "a", "kernel" : "http://192.0.2.77/k"', "not this server"),
    ],
)
def test_what_would_not_boot_fails_here_with_the_reason(simulate, arguments, entry, says):
    status, told = simulate(*arguments, entry=entry)
    assert status == 1
    assert says in told.split("FAILED")[1]
