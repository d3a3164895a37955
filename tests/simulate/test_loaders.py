"""Machines that never run iPXE are walked through as their own loaders go on."""

from __future__ import annotations

import json
import shutil

import pytest

from netbootd.cli import main
from tests import binaries

from .kernels import bzimage, efi_program

NODE = "52:54:00:12:34:56"
PI = "dc:a6:32:01:36:c2"
SERIAL = "d4659bbd"
LINUX = {"type": "linux", "name": "a"}
WHOLE = {
    "targets": {
        "linux": {"a": {"kernel": "images/k", "initrd": ["i", "j"], "boot_args": "quiet word=1"}},
        "localboot": {"d": {}},
        "menu": {"m": {"choices": ["linux/a", "localboot"], "timeout": 3}},
        "ipxe": {"s": {"script": "s.ipxe"}},
    },
    "machines": {"pi": {**LINUX, "serial": f"10000000{SERIAL}"}},
}
IMAGE = bytes(0x38) + b"ARM\x64" + bytes(1000)


@pytest.fixture
def simulate(tmp_path, capsys):
    for name in ("fw/efi64", "files/images"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "s.ipxe").write_text("#!ipxe\nexit 1\n")
    files = {
        "fw/shimx64.efi": efi_program(),
        "fw/grubx64.efi": efi_program(),
        "fw/lpxelinux.0": b"loader",
        "fw/ldlinux.c32": b"rest",
        "fw/efi64/syslinux.efi": efi_program(),
        "fw/efi64/ldlinux.e64": b"rest",
        "fw/undionly.kpxe": b"loader",
        "fw/snponly.efi": efi_program(),
        "files/images/k": bzimage(100_000),
        "files/i": bytes(2000),
        "files/j": bytes(3000),
        "files/start4.elf": bytes(4000),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    def simulate(*arguments, loader="ipxe", entry=LINUX, who=NODE, machines=None):
        listed = {**WHOLE["machines"], NODE: {**entry, "loader": loader}, **(machines or {})}
        settings = {"firmware": "fw", "files": "files", "state": str(tmp_path / "state")}
        whole = {**WHOLE, "machines": listed, "netbootd": settings}
        (tmp_path / "c.json").write_text(json.dumps(whole))
        status = main(["simulate", "--config", str(tmp_path / "c.json"), *arguments, who])
        return status, " ".join(capsys.readouterr().out.split())

    simulate.folder = tmp_path
    return simulate


READ = ["100,000 bytes", "2,000 bytes", "3,000 bytes", "arguments", "quiet word=1"]


@pytest.mark.parametrize(
    ("loader", "arguments", "signs"),
    [
        (
            "grub",
            [],
            [
                "it is GRUB, and asks for tftp://192.0.2.1/grub/grub.cfg",
                f"GRUB: configuration tftp://192.0.2.1/grub.cfg-01-{NODE}",
                "GRUB: kernel tftp://192.0.2.1/52-54-00-12-34-56/images/k",
                "an EFI program for x86_64",
            ],
        ),
        (
            "grub",
            ["--firmware", "http"],
            [
                "asks for http://192.0.2.1:3000/grub/grub.cfg",
                "GRUB: kernel http://192.0.2.1:3000/52-54-00-12-34-56/images/k",
            ],
        ),
        (
            "pxelinux",
            ["--firmware", "bios"],
            [
                f"tftp://192.0.2.1/{NODE}/ldlinux.c32",
                "found 52540012-3456-",
                f"PXELINUX: kernel tftp://192.0.2.1/{NODE}//52-54-00-12-34-56/images/k",
                "a Linux kernel",
            ],
        ),
        ("pxelinux", [], [f"{NODE}/efi64/ldlinux.e64", f"{NODE}/efi64//52-54-00-12-34-56/images"]),
    ],
)
def test_every_loader_reaches_the_kernel_by_its_own_configuration(
    simulate, loader, arguments, signs
):
    status, told = simulate(*arguments, loader=loader)
    assert [sign for sign in (*signs, *READ) if sign not in told] == []
    assert "iPXE" not in told
    assert (status, "The kernel starts." in told) == (0, True)


def test_a_shim_loads_its_grub_and_an_unsigned_kernel_is_no_success(simulate):
    status, told = simulate(loader="shim-grub")
    assert f"found tftp://192.0.2.1/{NODE}/grubx64.efi" in told
    assert [sign for sign in READ if sign not in told] == []
    assert status == 1
    assert '"k" bears no signature' in told.rpartition("could not be checked")[2]
    signed = binaries.pe(signer="Example CA")
    (simulate.folder / "files" / "images" / "k").write_bytes(signed)
    assert simulate(loader="shim-grub")[0] == 0


def test_without_a_shim_nobody_asks_for_a_signature(simulate):
    assert "signature" not in simulate(loader="grub")[1]


def test_a_shim_of_an_ipxe_release_leads_to_ipxe(simulate):
    folder = simulate.folder / "fw" / "ipxeboot" / "x86_64-sb"
    folder.mkdir(parents=True)
    (folder / "snponly-shim.efi").write_bytes(efi_program())
    (folder / "snponly.efi").write_bytes(efi_program())
    status, told = simulate(loader="shim-ipxe")
    assert "x86_64-sb/snponly.efi" in told
    assert "The loader starts: it is iPXE" in told
    assert (status, '"k" bears no signature' in told) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "missing", "says"),
    [
        ([], "grubx64.efi", "the shim finds no grubx64.efi beside itself"),
        (["--firmware", "bios"], "ldlinux.c32", "there is no ldlinux.c32 beside PXELINUX"),
    ],
)
def test_what_a_loader_needs_beside_itself_must_be_there(simulate, arguments, missing, says):
    (simulate.folder / "fw" / missing).unlink()
    status, told = simulate(*arguments, loader="pxelinux" if arguments else "shim-grub")
    assert status == 1
    assert says in told.partition("FAILED")[2]


