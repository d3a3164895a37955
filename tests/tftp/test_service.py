"""The edge: what comes to the ports, and what is said and sent."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import socket
import time
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import formatEvent, globalLogPublisher

from netbootd.content import Content
from netbootd.events.event import (
    Dropped,
    Refused,
    TransferEnded,
    TransferFailed,
    Transferred,
    Unserved,
)
from netbootd.events.progress import Progress, Started
from netbootd.tftp import port, train, wire
from netbootd.tftp.files import Located
from netbootd.tftp.limits import Limits
from netbootd.tftp.netascii import translate
from netbootd.tftp.transfer import Transfer
from netbootd.tftp.wire import Ack, Data, Error, OptionAck, ReadRequest, WriteRequest

from .model import synthetic
from .rig import HOME, OTHER, SOMEBODY, Guest, House, pass_time

#: Where no other test has a socket.
ALONE = IPv4Address("127.0.0.77")
CAPTURES = json.loads((Path(__file__).parents[1] / "captures" / "tftp-requests.json").read_text())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"blksize": "1468"},
        {"tsize": "0", "blksize": "1468", "windowsize": "4"},
        {"blksize": "1428", "windowsize": "64"},
        {"blksize": "8", "windowsize": "64"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["loader", "small", "empty"])
def test_a_file_is_fetched(house, guest, path, options):
    assert guest.fetch(path, options) == house.library.files[path]
    [event] = house.seen(Transferred)
    assert (event.mac, event.target, event.peer) == (SOMEBODY, "nfs/centos", "127.0.0.1")
    assert (event.path, event.size, event.resent) == (path, len(house.library.files[path]), 0)
    assert house.service.under_way == 0


def test_windows_leave_one_by_one_where_the_kernel_cannot_cut_them(house, guest, monkeypatch):
    def refuse(line, train):
        raise AssertionError("not to be used")

    monkeypatch.setattr(train.Line, "_send_segmented", refuse)
    house.service._admission._segments = False
    assert guest.fetch("loader", {"windowsize": "16"}) == house.library.files["loader"]


@pytest.mark.fast_path("trains")
@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT])
def test_a_device_that_cannot_cut_trains_is_found_out(house, guest, number):
    class Device:
        """Sends what fits in a frame, and refuses to cut."""

        def __init__(self, real):
            self.real, self.refused = real, 0

        def sendmsg(self, buffers, cut, flags, peer):
            if cut:
                self.refused += 1
                raise OSError(number, "no")
            return self.real.sendmsg(buffers, cut, flags, peer)

        def __getattr__(self, name):
            return getattr(self.real, name)

    guest.ask(ReadRequest("loader", "octet", {"windowsize": "8"}))
    [running] = house.service._crowd._running.values()
    device = running.line._socket = Device(running.line._socket)
    assert [packet.block for packet in guest.say(Ack(0))] == list(range(1, 9))
    assert [packet.block for packet in guest.say(Ack(8))] == list(range(9, 17))
    assert device.refused == 1


def test_a_large_window_is_more_than_one_train(house, guest):
    house.serve(HOME, mtu=65_536)
    asked = {"windowsize": "64", "blksize": "9000"}
    house.library.files["initrd"] = synthetic(0, 900_000)
    guest.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    assert guest.fetch("initrd", asked) == house.library.files["initrd"]


def test_blocks_fit_the_interface(house, guest):
    house.serve(HOME, mtu=1400)
    [oack] = guest.ask(ReadRequest("loader", "octet", {"blksize": "65464"}))
    assert oack.options == {"blksize": "1368"}


@pytest.mark.parametrize(
    ("setting", "subnet", "granted"),
    [(65464, 0, "1468"), (1024, 0, "1024"), (65464, 1280, "1248"), (1024, 1280, "1024")],
)
def test_blocks_fit_the_setting_and_the_subnet(house, guest, monkeypatch, setting, subnet, granted):
    house.service.limits = Limits(blksize=setting)
    locate = house.service._admission._locate
    monkeypatch.setattr(
        house.service._admission, "_locate", lambda *asked: replace(locate(*asked), mtu=subnet)
    )
    [oack] = guest.ask(ReadRequest("loader", "octet", {"blksize": "65464"}))
    assert oack.options == {"blksize": granted}


def test_netascii_is_translated(house, guest):
    [data] = guest.ask(b"\0\1text\0NETASCII\0tsize\x000\0")
    assert data == Data(1, translate(house.library.files["text"]))
    house.library.files["long"] = b"line\n" * 4000
    other = Guest(house)
    [oack] = other.ask(b"\0\1long\0netascii\0tsize\x000\0windowsize\x0016\0")
    assert oack == OptionAck({"windowsize": "1"})


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (ReadRequest("nothing"), 1, "file not found"),
        (ReadRequest("secret"), 2, "access violation"),
        (ReadRequest("loader", "octet", {"blksize": "7"}), 8, "blksize must be 8 to 65464"),
        (ReadRequest("loader", "octet", {"windowsize": "x"}), 8, "windowsize must be a number"),
        (WriteRequest("loader"), 4, "this server only reads"),
        (b"\0\1root\0mail\0", 4, "unknown mode"),
    ],
    ids=str,
)
def test_a_refusal_is_an_error_packet_and_an_event(house, guest, request_, code, text):
    assert guest.ask(request_) == [Error(code, text)]
    [event] = house.seen(Refused)
    assert (event.protocol, event.status, event.peer) == ("TFTP", code, "127.0.0.1")
    assert house.service.under_way == 0
    assert guest.server[1] != house.port()[1]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("nothing", "127.0.0.1 refused nothing by TFTP (1: not found)"),
        ("", "127.0.0.1 refused (empty name) by TFTP (1: not found)"),
        (
            "52:54:00:12:34:56/nothing",
            "52:54:00:12:34:56 refused 52:54:00:12:34:56/nothing by TFTP (1: not found)",
        ),
        ("secret", "127.0.0.1 refused secret by TFTP (2: it is outside /srv/netboot)"),
    ],
)
def test_the_line_of_a_refusal_says_each_thing_once(house, guest, path, line):
    guest.ask(b"\0\1" + path.encode() + b"\0octet\0")
    assert [str(event) for event in house.seen(Refused)] == [line]


@contextlib.contextmanager
def logged():
    """What is logged meanwhile, as it is printed."""
    events, lines = [], []
    globalLogPublisher.addObserver(events.append)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(events.append)
        lines += [formatEvent(each) for each in events]


def test_a_bug_is_logged_and_answered(house, guest):
    with logged() as lines:
        assert guest.ask(ReadRequest("bug\n12:00 all is well")) == [Error(0, "internal error")]
    assert lines == ["TFTP: bug\\n12:00 all is well for 127.0.0.1"]
    assert guest.fetch("small") == b"hello"


@pytest.mark.parametrize(
    ("datagram", "answer"),
    [
        (b"", []),
        (b"\0", []),
        (b"\0\x09name", [Error(4, "not a TFTP packet")]),
        (b"\0\4\0", [Error(4, "not a TFTP packet")]),
        (b"\0\4\0\1", [Error(5, "")]),
        (b"\0\3\0\1abc", [Error(5, "")]),
        (b"\0\5\0\0oops\0", []),
        (b"\0\5", []),
    ],
)
def test_what_is_no_request_is_dropped(house, guest, datagram, answer):
    assert guest.ask(datagram) == answer
    assert len(house.seen(Dropped)) == 1


@pytest.mark.parametrize("datagram", [b"\0\1", b"\0\1name\0octet", b"\0\2name\0"])
def test_a_request_nobody_can_read_is_refused(house, guest, datagram):
    """It ends somebody's boot, so it is told as other refusals are."""
    assert guest.ask(datagram) == [Error(4, "not a TFTP packet")]
    [event] = house.seen(Refused)
    assert event.level == "info"
    assert "refused (unreadable request) by TFTP (4: opcode" in str(event)
    assert house.seen(Dropped) == []


