"""What a transfer that went badly teaches, and that the client's next request goes by it."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from netbootd.tftp.habits import KEPT_S, SOUND, Habit, Habits, lesson
from netbootd.tftp.outcome import Story
from netbootd.tftp.wire import Ack, Data, Error, OptionAck, ReadRequest

from .model import synthetic
from .rig import Guest, pass_time

WELL = Story(
    complete=True,
    at_the_end=True,
    plain_taken=False,
    blksize=1468,
    windowsize=16,
    windows_whole=5,
    windows_lost=0,
    lost_in_a_row=0,
    stray_acks=0,
    first_block_sent=0,
)
BADLY = WELL._replace(complete=False, at_the_end=False)
LOCK_STEP = {"blksize": "1468", "tsize": "0"}
WINDOWED = {"blksize": "1468", "windowsize": "8"}


@pytest.mark.parametrize(
    ("story", "habit"),
    [
        (WELL, SOUND),
        (BADLY, SOUND),
        (WELL._replace(plain_taken=True), Habit(options=False)),
        (BADLY._replace(plain_taken=True), SOUND),
        (WELL._replace(windows_lost=40), SOUND),
        (WELL._replace(windows_whole=0, windows_lost=15), SOUND),
        (WELL._replace(windows_whole=0, windows_lost=16), Habit(windows=False)),
        (WELL._replace(windows_whole=0, windows_lost=16, windowsize=1), SOUND),
        (WELL._replace(stray_acks=2), SOUND),
        (WELL._replace(stray_acks=3), Habit(windows=False)),
        (BADLY._replace(lost_in_a_row=1), SOUND),
        (BADLY._replace(lost_in_a_row=2), Habit(windows=False)),
        (BADLY._replace(lost_in_a_row=2, at_the_end=True), SOUND),
        (BADLY._replace(first_block_sent=2, windowsize=1), SOUND),
        (BADLY._replace(first_block_sent=3, windowsize=1), Habit(blksize=1024)),
        (BADLY._replace(first_block_sent=3, windowsize=1, blksize=1024), Habit(blksize=512)),
        (
            BADLY._replace(first_block_sent=3, lost_in_a_row=2),
            Habit(windows=False, blksize=1024),
        ),
    ],
)
def test_what_a_transfer_teaches(story, habit):
    learned = lesson(story, SOUND)
    assert (learned.habit if learned else SOUND) == habit
    assert lesson(story, habit) is None, "nothing new the second time"


def test_a_client_that_asks_again_had_not_finished():
    story = BADLY._replace(lost_in_a_row=2, at_the_end=True)
    assert lesson(story, SOUND, asked_again=True).habit == Habit(windows=False)


def test_an_option_that_is_needed_is_not_taken_away():
    """EDK2 does not boot without tsize; its OACKs may have been lost."""
    assert lesson(WELL._replace(plain_taken=True), SOUND, needs_options=True) is None


def test_lessons_add_up():
    known = lesson(WELL._replace(stray_acks=9), SOUND).habit
    learned = lesson(BADLY._replace(first_block_sent=9), known)
    assert learned.habit == Habit(windows=False, blksize=1024)


def test_habits_are_forgotten_in_time_and_are_not_many():
    clock = Clock()
    habits = Habits(clock.seconds)
    assert habits.learn("192.0.2.1", (), WELL._replace(stray_acks=3))
    assert habits.of("192.0.2.1") == Habit(windows=False)
    assert habits.of("192.0.2.2") == SOUND
    assert habits.learn("192.0.2.1", (), WELL._replace(stray_acks=3)) == ""
    clock.advance(KEPT_S)
    assert habits.of("192.0.2.1") == SOUND
    for number in range(5000):
        habits.learn(f"10.0.{number // 256}.{number % 256}", (), WELL._replace(stray_acks=3))
    assert len(habits) == 4096
    assert habits.of("10.0.0.0") == SOUND


# Through the service: the same client asks again.


def oack(packets):
    [packet] = packets
    assert isinstance(packet, OptionAck)
    return packet.options


@pytest.fixture
def again(house):
    """The same machine, from another port."""
    made = Guest(house)
    yield made
    made.socket.close()


def test_who_asks_again_from_another_port_without_having_heard_our_oack_gets_plain_data(
    house, guest, again
):
    request = ReadRequest("loader", "octet", LOCK_STEP)
    assert oack(guest.ask(request))
    pass_time(house, 1.6)
    assert again.ask(request) == [Data(1, synthetic(0, 512))]
    third = Guest(house)
    assert oack(third.ask(request)), "plain DATA was not understood either"
    third.socket.close()


def test_who_asks_again_at_once_gets_the_options(house, guest, again):
    """Two machines behind one address, or one that reads a file twice."""
    request = ReadRequest("loader", "octet", LOCK_STEP)
    assert oack(guest.ask(request)) == oack(again.ask(request))


def test_who_took_plain_data_is_not_offered_options_again(house, guest, again):
    house.library.files["loader"] = synthetic(0, 600)
    request = ReadRequest("loader", "octet", {"blksize": "1468"})
    guest.ask(request)
    pass_time(house, 7.6)
    assert isinstance(guest.hear()[-1], Data)
    guest.say(Ack(1))
    guest.say(Ack(2))
    assert again.ask(request) == [Data(1, synthetic(0, 512))]
    elsewhere = Guest(house, "127.0.0.9")
    assert oack(elsewhere.ask(request)) == {"blksize": "1468"}
    elsewhere.socket.close()
    pass_time(house, KEPT_S + 1)
    third = Guest(house)
    assert oack(third.ask(request)) == {"blksize": "1468"}
    third.socket.close()


def test_who_took_plain_data_still_gets_an_option_that_it_may_need(house, guest, again):
    """First its card's ROM, and then EDK2."""
    house.library.files["loader"] = synthetic(0, 600)
    guest.ask(ReadRequest("loader", "octet", {"blksize": "1468"}))
    pass_time(house, 7.6)
    guest.hear()
    guest.say(Ack(1))
    guest.say(Ack(2))
    assert oack(again.ask(ReadRequest("loader", "octet", LOCK_STEP))) == {
        "blksize": "1468",
        "tsize": "600",
    }