def test_a_grub_that_is_too_old_for_a_proxy_is_said(simulate):
    (simulate.folder / "fw" / "grubx64.efi").write_bytes(binaries.grub("2.06-13"))
    status, told = simulate(loader="grub")
    assert status == 1
    assert "looks for its files on the host that the site's DHCP server names" in told


@pytest.mark.parametrize(
    ("arguments", "name", "initrds"),
    [
        (["--arch", "22"], "U-Boot", "/i,/52-54-00-12-34-56/j"),
        (["--arch", "21"], "U-Boot", "/i,/52-54-00-12-34-56/j"),
        (["--arch", "14"], "petitboot", "/i,/52-54-00-12-34-56/j"),
    ],
)
def test_firmware_that_reads_by_itself_needs_no_loader(simulate, arguments, name, initrds):
    (simulate.folder / "files" / "images" / "k").write_bytes(IMAGE)
    status, told = simulate(*arguments)
    assert f"{name} takes its server from the site's DHCP server alone" in told
    assert "found 01-52-54-00-12-34-56" in told
    assert f"{name}: initrd tftp://192.0.2.1/52-54-00-12-34-56{initrds}" in told
    assert "5,000 bytes" in told
    assert "a Linux kernel for ARM64 (Image)" in told
    assert status == 0


def test_a_kernel_for_pcs_does_not_start_on_a_board(simulate):
    status, told = simulate("--arch", "22")
    assert status == 1
    assert "it is a Linux kernel for PCs" in told.partition("FAILED")[2]


@pytest.mark.parametrize("kernel", [bzimage(efi=False), bzimage().replace(b"d\x86", b"L\x01")])
def test_a_kernel_that_only_some_grubs_start_is_neither_success_nor_failure(simulate, kernel):
    (simulate.folder / "files" / "images" / "k").write_bytes(kernel)
    status, told = simulate(loader="grub")
    assert status == 1
    assert "whether GRUB starts it all the same" in told.rpartition("could not be checked")[2]
    (simulate.folder / "files" / "images" / "k").write_bytes(b"<html>")
    assert "it is HTML or XML" in simulate(loader="grub")[1].partition("FAILED")[2]


def test_device_trees_are_fetched(simulate):
    (simulate.folder / "files" / "images" / "k").write_bytes(IMAGE)
    entry = {**LINUX, "fdt": "board.dtb"}
    assert (
        "board.dtb: TFTP ERROR" in simulate("--arch", "22", entry=entry)[1].partition("FAILED")[2]
    )
    (simulate.folder / "files" / "board.dtb").write_bytes(bytes(77))
    status, told = simulate("--arch", "22", entry=entry)
    assert (status, "U-Boot: device tree" in told, "77 bytes" in told) == (0, True, True)


@pytest.mark.parametrize(
    ("arguments", "who"),
    [([], "pi"), (["--style", "raspberry-pi"], "pi"), (["--arch", "41"], "pi"), ([], PI)],
)
def test_a_raspberry_pi_asks_in_the_folder_of_its_serial_number(simulate, arguments, who):
    (simulate.folder / "files" / "images" / "k").write_bytes(IMAGE)
    status, told = simulate(*arguments, who=who, machines={PI: LINUX})
    folder = SERIAL if who == "pi" else "320136c2"
    for name in ("config.txt", "cmdline.txt", "images/k", "i", "j"):
        assert f"tftp://192.0.2.1/{folder}/{name}" in told
    assert "found start4.elf" in told
    assert "arguments quiet word=1" in told
    assert status == 0


def test_a_raspberry_pi_that_shall_boot_its_disk_finds_nothing(simulate):
    local = {"type": "localboot", "name": "d"}
    status, told = simulate(who=PI, machines={PI: local})
    assert status == 1
    assert "goes on in its boot order" in told.partition("FAILED")[2]


