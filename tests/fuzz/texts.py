"""Logs, and both kinds of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from netbootd.api import body
from netbootd.api.no import No
from netbootd.errors import ConfigErrors
from netbootd.logbook.ecs import Shape
from netbootd.logbook.filing import Filed
from netbootd.logbook.line import NOBODY, Source
from netbootd.logbook.trouble import kind_of
from netbootd.relaxedjson import decode
from netbootd.syslog import wire
from netbootd.syslog.framing import Frames
from netbootd.syslog.lines import Arrival, line_of, own_mac
from netbootd.syslog.netconsole import Assembler
from netbootd.vms import strict, vm
from tests.dhcp.captures import OURS

from .decoder import Decoder

_SAMPLES = Path(__file__).parents[1] / "samples"
_NOW = 1_790_000_000.0
_ZONES = (UTC, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Kiritimati"))
_SHAPE = Shape("server", original=True)


def syslog(data: bytes) -> None:
    """Every message says something, whatever it is, and can be kept as one line of JSON."""
    said = wire.read(data)
    assert 0 <= said.facility < 24
    assert 0 <= said.severity < 8
    _keep(said, _ZONES[len(data) % len(_ZONES)])


def _keep(said: wire.Said, zone: tzinfo) -> None:
    """As a line of somebody in *zone*."""
    arrival = Arrival(Source.SYSLOG, "192.0.2.77", 514, _NOW)
    own_mac(said)
    line = line_of(said, arrival, Filed(NOBODY, zone), troubled=bool(kind_of(said.text)))
    document = _SHAPE.encode(line, 1, "x")
    assert document.count(b"\n") == 1
    json.loads(document)


def frames(data: bytes) -> None:
    """A stream has the same messages however it was cut; the first bytes say how."""
    cuts, stream = data[:2], data[2:]
    whole = _framed([stream])
    size = 1 + cuts[-1] if cuts else 1
    assert _framed([stream[at : at + size] for at in range(0, len(stream), size)]) == whole
    for one in whole:
        assert one


def _framed(pieces: list[bytes]) -> list[bytes]:
    reader, found = Frames(), []
    for piece in pieces:
        if not reader.problem:
            found += reader.feed(piece)
    return found if reader.problem else found + reader.end()


def netconsole(data: bytes) -> None:
    """Datagrams of two senders, one behind each line that begins with ``=``."""
    assembler = Assembler()
    now = 0.0
    for one in data.split(b"\n=")[:200]:
        now += 0.05
        found = assembler.feed(one, "ab"[len(one) % 2], now) + assembler.overdue(now)
        for _, said in found:
            _keep(said, UTC)
    assembler.overdue(now + 60)
    assert assembler.waiting == 0


def relaxed(data: bytes) -> None:
    """What is plain JSON the relaxed reader reads alike; and places can be asked."""
    plain = _plain(data)
    try:
        document = decode(data, "f")
    except ConfigErrors:
        assert plain is None, "JSON, and refused"
        return
    assert document.place.line > 0
    assert plain is None or document.value == plain


def _plain(data: bytes) -> object:
    """The value where *data* is JSON of a depth that is read, None where not, or null."""
    if data.count(b"[") + data.count(b"{") > 500:
        return None
    try:
        value = body.parse(data)
    except No:
        return None
    return value if "\\ud" not in data.decode().lower() else None


def vmadm(data: bytes) -> None:
    """A description is JSON for every reader, and the same one as an object of a file."""
    try:
        made = vm.make("x", data, vm.STORED)
    except strict.NotStrict:
        assert not isinstance(_plain(data), dict), "a description, and refused"
        return
    assert isinstance(json.loads(data), dict)
    document = strict.parse(data, "f")
    copied = strict.strictly(document.value).encode()
    assert strict.parse(copied, "f").value == document.value
    vm.Vms([made]).find("x")


def request(data: bytes) -> None:
    """The body of a request to the API."""
    try:
        value = body.parse(data)
    except No:
        return
    json.dumps(value).encode()


def _syslog_seeds() -> Iterator[bytes]:
    for one in json.loads((OURS / "debian-installer-syslog.json").read_text())[:8]:
        yield bytes.fromhex(one["hex"])
    yield b'<165>1 2003-10-11T22:14:15.003+01:00 host app 12 ID47 [a@1 b="c\\"" d="e"][f] \xef\xbb\xbftext'
    yield b"<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed for lonvick on /dev/pts/8"
    yield b"<189>*Mar  1 2024 18:46:11.123 UTC: %SYS-5-CONFIG_I: Configured"
    yield b"<78>Oct 11 22:14:15 host cron[1]: [ID 702911 cron.notice] text"
    yield b"<190>2024-02-29T12:34:60.5Z host: iPXE"


def _frame_seeds() -> Iterator[bytes]:
    yield b"\0\0" + b"<13>one\n<13>two\0" + b"7 <13>abc" + b"<13>rest\r\n12"
    yield b"\0\3" + b"300000 <1>x"


def _netconsole_seeds() -> Iterator[bytes]:
    yield b"6,416,1758426,-;text\n SUBSYSTEM=pci\n DEVICE=+pci:0000\\x20"
    yield (b"6.1.0,4,7,99,c,ncfrag=0/10;hello\n=6.1.0,4,7,99,c,ncfrag=5/10;world"
           b"\n=[ 1.0] plain\nnext \n=and its end\n")  # fmt: skip


def _json_seeds() -> Iterator[bytes]:
    yield (_SAMPLES / "tiburon.json").read_bytes()[:3000]
    yield b'# config-file-type: JSON 1\n{"a":[1,-2.5e3,true,false,null,"\\u00e4\\ud83d\\ude00"],}'
    yield b'\xef\xbb\xbf{"a":1,"a":{"b":[[[]]]}} # end'


def _vm_seeds() -> Iterator[bytes]:
    yield (
        b'{"alias":"web","brand":"kvm","uuid":"0b6f1e2a-1111-4222-8333-444455556666","ram":1024,\n'
        b'"quota":10,"nics":[{"nic_tag":"admin","ip":"dhcp","primary":true}],"alias":"b",'
        b'"disks":[{"size":10240,"boot":true,"model":"virtio"}],"ram":1e3,"customer_metadata":{}}'
    )


DECODERS = (
    Decoder(
        "syslog",
        syslog,
        ("netbootd.syslog.wire", "netbootd.syslog.lines", "netbootd.logbook.ecs"),
        _syslog_seeds,
        2048,
    ),
    Decoder(
        "frames",
        frames,
        ("netbootd.syslog.framing",),
        _frame_seeds,
        2048,
        1 << 17,
        cpu_us=(5_000, 10),
    ),
    Decoder(
        "netconsole",
        netconsole,
        ("netbootd.syslog.netconsole",),
        _netconsole_seeds,
        4096,
        lines=(2_000, 150),
        cpu_us=(20_000, 25),
    ),
    Decoder(
        "json",
        relaxed,
        ("netbootd.relaxedjson", "netbootd.api.body"),
        _json_seeds,
        4096,
        1 << 20,
        memory=(200_000, 200),
    ),
    Decoder(
        "vmadm",
        vmadm,
        (
            "netbootd.vms.vm",
            "netbootd.vms.strict",
            "netbootd.vms.advice",
            "netbootd.vms.properties",
            "netbootd.vms.values",
            "netbootd.relaxedjson",
        ),
        _vm_seeds,
        4096,
        1 << 20,
        memory=(200_000, 200),
    ),
    Decoder("body", request, ("netbootd.api.body",), _vm_seeds, 4096, 1 << 20),
)
