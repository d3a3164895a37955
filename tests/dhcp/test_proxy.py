"""Packet and registry on the left, answer on the right; and the bytes of each style of answer."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from netbootd.dhcp import proxy, wire
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.message import Message, MessageType, Op, Option
from netbootd.features import Feature
from netbootd.record.styles import Kind, Past, Tried, Worked

from . import captures
from .registries import TITLE, registry
from .test_pxe import BIOS, HTTP, IPXE, NO_HTTP, UEFI

MAC = "52:54:00:12:34:56"
SERVER = IPv4Address("192.0.2.1")
ITEM = bytes.fromhex("470480000000ff")
SIGNED_ITEM = bytes.fromhex("470480008000ff")


def request(options, kind=MessageType.DISCOVER, **fields) -> Message:
    return Message(
        op=Op.REQUEST,
        chaddr=bytes.fromhex(MAC.replace(":", "")).ljust(16, b"\0"),
        options={Option.MESSAGE_TYPE: bytes((kind,)), **options},
        **fields,
    )


def ask(message, known=None, port=Port.DHCP):
    arrival = Arrival("eth1", SERVER, port, ("0.0.0.0", 68))
    return proxy.answer(message, arrival, registry(MAC) if known is None else known)


# -- who is answered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "kind", "options", "verb"),
    [
        (67, MessageType.DISCOVER, UEFI, "offered"),
        (67, MessageType.DISCOVER, HTTP, "offered"),
        (67, MessageType.REQUEST, UEFI, None),
        (67, MessageType.REQUEST, {**UEFI, Option.VENDOR_OPTIONS: ITEM}, "acknowledged"),
        (
            67,
            MessageType.REQUEST,
            {**UEFI, Option.VENDOR_OPTIONS: ITEM, Option.SERVER_ID: SERVER.packed},
            "acknowledged",
        ),
        (
            67,
            MessageType.REQUEST,
            {**UEFI, Option.VENDOR_OPTIONS: ITEM, Option.SERVER_ID: b"\xc0\0\2\x63"},
            None,
        ),
        (67, MessageType.INFORM, UEFI, None),
        (67, MessageType.INFORM, {**UEFI, Option.VENDOR_OPTIONS: ITEM}, None),
        (67, MessageType.DECLINE, UEFI, None),
        (67, MessageType.RELEASE, UEFI, None),
        (67, MessageType.OFFER, UEFI, None),
        (4011, MessageType.REQUEST, UEFI, "acknowledged"),
        (4011, MessageType.INFORM, UEFI, "acknowledged"),
        (4011, MessageType.REQUEST, IPXE, "acknowledged"),
        (4011, MessageType.DISCOVER, UEFI, None),
        (4011, MessageType.REQUEST, HTTP, None),
        (4011, MessageType.REQUEST, {}, None),
        (4011, MessageType.REQUEST, {**UEFI, Option.VENDOR_OPTIONS: SIGNED_ITEM}, None),
    ],
)
def test_what_is_answered_on_which_port(port, kind, options, verb):
    got = ask(request(options, kind), port=Port(port))
    assert (got.verb if isinstance(got, proxy.Answer) else None) == verb


def test_bootp_is_not_answered():
    message = request(UEFI)
    without = {code: value for code, value in message.options.items() if code != 53}
    assert isinstance(ask(message._replace(options=without)), proxy.Ignored)


def test_a_reply_of_another_server_is_not_answered():
    """Seen when somebody points a relay at us, or forges giaddr: it must not become a loop."""
    assert ask(request(UEFI)._replace(op=Op.REPLY)).reason == "a reply of another server"


@pytest.mark.parametrize(
    ("options", "known", "reason", "code"),
    [
        ({}, registry(MAC), "not a netboot client", "not-netboot"),
        (UEFI, registry(), "there is no machines.default", "unknown"),
        (UEFI, registry(default=True, known_only=True), "known_only is set", "unknown"),
        (UEFI, registry(MAC, loaders=()), "no loader for UEFI x64", "no-loader"),
        ({**UEFI, Option.ARCH: b"\0\x0e"}, registry(MAC), "needs no boot program", "proxyless"),
        ({**UEFI, Option.ARCH: b"\xfe\xfe"}, registry(MAC), "architecture 65278", "no-loader"),
        ({Option.VENDOR_CLASS: b"PXEClient"}, registry(MAC), "no option 93", "no-arch"),
        ({Option.VENDOR_CLASS: b"U-Boot"}, registry(MAC), "DHCP server alone", "proxyless"),
        ({**HTTP, Option.ARCH: b"\0\x14"}, registry(MAC), "has no iPXE loader", "no-loader"),
        ({**UEFI, Option.UUID: b"\0RPi4" + bytes(12)}, registry(MAC), "", ""),
        ({**BIOS, Option.UUID: b"\0RPi4" + bytes(12)}, registry(MAC), "", ""),
        (
            {**BIOS, Option.UUID: b"\0RPi4" + bytes(12)},
            registry(),
            "no machines.default",
            "unknown",
        ),
    ],
)
def test_a_netboot_client_without_an_answer_is_told_apart(options, known, reason, code):
    got = ask(request(options), known)
    if not reason:
        assert isinstance(got, proxy.Answer)
    else:
        assert isinstance(got, proxy.Ignored)
        assert reason in got.reason
        assert got.code == code
        assert got.unserved == (code != "not-netboot")
        assert (got.client is not None) == got.unserved


def test_a_request_of_a_netboot_client_to_its_dhcp_server_is_no_news():
    assert not ask(request(UEFI, MessageType.REQUEST)).unserved


def test_infiniband_is_reported_with_its_identifier():
    identifier = bytes.fromhex("2000000248 00fedcba98")
    got = ask(request({**UEFI, Option.CLIENT_ID: identifier}, htype=32, hlen=0))
    assert got.unserved
    assert "client identifier 20:00:00:02:48:00:fe:dc:ba:98" in got.reason


# -- what is answered --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "file", "told"),
    [
        (UEFI, "snponly.efi", f"{MAC}/snponly.efi"),
        (BIOS, "undionly.kpxe", f"{MAC}/undionly.kpxe"),
        (HTTP, "snponly.efi", "http://192.0.2.1:3000/52-54-00-12-34-56/snponly.efi"),
        (IPXE, f"http://192.0.2.1:3000/boot/{MAC}", f"http://192.0.2.1:3000/boot/{MAC}"),
        ({**IPXE, Option.IPXE: NO_HTTP}, "undionly.kpxe", f"{MAC}/undionly.kpxe"),
    ],
)
def test_the_file_as_people_and_as_clients_know_it(options, file, told):
    got = ask(request(options))
    assert (got.file, got.reply.file.decode()) == (file, told)


def test_the_offer_and_the_boot_server_name_the_same_file():
    for options in (UEFI, BIOS, IPXE):
        offer = ask(request(options))
        ack = ask(request(options, MessageType.REQUEST), port=Port.BOOT_SERVER)
        assert offer.reply.file == ack.reply.file
        assert offer.reply.siaddr == ack.reply.siaddr


def test_an_ipxe_without_http_gets_our_loader_and_the_reason_is_told():
    got = ask(request({**IPXE, Option.IPXE: NO_HTTP}))
    assert got.decision.because[-2] == "its own iPXE has no HTTP, so it gets ours first"
    assert got.reply.options[Option.IPXE] == b"\1\1\1"


def features(*numbers):
    """Option 175 of an iPXE that has HTTP, and these."""
    return b"".join(bytes((number, 1, 1)) for number in (Feature.HTTP, *numbers))


@pytest.mark.parametrize(
    ("boot_server", "listed", "scheme"),
    [
        ("https://boot.example", (Feature.HTTPS,), "https://boot.example"),
        ("https://192.0.2.1:8443", (Feature.HTTPS,), "https://192.0.2.1:8443"),
        ("https://192.0.2.1:8443", (), "http://192.0.2.1:3000"),
        ("http://192.0.2.9", (Feature.HTTPS,), "http://192.0.2.1:3000"),
    ],
)
def test_an_ipxe_that_can_is_given_its_script_by_https_where_the_boot_server_is(
    boot_server, listed, scheme
):
    known = replace(registry(MAC), boot_server=boot_server)
    got = ask(request({**IPXE, Option.IPXE: features(*listed)}), known)
    assert got.file == f"{scheme}/boot/{MAC}"


def test_firmware_is_not_sent_to_https_by_the_boot_server_of_all():
    """It would have to be given our authority first."""
    got = ask(request(HTTP), replace(registry(MAC), boot_server="https://192.0.2.1"))
    assert got.reply.file.startswith(b"http://192.0.2.1:3000/")


def test_the_first_http_port_is_advertised():
    got = ask(request(IPXE), registry(MAC, http_port=(80, 3000)))
    assert got.file == f"http://192.0.2.1/boot/{MAC}"


def test_the_answer_says_whose_entry_it_was():
    got = ask(request(UEFI))
    assert got.decision.machine.title == TITLE
    assert got.decision.because[0] == f"netbootd.json:7:1: {TITLE}"


@pytest.mark.parametrize("flags", [0, 0x8000])
@pytest.mark.parametrize(
    ("port", "kind", "ciaddr", "flag", "echoed"),
    [
        (67, MessageType.DISCOVER, "0.0.0.0", 0x8000, "0.0.0.0"),
        (67, MessageType.DISCOVER, "192.0.2.50", None, "0.0.0.0"),
        (4011, MessageType.REQUEST, "192.0.2.50", None, "192.0.2.50"),
        (4011, MessageType.REQUEST, "0.0.0.0", None, "0.0.0.0"),
    ],
)
def test_flags_and_ciaddr(port, kind, ciaddr, flag, echoed, flags):
    """An offer without an address asks relays to broadcast; else the client's flag stands."""
    asked = request(UEFI, kind, ciaddr=IPv4Address(ciaddr), flags=flags)
    reply = ask(asked, port=Port(port)).reply
    assert reply.flags == (flags if flag is None else flag)
    assert (str(reply.ciaddr), str(reply.yiaddr)) == (echoed, "0.0.0.0")