def test_an_option_without_a_value_costs_no_boot(house, guest):
    [oack] = guest.ask(b"\0\1loader\0octet\0multicast\0\0tsize\x000\0")
    assert oack == OptionAck({"tsize": "74213"})
    assert guest.say(Ack(0))[0].block == 1
    assert Guest(house).ask(b"\0\1small\0octet\0multicast\0\0") == [Data(1, b"hello")]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_bytes_stop_the_service(house, guest, first, second):
    house.known.add("127.0.0.1")  # or so many of one address are a flood
    guest.ask(b"\0\1" + first)
    guest.ask(second)
    guest.ask(ReadRequest("loader"))
    guest.say(second)
    other = Guest(house)
    assert other.fetch("small") == b"hello"
    other.socket.close()


@pytest.mark.parametrize("single_port", [False, True], ids=["own port", "single port"])
@pytest.mark.parametrize(
    "capture", [each for each in CAPTURES if each["op"] == "RRQ"], ids=lambda each: each["loader"]
)
def test_real_firmware_is_answered(house, guest, capture, single_port):
    house.service.limits = Limits(single_port=single_port)
    path, _, *asked = capture["fields"]
    house.library.files[path] = content = synthetic(0, 30_000)
    [oack] = guest.ask(bytes.fromhex(capture["hex"]))
    options = dict(zip(asked[::2], asked[1::2], strict=True))
    expected = {name: value for name, value in options.items() if name != "tsize"}
    if "tsize" in options:
        expected["tsize"] = "30000"
    assert list(oack.options.items()) == [(name, expected[name]) for name in options]
    blksize, window = int(options.get("blksize", 512)), int(options.get("windowsize", 1))
    packets, got = guest.say(Ack(0)), b""
    assert [packet.block for packet in packets] == list(range(1, window + 1))
    while packets:
        assert all(len(packet.data) == blksize for packet in packets[:-1])
        got += b"".join(packet.data for packet in packets)
        packets = guest.say(Ack(packets[-1].block))
    assert got == content
    assert (guest.server == house.port()) is single_port


