"""``netbootd replay``, from a file of packets to what is told of them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from netbootd.cli import main
from netbootd.dhcp import wire
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.message import Op, Option
from netbootd.replay.said import Said, differences
from tests.dhcp.captures import OURS, capture

from .files import WRAPPERS, asked, tcp, udp, write

OURS_AT, SITE, CLIENT = "192.168.77.2", "192.168.77.1", "192.168.77.50"
OVMF = "qemu-ovmf-x64-pxe-discover"


def reply(name: str, options=None, **fields) -> bytes:
    """What somebody says to the captured request *name*."""
    request = wire.decode(capture(name).payload)
    said = {53: b"\2", **(options or {})}
    return wire.encode(request._replace(op=Op.REPLY, secs=0, options=said, **fields))


def offer(source: str, name: str = OVMF, options=None, **fields):
    return udp(reply(name, options, **fields), (source, 67), ("255.255.255.255", 68))


def proxied(options=None, **fields):
    """The offer of a boot server."""
    from ipaddress import IPv4Address

    said = {54: IPv4Address(OURS_AT).packed, 60: b"PXEClient", **(options or {})}
    fields.setdefault("siaddr", IPv4Address(OURS_AT))
    fields.setdefault("file", b"pxelinux.0")
    return offer(OURS_AT, options=said, **fields)


@pytest.fixture
def pcap(tmp_path):
    def pcap(*packets, **options):
        return write(tmp_path / "a.pcap", list(packets), **options)

    return pcap


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("ng", [False, True], ids=["pcap", "pcapng"])
def test_fields_that_differ_are_told_with_both_values(replay, pcap, wrapper, ng):
    file = pcap(asked(OVMF), proxied({66: b"tftp.example"}), wrapper=wrapper, ng=ng)
    status, told = replay(file, "--json")
    assert status == 1
    assert told["address"] == OURS_AT
    assert told["address_is"] == "which answered as boot server"
    [question] = told["questions"]
    assert question["verdict"] == "differs"
    assert question["mac"] == "52:54:00:aa:00:02"
    [theirs] = question["theirs"]
    assert (theirs["number"], theirs["at"], theirs["by"]) == (2, pytest.approx(0.5), OURS_AT)
    differing = {one["field"]: (one["ours"], one["theirs"]) for one in theirs["differences"]}
    assert differing["file"] == ("52:54:00:aa:00:02/snponly.efi", "pxelinux.0")
    assert differing["66 TFTP server name"] == ("", "tftp.example")
    assert "siaddr" not in differing
    assert "60 vendor class" not in differing


def test_numbers_and_times_are_those_of_wireshark(replay, pcap):
    noise = udp(b"x", ("192.0.2.9", 9), ("192.0.2.8", 9))
    status, told = replay(pcap(noise, noise, asked(OVMF), proxied()))
    assert status == 1
    assert "     3     1.000000  52:54:00:aa:00:02  DISCOVER to port 67" in told
    assert "(No. 4, 1.500000 s)" in told
    assert "file: we 52:54:00:aa:00:02/snponly.efi, they pxelinux.0" in told


def test_our_own_answer_in_a_capture_is_the_same(replay, pcap, tmp_path):
    """What the daemon's function says, sent through a file, is recognized word for word."""
    from ipaddress import IPv4Address

    from netbootd.dhcp import proxy
    from netbootd.registry.load import load

    replay(pcap(asked(OVMF)))
    registry = load(tmp_path / "c.json")
    request = wire.decode(capture(OVMF).payload)
    arrival = Arrival("", IPv4Address(OURS_AT), Port.DHCP, ("0.0.0.0", 68))
    answer = proxy.answer(request, arrival, registry)
    ours = udp(wire.encode(answer.reply), (OURS_AT, 67), ("255.255.255.255", 68))
    status, told = replay(pcap(asked(OVMF), ours))
    assert status == 0, told
    assert "OFFER: the same" in told
    assert "1 question: 1 answered alike" in told