def test_hops_and_seconds_are_not_repeated():
    """EDK2 writes secs in the wrong byte order, iPXE keeps its state in it."""
    reply = ask(request(UEFI, hops=3, secs=256, giaddr=IPv4Address("192.0.2.9"))).reply
    assert (reply.hops, reply.secs, str(reply.giaddr)) == (0, 0, "192.0.2.9")


def test_a_reply_that_cannot_fit_leaves_the_echoes_out():
    """548 bytes is all that a client without option 57 takes."""
    message = request({**UEFI, Option.CLIENT_ID: b"i" * 200, Option.RELAY_AGENT: b"r" * 200})
    got = ask(message)
    reply = wire.encode(got.reply, message.limit)
    assert len(reply) <= message.limit == 548
    assert wire.decode(reply).file == f"{MAC}/snponly.efi".encode()
    assert wire.decode(reply).options[Option.RELAY_AGENT] == b"r" * 200


# -- golden bytes ------------------------------------------------------------------------------

# The packets of tests/captures, answered by 192.168.77.2.  Fields not given are zero.
GOLDEN = {
    "qemu-ovmf-x64-pxe-discover": (
        "02 01 06 00"  # reply, Ethernet, 6 octets, no hops
        "5ef80e04"  # xid
        "0000 8000"  # secs, flags: broadcast
        "00000000 00000000"  # ciaddr, yiaddr
        "c0a84d02 00000000"  # siaddr, giaddr
        "525400aa0002",
        "192.168.77.2",
        "52:54:00:aa:00:02/snponly.efi",
        "35 01 02"  # OFFER
        "36 04 c0a84d02"
        "3c 09 505845436c69656e74"  # PXEClient
        "61 11 0000000000000000000000000000000000"
        "ff",
    ),
    "qemu-ovmf-x64-4011-menu-request": (
        "02 01 06 00b45ce8b30000 0000c0a84d32 00000000c0a84d02 00000000525400aa0002",
        "192.168.77.2",
        "52:54:00:aa:00:02/snponly.efi",
        "35 01 05"  # ACK
        "36 04 c0a84d02"
        "3c 09 505845436c69656e74"
        "61 11 0000000000000000000000000000000000"
        "2b 07 47 04 8000 0000 ff"  # the boot item, repeated
        "ff",
    ),
    "qemu-ipxe-bios-discover": (
        "02 01 06 00"
        "f918d008"
        "0000 8000"  # the flag was clear: a proxy's offer has no address to unicast to
        "00000000 00000000"
        "c0a84d02 00000000"
        "525400aa0001",
        "192.168.77.2",
        "http://192.168.77.2:3000/boot/52:54:00:aa:00:01",
        "35 01 02"
        "36 04 c0a84d02"
        "3c 09 505845436c69656e74"
        "61 11 0000000000000000000000000000000000"
        "2b 04 06 01 08 ff"  # take this file
        "af 03 01 01 01"  # priority 1: over the DHCP server's own
        "3d 07 01 525400aa0001"  # client identifier, RFC 6842
        "ff",
    ),
    "qemu-ovmf-x64-http-discover": (
        "02 01 06 0020a6d4ff0000 800000000000 00000000c0a84d02 00000000525400aa0002",
        "",
        "http://192.168.77.2:3000/52-54-00-aa-00-02/snponly.efi",
        "35 01 02"
        "36 04 c0a84d02"
        "3c 0a 48545450436c69656e74"  # HTTPClient
        "61 11 0000000000000000000000000000000000"
        "43 37" + b"http://192.168.77.2:3000/52-54-00-aa-00-02/snponly.efi\0".hex() + "ff",
    ),
}


