"""
What a single port sends to addresses that have proved nothing, where their ACKs are forged as well.

The guest here is a victim whose packets somebody else could have written: it says what the files'
blocks are expected to be, and hears nothing.
"""

from __future__ import annotations

import socket

import pytest

from netbootd.events.event import TransferEnded
from netbootd.tftp import toll, wire
from netbootd.tftp.toll import WINDOWSIZE, Toll
from netbootd.tftp.wire import Ack, Data, ReadRequest

from .model import synthetic
from .rig import Guest, House, pass_time

LARGEST = {"blksize": "1456", "windowsize": "64"}
VICTIM = "127.0.0.1"
BIG = synthetic(1, 20_000_000)


@pytest.fixture
def house():
    made = House(single_port=True)
    made.library.files["big"] = BIG
    yield made
    made.service.stopService()
    made.service._crowd.cut()


def forged_acks(house, guest, count, step):
    """The packets that come for as many ACKs as there could be in no time."""
    packets = guest.ask(ReadRequest("big", "octet", LARGEST))
    guest.server = house.port()
    packets += guest.say(Ack(0))
    for number in range(1, count):
        packets += guest.say(Ack(number * step & 0xFFFF))
    return packets


def test_a_forged_ack_brings_four_blocks(house, guest):
    guest.ask(ReadRequest("big", "octet", LARGEST))
    assert len(guest.say(Ack(0))) == WINDOWSIZE == 4
    assert len(guest.say(Ack(4))) == 4


def test_who_has_proved_its_address_has_its_windows(house, guest):
    house.proved.add(VICTIM)
    guest.ask(ReadRequest("big", "octet", LARGEST))
    assert len(guest.say(Ack(0))) == 64


def test_a_victim_gets_so_many_packets_and_no_more(house, guest):
    packets = forged_acks(house, guest, 3000, WINDOWSIZE)
    assert toll._BURST - WINDOWSIZE < len(packets) <= toll._BURST
    house.reactor.advance(1.0)
    more = guest.hear()
    for number in range(3000):
        more += guest.say(Ack(toll._BURST - 1 + number * WINDOWSIZE))
    assert len(more) <= toll._RATE


def test_what_is_sent_again_counts_as_well(house, guest, monkeypatch):
    """One forged ACK, and then silence: our timer must not send what ACKs could not have."""
    monkeypatch.setattr(house.service._admission._toll._of_one, "_rate", 0)
    monkeypatch.setattr(house.service._admission._toll._of_one, "_burst", 10)
    packets = forged_acks(house, guest, 1, WINDOWSIZE)
    for _ in range(2000):
        house.reactor.advance(0.025)
        packets += guest.hear()
    assert 5 < len(packets) <= 10
    assert house.seen(TransferEnded) or not house.service.under_way


def test_many_ports_of_one_victim_are_one_address(house):
    guests = [Guest(house) for _ in range(10)]
    packets = sum(len(forged_acks(house, guest, 300, WINDOWSIZE)) for guest in guests)
    assert toll._BURST - WINDOWSIZE < packets <= toll._BURST
    for guest in guests:
        guest.socket.close()


def test_all_victims_together_have_a_share():
    made = Toll((), lambda: 0.0)
    sent = sum(made.of(f"198.18.0.{number}")(64) for number in range(250) for _ in range(64)) * 64
    assert sent == toll._BURST_OF_ALL
    assert sent < 250 * toll._BURST


def test_who_has_proved_its_address_pays_nothing_and_costs_others_nothing():
    made = Toll({"192.0.2.7"}, lambda: 0.0)
    assert all(made.of("192.0.2.7")(64) for _ in range(10_000))
    assert made.of("198.18.0.1")(64)


def test_it_may_be_proved_while_a_transfer_goes_on(house, guest):
    """iPXE speaks HTTP with us, and the next machine behind the same gateway has no limit."""
    forged_acks(house, guest, 3000, WINDOWSIZE)
    other = Guest(house)
    for _ in range(WINDOWSIZE):  # what is less than a window is left
        other.ask(ReadRequest("small"))
    assert other.ask(ReadRequest("small")) == []
    house.proved.add(VICTIM)
    assert other.ask(ReadRequest("small")) == [Data(1, b"hello")]
    other.socket.close()


def test_a_loader_is_within_what_an_unproved_address_has_at_once(house, guest):
    """2 MB, in the smallest blocks that firmware asks for without options."""
    house.library.files["loader"] = synthetic(2, 2_000_000)
    assert guest.fetch("loader") == house.library.files["loader"]


def test_more_than_that_arrives_all_the_same_if_later(house, guest):
    """A kernel, by a client that goes on: what is not sent is like what is lost."""
    house.library.files["kernel"] = synthetic(3, 6_000_000)
    got, block = b"", 0
    packets = guest.ask(ReadRequest("kernel", "octet", {}))
    for _ in range(100_000):
        for packet in packets:
            if packet.block == (block + 1) & 0xFFFF:
                block, got = packet.block, got + packet.data
        if not house.service.under_way:
            break
        packets = guest.say(Ack(block))
        if not packets:
            house.reactor.advance(0.025)
            packets = guest.hear()
    assert got == house.library.files["kernel"]


def test_what_was_withheld_teaches_nothing_of_the_client(house, guest, monkeypatch):
    monkeypatch.setattr(house.service._admission._toll._of_one, "_burst", 6)
    monkeypatch.setattr(house.service._admission._toll._of_one, "_rate", 0)
    forged_acks(house, guest, 1, WINDOWSIZE)
    pass_time(house, 60)
    assert house.service.under_way == 0
    assert not house.service._admission._habits


def test_transfers_that_forged_acks_began_keep_nobody_out():
    """Two packets would hold a place for thirty seconds."""
    house = House(single_port=True, transfers=20)
    for number in range(20):
        one = Guest(house, f"127.1.0.{number}")
        one.ask(ReadRequest("loader"))
        one.say(Ack(1))
        one.socket.close()
    guest = Guest(house)
    assert guest.ask(ReadRequest("small")) == []
    house.reactor.advance(6.0)
    assert guest.ask(ReadRequest("small")) == [Data(1, b"hello")]
    assert house.service.under_way == 20
    house.service.stopService()
    house.service._crowd.cut()
    guest.socket.close()


def test_nor_do_they_keep_their_victim_out():
    house = House(single_port=True, per_gateway=5)
    for _ in range(5):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((VICTIM, 0))
            one.sendto(wire.encode(ReadRequest("loader")), house.port())
            house.turn()
            one.sendto(wire.encode(Ack(1)), house.port())
            house.turn()
    guest = Guest(house)
    assert guest.ask(ReadRequest("small")) == []
    house.reactor.advance(6.0)
    assert guest.ask(ReadRequest("small")) == [Data(1, b"hello")]
    house.service.stopService()
    house.service._crowd.cut()
    guest.socket.close()