def test_an_address_alone_is_no_answer_about_booting(replay, pcap):
    from ipaddress import IPv4Address

    plain = offer(SITE, options={54: b"\xc0\xa8\x4d\1"}, yiaddr=IPv4Address(CLIENT))
    status, told = replay(pcap(asked(OVMF), plain))
    assert status == 1
    assert f"OFFER, gives {CLIENT}, no boot file" in told
    assert "1 that we alone would answer" in told
    assert "nobody in the capture is a boot server" in told


def test_the_machine_next_door_is_left_out(replay, pcap):
    file = pcap(asked(OVMF), proxied(), asked("qemu-ipxe-bios-discover"))
    _, told = replay(file, "--json", "--mac", "52-54-00-AA-00-02")
    assert {question["mac"] for question in told["questions"]} == {"52:54:00:aa:00:02"}
    assert len(replay(file, "--json")[1]["questions"]) == 2


def test_another_address_of_ours_is_told_as_a_difference(replay, pcap):
    _, told = replay(pcap(asked(OVMF), proxied()), "--address", "192.0.2.77", "--json")
    [question] = told["questions"]
    siaddr = question["theirs"][0]["differences"][0]
    assert siaddr == {"field": "siaddr", "ours": "192.0.2.77", "theirs": OURS_AT}


def test_who_is_no_netboot_client_is_nobody_of_ours(replay, pcap):
    installer = asked("qemu-debian-installer-discover")
    status, told = replay(pcap(installer))
    assert status == 0
    assert "not a netboot client" in told
    assert "1 that are not ours to answer" in told


def test_the_boot_server_port_is_asked_like_any_other(replay, pcap):
    from ipaddress import IPv4Address

    name = "qemu-ovmf-x64-4011-menu-request"
    item = bytes.fromhex("470480000000ff")
    said = {53: b"\5", 54: IPv4Address(OURS_AT).packed, 60: b"PXEClient", 43: item}
    ack = udp(reply(name, said, file=b"other.efi"), (OURS_AT, 4011), (CLIENT, 4011))
    _, told = replay(pcap(asked(name), ack), "--json")
    [question] = told["questions"]
    assert question["ours"]["answer"] == "ACK"
    assert question["ours"]["fields"]["43 vendor options"] == "71 boot item = 80 00 00 00"
    differing = {one["field"] for one in question["theirs"][0]["differences"]}
    assert "43 vendor options" not in differing
    assert {"file", "siaddr"} <= differing


def test_both_conversations_of_one_xid_get_their_own_answers(replay, pcap):
    """iPXE asks the DHCP server and port 4011 with the same xid, and both may be under way."""
    request, boot = "qemu-ipxe-bios-request", "qemu-ipxe-bios-4011-request"
    xid = wire.decode(capture(request).payload).xid
    asked_boot = wire.decode(capture(boot).payload)._replace(
        xid=xid, chaddr=wire.decode(capture(request).payload).chaddr
    )
    questions = [asked(request), udp(wire.encode(asked_boot), (CLIENT, 68), (OURS_AT, 4011))]
    late = wire.encode(asked_boot._replace(op=Op.REPLY, options={53: b"\5", 67: b"from-site"}))
    boot_ack = wire.encode(asked_boot._replace(op=Op.REPLY, options={53: b"\5", 67: b"from-4011"}))
    answers = [
        udp(late, (SITE, 67), (CLIENT, 68)),
        udp(boot_ack, (OURS_AT, 4011), (CLIENT, 68)),
    ]
    _, told = replay(pcap(*questions, *answers), "--json")
    files = [
        [theirs["fields"]["67 boot file"] for theirs in question["theirs"]]
        for question in told["questions"]
    ]
    assert files == [["from-site"], ["from-4011"]]


def rrq(path: bytes, *options: bytes, port: int = 2000):
    words = b"\0".join((path, b"octet", *options, b""))
    return udp(b"\0\1" + words, (CLIENT, port), (OURS_AT, 69))


