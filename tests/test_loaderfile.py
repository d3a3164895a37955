"""What boot programs say of themselves: our own few bytes, Debian's files, and nonsense."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.loaderfile import Format, inspect, signers

from . import binaries
from .fuzz.decoder import memory_of

SBAT = b"""sbat,1,SBAT Version,sbat,1,https://example.net
grub,5,Free Software Foundation,grub,2.06,https://example.net
grub.debian12,1,Debian,grub2,2.06-13+deb12u2,https://example.net
\0\0"""


@pytest.mark.parametrize(
    ("machine", "family"),
    [
        (binaries.X64, "efi-x64"),
        (binaries.IA32, "efi-ia32"),
        (binaries.ARM64, "efi-arm64"),
        (0x1234, ""),
    ],
)
def test_the_machine_of_a_uefi_program_is_told(machine, family):
    seen = inspect(binaries.ipxe(machine))
    assert (seen.format, seen.family) == (Format.PE, family)
    assert (seen.product, seen.version) == ("iPXE", "1.21.1+git")
    assert not seen.signed


def test_a_signature_and_its_names_are_seen():
    seen = inspect(binaries.pe(signer="Example CA"))
    assert seen.signed
    assert seen.signers == ("Example CA",)


@pytest.mark.parametrize("signer", ["", "Example CA"])
def test_a_file_whose_end_is_missing_is_told(signer):
    whole = binaries.pe(inside=b"x" * 100, signer=signer)
    assert not inspect(whole).cut
    assert not inspect(whole + b"more").cut
    assert all(inspect(whole[:size]).cut for size in (len(whole) - 1, len(whole) - 60))


def test_the_version_is_that_of_who_built_it():
    seen = inspect(binaries.pe(inside=b"\0GNU GRUB  version %s\0", sbat=SBAT))
    assert (seen.product, seen.version) == ("GRUB", "2.06-13+deb12u2")
    assert len(seen.sbat) == 3


def test_the_user_class_that_an_ipxe_takes_is_its_brand():
    branded = "#!ipxe\nset user-class netbootd\nautoboot\n"
    assert inspect(binaries.ipxe(script=branded)).brand == "netbootd"
    assert inspect(binaries.ipxe(script="#!ipxe\nautoboot\n")).brand == ""


def test_a_user_class_is_looked_for_in_one_line_at_a_time():
    """A search over all of them would take hours for a script of empty lines."""
    torn = "#!ipxe\nset\nuser-class\nnetbootd\n"
    assert inspect(binaries.ipxe(script=torn)).brand == ""


def test_thousands_of_signatures_are_looked_at_where_they_stand():
    one = struct.pack("<IHH", 9, 0x200, 2) + bytes(8)
    table = one * 20_000
    assert signers(table) == ()
    assert memory_of(signers, table) < len(table) / 2


@pytest.mark.parametrize(
    ("data", "product", "version"),
    [
        (b"\0PXELINUX 6.04 lwIP 20200816 \0", "PXELINUX", "6.04 lwIP"),
        (b"MEMDISK 6.04 20200816", "MEMDISK", "6.04"),
        (b"UNDI 4 kB free base memory after PXE unload\n", "iPXE (compressed)", ""),
        (b"whatever", "", ""),
    ],
)
def test_bios_programs_say_their_name(data, product, version):
    seen = inspect(data)
    assert (seen.format, seen.family) == (Format.RAW, "bios")
    assert (seen.product, seen.version) == (product, version)


def test_scripts_and_elf_files_are_told_apart():
    assert inspect(b"#!ipxe\n").format is Format.SCRIPT
    assert inspect(b"\x7fELF\x01").format is Format.ELF


@given(st.binary(max_size=400), st.integers(0, 400), st.integers(0, 400))
def test_any_bytes_can_be_looked_at(data, cut, at):
    inspect(data)
    whole = bytearray(binaries.pe(sbat=SBAT, signer="x"))
    inspect(bytes(whole[:cut]))
    whole[at % len(whole) :] = data
    inspect(bytes(whole))


@pytest.mark.skipif(
    not Path("/usr/lib/ipxe/snponly.efi").exists(), reason="Debian's ipxe is not here"
)
def test_debians_ipxe_is_what_its_package_says():
    seen = inspect(Path("/usr/lib/ipxe/snponly.efi").read_bytes())
    assert (seen.family, seen.product, seen.signed) == ("efi-x64", "iPXE", False)
    assert seen.version.startswith("1.")
    assert inspect(Path("/usr/lib/ipxe/undionly.kpxe").read_bytes()).product == "iPXE (compressed)"