@pytest.mark.parametrize(
    ("loader", "arguments", "ending"),
    [
        ("grub", [], "GRUB starts the machine's own disk, or leaves to the next boot device."),
        ("pxelinux", ["--firmware", "bios"], "The first disk starts."),
    ],
)
def test_localboot_leaves_for_the_disk(simulate, loader, arguments, ending):
    entry = {"type": "localboot", "name": "d"}
    status, told = simulate(*arguments, loader=loader, entry=entry)
    assert (status, ending in told) == (0, True)


@pytest.mark.parametrize(("loader", "kind"), [("grub", "efi"), ("pxelinux", "bios")])
def test_a_menu_is_walked_through_to_its_default(simulate, loader, kind):
    entry = {"type": "menu", "name": "m"}
    status, told = simulate("--firmware", kind, loader=loader, entry=entry)
    assert "choice-1" in told
    assert (status, "The kernel starts." in told) == (0, True)


@pytest.mark.parametrize(("loader", "kind"), [("grub", "efi"), ("pxelinux", "bios")])
def test_a_target_that_the_loader_cannot_boot_fails_with_what_the_console_says(
    simulate, loader, kind
):
    entry = {"type": "ipxe", "name": "s"}
    status, told = simulate("--firmware", kind, loader=loader, entry=entry)
    assert status == 1
    assert "ipxe/s" in told.partition("FAILED")[2]


@pytest.mark.parametrize(
    ("loader", "kind", "template", "line"),
    [
        ("grub", "efi", "grub.cfg", "source /other.cfg"),
        ("grub", "efi", "grub.cfg", "linux $prefix/k"),
        ("grub", "efi", "grub.cfg", 'if [ "$a" = b ]; then'),
        ("grub", "efi", "grub.cfg", "linux (hd0)/k"),
        ("pxelinux", "bios", "pxelinux.cfg", "INCLUDE other.cfg"),
        ("pxelinux", "bios", "pxelinux.cfg", "DEFAULT menu.c32"),
        ("pxelinux", "bios", "pxelinux.cfg", "LABEL a\nCONFIG"),
        ("pxelinux", "bios", "pxelinux.cfg", "LABEL a\nKERNEL menu.c32"),
        ("grub", "efi", "grub.cfg", "menuentry 'a' {\nchainloader (hd0)+1\n}"),
        ("grub", "efi", "grub.cfg", "set default=saved\nmenuentry 'a' {\n}"),
        ("grub", "efi", "grub.cfg", "echo it's"),
    ],
)
def test_an_admins_own_configuration_is_followed_as_far_as_it_is_understood(
    simulate, loader, kind, template, line
):
    (simulate.folder / template).write_text(f"{line}\n")
    status, told = simulate("--firmware", kind, loader=loader)
    assert status == 1
    assert "NOT SIMULATED from here on" in told
    assert "FAILED" not in told
    assert "The kernel starts" not in told


def test_a_configuration_of_the_file_root_comes_first(simulate):
    (simulate.folder / "files" / "grub").mkdir()
    own = "linux (tftp,192.0.2.1)/images/k a=b\nboot\n"
    (simulate.folder / "files" / "grub" / "grub.cfg").write_text(own)
    status, told = simulate(loader="grub")
    assert (status, "arguments a=b" in told) == (0, True)


def test_a_loader_that_nobody_knows_is_not_followed(simulate):
    (simulate.folder / "fw" / "mine.efi").write_bytes(efi_program())
    status, told = simulate(loader="mine.efi")
    assert status == 1
    assert "NOT SIMULATED from here on, step 5: mine.efi is no loader that is known here" in told


def test_an_ipxe_by_any_name_is_known_by_what_it_says_of_itself(simulate):
    (simulate.folder / "fw" / "mine.efi").write_bytes(binaries.ipxe())
    status, told = simulate(loader="mine.efi")
    assert (status, "it is iPXE" in told) == (0, True)


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("serial", "S 4711"),
        ("asset", "A/1"),
        ("uuid", "00112233-4455-6677-8899-aabbccddeeff"),
        ("client_id", "ff:00:11:22:33:44:55:66:77:88"),
    ],
)
@pytest.mark.parametrize("kind", ["bios", "efi", "ipxe", "http"])
def test_a_machine_without_a_mac_says_what_it_is_listed_by(simulate, mark, text, kind):
    entry = {**LINUX, mark: text}
    # What iPXE alone knows of a machine is not said before iPXE runs.
    machines = {"node7": entry, "default": {"type": "localboot", "name": "d"}}
    status, told = simulate("--firmware", kind, who="node7", machines=machines)
    assert "02:00:00:00:00:01 stands for the MAC of node7" in told
    assert (status, "target=linux/a" in told) == (0, True)


def test_debians_own_pxelinux_is_known(simulate):
    shutil.copy("/usr/lib/PXELINUX/pxelinux.0", simulate.folder / "fw" / "mine.bin")
    status, told = simulate("--firmware", "bios", loader="mine.bin")
    assert (status, "it is PXELINUX" in told) == (0, True)
