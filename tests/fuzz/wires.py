"""DHCP of both kinds, TFTP, and the packets below them."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

from netbootd import configfiles, urls
from netbootd.content import parts_of
from netbootd.dhcp import arp, frame, overheard, pxe, relay, shapes, wire
from netbootd.dhcp.destination import Port
from netbootd.dhcp.message import Message, sub_options
from netbootd.dhcp6 import wire as wire6
from netbootd.dhcp6.message import card_of
from netbootd.errors import Forbidden, OptionRefused, WireError
from netbootd.replay import said
from netbootd.replay.capture import Frame
from netbootd.replay.datagram import KNOWN_LINKS, datagram
from netbootd.tftp import options
from netbootd.tftp import wire as tftp
from netbootd.tftp.netascii import translate
from tests.dhcp.captures import OURS, ours

from .decoder import Decoder

_OURS = IPv4Address("192.0.2.1")
_MTU = 1500


def _properties(kind: type) -> list[str]:
    return [name for name, value in vars(kind).items() if isinstance(value, property)]


_OF_DHCP, _OF_DHCP6 = _properties(Message), _properties(wire6.Message)


def dhcp(data: bytes) -> None:
    """What is read can be written, and is then the same; and all that it says can be asked."""
    try:
        message = wire.decode(data)
    except WireError:
        return
    for name in _OF_DHCP:
        getattr(message, name)
    _ask(message)
    shapes._cut(message, data, Port.BOOT_SERVER)
    # What is echoed; all else is our own, and scapy's work, which takes a hundred times as long.
    echoed = {code: value for code, value in message.options.items() if code in wire._LAID_IN}
    said_back = message._replace(options=echoed)
    try:
        written = wire.encode(said_back, limit=1 << 20)
    except WireError:
        return
    assert wire.decode(written) == said_back


def _ask(message: Message) -> None:
    pxe.client_of(message, _OURS)
    pxe.marks_of(message)
    pxe.identifier(message)
    pxe.features(message)
    pxe.lacks_http(message)
    pxe.rom_of(message)
    pxe.pi_serials(message)
    pxe.unsupported(message)
    pxe.addressed(message)
    pxe.is_other_firmware(message)
    pxe.heeds_no_proxy(message)
    pxe.beyond_a_proxy(message, _OURS)
    pxe.boot_item(message)
    relay.relay_of(message)
    overheard._file(message)
    overheard._next_server(message)
    said.tells_to_boot(message)
    said.of_message(message)
    for value in message.options.values():
        list(sub_options(value))


def dhcp6(data: bytes) -> None:
    """Likewise; what goes back through relays loses what these need not have back."""
    try:
        message = wire6.decode(data)
    except WireError:
        return
    for name in _OF_DHCP6:
        getattr(message, name)
    for hop in message.relays:
        card_of(hop.peer)
    again = wire6.decode(wire6.encode(message._replace(relays=())))
    assert again == message._replace(relays=())
    try:
        wire6.encode(message)
    except WireError:  # 65,535 bytes, and a relay's header more
        assert len(data) > 0xFF00


def tftp_packet(data: bytes) -> None:
    """What a request says comes back when it is written and read; so do blocks and errors."""
    block = tftp.acknowledged(data)
    try:
        packet = tftp.decode(data)
    except WireError:
        assert block < 0
        return
    assert block == (packet.block if isinstance(packet, tftp.Ack) else -1)
    said.of_packet(packet)
    if isinstance(packet, tftp.ReadRequest):
        _requested(packet)
    if isinstance(packet, tftp.Data):
        assert tftp.encode(packet) == data
        translate(packet.data)


def _requested(request: tftp.ReadRequest) -> None:
    for size in (None, 0, 1 << 40):
        try:
            grant = options.negotiate(request.options, options.Bounds(size, _MTU, 64))
        except OptionRefused:
            continue
        if grant.answer:
            granted = tftp.decode(tftp.encode(tftp.OptionAck(grant.answer)))
            assert granted == tftp.OptionAck(grant.answer)
    _looked_up(request.path)


def path(data: bytes) -> None:
    """A path of whatever spelling: no part of what it means leads up or holds a slash."""
    _looked_up(data.decode("utf-8", "surrogateescape"))


def _looked_up(asked: str) -> None:
    urls.split_mac(asked)
    urls.overlay_of(asked)
    urls.scripted_mac(asked)
    urls.scripted(asked)
    configfiles.parse(asked)
    try:
        parts = parts_of(asked)
    except Forbidden:
        return
    assert not [part for part in parts if part in ("", ".", "..") or {"/", "\\", "\0"} & set(part)]
    found = urls.route(parts)
    assert ".." not in found.path.split("/")
    if found.kind is urls.Kind.FILE:
        parts_of(found.path)


def packet(data: bytes) -> None:
    """
    An Ethernet frame's inside: as sent, and with the header's checksum put right, which chance
    seldom does.
    """
    for heard in (data, _summed(data)):
        for checked in (True, False):
            try:
                found = frame.parse(heard, checked=checked)
            except WireError:
                continue
            assert len(found.payload) + 28 <= len(heard)
            again = frame.parse(frame.build(*found), checked=False)
            assert again == found
    with contextlib.suppress(WireError):
        arp.claim(data)
    for link in KNOWN_LINKS:
        datagram(Frame(1, 0.0, link, data, len(data)))


def _summed(data: bytes) -> bytes:
    head = (data[0] & 15) * 4 if data else 0
    if not 20 <= head <= len(data):
        return data
    blank = data[:10] + b"\0\0" + data[12:]
    return data[:10] + struct.pack("!H", frame.checksum(blank[:head])) + data[12:]


def _dhcp_seeds() -> Iterator[bytes]:
    return (capture.payload for capture in ours())


def _packet_seeds() -> Iterator[bytes]:
    for one in ours()[::6]:
        built = frame.build(one.payload, one.source, one.to)
        yield built
        yield bytes(12) + b"\x81\x00\x00\x05\x08\x00" + built
    yield arp.probe(_OURS, b"\2" * 6)


def _dhcp6_seeds() -> Iterator[bytes]:
    duid = b"\0\1\0\x0e\0\1\0\1\x2a\x2a\x2a\x2a\x52\x54\0\x12\x34\x56"
    uuid = b"\0\1\0\x12\0\4" + bytes(range(16))
    ia = b"\0\3\0\x28\0\0\0\1\0\0\0\0\0\0\0\0\0\5\0\x18" + bytes(range(16)) + b"\0\0\1\0" * 2
    asked = b"\0\6\0\4\0\x3b\0\x3c" + b"\0\x3d\0\2\0\7" + b"\0\x3e\0\3\1\3\0"
    vendor = b"\0\x10\0\x17\0\0\1\x57\0\x11HTTPClient:Arch:1"
    name = b"\0\x27\0\7\0\5node1" + b"\0\x0f\0\6\0\4iPXE"
    solicit = b"\1\1\2\3" + duid + ia + asked + vendor + name + b"\0\x08\0\2\0\0" + b"\0\x0e\0\0"
    yield solicit
    yield b"\3\1\2\3" + uuid + ia + b"\0\2" + duid[2:]
    wrapped = solicit
    for hop in range(3):
        address = b"\xfe\x80" + bytes(6) + b"\x50\x54\0\xff\xfe\x12\x34\x56"
        link = b"\x20\1\x0d\xb8" + bytes(12)
        layer = b"\0\x4f\0\x08\0\1\x52\x54\0\x12\x34\x56" + b"\0\x12\0\4eth0"
        size = struct.pack("!HH", 9, len(wrapped))
        wrapped = bytes((12, hop)) + link + address + layer + size + wrapped
        yield wrapped


def _tftp_seeds() -> Iterator[bytes]:
    for one in json.loads((OURS / "tftp-requests.json").read_text()):
        yield bytes.fromhex(one["hex"])
    yield tftp.ack(7)
    yield tftp.encode(tftp.Data(1, b"x\r\0\r\n"))
    yield tftp.encode(tftp.OptionAck({"blksize": "1468", "tsize": "0"}))


def _path_seeds() -> Iterator[bytes]:
    mac = "52:54:00:12:34:56"
    for one in (
        *("", "/boot", f"/boot/{mac}", f"/{mac}/ipxe.efi", "/install/52-54-00-12-34-56/x/y.cfg"),
        *("boot.ipxe.0100259027DBB4", "a\\..\\b", "/../etc/passwd", "grub//52:54:00:12:34:56/x"),
        *("pxelinux.cfg/01-52-54-00-12-34-56", "pxelinux.cfg/C0A8", "12345678/config.txt"),
        *(f"/overlay/{mac}.cpio?token=x", "/api/v1/machines", "machines/525400123456/vms"),
        *("grub/grub.cfg-01-52-54-00-12-34-56", "images/./vmlinuz", "autoexec.ipxe"),
    ):
        yield one.encode()


DECODERS = (
    Decoder(
        "dhcp",
        dhcp,
        (
            "netbootd.dhcp.wire",
            "netbootd.dhcp.message",
            "netbootd.dhcp.pxe",
            "netbootd.dhcp.relay",
            "netbootd.dhcp.shapes",
        ),
        _dhcp_seeds,
        2048,
        2048,
    ),
    Decoder(
        "packet",
        packet,
        ("netbootd.dhcp.frame", "netbootd.dhcp.arp", "netbootd.replay.datagram"),
        _packet_seeds,
        2048,
        2048,
    ),
    Decoder(
        "dhcp6", dhcp6, ("netbootd.dhcp6.wire", "netbootd.dhcp6.message"), _dhcp6_seeds, 2048, 8192
    ),
    Decoder(
        "tftp",
        tftp_packet,
        (
            "netbootd.tftp.wire",
            "netbootd.tftp.options",
            "netbootd.tftp.netascii",
            "netbootd.urls",
            "netbootd.configfiles",
            "tftpy.TftpPacketTypes",
            "tftpy.TftpPacketFactory",
        ),
        _tftp_seeds,
        1500,
        2048,
    ),
    Decoder(
        "path",
        path,
        ("netbootd.urls", "netbootd.content", "netbootd.configfiles", "netbootd.mac"),
        _path_seeds,
        1500,
        16384,
    ),
)
