"""Captures and boot programs, which are read; and archives, which are made of any names."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from netbootd import bzimage, loaderfile
from netbootd.dhcp import frame
from netbootd.overlay import cpio
from netbootd.replay.capture import Damaged, NoCapture, frames
from netbootd.replay.conversation import Conversations, TooMuch, joined
from netbootd.replay.datagram import datagram
from netbootd.replay.exchange import _theirs
from tests.dhcp.captures import ours

from .decoder import Decoder


def pcap(data: bytes) -> None:
    """A capture to its end, and what was said in it."""
    talks = Conversations()
    try:
        for number, one in enumerate(frames(io.BytesIO(data)), 1):
            assert one.number == number
            assert len(one.data) <= one.size
            if (found := datagram(one)) is not None:
                talks.add(found)
    except (NoCapture, Damaged, TooMuch):
        pass
    for question in talks.questions:
        joined(question)
        list(_theirs(question))


def archive(data: bytes) -> None:
    """An archive of any names has these names, each below those that it is in, and nothing else."""
    entries = []
    for piece in data.split(b"\n")[:64]:
        name, _, body = piece.partition(b"=")
        entries.append(_entry(name.decode("utf-8", "surrogateescape"), body))
    try:
        made = bytes(cpio.archive(entries))
    except ValueError:
        return
    assert len(made) % 512 == 0
    found = dict(_listed(made))
    wanted = {cpio.merged(one.path).encode("utf-8", "surrogateescape"): one.body for one in entries}
    assert found.items() >= wanted.items()
    for name in found:
        assert not {b"", b".", b".."} & set(name.split(b"/"))
        assert b"/" not in name or name.rpartition(b"/")[0] in found


def _entry(path: str, body: bytes) -> cpio.Entry:
    if body[:1] == b"/":
        return cpio.link(path, body.decode("utf-8", "surrogateescape"))
    return cpio.folder(path) if body == b"d" else cpio.file(path, body)


def _listed(made: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents, as init/initramfs.c of Linux finds them."""
    at = 0
    while True:
        assert made[at : at + 6] == b"070701"
        fields = [int(made[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        name = made[at + 110 : at + 110 + length]
        assert name[-1:] == b"\0"
        assert b"\0" not in name[:-1]
        at += (110 + length + 3) & ~3
        body = made[at : at + size]
        at += (size + 3) & ~3
        if name == b"TRAILER!!!\0":
            assert not made[at:].strip(b"\0")
            return
        yield name[:-1], body


def loader(data: bytes) -> None:
    """A boot program, a kernel, or anything else that lies in the folder."""
    found = loaderfile.inspect(data)
    assert found.signed or not found.signers
    loaderfile.lacks_command(data, "imgverify")
    table = loaderfile.certificate_table(data)
    if table is not None:
        offset, size = table
        loaderfile.signers(data[offset : offset + size])
    loaderfile.signers(data)
    bzimage.shortage(data, len(data))


def _pcap_seeds() -> Iterator[bytes]:
    packets = [frame.build(one.payload, one.source, one.to) for one in ours()[:2]]
    classic = b"".join(struct.pack("<IIII", 1, 2, len(one), len(one)) + one for one in packets)
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101) + classic
    yield struct.pack(">IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1) + struct.pack(
        ">IIII", 1, 2, 0, 60
    )
    section = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    interface = struct.pack("<IIHHIHHB3xHHqII", 1, 48, 101, 0, 0, 9, 1, 6, 14, 8, 0, 0, 48)
    one = packets[0].ljust(-(-len(packets[0]) // 4) * 4, b"\0")
    size = 32 + len(one)
    enhanced = struct.pack("<IIIIIII", 6, size, 0, 0, 7, len(packets[0]), len(packets[0]))
    yield section + interface + enhanced + one + struct.pack("<I", size)


def _archive_seeds() -> Iterator[bytes]:
    yield b"etc/hostname=node1\nlib/x=body\netc/link=/usr/x\netc/folder=d\netc/folder/y="
    yield b"a/../b=\nTRAILER!!!=x"


def _loader_seeds() -> Iterator[bytes]:
    row = b".sbat\0\0\0" + struct.pack("<IIII", 60, 0, 60, 512) + bytes(16)
    optional = struct.pack("<H", 0x20B) + bytes(110 + 32) + struct.pack("<II", 600, 48)
    coff = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, len(optional), 0)
    head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + coff + optional + row
    name = b"\x06\x03\x55\x04\x03\x0c\x04Test"
    signature = struct.pack("<IHH", 8 + len(name), 0x200, 2) + name
    sbat = b"sbat,1,SBAT Version,sbat,1,https://x\nshim.debian,1,Debian,shim,15.8,u\n"
    yield head.ljust(512, b"\0") + sbat.ljust(88, b"\0") + signature.ljust(48, b"\0")
    yield b"\x7fELF\0iPXE/%s\0v1.21.1+git\0\0ifstat\0#!ipxe\n set user-class brand\n"
    yield bytes(0x202) + b"HdrS" + bytes(0x100) + b"PXELINUX 6.04 EFI\0"


DECODERS = (
    Decoder(
        "pcap",
        pcap,
        (
            "netbootd.replay.capture",
            "netbootd.replay.conversation",
            "netbootd.replay.datagram",
            "netbootd.replay.exchange",
        ),
        _pcap_seeds,
        8192,
        1 << 20,
    ),
    Decoder(
        "cpio",
        archive,
        ("netbootd.overlay.cpio",),
        _archive_seeds,
        2048,
        memory=(4 << 20, 1500),
        cpu_us=(20_000, 20),
    ),
    Decoder(
        "loader", loader, ("netbootd.loaderfile", "netbootd.bzimage"), _loader_seeds, 4096, 1 << 20
    ),
)
