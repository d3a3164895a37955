"""
What packets from forged addresses can cost: packets and bytes out, places, and the turn of others.
"""

from __future__ import annotations

import socket

import pytest

from netbootd.events.event import Shed
from netbootd.tftp import admission, gate, wire
from netbootd.tftp.gate import Gate
from netbootd.tftp.transfer import PACKETS_UNHEARD
from netbootd.tftp.wire import Ack, ErrorCode, OptionAck, ReadRequest

from .rig import Guest, House, pass_time

BLKSIZE = {"blksize": "1468", "tsize": "0"}
MOST_BYTES = 516  # DATA of 512 bytes; an OACK is shorter


def forged(house, number, packet):
    """A packet from an address of its own, where nobody answers."""
    datagram = packet if isinstance(packet, bytes) else wire.encode(packet)
    sender = Guest(house, f"127.1.{number >> 8}.{number & 255}")
    sender.socket.sendto(datagram, house.port())
    return sender


@pytest.mark.parametrize("options", [{}, BLKSIZE, {"windowsize": "64"}, {"blksize": "65464"}])
def test_a_forged_request_costs_five_small_packets(house, guest, options):
    request = wire.encode(ReadRequest("loader", "octet", options))
    packets = guest.ask(request)
    pass_time(house, 60)
    packets += guest.hear()
    assert len(packets) == PACKETS_UNHEARD == 5
    assert all(len(wire.encode(packet)) <= MOST_BYTES for packet in packets)
    assert house.service.under_way == 0


def test_where_many_never_answer_each_gets_one_packet(house, monkeypatch):
    monkeypatch.setattr(admission, "_CROWDED", 3)
    senders = [forged(house, n, ReadRequest("loader", "octet", {})) for n in range(20)]
    house.turn()
    pass_time(house, 60)
    heard = [len(sender.hear()) for sender in senders]
    assert sorted(heard) == [1] * 17 + [5] * 3


def test_who_answers_is_served_whole_even_then(house, guest, monkeypatch):
    monkeypatch.setattr(admission, "_CROWDED", 0)
    assert guest.fetch("loader", BLKSIZE) == house.library.files["loader"]


def test_half_open_transfers_have_a_limit_of_their_own():
    house = House(half_open=10)
    for number in range(50):
        forged(house, number, ReadRequest("loader", "octet", {}))
        house.turn()
    assert house.service.under_way == 10
    guest = Guest(house)
    assert guest.fetch("loader", BLKSIZE) == house.library.files["loader"]


def test_transfers_that_go_on_are_not_half_open():
    house = House(half_open=3)
    guests = [Guest(house) for _ in range(10)]
    for guest in guests:
        (oack,) = guest.ask(ReadRequest("loader", "octet", BLKSIZE))
        assert isinstance(oack, OptionAck)
        guest.say(Ack(0))
    assert house.service.under_way == 10


def test_packets_outside_of_transfers_are_answered_a_thousand_times(house, guest):
    """An ACK of 4 bytes with a forged address makes an ERROR of 5: no more of them than this."""
    answers = []
    for _ in range(1500):
        answers += guest.ask(Ack(1))
    assert len(answers) == gate._UNKNOWN_BURST
    assert {packet.code for packet in answers} == {ErrorCode.UNKNOWN_TID}
    house.reactor.advance(1.0)
    answers = [packet for _ in range(100) for packet in guest.ask(Ack(1))]
    assert len(answers) == gate._UNKNOWN_RATE


def test_so_are_those_at_the_ports_of_transfers(house, guest):
    door = house.service._ports[next(iter(house.service._ports))].doors[0].getsockname()
    answers = [packet for _ in range(1500) for packet in guest.ask(Ack(1), door)]
    assert len(answers) == gate._UNKNOWN_BURST


def test_a_client_that_floods_us_is_answered_no_more_often(house, guest):
    asked = [guest.ask(ReadRequest("missing", "octet", {})) for _ in range(1500)]
    assert sum(map(len, asked)) == gate._UNKNOWN_BURST
    (told,) = house.seen(Shed)
    assert told.count == 1


def test_an_address_that_is_known_may_stand_for_many(house, guest):
    house.known.add("127.0.0.1")
    asked = [guest.ask(ReadRequest("missing", "octet", {})) for _ in range(1500)]
    assert sum(map(len, asked)) == 1500


def test_what_was_turned_away_is_told_of_once_a_minute(house, guest):
    for second in range(130):
        for _ in range(gate._UNKNOWN_BURST if not second else gate._UNKNOWN_RATE + 10):
            guest.socket.sendto(wire.encode(Ack(1)), house.port())
            house.turn()
        house.reactor.advance(1.0)
    told = house.seen(Shed)
    assert len(told) == 3
    assert [event.count for event in told] == [1, 600, 600]


# -- who goes first ----------------------------------------------------------------------------


def busy_gate(known=()):
    """Strangers have used up their time."""
    shed = []
    made = Gate(known, 0.0, shed.append)
    assert made.lets_in("198.18.0.1", 0.0)
    made._budget.spend(1000.0)
    return made


def test_strangers_are_turned_away_and_who_is_known_is_not():
    made = busy_gate({"192.0.2.7"})
    assert not any(made.lets_in(f"198.18.1.{number}", 1.0) for number in range(200))
    assert made.lets_in("192.0.2.7", 1.0)


def test_a_stranger_that_asks_again_is_looked_at():
    made = busy_gate()
    assert not made.lets_in("192.0.2.7", 1.0)
    assert made.lets_in("192.0.2.7", 5.0)


def test_the_time_that_another_program_took_is_not_charged():
    made = Gate((), 0.0, lambda _: None)
    assert made.lets_in("198.18.0.1", 0.0)
    made.done(100.0)
    assert made.lets_in("198.18.0.2", 100.0)


def test_a_flood_of_strangers_waits_in_no_queue(house, guest):
    """What is turned away is read from the socket all the same, many in one turn."""
    house.service._admission._gate._strangers._first.spend(1000.0)
    house.known.add("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.bind(("127.0.0.99", 0))
        for _ in range(500):
            flood.sendto(wire.encode(ReadRequest("loader", "octet", {})), house.port())
        assert guest.ask(ReadRequest("small", "octet", {}))
        assert [path for path, *_ in house.library.asked].count("small") == 1
