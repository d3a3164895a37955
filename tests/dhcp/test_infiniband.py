"""
InfiniBand (RFC 4390): an address that does not fit, and a client identifier instead of it.

And a client that sends the UUID of its system for an address, as EDK2 may.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from netbootd.dhcp import proxy, pxe, wire
from netbootd.dhcp.destination import EVERYBODY, Arrival, Port, destination
from netbootd.dhcp.message import MessageType, Op, Option
from netbootd.registry.load import load

from .test_proxy import UEFI, Message

SERVER = IPv4Address("192.0.2.1")
GUID = "00:02:c9:03:00:ab:cd:ef"
MADE_OF_IT = "00:02:c9:ab:cd:ef"
WHOLE = "ff:00:00:00:00:00:02:00:00:02:c9:00:" + GUID
ANOTHER = "20:00:55:04:01:" + GUID  # what another program puts before it
UUID = "00112233-4455-6677-8899-aabbccddeeff"
ENTRY = {"type": "localboot", "name": "disk"}


def discover(client_id=WHOLE, hlen=0, chaddr=b"", htype=32, **options) -> bytes:
    message = Message(
        op=Op.REQUEST,
        htype=htype,
        hlen=hlen,
        xid=7,
        flags=0x8000,
        chaddr=chaddr.ljust(16, b"\0"),
        options={
            Option.MESSAGE_TYPE: bytes((MessageType.DISCOVER,)),
            **UEFI,
            **({Option.CLIENT_ID: bytes.fromhex(client_id.replace(":", ""))} if client_id else {}),
            **{Option[name]: value for name, value in options.items()},
        },
    )
    return wire.encode(message)


@pytest.fixture
def ask(tmp_path):
    (tmp_path / "snponly.efi").write_bytes(b"loader")

    def ask(datagram: bytes, **machines):
        file = tmp_path / "netbootd.json"
        settings = {"files": str(tmp_path), "firmware": [str(tmp_path)]}
        written = {
            "netbootd": settings,
            "targets": {"localboot": {"disk": {}}},
            "machines": {key: {**ENTRY, **entry} for key, entry in machines.items()},
        }
        file.write_text(json.dumps(written))
        registry = load(file)
        assert [finding for finding in registry.findings if finding.code == "mark-unusable"] == []
        request = wire.decode(datagram)
        arrival = Arrival("ib0", SERVER, Port.DHCP, ("0.0.0.0", 68))
        got = proxy.answer(request, arrival, registry, pxe.marks_of(request))
        return request, got

    return ask


@pytest.mark.parametrize(
    "written", [WHOLE, ANOTHER, GUID, GUID.replace(":", "").upper(), WHOLE.replace(":", "-")]
)
@pytest.mark.parametrize("said", [WHOLE, ANOTHER])
@pytest.mark.parametrize(
    ("hlen", "chaddr"), [(0, b""), (16, b"\x80\0\0\x48" * 4), (20, b"\x80" * 16)]
)
def test_a_machine_is_found_by_its_client_identifier(ask, written, said, hlen, chaddr):
    request, got = ask(discover(said, hlen, chaddr), ib1={"client_id": written})
    assert isinstance(got, proxy.Answer)
    assert got.decision.machine.named == "ib1"
    assert got.reply.file == f"{MADE_OF_IT}/snponly.efi".encode()
    reply = wire.decode(wire.encode(got.reply, request.limit))
    for name in ("htype", "hlen", "xid", "chaddr"):
        assert getattr(reply, name) == getattr(request, name)
    assert reply.options[Option.CLIENT_ID] == request.options[Option.CLIENT_ID]
    assert reply.flags == 0x8000
    way = destination(request, got.reply, ("0.0.0.0", 68), boot_server=False)
    assert (way.address, way.port, way.card) == (EVERYBODY, 68, None)


def test_failing_that_by_the_mac_that_is_made_of_the_guid(ask):
    _, got = ask(discover(), **{MADE_OF_IT: {}})
    assert isinstance(got, proxy.Answer)
    assert str(got.decision.machine.mac) == MADE_OF_IT


def test_an_older_ipxe_has_the_guid_for_its_address(ask):
    chaddr = bytes.fromhex(GUID.replace(":", ""))
    _, got = ask(discover("", 8, chaddr), **{MADE_OF_IT: {}})
    assert isinstance(got, proxy.Answer)


def test_an_unknown_one_is_told_with_its_identifier(ask):
    _, got = ask(discover(), other={"client_id": "00:02:c9:03:00:00:00:01"})
    assert isinstance(got, proxy.Ignored)
    assert got.unserved
    assert f"client identifier {WHOLE}" in got.reason


def test_an_unknown_one_gets_the_default(ask):
    _, got = ask(discover(), default={})
    assert isinstance(got, proxy.Answer)
    assert not got.decision.machine.known


def test_without_any_identifier_it_is_told_so(ask):
    _, got = ask(discover(""), default={})
    assert isinstance(got, proxy.Ignored)
    assert "without a MAC it cannot have the default" in got.reason
    assert "hardware type 32, address none, client identifier none" in got.reason


@pytest.mark.parametrize(
    "marks", [{"client_id": "01:02:03:04"}, {"uuid": UUID}], ids=["client_id", "uuid"]
)
def test_a_system_s_uuid_for_an_address_is_known_by_what_else_it_says(ask, marks):
    uuid = bytes.fromhex("00 33221100 5544 7766 8899aabbccddeeff")
    datagram = discover("01:02:03:04", 16, uuid[1:], htype=1, UUID=uuid)
    _, got = ask(datagram, guid={**marks, "mac": "52:54:00:12:34:56"})
    assert isinstance(got, proxy.Answer)
    assert got.reply.file == b"52:54:00:12:34:56/snponly.efi"
    assert got.offer is None, "without a card nothing can be learned"


def test_a_system_s_uuid_of_a_machine_without_any_card_gets_the_bare_name(ask):
    uuid = bytes.fromhex("00 33221100 5544 7766 8899aabbccddeeff")
    _, got = ask(discover("", 16, uuid[1:], htype=1, UUID=uuid), guid={"uuid": UUID})
    assert got.reply.file == b"snponly.efi"


@pytest.mark.parametrize("hlen", [0, 1, 5, 6, 7, 8, 15, 16, 20])
def test_any_length_of_address_that_may_be_is_answered(ask, hlen):
    datagram = bytearray(discover())
    datagram[2] = hlen
    assert isinstance(ask(bytes(datagram), default={})[1], proxy.Answer)


@pytest.mark.parametrize(("htype", "hlen"), [(32, 17), (32, 19), (32, 21), (32, 255), (1, 20)])
def test_any_other_is_dropped(htype, hlen):
    datagram = bytearray(discover())
    datagram[1:3] = htype, hlen
    with pytest.raises(wire.WireError, match="hardware address of"):
        wire.decode(bytes(datagram))


@pytest.mark.parametrize("written", ["", "zz", "00:00:00:00:00:00:00:00", "7", 7])
def test_an_identifier_that_tells_nobody_apart_is_told(tmp_path, written):
    file = tmp_path / "netbootd.json"
    entry = {**ENTRY, "client_id": written}
    targets = {"localboot": {"disk": {}}}
    file.write_text(json.dumps({"targets": targets, "machines": {"ib1": entry}}))
    codes = [finding.code for finding in load(file).findings]
    assert "mark-unusable" in codes


@pytest.mark.parametrize(
    ("written", "doubtful"), [("01:52:54:00:12:34", 1), ("01:52:54:00:12:34:56", 0), ("01-02", 1)]
)
def test_an_identifier_that_no_firmware_sends_is_told(tmp_path, written, doubtful):
    file = tmp_path / "netbootd.json"
    entry = {**ENTRY, "client_id": written}
    file.write_text(json.dumps({"machines": {"ib1": entry}}))
    told = [one for one in load(file).findings if one.code == "mark-doubtful"]
    assert [one.path for one in told] == ["machines.ib1.client_id"] * doubtful
