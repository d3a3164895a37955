"""The table of option 93."""

import pytest

from netbootd import arch, loaders


def test_7_and_9_are_both_x64_because_rfc_4578_had_them_swapped():
    assert arch.arch_of(7).family == arch.arch_of(9).family
    assert arch.arch_of(7).cpu == arch.arch_of(9).cpu == "x86_64"


@pytest.mark.parametrize(
    ("number", "loader"),
    [(0, "undionly.kpxe"), (7, "snponly.efi"), (9, "snponly.efi"), (16, "snponly.efi")],
)
def test_the_first_loader_uses_the_firmwares_own_driver(number, loader):
    assert loaders.names(loaders.USUAL, arch.arch_of(number))[0] == loader


@pytest.mark.parametrize("number", [15, 16, 17, 18, 19, 20, 23, 24, 26, 28, 30, 38, 40])
def test_http_numbers_boot_from_a_url(number):
    assert arch.arch_of(number).http


def test_an_unknown_number_is_named_and_has_no_loader():
    unknown = arch.arch_of(4711)
    assert "4711" in str(unknown)
    assert loaders.names(loaders.USUAL, unknown) == ()


def test_every_row_stands_under_its_own_number():
    assert all(number == row.number for number, row in arch.TABLE.items())
    assert sorted(arch.TABLE) == list(range(42))
