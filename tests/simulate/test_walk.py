"""The whole walk in memory: every kind of firmware, and every way it can end."""

from __future__ import annotations

import pytest

from netbootd.cli import main

from .kernels import bzimage, disk, efi_program, multiboot

NODE = "00:25:90:27:db:b4"
CONFIG = """{
  "targets" : {
     "nfs" : { "a" : { "kernel" : "k", "initrd" : "i", "boot_args" : "root=/dev/nfs" } },
     "localboot" : { "disk" : { } },
     "biosupdate" : { "b" : { "initrd" : "i" } },
     "own" : { "s" : { "sanboot" : "d" } },
  },
  "machines" : {
     "default" : { "type" : "localboot", "name" : "disk" },
     "00:25:90:27:db:b4" : { %s },
  },
  "netbootd" : { "firmware" : "fw", "files" : "files", %s },
  "boot_servers" : { %s },
}"""
NFS = '"type" : "nfs", "name" : "a"'


@pytest.fixture
def simulate(tmp_path, capsys):
    for folder in ("fw", "files"):
        (tmp_path / folder).mkdir()
    (tmp_path / "fw" / "undionly.kpxe").write_bytes(bytes(74213))
    (tmp_path / "fw" / "memdisk").write_bytes(bzimage(efi=False))
    (tmp_path / "fw" / "snponly.efi").write_bytes(efi_program(0x8664))
    (tmp_path / "fw" / "snponly-arm64.efi").write_bytes(efi_program(0x8664))
    (tmp_path / "files" / "k").write_bytes(bzimage(100_000))
    (tmp_path / "files" / "i").write_bytes(bytes(200_000))

    def simulate(*arguments, entry=NFS, mac=NODE, settings="", servers="", config=CONFIG):
        (tmp_path / "c.json").write_text(config % (entry, settings, servers))
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


def test_what_a_secret_machine_is_refused_until_it_is_armed_is_said(simulate):
    secret = NFS + ', "secret" : true'
    status, told = simulate(entry=secret)
    assert status == 0
    assert f"a boot that was not armed is refused what is secret: 'netbootd next {NODE}'" in told
    assert "armed" not in simulate()[1]


def test_only_uefi_asks_port_4011(simulate):
    assert "4011\n" not in simulate("--firmware", "bios")[1]
    assert "DHCPREQUEST" not in simulate("--firmware", "ipxe")[1]


@pytest.mark.parametrize("kind", ["bios", "efi"])
@pytest.mark.parametrize(
    ("style", "signs"),
    [
        ("direct", ["No second question"]),
        ("boot-server", ["The offer has no option 43", "DHCPACK from port 4011"]),
        ("menu", ["first line Network boot (type 8000)", "DHCPACK from port 4011"]),
    ],
)
def test_every_style_leads_to_the_kernel(simulate, kind, style, signs):
    status, told = simulate("--firmware", kind, "--style", style)
    assert status == 0
    plain = " ".join(told.split())
    assert [sign for sign in signs if sign not in plain] == []
    assert "The kernel starts." in told


def test_a_stranger_follows_the_default_to_its_disk(simulate):
    status, told = simulate("--firmware", "bios", mac="52:54:00:00:00:01")
    assert status == 0
    assert "The first disk starts." in told
    assert "machines.default: localboot/disk" in told


def test_memdisk_runs_under_bios_and_fails_under_uefi_with_what_the_console_says(simulate):
    entry = '"type" : "biosupdate", "name" : "b"'
    assert "The kernel starts." in simulate("--firmware", "bios", entry=entry)[1]
    status, told = simulate("--firmware", "efi", entry=entry)
    assert status == 1
    assert "memdisk cannot run under UEFI" in told.split("FAILED")[1]


def test_leaving_for_the_disk_is_what_localboot_means_under_uefi(simulate):
    status, told = simulate("--firmware", "efi", entry='"type" : "localboot", "name" : "disk"')
    assert status == 0
    assert "next boot device" in told


