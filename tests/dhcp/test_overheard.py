"""What other servers say, from packets as they travel."""

from __future__ import annotations

import dataclasses
import logging
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock

from netbootd.dhcp import frame, wire, witness
from netbootd.dhcp.message import Message, MessageType, Op, Option
from netbootd.dhcp.overheard import overheard
from netbootd.events.witness import Overheard
from netbootd.interfaces import Interface
from netbootd.mac import MAC

from . import captures

NODE = MAC.parse("52:54:00:aa:00:02")
SERVER, OURS = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
LEASE = IPv4Address("192.0.2.77")


def reply(kind=MessageType.OFFER, options=None, **fields) -> Message:
    said = {Option.MESSAGE_TYPE: bytes((kind,)), Option.SERVER_ID: SERVER.packed, **(options or {})}
    chaddr = bytes(NODE).ljust(16, b"\0")
    return Message(op=Op.REPLY, chaddr=chaddr, **{"yiaddr": LEASE, "options": said, **fields})


def heard(message, ours=(OURS,)):
    """As it came over the wire."""
    return overheard(wire.decode(wire.encode(message)), "192.0.2.1", "eth1", ours)


PLAIN = Overheard(
    mac=NODE, message="offer", server="192.0.2.1", address="192.0.2.77", interface="eth1"
)
NO_ADDRESS = {"yiaddr": IPv4Address(0)}


def plain(**more):
    return dataclasses.replace(PLAIN, **more)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (reply(), plain()),
        (reply(MessageType.ACK), plain(message="ack")),
        (reply(MessageType.NAK, **NO_ADDRESS), plain(message="nak", address="")),
        (reply(file=b"pxelinux.0"), plain(file="pxelinux.0")),
        (reply(options={Option.BOOT_FILE: b"x.efi\0"}), plain(file="x.efi")),
        (reply(file=b"a", options={Option.BOOT_FILE: b"b"}), plain(file="b")),
        (reply(siaddr=OURS), plain(next_server="192.0.2.2")),
        (
            reply(options={Option.TFTP_SERVER_NAME: b"tftp.example"}),
            plain(next_server="tftp.example"),
        ),
        (
            reply(siaddr=OURS, options={Option.TFTP_SERVER_NAME: b"tftp.example"}),
            plain(next_server="192.0.2.2"),
        ),
        (
            reply(options={Option.TFTP_SERVERS: SERVER.packed + OURS.packed}),
            plain(next_server="192.0.2.1"),
        ),
        (reply(options={Option.TFTP_SERVERS: b"\1\2\3"}), plain()),
        (
            reply(options={Option.VENDOR_CLASS: b"PXEClient"}, **NO_ADDRESS),
            plain(address="", proxy=True),
        ),
        (
            reply(options={Option.VENDOR_CLASS: b"HTTPClient"}, **NO_ADDRESS),
            plain(address="", proxy=True),
        ),
        (reply(options={Option.VENDOR_CLASS: b"PXEClient"}), plain()),
        (reply(options={Option.VENDOR_CLASS: b"MSFT 5.0"}, **NO_ADDRESS), plain(address="")),
    ],
)
def test_what_a_reply_says(message, event):
    assert heard(message) == event


@pytest.mark.parametrize(
    "message",
    [
        reply()._replace(op=Op.REQUEST),
        reply(kind=13),  # of RFC 4388, lease queries
        reply()._replace(options={Option.SERVER_ID: SERVER.packed}),
        reply(options={Option.MESSAGE_TYPE: b""}),
    ],
    ids=["request", "other type", "BOOTP", "broken type"],
)
def test_what_says_nothing_to_a_client_is_no_event(message):
    assert heard(message) is None


def test_a_server_without_a_name_is_known_by_its_address():
    message = reply()
    message = message._replace(options={Option.MESSAGE_TYPE: b"\2"})
    assert heard(message).server == "192.0.2.1"


def test_our_own_offer_is_not_heard_by_another_interface_of_ours():
    """Two cards in one network, or the packets that leave by this one."""
    proxy = reply(options={Option.VENDOR_CLASS: b"PXEClient"}, **NO_ADDRESS)
    assert heard(proxy, ours={SERVER}) is None
    assert heard(reply(), ours={SERVER}) == plain(), "a DHCP server on this host"


def test_options_in_overloaded_fields_are_read():
    """RFC 2132, section 9.3: file and sname carry options, here 67 and 66."""
    payload = bytearray(wire.encode(reply(options={Option.OVERLOAD: b"\3"})))
    file, name = b"\x43\x05a.efi\xff", b"\x42\x04tftp\xff"
    payload[108 : 108 + len(file)], payload[44 : 44 + len(name)] = file, name
    event = overheard(wire.decode(bytes(payload)), "192.0.2.1", "eth1", ())
    assert (event.file, event.next_server) == ("a.efi", "tftp")


