"""
What packets from forged addresses can cost: packets and bytes out, places, and the turn of others.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import socket

import pytest

from netbootd.content import Content
from netbootd.events.event import Shed
from netbootd.tftp import admission, gate, wire
from netbootd.tftp.gate import Gate
from netbootd.tftp.running import Running
from netbootd.tftp.train import Line
from netbootd.tftp.transfer import PACKETS_UNHEARD, Transfer
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


# -- what is left ----------------------------------------------------------------------------


def test_nothing_is_left_of_a_flood_once_its_transfers_have_ended(house):
    """2,000 addresses: those that answered nothing, that stopped half-way, and that had all of it."""
    guest = Guest(house)
    guest.fetch("loader", BLKSIZE)
    guest.socket.close()
    house.library.opened.clear()
    gc.collect()
    descriptors, before = len(os.listdir("/proc/self/fd")), count_of_things()
    for number in range(2000):
        with contextlib.closing(forged(house, number, ReadRequest("small", "octet", {})).socket):
            house.turn()
    for number in range(2000, 2300):
        guest = Guest(house, f"127.1.{number >> 8}.{number & 255}")
        guest.ask(ReadRequest("loader", "octet", {"windowsize": "4"}))
        guest.say(Ack(0))
        if number % 2:
            guest.say(Ack(4))
        if number % 3:
            guest.say(wire.Error(0, "enough"))
        guest.socket.close()
    assert house.service.under_way > 2000
    pass_time(house, 60)
    assert house.service.under_way == 0
    crowd = house.service._crowd
    tables = (
        crowd._running,
        crowd._of_client,
        crowd._perhaps_unheard,
        crowd._own,
        crowd._due._slots,
    )
    assert [len(table) for table in tables] == [0] * len(tables)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    house.library.opened.clear()
    gc.collect()
    assert count_of_things() == before


def count_of_things():
    """Of what belongs to a transfer."""
    kinds = (Running, Transfer, Line, socket.socket, Content)
    return [sum(type(each) is kind for each in gc.get_objects()) for kind in kinds]


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


def flooded_gate(known):
    """Who is known has used up what was saved, and much waits."""
    made = Gate(known, 0.0, lambda _: None)
    made.look(True, 0.0)
    made._modest.spend(1000.0)
    made._greedy.spend(1000.0)
    return made


KNOWN = {f"192.0.2.{number}" for number in range(100)}


def worked(made, seconds, each_s, asks):
    """Who is let in within so many *seconds*, at a cost of *each_s*; *asks* names who asks next."""
    now, let_in = 0.0, []
    while now < seconds:
        made.look(True, now)
        who = next(asks)
        if made.lets_in(who, now):
            let_in.append(who)
            now += each_s
            made.done(now)
        now += 0.00005
    return let_in


def test_a_flood_with_addresses_that_are_known_has_half_of_the_time():
    made = Gate(KNOWN, 0.0, lambda _: None)
    let_in = worked(made, 60.0, 0.001, itertools.cycle(sorted(KNOWN)))
    most = gate._SAVED_S + 0.5 + 60.0 * (gate._MODEST + gate._GREEDY)
    assert 10.0 < len(let_in) * 0.001 < most


def test_who_asks_as_a_boot_does_goes_before_a_flood_from_few_addresses():
    made = flooded_gate({"192.0.2.1", "192.0.2.2"})
    made._modest._left = 1.0
    for _ in range(gate._MODEST_BURST):
        made.lets_in("192.0.2.1", 0.0)
    assert not made.lets_in("192.0.2.1", 0.0)
    assert made.lets_in("192.0.2.2", 0.0)


def test_strangers_are_let_in_whatever_is_sent_with_addresses_that_are_known():
    assert flooded_gate(KNOWN).lets_in("198.18.0.1", 0.0)


def test_who_is_known_is_never_turned_away_where_nothing_waits():
    made = flooded_gate(KNOWN)
    assert not made.lets_in("192.0.2.7", 0.0)
    made.look(False, gate._BUSY_S)
    assert all(made.lets_in("192.0.2.7", gate._BUSY_S) for _ in range(500))


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