#: What firmware was seen to ask, and the answer to the byte; the file has 74,213.
ASKED = {
    "a BIOS ROM's probe": (b"tsize\x000\0", b"tsize\x0074213\0"),
    "a BIOS ROM": (b"blksize\x001456\0", b"blksize\x001456\0"),
    "EDK2's probe": (
        b"tsize\x000\0blksize\x001468\0windowsize\x004\0",
        b"tsize\x0074213\0blksize\x001468\0windowsize\x004\0",
    ),
    "EDK2": (b"blksize\x001468\0windowsize\x004\0", b"blksize\x001468\0windowsize\x004\0"),
    "iPXE": (b"blksize\x001432\0tsize\x000\0", b"blksize\x001432\0tsize\x0074213\0"),
    "PXELINUX": (b"tsize\x000\0blksize\x001408\0", b"tsize\x0074213\0blksize\x001408\0"),
    "GRUB": (b"blksize\x001024\0tsize\x000\0", b"blksize\x001024\0tsize\x0074213\0"),
    "U-Boot": (b"timeout\x005\0blksize\x001468\0", b"timeout\x005\0blksize\x001468\0"),
    "SLOF": (b"blksize\x001428\0", b"blksize\x001428\0"),
    "shim": (b"blksize\x00512\0windowsize\x004\0", b"blksize\x00512\0windowsize\x004\0"),
    "capitals": (b"BLKSIZE\x001468\0TSize\x000\0", b"blksize\x001468\0tsize\x0074213\0"),
}


@pytest.mark.parametrize("who", ASKED)
def test_the_answer_to_firmware_is_known_to_the_byte(house, guest, who):
    asked, answer = ASKED[who]
    guest.socket.sendto(b"\0\1loader\0octet\0" + asked, house.port())
    house.turn()
    assert guest.socket.recv(2000) == b"\0\6" + answer


@pytest.mark.parametrize("options", [b"", b"multicast\0\0", b"rollover\x000\0", b"\0\0\0"])
def test_who_asks_for_nothing_we_know_gets_plain_data(house, guest, options):
    """As the ROM of a Raspberry Pi 3: 512 bytes, and no empty OACK."""
    guest.socket.sendto(b"\0\1loader\0octet\0" + options, house.port())
    house.turn()
    assert guest.socket.recv(2000) == b"\0\3\0\1" + house.library.files["loader"][:512]


def test_the_size_probe_of_firmware_ends_quietly(house, guest):
    guest.ask(ReadRequest("loader", "octet", {"tsize": "0"}))
    assert guest.say(Error(8, "User aborted the transfer")) == []
    assert house.service.under_way == 0
    [event] = house.seen(TransferEnded)
    assert event.level == "debug"
    assert "User aborted" in event.reason


def test_the_same_request_again_gets_the_first_reply_and_no_second_transfer(house, guest):
    request = ReadRequest("loader", "octet", {"blksize": "1468"})
    [oack] = guest.ask(request)
    server = guest.server
    assert guest.ask(request) == [oack]
    assert guest.server == server
    assert house.service.under_way == 1
    guest.say(Ack(0))
    assert guest.ask(request) == []
    assert len(house.library.opened) == 1


def test_who_has_a_file_may_ask_for_it_again_from_the_same_port_at_once(house, guest):
    """The request is met before the last ACK, which came first but to another socket."""
    request = wire.encode(ReadRequest("small"))
    for _ in range(8):
        assert guest.ask(request) == [Data(1, b"hello")]
        guest.socket.sendto(wire.encode(Ack(1)), guest.server)
        guest.socket.sendto(request, house.port())
        house.service._admission.arrivals(house.service._ports[HOME, 0])
        assert guest.hear() == [Data(1, b"hello")]
        assert guest.say(Ack(1)) == []
    assert len(house.seen(Transferred)) == 16


def test_another_request_from_the_same_port_begins_anew(house, guest):
    guest.ask(ReadRequest("loader"))
    old = guest.server
    assert guest.ask(ReadRequest("small")) == [Data(1, b"hello")]
    assert guest.server != old
    assert house.service.under_way == 1
    [event] = house.seen(TransferEnded)
    assert (event.reason, event.end) == ("the client began anew", "dismissed")


def test_a_machine_that_was_reset_begins_anew(house, guest):
    request = ReadRequest("loader", "octet", {"blksize": "1468"})
    guest.ask(request)
    guest.say(Ack(0))
    house.reactor.advance(5)
    guest.hear()
    assert isinstance(guest.ask(request)[0], OptionAck)


def test_a_stranger_is_told_and_the_transfer_goes_on(house, guest):
    guest.ask(ReadRequest("loader"))
    stranger = Guest(house)
    stranger.server = guest.server
    assert stranger.say(Ack(1)) == [Error(5, "unknown transfer ID")]
    assert stranger.server == guest.server
    assert stranger.say(Error(0, "stop")) == []
    assert stranger.say(b"") == stranger.say(b"\0") == []  # an ERROR would be longer
    assert [event.reason for event in house.seen(Dropped)] == ["from outside the transfer"] * 4
    assert [packet.block for packet in guest.say(Ack(1))] == [2]


def test_each_transfer_has_a_port_of_its_own_that_nobody_can_foresee(house):
    """Those of 40 in a row, and those of 40 more, are neither near each other nor any of them again."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = []
    for _ in range(80):
        guest = Guest(house)
        guest.ask(ReadRequest("loader"))
        ports.append(guest.server[1])
        guest.say(Error(0, "enough"))
        guest.socket.close()
    assert all(low <= number <= high for number in ports)
    assert len(set(ports)) > 70
    near = sum(abs(one - next_) <= 64 for one, next_ in itertools.pairwise(ports))
    assert near < 10


def test_an_ack_that_misses_the_port_is_no_answer(house, guest):
    """Whoever forges one knows the client's address and port, and not ours."""
    house.serve(ALONE)
    guest.ask(ReadRequest("loader", "octet", {"windowsize": "64"}), house.port(ALONE))
    [running] = house.service._crowd._running.values()
    right = guest.server[1]
    others = {*range(right - 200, right + 200), *range(32768, 61000, 53)}
    for number in others - {right, house.service.addresses[ALONE]}:
        guest.socket.sendto(wire.encode(Ack(0)), (guest.server[0], number))
        guest.socket.sendto(wire.encode(Error(0, "stop")), (guest.server[0], number))
    assert guest.hear() == []
    assert not running.heard
    assert len(guest.say(Ack(0))) == 64


