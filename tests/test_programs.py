"""Boot programs as Debian lays them out, and as an admin may put them beside each other."""

import os

import pytest

from netbootd import programs
from netbootd.content import Library
from netbootd.programs import find_programs

DEBIAN = (
    "ipxe/undionly.kpxe",
    "ipxe/snponly.efi",
    "ipxe/ipxe.iso",
    "ipxe/virtio-net.rom",
    "shim/shimx64.efi",
    "shim/shimx64.efi.signed",
    "shim/mmx64.efi.signed",
    "shim/BOOTX64.CSV",
    "grub/x86_64-efi-signed/gcdx64.efi.signed",
    "grub/x86_64-efi-signed/grubnetx64-installer.efi.signed",
    "grub/x86_64-efi-signed/grubnetx64.efi.signed",
    "grub/x86_64-efi-signed/grubx64.efi.signed",
    "PXELINUX/lpxelinux.0",
    "SYSLINUX.EFI/efi32/syslinux.efi",
    "SYSLINUX.EFI/efi64/syslinux.efi",
    "syslinux/memdisk",
    "syslinux/modules/bios/ldlinux.c32",
    "syslinux/modules/bios/menu.c32",
    "syslinux/modules/efi32/ldlinux.e32",
    "syslinux/modules/efi32/menu.c32",
    "syslinux/modules/efi64/ldlinux.e64",
    "syslinux/modules/efi64/menu.c32",
)


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


@pytest.fixture
def debian(tmp_path):
    put(tmp_path / "lib", *DEBIAN)
    tops = {name.partition("/")[0] for name in DEBIAN}
    return [tmp_path / "lib" / name for name in sorted(tops)]


def held(found):
    return {name: program.data.decode() for name, program in found.items()}


def test_debians_packages_answer_to_the_names_that_clients_ask_for(tmp_path, debian):
    assert held(find_programs(tmp_path / "root", debian)) == {
        "undionly.kpxe": "ipxe/undionly.kpxe",
        "snponly.efi": "ipxe/snponly.efi",
        "shimx64.efi": "shim/shimx64.efi.signed",
        "mmx64.efi": "shim/mmx64.efi.signed",
        "grubx64.efi": "grub/x86_64-efi-signed/grubnetx64.efi.signed",
        "lpxelinux.0": "PXELINUX/lpxelinux.0",
        "efi32/syslinux.efi": "SYSLINUX.EFI/efi32/syslinux.efi",
        "efi64/syslinux.efi": "SYSLINUX.EFI/efi64/syslinux.efi",
        "memdisk": "syslinux/memdisk",
        "ldlinux.c32": "syslinux/modules/bios/ldlinux.c32",
        "menu.c32": "syslinux/modules/bios/menu.c32",
        "efi32/ldlinux.e32": "syslinux/modules/efi32/ldlinux.e32",
        "efi32/menu.c32": "syslinux/modules/efi32/menu.c32",
        "efi64/ldlinux.e64": "syslinux/modules/efi64/ldlinux.e64",
        "efi64/menu.c32": "syslinux/modules/efi64/menu.c32",
    }


def test_a_release_of_ipxe_is_found_as_it_is_unpacked(tmp_path):
    put(tmp_path / "fw", "ipxeboot/x86_64-sb/shimx64.efi", "ipxeboot/x86_64-sb/snponly.efi")
    put(tmp_path / "fw", "ipxeboot/i386/snponly.efi", "snponly.efi")
    (tmp_path / "fw" / "ipxeboot/x86_64-sb/snponly-shim.efi").symlink_to("shimx64.efi")
    found = held(find_programs(tmp_path / "root", [tmp_path / "fw"]))
    assert found["ipxeboot/x86_64-sb/snponly-shim.efi"] == "ipxeboot/x86_64-sb/shimx64.efi"
    assert found["ipxeboot/x86_64-sb/snponly.efi"] == "ipxeboot/x86_64-sb/snponly.efi"
    assert found["ipxeboot/i386/snponly.efi"] == "ipxeboot/i386/snponly.efi"
    assert found["snponly.efi"] == "snponly.efi"


def test_an_earlier_folder_wins_and_the_file_root_over_all(tmp_path, debian):
    put(tmp_path / "own", "undionly.kpxe", "menu.c32", "efi64/menu.c32")
    put(tmp_path / "root", "menu.c32", "kernel.efi")
    found = held(find_programs(tmp_path / "root", [tmp_path / "own", *debian]))
    assert found["undionly.kpxe"] == "undionly.kpxe"
    assert found["efi64/menu.c32"] == "efi64/menu.c32"
    assert found["menu.c32"] == "menu.c32"
    assert "kernel.efi" not in found


def test_what_is_chosen_is_found_below_the_file_root_and_nowhere_else(tmp_path):
    put(tmp_path, "root/own/x.efi", "secret/y.efi")
    (tmp_path / "root" / "link.efi").symlink_to("../secret/y.efi")
    wanted = ["own/x.efi", "../secret/y.efi", "link.efi", "gone.efi", "own"]
    assert held(find_programs(tmp_path / "root", wanted=wanted)) == {"own/x.efi": "root/own/x.efi"}


def test_a_file_too_large_to_hold_is_no_program(tmp_path, monkeypatch):
    put(tmp_path / "fw", "a.efi")
    monkeypatch.setattr(programs, "LARGEST", 4)
    assert find_programs(tmp_path / "root", [tmp_path / "fw"]) == {}


def test_what_is_empty_or_cannot_be_read_hides_nothing_of_a_later_folder(tmp_path):
    put(tmp_path, *(f"good/{name}.efi" for name in "abcd"), "fw/x")
    (tmp_path / "root").mkdir()
    (tmp_path / "fw" / "a.efi").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fw" / "b.efi")
    (tmp_path / "fw" / "d.efi").touch()
    with (tmp_path / "root" / "c.efi").open("wb") as huge:
        huge.truncate(programs.LARGEST + 1)
    found = find_programs(tmp_path / "root", [tmp_path / "fw", tmp_path / "good"])
    assert held(found) == {f"{name}.efi": f"good/{name}.efi" for name in "abcd"}


@pytest.mark.parametrize(
    "file", ["private.key", "netbootd.json", "x.iso", "README", ".efi.swp", "grubx64.efi.signed"]
)
def test_other_files_of_a_firmware_folder_are_nobodys_business(tmp_path, file):
    put(tmp_path / "fw", file)
    assert find_programs(tmp_path / "root", [tmp_path / "fw"]) == {}


def test_a_program_in_a_folder_is_served_from_memory_by_every_spelling(tmp_path, debian):
    library = Library(tmp_path / "root", find_programs(tmp_path / "root", debian))
    for path in ("efi64/ldlinux.e64", "/efi64//ldlinux.e64", "efi64\\ldlinux.e64"):
        assert library.lookup(path).held == b"syslinux/modules/efi64/ldlinux.e64"


def test_what_is_replaced_counts_from_the_next_time_it_is_looked_for(tmp_path):
    put(tmp_path / "fw", "a.efi")
    before = find_programs(tmp_path / "root", [tmp_path / "fw"])
    (tmp_path / "fw" / "a.efi").write_bytes(b"new")
    assert held(before) == {"a.efi": "a.efi"}
    assert held(find_programs(tmp_path / "root", [tmp_path / "fw"])) == {"a.efi": "new"}