def test_a_name_without_an_end_is_cut():
    long = bytearray(wire.encode(reply(options={Option.BOOT_FILE: b"x" * 250})))
    end = long.rindex(b"\xff")
    more = bytes([Option.BOOT_FILE, 250]) + b"y" * 250
    event = overheard(wire.decode(bytes(long[:end]) + more * 3), "192.0.2.1", "eth1", ())
    assert len(event.file) == 255


def test_what_a_hostile_server_writes_is_escaped_where_it_is_shown():
    event = heard(reply(file=b"\x1b[2Jboot\n"))
    assert "\x1b" not in str(event)
    assert "\n" not in str(event)


# -- the socket's side -------------------------------------------------------------------------


class Peer:
    """A packet socket with what it is given."""

    def __init__(self, packets=()):
        self.waiting = list(packets)
        self.open = True

    def recvmsg(self, size, _space):
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.pop(0)[:size], [], 0, ("eth1", 0x0800, 1, 1, b"")

    def fileno(self):
        return 7 if self.open else -1

    def getsockopt(self, _level, _option, size=0):
        return bytes(size) if size else 0

    def close(self):
        self.open = False


def packet(message) -> bytes:
    payload = message if isinstance(message, bytes) else wire.encode(message)
    return frame.build(payload, ("192.0.2.1", 67), ("255.255.255.255", 68))


@pytest.fixture
def reactor():
    return MemoryReactorClock()


def made(reactor, *packets):
    events = []
    interface = Interface("eth1", 7, 1500, up=True, addresses=(IPv4Interface("192.0.2.2/24"),))
    one = witness.Witness(Peer(packets), interface, events.append, reactor)
    reactor.addReader(one)
    return one, events


def test_what_is_heard_is_told(reactor):
    one, events = made(reactor, packet(reply()), packet(reply(MessageType.ACK)))
    one.doRead()
    assert events == [plain(), plain(message="ack")]


@pytest.mark.parametrize("length", range(0, 300, 7))
def test_broken_packets_do_no_harm(reactor, length):
    one, events = made(reactor, packet(reply())[:length], packet(b"\2" * length), packet(reply()))
    one.doRead()
    assert events[-1] == plain()


@given(st.binary(max_size=700))
def test_nothing_that_arrives_raises(tail):
    one, _ = made(MemoryReactorClock(), packet(wire.encode(reply())[:236] + tail), tail)
    one.doRead()


def test_a_fault_of_ours_costs_one_packet(reactor, monkeypatch, caplog):
    one, events = made(reactor, packet(reply()))
    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR):
        broken.setattr(witness, "overheard", lambda *_: 1 / 0)
        one.doRead()
    assert "fault of ours" in caplog.text
    one._socket.waiting.append(packet(reply()))
    one.doRead()
    assert events == [plain()]


def test_a_flood_is_left_to_the_kernel_until_the_next_second(reactor):
    flood = [packet(reply())] * (2 * witness.PACKETS_A_SECOND)
    one, events = made(reactor, *flood)
    while one in reactor.getReaders():
        before = len(events)
        one.doRead()
        assert len(events) - before <= 64, "others have their turn"
    assert len(events) == witness.PACKETS_A_SECOND
    reactor.advance(1.0)
    assert one in reactor.getReaders()
    one.doRead()
    assert len(events) > witness.PACKETS_A_SECOND


def test_a_witness_that_is_closed_in_a_flood_stays_closed(reactor):
    one, _ = made(reactor, *[packet(reply())] * (2 * witness.PACKETS_A_SECOND))
    while one in reactor.getReaders():
        one.doRead()
    one.close()
    one.close()
    reactor.advance(2.0)
    assert one not in reactor.getReaders()
    assert not reactor.getDelayedCalls()


def test_a_device_that_went_down_for_a_moment_is_heard_again(reactor):
    one, _ = made(reactor)
    reactor.removeReader(one)  # as the reactor does before it tells
    one.connectionLost(None)
    assert one in reactor.getReaders()
    reactor.removeReader(one)
    one.close()
    one.connectionLost(None)
    assert one not in reactor.getReaders()


@pytest.mark.parametrize("capture", captures.everything(), ids=lambda one: one.name)
def test_captured_packets_are_read_without_a_fault(reactor, capture, caplog):
    one, _ = made(reactor, packet(capture.payload))
    one.doRead()
    assert caplog.text == ""
