"""
Every captured packet, and what we say to it: the promise to each firmware, one a line.

The registry has a default and every loader, so whatever is silent is silent for its own reasons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest
from scapy.layers.dhcp import BOOTP, DHCP

from netbootd.config import ProxyDhcp
from netbootd.dhcp import proxy, wire
from netbootd.dhcp.destination import Arrival, Port, destination
from netbootd.dhcp.message import Option

from . import captures, registries

SERVER = IPv4Address("192.168.77.2")
BROADCAST = ("255.255.255.255", 68)


@dataclass(frozen=True)
class Silence:
    """No answer; *unserved* where that is worth a line in the log."""

    reason: str
    unserved: bool = False


@dataclass(frozen=True)
class Reply:
    """*file* as the client is told, *options* 43 in hex, *to* where it goes."""

    verb: str
    arch: str
    file: str
    option_43: str = ""
    to: tuple[str, int] = BROADCAST
    vendor_class: str = "PXEClient"


STRANGER = Silence("not a netboot client")
PROXYLESS = Silence("takes its boot file from the DHCP server alone")
NOT_OURS = Silence("for the DHCP server")
A_REPLY = Silence("a reply of another server")

# Option 43 of each style.
BYPASS = "0601080a0400505845ff"
FOR_IPXE = "060108ff"
MENU = (
    "060103"  # ask nobody by broadcast or multicast
    "0807800001c0a84d02"  # boot servers of type 8000: 192.168.77.2
    "091c80000c4e6574776f726b20626f6f74"  # its line, "Network boot"
    "00000a4c6f63616c206469736b"  # type 0, "Local disk"
    "0a0400505845ff"  # taken after 0 s, "PXE"
)
PI_MENU = "0601030a0400505845091400001152617370626572727920506920426f6f74ff"
PI_3_MENU = "0601030a0400505845091700001452617370626572727920506920426f6f74202020ff"


def loader(mac: str, arch: str, name: str, option_43: str = "") -> Reply:
    return Reply("offered", arch, f"{mac}/{name}", option_43)


def by_http(mac: str, arch: str, name: str) -> Reply:
    url = f"http://192.168.77.2:3000/{mac.replace(':', '-')}/{name}"
    return Reply("offered", arch, url, vendor_class="HTTPClient")


def pi(option_43: str) -> Reply:
    return Reply("offered", "ARM rpiboot", "", option_43)


def script(mac: str, arch: str) -> Reply:
    return Reply("offered", arch, f"http://192.168.77.2:3000/boot/{mac}", FOR_IPXE)


def ack(mac: str, arch: str, name: str, to: tuple[str, int], option_43: str = "") -> Reply:
    return Reply("acknowledged", arch, f"{mac}/{name}", option_43, to)


LAB = "52:54:00:aa:00:"
BOARD = "52:52:52:52:52:52"
CLIENT_4011 = ("192.168.77.50", 4011)

EXPECTED: dict[str, Silence | Reply] = {
    # UEFI: no option 43, and asked again on 4011, from 4011.
    "qemu-ovmf-x64-pxe-discover": loader(LAB + "02", "UEFI x64", "snponly.efi"),
    "qemu-ovmf-x64-pxe-request": NOT_OURS,
    "qemu-ovmf-x64-4011-binl-request": ack(LAB + "02", "UEFI x64", "snponly.efi", CLIENT_4011),
    "qemu-ovmf-x64-4011-retry": ack(LAB + "02", "UEFI x64", "snponly.efi", CLIENT_4011),
    "qemu-ovmf-x64-4011-menu-request": ack(
        LAB + "02", "UEFI x64", "snponly.efi", CLIENT_4011, "470480000000ff"
    ),
    "qemu-ovmf-ia32-pxe-discover": loader(LAB + "03", "UEFI IA32", "snponly-i386.efi"),
    "qemu-ovmf-ia32-4011-request": ack(LAB + "03", "UEFI IA32", "snponly-i386.efi", CLIENT_4011),
    "qemu-aavmf-arm64-pxe-discover": loader(LAB + "04", "UEFI ARM64", "snponly-arm64.efi"),
    "qemu-aavmf-arm64-4011-request": ack(
        LAB + "04", "UEFI ARM64", "snponly-arm64.efi", CLIENT_4011
    ),
    "qemu-aavmf-arm32-pxe-discover": loader(LAB + "05", "UEFI ARM32", "snponly-arm32.efi"),
    # UEFI HTTP boot: a URL, and never 4011.
    "qemu-ovmf-x64-http-discover": by_http(LAB + "02", "UEFI x64 HTTP", "snponly.efi"),
    "qemu-ovmf-x64-http-request": NOT_OURS,
    "qemu-ovmf-ia32-http-discover": by_http(LAB + "03", "UEFI IA32 HTTP", "snponly-i386.efi"),
    "qemu-aavmf-arm64-http-discover": by_http(LAB + "04", "UEFI ARM64 HTTP", "snponly-arm64.efi"),
    "qemu-aavmf-arm32-http-discover": by_http(LAB + "05", "UEFI ARM32 HTTP", "snponly-arm32.efi"),
    # iPXE, in a card or started by us: its script.
    "qemu-ipxe-bios-discover": script(LAB + "01", "BIOS x86"),
    "qemu-ipxe-bios-uuid-discover": script(LAB + "0c", "BIOS x86"),
    "qemu-ipxe-bios-request": NOT_OURS,
    "qemu-ipxe-bios-4011-request": Reply(
        "acknowledged",
        "BIOS x86",
        "http://192.168.77.2:3000/boot/52:54:00:aa:00:07",
        to=("192.168.77.50", 68),
    ),
    "qemu-undionly-discover": script(LAB + "01", "BIOS x86"),
    "qemu-ipxe-arm64-discover": script("52:54:00:12:34:56", "UEFI ARM64"),
    "qemu-ipxe-snponly-x64-discover": script(LAB + "02", "UEFI x64"),
    # U-Boot's EFI pass says PXEClient; it takes nothing from a proxy, and our offer does no harm.
    "qemu-uboot-arm32-efi-discover": loader(BOARD, "UEFI ARM32", "snponly-arm32.efi"),
    "qemu-uboot-arm64-efi-discover": loader(BOARD, "UEFI ARM64", "snponly-arm64.efi"),
    "qemu-uboot-riscv64-efi-discover": loader(BOARD, "UEFI RISC-V 64", "snponly-riscv64.efi"),
    "qemu-uboot-x86_64-efi-discover": loader(LAB + "0b", "UEFI x64", "snponly.efi"),
    "qemu-uboot-arm32-discover": PROXYLESS,
    "qemu-uboot-arm64-discover": PROXYLESS,
    "qemu-uboot-riscv64-discover": PROXYLESS,
    "qemu-uboot-x86_64-discover": PROXYLESS,
    "qemu-uboot-x86_64-discover-retry": PROXYLESS,
    # Booting from the network, but from the site's own DHCP server.
    "qemu-slof-ppc64-discover": STRANGER,
    "qemu-slof-ppc64-request": PROXYLESS,
    "qemu-syslinux-efi-dhcp-discover": STRANGER,
    "qemu-debian-installer-discover": STRANGER,
    # BIOS ROMs.
    "tp-intel-bios-discover": loader("d0:50:99:4e:05:57", "BIOS x86", "undionly.kpxe", BYPASS),
    "tp-intel-bios-request": NOT_OURS,
    "tp-intel-bios-4011-request": ack(
        "d0:50:99:4e:05:57", "BIOS x86", "undionly.kpxe", ("192.168.16.12", 4011), "470480000000ff"
    ),
    "tp-qemu-ipxe2-discover": script("52:54:00:12:34:56", "BIOS x86"),
    "tp-rpi3-bootrom-discover": pi(PI_3_MENU),
    "tp-rpi4-eeprom-discover": pi(PI_MENU),
    "tp-rpi4-eeprom-request": NOT_OURS,
    "tp-uboot-riscv64-discover": PROXYLESS,
    # Ordinary clients, and other servers.
    "tp-neg-android-discover": STRANGER,
    "tp-neg-dhcpcd-discover": STRANGER,
    "tp-neg-htype0-request": STRANGER,
    "tp-neg-iphone-discover": STRANGER,
    "tp-neg-switch-discover": STRANGER,
    "tp-neg-udhcp-discover": STRANGER,
    "tp-neg-windows-inform": STRANGER,
    "tp-networkmanager-request": STRANGER,
    "tp-relayed-request": STRANGER,
    "tp-dhcpd-ack-plain": A_REPLY,
    "tp-dhcpd-offer-plain": A_REPLY,
    "tp-pixiecore-4011-ack": A_REPLY,
    "tp-pixiecore-proxyoffer-menu": A_REPLY,
    "tp-rpi4-dnsmasq-proxyoffer": A_REPLY,
    "tp-srv-overload-file": A_REPLY,
}
EVERY_CAPTURE = pytest.mark.parametrize("capture", captures.everything(), ids=str)


#: What each style puts into option 43 of an offer to firmware that may be told in it.
CHOSEN = {
    "direct": BYPASS,
    "boot-server": "",
    "menu": MENU,
    "raspberry-pi": PI_MENU,
    "raspberry-pi-3": PI_3_MENU,
}
EVERY_STYLE = pytest.mark.parametrize("style", ["auto", *CHOSEN])


def in_style(expected: Silence | Reply, style: str) -> Silence | Reply:
    """What a capture gets where all are to be told in *style*."""
    if isinstance(expected, Silence) or expected.verb != "offered" or style == "auto":
        return expected
    for_pi = style.startswith("raspberry")
    is_pi = expected.arch == "ARM rpiboot"
    only_one_way = expected.option_43 == FOR_IPXE or expected.vendor_class == "HTTPClient"
    if only_one_way or for_pi != is_pi:
        return expected
    return replace(expected, option_43=CHOSEN[style])


def answer(capture: captures.Capture, style: str = "auto") -> proxy.Answer | proxy.Ignored:
    port = Port.BOOT_SERVER if capture.to[1] == Port.BOOT_SERVER else Port.DHCP
    arrival = Arrival("eth1", SERVER, port, capture.source)
    known = registries.registry(default=True, proxydhcp=ProxyDhcp(style=style))
    return proxy.answer(wire.decode(capture.payload), arrival, known)


@EVERY_STYLE
@EVERY_CAPTURE
def test_what_we_say(capture, style):
    got, expected = answer(capture, style), in_style(EXPECTED[capture.name], style)
    if isinstance(expected, Silence):
        assert isinstance(got, proxy.Ignored)
        assert expected.reason in got.reason
        assert got.unserved == expected.unserved
        return
    assert isinstance(got, proxy.Answer)
    request = wire.decode(capture.payload)
    to = destination(request, got.reply, capture.source, boot_server=got.boot_server)
    reply = wire.decode(wire.encode(got.reply, request.limit))
    option_43 = reply.options.get(Option.VENDOR_OPTIONS, b"").hex()
    arch, file = str(got.client.arch), reply.file.decode()
    told = Reply(got.verb, arch, file, option_43, to.endpoint, reply.vendor_class)
    assert told == expected


@EVERY_STYLE
@EVERY_CAPTURE
def test_every_answer_keeps_the_rules(capture, style):
    got, request = answer(capture, style), wire.decode(capture.payload)
    if isinstance(got, proxy.Ignored):
        return
    reply = wire.decode(wire.encode(got.reply, request.limit))
    for name in ("htype", "hlen", "xid", "giaddr", "chaddr"):
        assert getattr(reply, name) == getattr(request, name)
    assert (reply.op, reply.hops, reply.secs, int(reply.yiaddr)) == (2, 0, 0, 0)
    assert reply.siaddr == reply.server_id == SERVER
    assert next(iter(reply.options)) == Option.MESSAGE_TYPE
    assert reply.options[Option.MESSAGE_TYPE] == (b"\2" if got.verb == "offered" else b"\5")
    assert reply.options[Option.VENDOR_CLASS] in (b"PXEClient", b"HTTPClient")
    assert reply.options[Option.SERVER_ID] == SERVER.packed
    assert 13 not in reply.options
    assert reply.options.get(Option.UUID) == request.options.get(Option.UUID)
    assert reply.options.get(Option.CLIENT_ID) == request.options.get(Option.CLIENT_ID)
    assert reply.flags == (0x8000 if got.verb == "offered" else request.flags)


@EVERY_STYLE
@EVERY_CAPTURE
def test_every_answer_is_byte_for_byte_what_scapy_builds(capture, style):
    got = answer(capture, style)
    if isinstance(got, proxy.Ignored):
        return
    reply = got.reply
    addresses = {
        name: str(getattr(reply, name)) for name in ("ciaddr", "yiaddr", "siaddr", "giaddr")
    }
    same = {
        name: getattr(reply, name)
        for name in ("op", "htype", "hlen", "xid", "flags", "chaddr", "sname", "file")
    }
    options = [(int(code), value) for code, value in reply.options.items()]
    built = BOOTP(**same, **addresses) / DHCP(options=[*options, "end"])
    assert wire.encode(reply) == bytes(built).ljust(300, b"\0")


def test_every_packet_we_have_is_in_the_table():
    ours = {capture.name for capture in captures.ours()}
    assert ours == {name for name in EXPECTED if name.startswith("qemu-")}


@pytest.mark.skipif(
    not captures.OTHERS.is_dir(), reason="no folder of captures published by others"
)
def test_every_packet_of_others_is_in_the_table():
    theirs = {capture.name for capture in captures.others()}
    assert theirs == {name for name in EXPECTED if name.startswith("tp-")}


@EVERY_CAPTURE
def test_only_the_efi_of_u_boot_is_warned_of_as_heeding_no_proxy(capture):
    got = answer(capture)
    warned = isinstance(got, proxy.Answer) and "U-Boot" in got.decision.warning
    assert warned == ("uboot" in capture.name and "efi" in capture.name)