@pytest.mark.parametrize("text", ["exit 1\n", "iseq a b || goto out\n:out\necho bye\nexit 1\n"])
def test_a_template_of_the_site_may_leave_for_the_disk_in_its_own_way(simulate, text):
    (simulate.folder / "localboot.ipxe").write_text(f"#!ipxe\n{text}")
    assert simulate(entry='"type" : "localboot", "name" : "disk"')[0] == 0


@pytest.mark.parametrize(
    ("firmware", "data", "says"),
    [
        ("efi", bzimage(), "an EFI program for x86_64"),
        ("bios", bzimage(), "a Linux kernel"),
        ("bios", bzimage(efi=False), "a Linux kernel, or memdisk"),
        ("bios", multiboot(), "a multiboot kernel"),
        ("efi", efi_program(), "an EFI program for x86_64"),
    ],
)
def test_a_kernel_that_can_start_starts(simulate, firmware, data, says):
    (simulate.folder / "files" / "k").write_bytes(data)
    status, told = simulate("--firmware", firmware)
    assert (status, "The kernel starts." in told) == (0, True)
    assert says in told


@pytest.mark.parametrize("firmware", ["bios", "efi"])
@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "it is empty"),
        (b"\n<html><body>404</body></html>", "it is HTML or XML"),
        (b"\x1f\x8b\x08" + bytes(500), "it is a gzip file"),
        (b"\x9d\x01\xfe" + bytes(70_000), "begins 9d 01 fe 00"),
        (bzimage()[:100].replace(b"PE", b"NE"), "begins 4d 5a"),
    ],
)
def test_a_file_that_is_no_kernel_is_told_by_what_it_is(simulate, firmware, data, found):
    (simulate.folder / "files" / "k").write_bytes(data)
    status, told = simulate("--firmware", firmware)
    assert status == 1
    assert "The kernel starts" not in told
    assert found in told.split("FAILED")[1]


@pytest.mark.parametrize(
    ("firmware", "data", "found"),
    [
        ("efi", bzimage(efi=False), "without an EFI stub"),
        ("efi", efi_program(0x14C), "0x14c"),
        ("bios", efi_program(), "it is an EFI program"),
        ("bios", multiboot()[:72], "begins 00"),
    ],
)
def test_a_kernel_for_other_firmware_does_not_start(simulate, firmware, data, found):
    (simulate.folder / "files" / "k").write_bytes(data)
    status, told = simulate("--firmware", firmware)
    assert status == 1
    assert found in told.split("FAILED")[1]


@pytest.mark.parametrize(("data", "status"), [(disk(), 0), (b"", 1), (bytes(1000), 1)])
def test_a_disk_image_needs_a_boot_sector(simulate, data, status):
    (simulate.folder / "files" / "d").write_bytes(data)
    assert simulate(entry='"type" : "own", "name" : "s"')[0] == status


@pytest.mark.parametrize(
    "url",
    [
        "https://192.0.2.1/k",
        "http://192.0.2.77/k",
        "nfs://192.0.2.9/k",
        "tftp://192.0.2.77/k",
        "tftp://192.0.2.1:6969/k",
    ],
)
def test_what_could_not_be_checked_is_named_and_is_no_success(simulate, url):
    status, told = simulate(entry=f'{NFS}, "kernel" : "{url}"')
    assert status == 1
    assert "could not be checked: " in told
    assert "could not be checked: " in told.splitlines()[-1]
    assert "The kernel starts" not in told
    assert "200,000 bytes" in told  # the rest was


def test_an_iscsi_disk_could_not_be_checked(simulate):
    entry = (
        '"type" : "own", "name" : "s", "sanboot" : "iscsi:192.0.2.9::::iqn.2001-04.org.example:a"'
    )
    status, told = simulate(entry=entry)
    assert status == 1
    assert "iscsi:192.0.2.9" in told.splitlines()[-1]