def packet(start: str, sname: str, file: str, options: str) -> bytes:
    return (
        bytes.fromhex(start).ljust(44, b"\0")
        + sname.encode().ljust(64, b"\0")
        + file.encode().ljust(128, b"\0")
        + bytes.fromhex("63825363" + options)
    ).ljust(300, b"\0")


@pytest.mark.parametrize("name", GOLDEN)
def test_bytes_of_each_style(name):
    capture = captures.capture(name)
    port = Port(capture.to[1])
    arrival = Arrival("eth1", IPv4Address("192.168.77.2"), port, capture.source)
    got = proxy.answer(wire.decode(capture.payload), arrival, registry(default=True))
    assert wire.encode(got.reply) == packet(*GOLDEN[name])


def test_bytes_for_a_bios():
    """As no capture of a BIOS ROM may be shipped, this request is made up."""
    message = request({**BIOS, Option.UUID: b"\0" + bytes(range(16))}, xid=0x9B4E0557, flags=0x8000)
    assert wire.encode(ask(message).reply) == packet(
        "02010600 9b4e0557 00008000 00000000 00000000 c0000201 00000000 525400123456",
        "192.0.2.1",
        "52:54:00:12:34:56/undionly.kpxe",
        "350102"
        "3604c0000201"
        "3c09505845436c69656e74"
        "611100000102030405060708090a0b0c0d0e0f"
        "2b0a 060108 0a0400505845 ff"  # take this file; a prompt of no seconds
        "ff",
    )