def test_many_transfers_are_told_apart(house):
    guests = [Guest(house) for _ in range(40)]
    for guest in guests:
        guest.ask(ReadRequest("loader"))
    for block in (1, 2, 3):
        for guest in guests:
            [data] = guest.say(Ack(block))
            assert data.block == block + 1
    assert house.service.under_way == 40


def test_a_late_packet_of_who_was_served_is_not_answered(house, guest):
    """The client may have asked for its next file from the same port."""
    guest.fetch("small")
    for late in (Ack(1), Error(0, "stop")) * 3:
        assert guest.say(late) == []
    assert [packet.block for packet in guest.ask(ReadRequest("loader"))] == [1]


def test_its_socket_goes_with_a_transfer(house):
    before = len(os.listdir("/proc/self/fd"))
    guests = [Guest(house) for _ in range(4)]
    for each in guests:
        each.ask(ReadRequest("small"))
    ours = 2  # the transfer's socket, and its door
    assert len(os.listdir("/proc/self/fd")) == before + (1 + ours) * len(guests)
    for each in guests:
        assert each.say(Ack(1)) == []
    assert len(os.listdir("/proc/self/fd")) == before + len(guests)


def test_what_strangers_send_before_a_socket_is_connected_is_not_the_clients(
    house, guest, monkeypatch
):
    """It is bound at a number that somebody may hit, and connected a moment later."""
    strangers, make = [Guest(house) for _ in range(32)], train.udp_socket

    def bind(local, port, **how):
        made = make(local, port, **how)
        for stranger in strangers:
            stranger.socket.sendto(wire.encode(Error(0, "stop")), made.getsockname())
            stranger.socket.sendto(wire.encode(Ack(1)), made.getsockname())
        return made

    monkeypatch.setattr(train, "udp_socket", bind)
    assert [packet.block for packet in guest.ask(ReadRequest("loader"))] == [1]
    assert guest.hear() == []
    assert [packet.block for packet in guest.say(Ack(1))] == [2]
    assert house.service.under_way == 1


def test_who_floods_that_moment_gains_nothing(house, guest, monkeypatch):
    strangers, make = [Guest(house) for _ in range(32)], train.udp_socket
    monkeypatch.setattr(train, "_STRANGE_AT_MOST", 1)

    def bind(local, port, **how):
        made = make(local, port, **how)
        for stranger in strangers:
            stranger.socket.sendto(wire.encode(Error(0, "stop")), made.getsockname())
        return made

    with monkeypatch.context() as patch:
        patch.setattr(train, "udp_socket", bind)
        assert guest.ask(ReadRequest("loader")) == []
    assert "busy" in house.seen(Unserved)[0].reason
    assert guest.fetch("small") == b"hello"


@pytest.mark.parametrize("peer", [("255.255.255.255", 2000), ("127.0.0.9", 0)], ids=str)
def test_who_cannot_be_answered_takes_nobodys_place(house, guest, peer):
    """Forged, all of them; a socket that is not connected would hear anybody."""
    guest.ask(ReadRequest("loader"))
    descriptors = len(os.listdir("/proc/self/fd"))
    admission, [opened] = house.service._admission, house.service._ports.values()
    for _ in range(20):
        admission._packet(opened, wire.encode(ReadRequest("loader")), peer)
    assert len(house.seen(Unserved)) == 20
    assert house.service.under_way == 1
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert [packet.block for packet in guest.say(Ack(1))] == [2]