def test_a_transfer_is_compared_by_its_first_answer(replay, pcap):
    oack = b"\0\6" + b"\0".join((b"tsize", b"999", b"blksize", b"1468", b""))
    file = pcap(
        rrq(b"snponly.efi", b"tsize", b"0", b"blksize", b"1468"),
        udp(oack, (OURS_AT, 3000), (CLIENT, 2000)),
        udp(b"\0\5\0\x08User aborted\0", (CLIENT, 2000), (OURS_AT, 3000)),
        rrq(b"snponly.efi", port=2001),
        udp(b"\0\3\0\1" + bytes(512), (OURS_AT, 3001), (CLIENT, 2001)),
        rrq(b"missing", port=2002),
        udp(b"\0\5\0\1gone\0", (OURS_AT, 3002), (CLIENT, 2002)),
        rrq(b"hostile\x1b[2J", port=2003),
    )
    status, told = replay(file, "--json")
    assert status == 1
    sized, plain, missing, hostile = told["questions"]
    [tsize] = sized["theirs"][0]["differences"]
    assert (tsize["field"], tsize["theirs"]) == ("tsize", "999")
    assert sized["ended"] == "ERROR 8 User aborted"
    assert (plain["verdict"], plain["ours"]["answer"]) == ("same", "DATA 1")
    assert (missing["verdict"], missing["ours"]["answer"]) == ("same", "ERROR 1")
    assert hostile["ours"]["answer"] == "ERROR 2"
    assert "\x1b" not in replay(file)[1]


def test_a_service_that_is_off_is_the_reason(replay, pcap):
    file = pcap(asked(OVMF), proxied(), rrq(b"undionly.kpxe"))
    status, told = replay(file, settings=', "proxydhcp" : false, "tftp" : false')
    assert status == 1
    assert '"proxydhcp" is off' in told
    assert '"tftp" is off' in told


def get(path: str, agent: str = "iPXE/1.21.1", port: int = 5000):
    request = f"GET {path} HTTP/1.1\r\nHost: {OURS_AT}\r\nUser-Agent: {agent}\r\n\r\n".encode()
    return tcp(request, (CLIENT, port), (OURS_AT, 3000), 1000, 2**32 - 10)


def test_a_script_over_http_is_compared_line_by_line(replay, pcap):
    body = b"#!ipxe\necho theirs\nexit\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    whole, start = head + body, 2**32 - 10
    parts = [(start, whole[:30]), (start + 60, whole[60:]), (start + 30, whole[30:60])]
    segments = [
        tcp(part, (OURS_AT, 3000), (CLIENT, 5000), seq % 2**32, 1100) for seq, part in parts
    ]
    status, told = replay(pcap(get("/boot/52:54:00:aa:00:02"), *segments))
    assert status == 1
    assert "-echo theirs" in told
    assert "+#" not in told.split("theirs")[0]
    status, told = replay(pcap(get("/boot/52:54:00:aa:00:02"), *segments), "--json")
    [theirs] = told["questions"][0]["theirs"]
    assert theirs["fields"]["text"] == body.decode()


def test_the_token_of_a_boot_is_no_difference():
    ours, theirs = (
        Said(what="HTTP 200", by="x", fields={"text": f"#!ipxe\nkernel k done?token={token}\n"})
        for token in ("0a1b", "2c3d")
    )
    assert differences(ours, theirs) == ()
    other = replace(theirs, fields={"text": theirs.fields["text"].replace("kernel k", "kernel l")})
    [found] = differences(ours, other)
    assert "2c3d" not in found.theirs


def test_an_answer_whose_beginning_was_lost_is_told_as_such(replay, pcap):
    late = tcp(b"rest of a file", (OURS_AT, 3000), (CLIENT, 5000), 500, 1100)
    _, told = replay(pcap(get("/boot/52:54:00:aa:00:02"), late))
    assert "the capture has not all of this answer" in told
    assert "no boot file" not in told


def test_what_a_browser_or_an_installer_fetches_is_nothing_of_ours(replay, pcap):
    status, told = replay(pcap(get("/debian/pool/a.deb", agent="Debian APT-HTTP/1.3")))
    assert status == 0
    assert "no question of a booting machine" in told