# -- who boots from the network, and not from a proxy ------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        (
            {Option.VENDOR_CLASS: b"U-Boot.armv8", Option.ARCH: b"\0\x16"},
            1,
            "next-server 192.0.2.1",
        ),
        ({Option.ARCH: b"\0\x0e"}, 1, "option 210 (path prefix) tftp://192.0.2.1/"),
        ({Option.ARCH: b"\0\x0c"}, 3, "next-server 192.0.2.1 (siaddr)"),
    ],
)
def test_a_listed_machine_whose_firmware_takes_nothing_from_a_proxy_is_told(options, kind, told):
    got = ask(request(options, MessageType(kind)))
    assert isinstance(got, proxy.Ignored)
    assert got.unserved
    assert told in got.reason
    assert got.decision.machine.title == TITLE
    # Of a machine that nobody listed, nobody will ask.
    stranger = ask(request(options, MessageType(kind)), registry(default=True))
    assert not stranger.unserved


# -- styles, as they were learned --------------------------------------------------------------


def test_the_style_comes_from_memory_and_is_to_be_remembered():
    asked = []

    def recall(mac, kind):
        asked.append((str(mac), kind.key))
        return Past(worked=Worked(style="menu", first="boot-server", mac="the other"), now=1.0)

    arrival = Arrival("eth1", SERVER, Port.DHCP, ("0.0.0.0", 68))
    got = proxy.answer(request(UEFI), arrival, registry(MAC), recall=recall)
    assert asked == [(MAC, "52:54:00 7 PXEClient:Arch:00007:UNDI:003000")]
    assert (got.style, got.offer.chosen.style, got.offer.first) == ("menu", "menu", "boot-server")
    assert got.decision.because[-1] == (
        "told in style menu: it worked for the other of the same kind"
    )
    assert proxy.restyled(got, SERVER) is None


def test_a_switch_is_an_event_that_says_why():
    tried = Tried(style="boot-server", since=0.0, kind=Kind("", "", ""), first="boot-server")
    arrival = Arrival("eth1", SERVER, Port.DHCP, ("0.0.0.0", 68))
    got = proxy.answer(
        request(UEFI), arrival, registry(MAC), recall=lambda *_: Past(tried, None, 4.0)
    )
    event = proxy.restyled(got, SERVER)
    assert str(event) == (
        f"{MAC} ({TITLE}) got an offer in style boot-server, and nothing followed; trying direct"
    )
    assert event.level == "warn"


@pytest.mark.parametrize(
    ("kind", "port"), [(MessageType.REQUEST, 4011), (MessageType.INFORM, 4011)]
)
def test_a_boot_server_s_answer_is_no_offer(kind, port):
    got = ask(request(UEFI, kind), port=Port(port))
    assert (got.offer, got.style) == (None, "")
    assert proxy.restyled(got, SERVER) is None