def test_nobody_else_can_have_the_number_of_a_transfer(house, guest):
    """A program of another user could send the client what it takes for ours."""
    guest.ask(ReadRequest("loader"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(guest.server)


def test_the_next_file_comes_from_another_port(house, guest):
    """lpxelinux keeps its own; a late ACK of one file must not pass for one of the next."""
    others = [Guest(house) for _ in range(16)]
    for turn in range(16):
        assert guest.fetch("small") == b"hello"
        before = guest.server
        for other in others[: turn + 1]:
            other.ask(ReadRequest("loader"))
        assert guest.ask(ReadRequest("small")) == [Data(1, b"hello")]
        assert guest.server != before
        guest.say(Ack(1))


def test_a_number_that_the_kernel_gives_twice_in_a_row_is_not_taken(house, guest, monkeypatch):
    guest.fetch("small")
    make, numbers = train.udp_socket, [guest.server[1]]
    monkeypatch.setattr(
        train,
        "udp_socket",
        lambda local, _port, **how: make(local, numbers.pop() if numbers else 0, **how),
    )
    before = guest.server
    assert guest.ask(ReadRequest("small")) == [Data(1, b"hello")]
    assert not numbers
    assert guest.server != before


def test_what_icmp_says_of_a_packet_costs_no_other(house, guest):
    """A socket that is connected raises it at the next call, which then sends nothing."""
    guest.ask(ReadRequest("loader", "octet", {"windowsize": "4"}))
    [running] = house.service._crowd._running.values()
    guest.socket.close()
    running.line.send((b"\0\3\0\1", 4))  # to a port where nobody is any more
    guest.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    guest.socket.bind(running.peer)
    guest.socket.setblocking(False)
    assert running.line.send((b"\0\3\0\2", 4)) is None
    assert guest.hear() == [Data(2, b"")]


@pytest.mark.fast_path("laid-out")
def test_a_file_that_many_fetch_is_the_same_for_each_of_them(house, tmp_path, monkeypatch):
    """Read, laid out for the second, and replaced by another while the third fetches it."""
    file = tmp_path / "loader"
    first, second = synthetic(0, 50_000), synthetic(80_000, 50_000)
    file.write_bytes(first)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    monkeypatch.setattr(house.service._admission._ready, "_today", lambda: time.time() + 60)

    def locate(request, peer, local):
        fd = os.open(file, os.O_RDONLY)
        return Located(Content("loader", fd=fd, status=os.fstat(fd)))

    monkeypatch.setattr(house.service._admission, "_locate", locate)
    for options in ({"blksize": "1468"}, {"blksize": "1468", "windowsize": "4"}) * 2:
        assert Guest(house).fetch("loader", options) == first
    assert len(house.service._admission._ready._kept) == 1
    slow = Guest(house)
    slow.ask(ReadRequest("loader", "octet", {"blksize": "1468"}))
    [data] = slow.say(Ack(0))
    file.write_bytes(second)
    assert Guest(house).fetch("loader", {"blksize": "1468"}) == second
    got = data.data
    while packets := slow.say(Ack(data.block)):
        [data] = packets
        got += data.data
    assert got == first


def test_nonsense_within_a_transfer_is_dropped(house, guest):
    guest.ask(ReadRequest("loader"))
    for nonsense in (b"", b"\0", b"\0\4", b"\0\4\0", b"\xff" * 40, b"\0\1x"):
        assert guest.say(nonsense) == []
    assert len(house.seen(Dropped)) == 6
    assert [packet.block for packet in guest.say(Ack(1))] == [2]


def test_the_reply_comes_from_the_address_that_was_asked(house):
    house.serve(HOME, OTHER)
    guest = Guest(house)
    guest.ask(ReadRequest("loader"), house.port(OTHER))
    assert guest.server[0] == "127.0.0.2"
    guest.ask(ReadRequest("nothing"), house.port(OTHER))
    assert guest.server[0] == "127.0.0.2"
    assert house.library.asked[0] == ("loader", "127.0.0.1", "127.0.0.2")


def test_listeners_come_and_go_and_what_stays_is_not_touched(house, guest):
    guest.ask(ReadRequest("loader"))
    kept = house.service._ports[HOME, 0].socket
    assert house.serve(HOME, OTHER) == []
    assert set(house.service.addresses) == {HOME, OTHER}
    assert house.serve(HOME, mtu=9000) == []
    assert set(house.service.addresses) == {HOME}
    assert house.service._ports[HOME, 0].socket is kept
    assert house.serve() == []
    assert house.service.addresses == {}
    assert [packet.block for packet in guest.say(Ack(1))] == [2]


def test_a_port_that_cannot_be_had_is_reported_and_the_others_open(house):
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.3", 0))
    number = taken.getsockname()[1]
    elsewhere, nowhere = IPv4Address("127.0.0.3"), IPv4Address("192.0.2.1")
    failed = house.serve(HOME, elsewhere, nowhere, OTHER, port=number)
    assert {listener.address: problem.errno for listener, problem in failed} == {
        elsewhere: errno.EADDRINUSE,
        nowhere: errno.EADDRNOTAVAIL,
    }
    assert set(house.service.addresses) == {HOME, OTHER}
    taken.close()
    assert [each.address for each, _ in house.serve(HOME, elsewhere, OTHER, port=number)] == []


def test_the_timer_resends(house, guest):
    [data] = guest.ask(ReadRequest("loader"))
    pass_time(house, 0.55)
    assert guest.hear() == [data]
    assert [packet.block for packet in guest.say(Ack(1))] == [2]
    pass_time(house, 1.1)
    assert [packet.block for packet in guest.hear()] == [2]
    assert house.seen(TransferEnded) == []


def test_acks_that_wait_are_served_before_the_timer(house, guest):
    """After a stall of the reactor nothing is sent again to clients that have long answered."""
    guest.ask(ReadRequest("loader"))
    guest.say(Ack(1))
    guest.socket.sendto(wire.encode(Ack(2)), guest.server)
    house.reactor.advance(3)
    assert [packet.block for packet in guest.hear()] == [3]


def test_a_client_that_never_answers_gets_five_packets(house, guest):
    packets = guest.ask(ReadRequest("loader", "octet", {"windowsize": "64", "blksize": "1468"}))
    pass_time(house, 40)
    packets += guest.hear()
    assert [type(packet) for packet in packets] == [OptionAck] * 4 + [Data]
    assert house.service.under_way == 0
    assert house.seen(TransferEnded)[0].reason == "the client never answered"
    assert not house.reactor.getDelayedCalls()


def test_a_client_that_falls_silent_is_given_up(house, guest):
    guest.ask(ReadRequest("loader"))
    guest.say(Ack(1))
    pass_time(house, 40)
    [event] = house.seen(TransferFailed)
    assert event.reason == "the client fell silent after block 1"
    assert house.service.under_way == 0


# -- what the record of boots needs --------------------------------------------------------------

ETHERNET = {"blksize": "1468", "tsize": "0"}
SIZE = 74_213  # of "loader"


def facts(event):
    return event.end, event.acked, event.size, event.blksize, event.oack, event.confirmed


def test_a_transfer_is_told_when_it_begins(house, guest):
    guest.ask(ReadRequest("loader", "octet", ETHERNET))
    [event] = house.seen(Started)
    assert (event.mac, event.target, event.peer) == (SOMEBODY, "nfs/centos", "127.0.0.1")
    assert (event.protocol, event.path, event.size) == ("TFTP", "loader", SIZE)
    assert event.level == "debug"


def test_a_transfer_of_unknown_size_begins_with_none(house, guest):
    guest.ask(b"\0\1text\0netascii\0")
    assert house.seen(Started)[0].size == 0


def test_options_that_are_never_acknowledged_are_told_apart(house, guest):
    """A firewall that lets our answers pass to one port only, or a ROM deaf to options."""
    guest.ask(ReadRequest("loader", "octet", ETHERNET))
    pass_time(house, 13)
    [event] = house.seen(TransferEnded)
    assert facts(event) == ("unheard", 0, SIZE, 1468, True, False)
    assert 11.9 < event.seconds < 12.2


def test_data_that_is_never_acknowledged_is_told_apart(house, guest):
    guest.ask(ReadRequest("loader"))
    pass_time(house, 13)
    assert facts(house.seen(TransferEnded)[0]) == ("unheard", 0, SIZE, 512, False, False)


def test_a_first_full_block_that_never_arrives_is_told_apart(house, guest):
    """The way's MTU is smaller than ours: the OACK gets through, DATA 1 does not."""
    guest.ask(ReadRequest("loader", "octet", ETHERNET))
    guest.say(Ack(0))
    pass_time(house, 31)
    assert facts(house.seen(TransferFailed)[0]) == ("lost", 0, SIZE, 1468, True, True)


def test_a_transfer_that_stops_tells_where(house, guest):
    guest.ask(ReadRequest("loader", "octet", ETHERNET))
    for block in range(4):
        guest.say(Ack(block))
    pass_time(house, 31)
    assert facts(house.seen(TransferFailed)[0]) == ("lost", 3 * 1468, SIZE, 1468, True, True)


def test_the_size_probe_of_firmware_has_nothing_acknowledged(house, guest):
    guest.ask(ReadRequest("loader", "octet", {"tsize": "0"}))
    guest.say(Error(8, "User aborted the transfer"))
    assert facts(house.seen(TransferEnded)[0]) == ("aborted", 0, SIZE, 512, True, False)


def test_a_client_that_gives_up_on_the_first_block_asked_for_more_than_the_size(house, guest):
    guest.ask(ReadRequest("loader", "octet", ETHERNET))
    guest.say(Ack(0))
    guest.say(Error(0, "timed out"))
    assert facts(house.seen(TransferEnded)[0]) == ("aborted", 0, SIZE, 1468, True, True)


def test_what_goes_on_is_listed_with_how_far_it_is(house, guest):
    house.service._today = lambda: 1_800_000_000.0 + house.reactor.seconds()
    house.reactor.advance(5)
    guest.ask(ReadRequest("loader", "octet", ETHERNET))
    assert house.service.transfers() == [], "its address may be forged"
    house.reactor.advance(1)
    for block in range(3):
        guest.say(Ack(block))
    [progress] = house.service.transfers()
    assert progress == Progress(
        protocol="TFTP",
        path="loader",
        peer="127.0.0.1",
        mac=SOMEBODY,
        size=SIZE,
        sent=2 * 1468,
        began=1_800_000_005.0,
    )
    guest.say(Error(0, "enough"))
    assert house.service.transfers() == []


def test_a_file_that_shrinks_fails_loudly(house, guest, tmp_path, monkeypatch):
    path = tmp_path / "initrd"
    path.write_bytes(bytes(100_000))
    file = path.open("rb")
    import os

    content = Content("initrd", fd=os.dup(file.fileno()), status=path.stat())
    monkeypatch.setattr(house.service._admission, "_locate", lambda *_: Located(content))
    guest.ask(ReadRequest("initrd"))
    path.write_bytes(bytes(1000))
    replies = [guest.say(Ack(block)) for block in range(1, 60)]
    assert [Error(0, "file changed or unreadable")] in replies
    [event] = house.seen(TransferFailed)
    assert "has become shorter" in event.reason
    assert content.fd == -1


@pytest.fixture
def small_house():
    """Three transfers for one client, five in all."""
    made = House(per_client=3, transfers=5)
    yield made
    made.service.stopService()
    made.service._crowd.cut()


def test_one_client_cannot_take_all_transfers(small_house):
    """A full server says nothing: an ERROR would end the boot, and the client asks again."""
    guests = [Guest(small_house) for _ in range(4)]
    guests += [Guest(small_house, f"127.0.0.{n}") for n in (5, 6, 7)]
    served = []
    for guest in guests:
        if answer := guest.ask(ReadRequest("loader")):
            assert [packet.block for packet in guest.say(Ack(answer[0].block))] == [2]
        served.append(bool(answer))
    assert served == [True, True, True, False, True, True, False]
    one, all_ = small_house.seen(Unserved)
    assert str(one) == (
        "127.0.0.1 TFTP request not answered: all 3 transfers of one client are in use: loader"
    )
    assert all_.reason == "all 5 transfers are in use: loader"
    assert small_house.seen(Refused) == []
    pass_time(small_house, 40)
    assert Guest(small_house).fetch("small") == b"hello"
    assert not small_house.service._crowd._of_client
    assert not small_house.service._crowd._perhaps_unheard


def test_who_never_answered_makes_room_within_one_address(small_house):
    """Requests forged in a client's name do not keep that client out."""
    real, *forged, late = [Guest(small_house) for _ in range(5)]
    real.ask(ReadRequest("loader"))
    real.say(Ack(1))
    for guest in forged:
        assert guest.ask(ReadRequest("loader"))[0].block == 1
    assert small_house.service.under_way == 3
    [event] = small_house.seen(TransferEnded)
    assert "never answered" in event.reason
    assert late.fetch("small") == b"hello"
    assert [packet.block for packet in forged[-1].say(Ack(1))] == [2]
    assert [packet.block for packet in real.say(Ack(2))] == [3]


def test_the_oldest_that_never_answered_makes_room(small_house):
    """Requests forged in many names do not keep anybody out, nor end what runs."""
    real = [Guest(small_house, f"127.0.1.{n}") for n in range(1, 4)]
    for guest in real:
        guest.ask(ReadRequest("loader"))
        guest.say(Ack(1))
    for n in range(1, 200):
        assert Guest(small_house, f"127.0.2.{n}").ask(ReadRequest("loader"))[0].block == 1
        assert small_house.service.under_way <= 5
    assert Guest(small_house).fetch("small") == b"hello"
    for guest in real:
        assert [packet.block for packet in guest.say(Ack(2))] == [3]


def test_nobody_is_dismissed_for_a_request_that_is_refused(small_house):
    guests = [Guest(small_house, f"127.0.1.{n}") for n in range(1, 6)]
    for guest in guests:
        guest.ask(ReadRequest("loader"))
    assert Guest(small_house).ask(ReadRequest("nothing")) == [Error(1, "file not found")]
    for guest in guests:
        assert [packet.block for packet in guest.say(Ack(1))] == [2]


def test_lower_limits_after_a_reload_are_kept_to(small_house):
    for n in range(1, 6):
        Guest(small_house, f"127.0.1.{n}").ask(ReadRequest("loader"))
    small_house.service.limits = Limits(transfers=2)
    assert Guest(small_house).ask(ReadRequest("loader"))[0].block == 1
    assert small_house.service.under_way == 2


def test_no_descriptor_left_is_silence(house, guest, monkeypatch):
    def no_socket(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("netbootd.tftp.port.Line.own", no_socket)
        assert guest.ask(ReadRequest("loader")) == []
    assert "Too many open files" in house.seen(Unserved)[0].reason
    assert guest.fetch("small") == b"hello"


def test_files_that_nobody_answered_for_are_closed_where_descriptors_are_wanting(
    house, guest, monkeypatch
):
    """Requests with forged addresses may use them up; the client that asks again finds one."""
    real = house.library.locate

    def scarce(*asked):
        if house.service.under_way >= 2:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(*asked)

    monkeypatch.setattr(house.service._admission, "_locate", scarce)
    forged = [Guest(house, f"127.0.2.{n}") for n in (1, 2)]
    forged[0].ask(ReadRequest("loader"))
    forged[0].say(Ack(1))
    forged[1].ask(ReadRequest("loader"))
    assert guest.ask(ReadRequest("small")) == []
    assert str(house.seen(Unserved)[0]).endswith("not answered: Too many open files: small")
    assert house.seen(Refused) == []
    assert guest.ask(ReadRequest("small")) == [Data(1, b"hello")]
    assert [packet.block for packet in forged[0].say(Ack(2))] == [3]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EPERM])
def test_what_cannot_be_sent_is_lost_and_sent_again(house, guest, number):
    class FullQueue:
        """A socket whose queue is full."""

        def __init__(self, real):
            self.real = real

        def sendmsg(self, *_):
            raise OSError(number, "full")

        send = sendmsg

        def __getattr__(self, name):
            return getattr(self.real, name)

    guest.ask(ReadRequest("loader", "octet", {"windowsize": "4"}))
    [running] = house.service._crowd._running.values()
    real, running.line._socket = running.line._socket, FullQueue(running.line._socket)
    assert guest.say(Ack(0)) == []
    assert "not sent" in house.seen(Dropped)[0].reason
    running.line._socket = real
    pass_time(house, 0.05)
    assert [packet.block for packet in guest.hear()] == [1, 2, 3, 4]


def test_a_bug_in_one_transfer_ends_that_one_only(house, guest, monkeypatch):
    other = Guest(house)
    guest.ask(ReadRequest("loader"))
    other.ask(ReadRequest("loader"))
    [first, _] = house.service._crowd._running.values()

    class Broken(Transfer):
        __slots__ = ()

        def acknowledge(self, *_):
            raise ZeroDivisionError

    first.transfer.__class__ = Broken
    assert guest.say(Ack(1)) == []
    [event] = house.seen(TransferFailed)
    assert (event.reason, event.end) == ("internal error", "fault")
    assert [packet.block for packet in other.say(Ack(1))] == [2]


@pytest.fixture
def program(house, monkeypatch):
    """What all may fetch, so that it is laid out; its bytes."""
    data = synthetic(0, 5000)

    def locate(request, peer, local):
        return Located(Content("program", held=data, etag="0123"))

    monkeypatch.setattr(house.service._admission, "_locate", locate)
    return data


@pytest.mark.fast_path("laid-out", "one-step")
def test_a_bug_in_the_short_way_ends_that_transfer_only(house, guest, program):
    other = Guest(house)
    for each in (guest, other):
        each.ask(ReadRequest("program"))
        assert [packet.block for packet in each.say(Ack(1))] == [2]
        assert [packet.block for packet in each.say(Ack(2))] == [3]
    [first, _] = house.service._crowd._running.values()
    assert first.transfer.awaited == wire.ack(3)

    class Broken(Transfer):
        __slots__ = ()

        def step(self, *_):
            raise ZeroDivisionError

    first.transfer.__class__ = Broken
    assert guest.say(Ack(3)) == []
    [event] = house.seen(TransferFailed)
    assert (event.reason, event.end) == ("internal error", "fault")
    assert [packet.block for packet in other.say(Ack(3))] == [4]


def test_an_ack_that_comes_again_in_the_short_way_is_not_answered(guest, program):
    guest.ask(ReadRequest("program"))
    for block in (1, 2, 3):
        assert [packet.block for packet in guest.say(Ack(block))] == [block + 1]
    assert guest.say(Ack(3)) == []
    assert guest.say(b"") == []
    assert guest.say(Ack(4)) == [Data(5, program[2048:2560])]


@pytest.mark.fast_path("laid-out", "one-step")
def test_a_block_that_cannot_leave_in_the_short_way_is_tried_again(house, guest, program):
    guest.ask(ReadRequest("program"))
    guest.say(Ack(1))
    guest.say(Ack(2))
    [running] = house.service._crowd._running.values()
    tries = []

    def full(datagram):
        tries.append(bytes(datagram))
        raise BlockingIOError

    say, running.line.say = running.line.say, full
    assert [packet.block for packet in guest.say(Ack(3))] == [4]
    assert tries == [wire.encode(Data(4, program[1536:2048]))]
    running.line.say = say
    assert guest.say(Ack(4)) == [Data(5, program[2048:2560])]


def test_stopping_waits_for_what_runs(house, guest):
    guest.ask(ReadRequest("loader", "octet", {"blksize": "65000"}))
    stopped = []
    house.service.stopService().addCallback(stopped.append)
    assert house.service.addresses == {}
    assert not stopped
    packets, block = guest.say(Ack(0)), 0
    while packets:
        block = packets[-1].block
        packets = guest.say(Ack(block))
    assert stopped
    assert len(house.seen(Transferred)) == 1
    assert not house.reactor.getReaders()
    assert not house.reactor.getDelayedCalls()


def test_stopping_ends_after_the_grace(house, guest):
    guest.ask(ReadRequest("loader"))
    guest.say(Ack(1))
    stopped = []
    house.service.stopService().addCallback(stopped.append)
    pass_time(house, 4.9)
    assert not stopped
    pass_time(house, 0.2)
    assert stopped
    [event] = house.seen(TransferFailed)
    assert (event.reason, event.end) == ("the server was stopped", "stopped")
    assert not house.reactor.getDelayedCalls()


def test_stopping_an_idle_service_is_immediate_and_it_starts_again(house, guest):
    assert house.service.stopService().called
    house.service.startService()
    assert house.service.addresses
    assert guest.fetch("small") == b"hello"


class Unprivileged:
    """A socket that may not exceed net.core.rmem_max, *most* bytes."""

    def __init__(self, most):
        self.most, self.held = most, 0

    def setsockopt(self, level, option, size):
        if option != socket.SO_RCVBUF:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.held = min(size, self.most)

    def getsockopt(self, level, option):
        return 2 * self.held  # as Linux does, socket(7)


@pytest.mark.parametrize(("most", "told"), [(212_992, 1), (16 << 20, 0)])
def test_a_small_receive_buffer_is_told_once(house, monkeypatch, most, told):
    monkeypatch.setattr(port, "_widen", lambda _, widen=port._widen: widen(Unprivileged(most)))
    with logged() as lines:
        assert house.serve(HOME, OTHER, IPv4Address("127.0.0.3")) == []
    assert len([line for line in lines if "receive buffer of 212992 bytes" in line]) == told
    assert all("net.core.rmem_max to 4194304" in line for line in lines)


def test_the_receive_buffer_holds_a_storm(house):
    held = house.service._ports[HOME, 0].socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert held >= 200_000
    guests = [Guest(house) for _ in range(50)]
    for guest in guests:
        guest.socket.sendto(wire.encode(ReadRequest("small")), house.port())
    house.turn()
    assert all(guest.hear() == [Data(1, b"hello")] for guest in guests)