def test_a_packet_that_was_seen_on_both_sides_of_a_bridge_counts_once(replay, pcap):
    once = replay(pcap(asked(OVMF), asked(OVMF), proxied(), step=0.0005), "--json")[1]
    assert len(once["questions"]) == 1
    assert once["remarks"] == ["1 packet seen twice count once"]
    again = replay(pcap(asked(OVMF), asked(OVMF), proxied(), step=4.0), "--json")[1]
    assert len(again["questions"]) == 2
    assert [len(question["theirs"]) for question in again["questions"]] == [0, 1]


def test_a_capture_with_a_short_snaplen_says_that_it_may_be_wrong(replay, tmp_path, pcap):
    from scapy.utils import PcapWriter

    whole = bytes(WRAPPERS["Ethernet"](asked(OVMF)))
    with PcapWriter(str(tmp_path / "cut.pcap"), linktype=1) as writer:
        writer.write_header(None)
        writer.write_packet(whole[:330], sec=1, usec=0, caplen=330, wirelen=len(whole))
    _, told = replay(tmp_path / "cut.pcap")
    assert "the capture has not all of the packet" in told


def test_a_cut_off_file_tells_what_it_has_and_where_it_ends(replay, pcap):
    file = pcap(asked(OVMF), proxied(), asked("qemu-ipxe-bios-discover"))
    file.write_bytes(file.read_bytes()[:-40])
    _, told = replay(file)
    assert "note: the capture is cut off in packet 3" in told
    assert "1 answered otherwise" in told


@pytest.mark.parametrize("content", [b"", b"nothing like it", b"\x1f\x8b\x08\x00"])
def test_what_is_no_capture_is_one_line_and_status_1(replay, tmp_path, content):
    (tmp_path / "x.pcap").write_bytes(content)
    status, told = replay(tmp_path / "x.pcap")
    assert status == 1
    assert told.count("\n") == 1
    assert "is no capture" in told


def test_a_missing_file_and_a_broken_configuration_have_statuses_of_their_own(tmp_path, pcap):
    (tmp_path / "c.json").write_text("{")
    file = pcap(asked(OVMF))
    assert main(["replay", "--config", str(tmp_path / "c.json"), str(file)]) == 2


def test_a_file_that_is_not_there_is_told(replay, tmp_path):
    status, told = replay(tmp_path / "none.pcap")
    assert status == 1
    assert "none.pcap" in told


def test_packets_of_any_bytes_on_the_ports_of_booting_raise_nothing(replay, pcap):
    chance = random.Random(1)
    spoilt = []
    for name in sorted(file.stem for file in OURS.glob("qemu-*.hex")):
        payload = bytearray(capture(name).payload)
        for _ in range(5):
            for _ in range(8):
                payload[chance.randrange(len(payload))] = chance.randrange(256)
            spoilt.append(udp(bytes(payload), ("0.0.0.0", 68), ("255.255.255.255", 67)))
    for port in (67, 68, 69, 4011):
        spoilt += [
            udp(chance.randbytes(size), (CLIENT, 1000 + size), (OURS_AT, port))
            for size in (0, 1, 2, 4, 40, 300, 1400)
        ]
    spoilt += [
        tcp(start + chance.randbytes(200), (CLIENT, 1), (OURS_AT, 80), 5, 5)
        for start in (b"GET ", b"GET / HTTP/1.1\r\n", b"HEAD /boot HTTP/1.1\r\n", b"HTTP/1.1 200 ")
    ]
    status, told = replay(pcap(*spoilt))
    assert status in (0, 1)
    assert all(line.isprintable() for line in told.splitlines())


def test_a_flood_of_questions_is_cut_off_with_a_word(replay, pcap, monkeypatch):
    from netbootd.replay import conversation

    monkeypatch.setattr(conversation, "_MOST_QUESTIONS", 2)
    _, told = replay(pcap(*[asked(OVMF)] * 3, step=1.0))
    assert "only the first 2 questions are looked at, up to packet 2" in told


def test_option_codes_are_those_of_the_message():
    from netbootd.replay.said import BOOT_OPTIONS

    for option in (Option.VENDOR_OPTIONS, Option.VENDOR_CLASS, Option.UUID, Option.BOOT_FILE):
        assert option in BOOT_OPTIONS
