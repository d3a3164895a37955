"""Every address we answer, in every spelling it is asked for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd import urls
from netbootd.content import parts_of
from netbootd.errors import Forbidden
from netbootd.mac import MAC
from netbootd.urls import Kind, Route

MAC_ = MAC.parse("00:25:90:27:db:b4")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", Route(Kind.FIRST)),
        ("boot", Route(Kind.FIRST)),
        ("boot.ipxe", Route(Kind.FIRST)),
        ("autoexec.ipxe", Route(Kind.FIRST)),
        ("00:25:90:27:db:b4", Route(Kind.SCRIPT, MAC_)),
        ("00-25-90-27-DB-B4", Route(Kind.SCRIPT, MAC_)),
        ("boot/00:25:90:27:db:b4", Route(Kind.SCRIPT, MAC_)),
        ("boot/0025.9027.dbb4", Route(Kind.SCRIPT, MAC_)),
        ("boot/memdisk", Route(Kind.NOTHING)),
        ("boot/images/vmlinuz", Route(Kind.NOTHING)),
        ("boot/grub.cfg", Route(Kind.FILE, None, "boot/grub.cfg")),
        ("boot/grub/grub.cfg", Route(Kind.FILE, None, "boot/grub/grub.cfg")),
        ("status", Route(Kind.STATUS)),
        ("memdisk", Route(Kind.FILE, None, "memdisk")),
        ("images/a/vmlinuz", Route(Kind.FILE, None, "images/a/vmlinuz")),
        ("00-25-90-27-db-b4/snponly.efi", Route(Kind.FILE, MAC_, "snponly.efi")),
        ("00-25-90-27-db-b4/autoexec.ipxe", Route(Kind.FIRST, MAC_)),
        ("00-25-90-27-db-b4/images/vmlinuz", Route(Kind.FILE, MAC_, "images/vmlinuz")),
        ("52:54:00:12:34:56/00-25-90-27-db-b4/images/k", Route(Kind.FILE, MAC_, "images/k")),
        ("00-25-90-27-db-b4/00-25-90-27-db-b4/k", Route(Kind.FILE, MAC_, "k")),
        ("images/autoexec.ipxe", Route(Kind.FIRST)),
        ("00259027dbb4", Route(Kind.SCRIPT, MAC_)),
        ("boot/00259027dbb4", Route(Kind.SCRIPT, MAC_)),
        ("00259027dbb4/snponly.efi", Route(Kind.FILE, MAC_, "snponly.efi")),
        ("00259027dbb4/autoexec.ipxe", Route(Kind.FIRST, MAC_)),
        ("202401011200/vmlinuz", Route(Kind.FILE, None, "202401011200/vmlinuz")),
        ("202401011200/x/memdisk", Route(Kind.FILE, None, "202401011200/x/memdisk")),
        ("202401011200/x/autoexec.ipxe", Route(Kind.FIRST)),
    ],
)
def test_exact_names_first_then_macs_then_files(path, expected):
    assert urls.route([part for part in path.split("/") if part]) == expected


@given(
    st.sampled_from(["/", "/boot/", "", "//", "/boot", "/x/"]),
    st.one_of(
        st.from_regex(r"[0-9A-F]{2}([:-][0-9a-f]{2}){5}", fullmatch=True),
        st.text("0123456789abF:-. \t\n\u3000/\\\x7f", min_size=15, max_size=20),
    ),
)
def test_the_short_way_leads_where_the_long_one_does(before, name):
    found = urls.scripted(before + name)
    try:
        route = urls.route(parts_of(before + name))
    except Forbidden:
        route = Route(Kind.NOTHING)
    expected = route.mac if route.kind is Kind.SCRIPT else None
    assert found in (None, expected)
    if before in ("/", "/boot/") and re.fullmatch(
        "[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(\\1[0-9A-Fa-f]{2}){4}", name
    ):
        assert found == expected


@pytest.mark.parametrize(
    ("path", "mac", "rest"),
    [
        ("52:54:00:12:34:56/undionly.kpxe", "52:54:00:12:34:56", "undionly.kpxe"),
        ("/52:54:00:12:34:56//undionly.kpxe", "52:54:00:12:34:56", "undionly.kpxe"),
        ("\\52-54-00-12-34-56\\a\\b", "52:54:00:12:34:56", "a/b"),
        ("undionly.kpxe", None, "undionly.kpxe"),
        ("images/undionly.kpxe", None, "images/undionly.kpxe"),
        ("52:54:00:12:34:56", None, "52:54:00:12:34:56"),
        ("525400123456//undionly.ipxe", "52:54:00:12:34:56", "undionly.ipxe"),
        ("01525400123456/memdisk", "52:54:00:12:34:56", "memdisk"),
        ("525400123456/autoexec.ipxe", "52:54:00:12:34:56", "autoexec.ipxe"),
        ("/202401011200/vmlinuz", None, "/202401011200/vmlinuz"),
        ("202401011200/images/undionly.kpxe", None, "202401011200/images/undionly.kpxe"),
    ],
)
def test_the_mac_travels_in_the_boot_file_path(path, mac, rest):
    assert urls.split_mac(path) == (MAC.parse(mac) if mac else None, rest)


def test_what_we_hand_out_we_can_read_back():
    assert urls.split_mac(urls.loader_path(MAC_, "snponly.efi")) == (MAC_, "snponly.efi")


def test_a_scope_of_ours_is_not_told_to_others():
    assert urls.base_url("fe80::1%eth0", 3000) == "http://[fe80::1]:3000"


def test_a_boot_file_by_tftp_has_a_url():
    mac = MAC.parse("52:54:00:12:34:56")
    path = urls.loader_path(mac, "ipxe.efi")
    expected = "tftp://[2001:db8::1]/52:54:00:12:34:56/ipxe.efi"
    assert urls.tftp_url("2001:db8::1", path) == expected
    assert urls.tftp_url("192.0.2.1", "a b") == "tftp://192.0.2.1/a%20b"


def test_who_asks_by_ipv6_is_not_led_to_an_address_of_ipv4():
    assert not urls.reachable("http://192.0.2.1:3000", "2001:db8::2")
    assert urls.reachable("http://192.0.2.1:3000", "192.0.2.2")
    assert urls.reachable("http://[2001:db8::1]:3000", "2001:db8::2")
    assert urls.reachable("http://boot.example.org", "2001:db8::2")


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("192.0.2.1", 3000, "http://192.0.2.1:3000"),
        ("192.0.2.1", 80, "http://192.0.2.1"),
        ("2001:db8::1", 3000, "http://[2001:db8::1]:3000"),
    ],
)
def test_base_urls(host, port, expected):
    assert urls.base_url(host, port) == expected
