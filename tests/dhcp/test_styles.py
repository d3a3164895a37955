"""The table of reply styles: what each is in bytes, who begins with which, and who may choose."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from netbootd import replies
from netbootd.config import ProxyDhcp
from netbootd.dhcp import pxe, styles
from netbootd.dhcp.message import Option, sub_options
from netbootd.mac import MAC
from netbootd.record.styles import Kind, Past, Tried, Worked
from netbootd.registry.subnets import Subnet

from .registries import machine
from .test_pxe import BIOS, HTTP, IPXE, NO_HTTP, UEFI, request

SERVER = IPv4Address("192.0.2.1")
CARD = MAC.parse("52:54:00:12:34:56")
AUTO = ProxyDhcp()
NONE = Past()


def of_maker(prefix, options=BIOS):
    return request(options)._replace(chaddr=bytes.fromhex(prefix + "123456").ljust(16, b"\0"))


def pick(message, settings=AUTO, **more):
    return styles.pick(message, pxe.client_of(message), settings, **more)


# -- the bytes ---------------------------------------------------------------------------------

BYTES = {
    "direct": "060108 0a0400505845 ff",
    "boot-server": "",
    "menu": "060103"
    " 0807 8000 01 c0000201"  # boot server type 8000: us
    " 091c 8000 0c 4e6574776f726b20626f6f74 0000 0a 4c6f63616c206469736b"
    " 0a0400505845 ff",
    "raspberry-pi": "060103 0a0400505845 0914 0000 11 5261737062657272792050692042 6f6f74 ff",
    "raspberry-pi-3": "060103 0a0400505845 0917 0000 14 5261737062657272792050692042 6f6f74202020 ff",
    "http": "",
    "ipxe": "060108 ff",
}


@pytest.mark.parametrize("name", BYTES)
def test_option_43_of_each_style(name):
    assert styles.STYLES[name].vendor_options(SERVER) == bytes.fromhex(BYTES[name])


def test_every_style_is_in_the_table_of_bytes_and_may_be_chosen_or_is_the_only_one():
    assert set(styles.STYLES) == set(BYTES)
    assert set(styles.STYLES) == {*replies.CHOOSABLE, replies.HTTP, replies.IPXE}


@pytest.mark.parametrize("style", styles.STYLES.values(), ids=styles.STYLES)
def test_every_style_says_where_it_comes_from(style):
    assert style.source
    assert style.vendor_class in (b"PXEClient", b"HTTPClient")
    assert len(style.vendor_options(SERVER)) <= 255


@pytest.mark.parametrize("row", styles.TABLE, ids=lambda row: row.speaks.value)
def test_every_row_says_where_it_comes_from_and_names_styles_that_exist(row):
    assert row.source
    assert row.order
    assert set(row.order) <= set(styles.STYLES)
    assert len(set(row.order)) == len(row.order)


def test_the_menu_is_whole():
    """With the prompt alone, EDK2 finds no line, takes the type 0 and gives up."""
    found = dict(sub_options(styles.STYLES["menu"].vendor_options(SERVER)))
    assert set(found) == {6, 8, 9, 10}
    assert found[9].startswith(found[8][:2])  # the first line is our type
    assert found[10][0] == 0  # taken at once


# -- who begins with which ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "order"),
    [
        (request(UEFI), ("boot-server", "direct", "menu")),
        (request(BIOS), ("direct", "boot-server", "menu")),
        (request(HTTP), ("http",)),
        (request(IPXE), ("ipxe",)),
        (request({**UEFI, Option.USER_CLASS: b"iPXE"}), ("ipxe",)),
        # It gets a loader, but is told in its own way.
        (request({**IPXE, Option.IPXE: NO_HTTP}), ("ipxe",)),
        (request({Option.VENDOR_CLASS: b"PXEClient"}), ("direct", "boot-server", "menu")),
        (of_maker("b827eb"), ("raspberry-pi-3", "raspberry-pi")),
        (of_maker("dca632"), ("raspberry-pi", "raspberry-pi-3")),
        (of_maker("dca632", {**UEFI, Option.ARCH: b"\0\x0b"}), ("boot-server", "direct", "menu")),
    ],
)
def test_order(message, order):
    assert styles.row_of(message, pxe.client_of(message)).order == order
    assert pick(message).style.name == order[0]


def test_a_style_that_is_all_there_is_teaches_nothing():
    for options in (IPXE, HTTP):
        message = request(options)
        assert styles.kind_of(message, pxe.client_of(message)) is None
        assert pick(message).chosen is None


def test_a_kind_is_maker_architecture_and_rom():
    message = request(UEFI)
    kind = styles.kind_of(message, pxe.client_of(message))
    assert kind == Kind("52:54:00", "7", "PXEClient:Arch:00007:UNDI:003000")
    assert Kind.parse(kind.key) == kind


# -- who may choose ----------------------------------------------------------------------------


def with_style(name):
    return replace(machine(CARD), reply_style=name)


@pytest.mark.parametrize(
    ("of_machine", "of_subnet", "of_all", "style"),
    [
        ("", "", "auto", "boot-server"),
        ("", "", "menu", "menu"),
        ("", "direct", "menu", "direct"),
        ("boot-server", "direct", "menu", "boot-server"),
        ("auto", "direct", "menu", "boot-server"),
        ("", "auto", "menu", "boot-server"),
        # What the client does not understand is passed over.
        ("raspberry-pi", "direct", "menu", "direct"),
        ("raspberry-pi", "", "raspberry-pi-3", "boot-server"),
    ],
)
def test_the_nearest_word_counts(of_machine, of_subnet, of_all, style):
    found = pick(
        request(UEFI),
        ProxyDhcp(style=of_all),
        machine=with_style(of_machine),
        subnet=Subnet(reply_style=of_subnet),
    )
    assert found.style.name == style


@pytest.mark.parametrize("options", [IPXE, HTTP])
def test_ipxe_and_http_boot_are_told_in_their_own_way_whatever_was_chosen(options):
    told = pick(request(options), ProxyDhcp(style="menu"), machine=with_style("direct")).style
    assert told.name in ("ipxe", "http")


def test_what_was_chosen_is_not_learned_away():
    left = Tried(style="direct", since=0.0, kind=Kind("", "", ""), first="boot-server")
    past = Past(left, Worked(style="menu", first="boot-server"), 100.0)
    found = pick(request(UEFI), machine=with_style("direct"), past=past)
    assert (found.style.name, found.chosen) == ("direct", None)
    assert pick(request(UEFI), past=past).style.name == "menu"


def test_learning_can_be_turned_off():
    past = Past(None, Worked(style="menu", first="boot-server"), 100.0)
    found = pick(request(UEFI), ProxyDhcp(learn=False), past=past)
    assert (found.style.name, found.chosen) == ("boot-server", None)