def test_the_size_probe_of_firmware_teaches_nothing(house, guest, again):
    for _ in range(3):
        guest.ask(ReadRequest("loader", "octet", {"tsize": "0", **WINDOWED}))
        guest.say(Error(8, "User aborted the transfer"))
    assert oack(again.ask(ReadRequest("loader", "octet", WINDOWED))) == WINDOWED


def test_who_falls_silent_in_a_window_gets_none_the_next_time(house, guest, again):
    request = ReadRequest("loader", "octet", WINDOWED)
    guest.ask(request)
    guest.say(Ack(0))
    guest.say(Ack(8))
    pass_time(house, 2.0)
    assert oack(again.ask(request)) == {"blksize": "1468"}
    assert [packet.block for packet in again.say(Ack(0))] == [1]


def test_who_begins_anew_on_the_same_port_is_remembered_too(house, guest):
    request = ReadRequest("loader", "octet", WINDOWED)
    guest.ask(request)
    guest.say(Ack(0))
    guest.say(Ack(8))
    pass_time(house, 2.0)
    guest.hear()
    assert oack(guest.ask(request)) == {"blksize": "1468"}


def test_who_loses_the_end_of_each_window_gets_none_the_next_time(house, guest):
    house.library.files["loader"] = synthetic(0, 200_000)
    guest.ask(ReadRequest("loader", "octet", WINDOWED))
    packets, got = guest.say(Ack(0)), 0
    while got < 80:
        for packet in packets[:2]:  # it has room for two
            got += packet.block == got + 1
        pass_time(house, 0.025)
        packets = guest.say(Ack(got))
    guest.say(Error(0, "never mind"))
    assert oack(guest.ask(ReadRequest("loader", "octet", WINDOWED))) == {"blksize": "1468"}


def test_who_never_gets_the_first_block_gets_smaller_ones(house, guest, again):
    request = ReadRequest("loader", "octet", LOCK_STEP)
    for blksize in ("1468", "1024", "512", "512"):
        other = Guest(house)
        assert oack(other.ask(request))["blksize"] == blksize
        assert len(other.say(Ack(0))) == 1
        pass_time(house, 2.0)
        other.socket.close()


def test_a_client_that_is_content_keeps_its_options(house, guest):
    for _ in range(3):
        assert guest.fetch("loader", WINDOWED) == house.library.files["loader"]
    assert oack(guest.ask(ReadRequest("loader", "octet", WINDOWED))) == WINDOWED