def test_a_file_by_tftp_is_fetched(simulate):
    status, told = simulate(entry=f'{NFS}, "kernel" : "tftp://192.0.2.1/k"')
    assert status == 0
    assert "100,000 bytes" in told
    assert "blocks of 1432" in told


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("kernel", "there is no URL"),
        ("kernel ${nothing}", "there is no URL"),
        ("kernel memdisk", "404: no such address"),  # relative to /boot/<mac>
        ("kernel http://[", "this is no URL"),
        ("exit", "console says last: hello"),
        ("goto", "there is no such label"),
        ("chain https://192.0.2.1/x", "could not be checked: https://192.0.2.1/x"),
    ],
)
def test_a_template_of_the_site_that_goes_wrong(simulate, line, says):
    (simulate.folder / "nfs.ipxe").write_text(f"#!ipxe\necho hello\n{line} || goto f\n:f\nexit 1\n")
    status, told = simulate()
    assert status == 1
    assert says in told


def test_a_second_kernel_may_stand_in_for_the_first(simulate):
    text = "#!ipxe\nkernel /none || kernel /k || exit 1\nboot\n"
    (simulate.folder / "nfs.ipxe").write_text(text)
    assert simulate()[0] == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('"proxydhcp" : false', '"proxydhcp" is off'),
        ('"tftp" : { "enabled" : false }', '"tftp" is off'),
        ('"tftp" : { "port" : 6969 }', '"tftp" has port 6969'),
    ],
)
def test_a_service_that_is_off_answers_nobody(simulate, settings, says):
    status, told = simulate("--firmware", "bios", settings=settings)
    assert status == 1
    assert says in told.split("FAILED")[1]


def test_without_tftp_http_boot_still_works(simulate):
    assert simulate("--firmware", "http", settings='"tftp" : false')[0] == 0


@pytest.mark.parametrize("name", ["boot.example", "boot.example:3000", "http://Boot.example:8080/"])
@pytest.mark.parametrize("kind", ["bios", "efi", "ipxe", "http"])
def test_a_boot_server_may_be_given_by_name(simulate, kind, name):
    status, told = simulate("--firmware", kind, servers=f'"default" : "{name}"')
    assert status == 0
    assert "oot.example" in told


@pytest.mark.parametrize("number", ["99999", "65536", "-1", "x64"])
def test_an_architecture_is_a_number_of_two_bytes(simulate, capsys, number):
    with pytest.raises(SystemExit) as left:
        simulate(f"--arch={number}")
    assert left.value.code == 2
    assert "0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "entry", "says"),
    [
        (["--arch", "6"], NFS, "no loader for UEFI IA32"),
        (["--arch", "4711"], NFS, "unknown architecture 4711"),
        (["--arch", "11"], NFS, "0xaa64"),
        ([], '"type" : "nfs", "name" : "zz"', "nfs/zz cannot boot: there is no such target"),
        ([], '"type" : "nfs", "name" : "a", "kernel" : "zz"', "404"),
    ],
)
def test_what_would_not_boot_fails_here_with_the_reason(simulate, arguments, entry, says):
    status, told = simulate(*arguments, entry=entry)
    assert status == 1
    assert says in told.split("FAILED")[1]


def test_a_menu_is_walked_through_to_its_default(simulate):
    entry = (
        '"type" : "menu", "name" : "m", "default" : "nfs/a", "timeout" : 1,'
        ' "choices" : [ "localboot", "nfs/a" ]'
    )
    menu = CONFIG.replace(
        '"targets" : {', '"targets" : { "menu" : { "m" : { "choices" : [ "nfs/a" ] } },'
    )
    status, told = simulate(entry=entry, config=menu)
    assert status == 0
    assert "choice=2" in told
    assert "The kernel starts" in told


def test_the_extra_initrd_of_a_machine_is_fetched(simulate):
    (simulate.folder / "overlays" / "o" / "etc").mkdir(parents=True)
    (simulate.folder / "overlays" / "o" / "etc" / "motd").write_text("hello")
    status, told = simulate(entry=NFS + ', "overlays" : [ "o" ]')
    assert status == 0
    assert "/overlay/00-25-90-27-db-b4.cpio" in told
