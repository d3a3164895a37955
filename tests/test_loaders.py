"""Which file names a choice of loader means, and how choices lie over each other."""

import pytest

from netbootd import loaders
from netbootd.arch import FAMILIES, TABLE, arch_of
from netbootd.loaders import Choice

X64, X64_HTTP, BIOS, ARM64 = TABLE[7], TABLE[16], TABLE[0], TABLE[11]


@pytest.mark.parametrize(
    ("written", "arch", "word"),
    [
        ("grub", X64, "grub"),
        ({"efi-x64": "grub"}, X64, "grub"),
        ({"efi-x64": "grub"}, BIOS, ""),
        ({"efi-x64": "grub", "default": "ipxe"}, BIOS, "ipxe"),
        ({"efi-x64": "grub", "efi-x64-http": "my.efi"}, X64, "grub"),
        ({"efi-x64": "grub", "efi-x64-http": "my.efi"}, X64_HTTP, "my.efi"),
        ({"efi-x64": "grub"}, X64_HTTP, "grub"),
        ({"efi-x64": "grub", "9": "ebc.efi"}, arch_of(9), "ebc.efi"),
        ({"efi-x64": "grub", "9": "ebc.efi"}, X64, "grub"),
        ({"4711": "new.efi"}, arch_of(4711), "new.efi"),
        ("folder/my.efi", X64, "folder/my.efi"),
        ("\\folder\\my.efi", X64, "folder/my.efi"),
    ],
)
def test_a_choice_says_a_word_for_each_architecture(written, arch, word):
    assert Choice.parse(written).of(arch) == word


@pytest.mark.parametrize(
    "written",
    [
        *(7, None, "", " ", ["grub"], "grbu", "../x.efi", "a//b.efi", "a/./b.efi", "x\n.efi"),
        *({"efi-x46": "grub"}, {"efi-x64": 3}, {"123456": "x.efi"}, {"²": "x.efi"}),
    ],
)
def test_what_is_no_choice_is_refused_with_what_would_be_right(written):
    with pytest.raises(ValueError, match=r"\w"):
        Choice.parse(written)


@pytest.mark.parametrize(
    ("above", "below", "arch", "word"),
    [
        ("grub", {"efi-x64": "my.efi"}, X64, "grub"),
        ({"efi-x64": "grub"}, "pxelinux", X64, "grub"),
        ({"efi-x64": "grub"}, "pxelinux", BIOS, "pxelinux"),
        ({"efi-x64": "grub"}, {"efi-x64-http": "my.efi"}, X64_HTTP, "grub"),
        ({"efi-x64": "grub"}, {"7": "my.efi"}, X64, "grub"),
        ({"efi-x64-http": "grub"}, {"efi-x64": "my.efi"}, X64, "my.efi"),
        ({"efi-x64-http": "grub"}, {"16": "my.efi"}, X64_HTTP, "grub"),
        ({"efi-x64-http": "grub"}, {"7": "my.efi"}, X64, "my.efi"),
        ({"efi-x64": "grub"}, {"efi-arm64": "my.efi"}, ARM64, "my.efi"),
    ],
)
def test_a_choice_over_another_hides_what_it_speaks_of(above, below, arch, word):
    assert Choice.parse(above).over(Choice.parse(below)).of(arch) == word


def test_sets_speak_of_architectures_that_there_are():
    assert {family for of in loaders.SETS.values() for family in of} <= FAMILIES


def test_what_is_missing_can_be_had_somewhere():
    assert loaders.SOURCES.keys() <= loaders.NAMES | {loaders.MEMDISK}
    firsts = {names[0] for of in loaders.SETS.values() for names in of.values()}
    common = {name for name in firsts if "arm32" not in name and "riscv" not in name}
    nowhere = {name for name in common if not loaders.where_from(name)}
    assert nowhere <= {"snponly-loong64.efi", "shimia32.efi", *loaders.SETS["grub"].values()} | {
        name for name in nowhere if name.startswith(("grub", "snponly"))
    }
