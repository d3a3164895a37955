"""All transfers on the socket of port 69, as a translation of addresses needs it."""

from __future__ import annotations

import dataclasses

import pytest

from netbootd.events.event import Refused, TransferEnded, TransferFailed, Transferred
from netbootd.tftp import wire
from netbootd.tftp.wire import Ack, Data, Error, OptionAck, ReadRequest

from .rig import HOME, OTHER, Guest, House, pass_time

WINDOWS = {"blksize": "1428", "windowsize": "16"}


def switch(house, single):
    """As a reload does."""
    house.service.limits = dataclasses.replace(house.service.limits, single_port=single)


@pytest.fixture
def house():
    made = House(single_port=True)
    yield made
    made.service.stopService()
    made.service._crowd.cut()
    assert not made.reactor.getReaders()


@pytest.mark.parametrize("options", [{}, {"blksize": "1468", "tsize": "0"}, WINDOWS], ids=str)
@pytest.mark.parametrize("path", ["loader", "small", "empty"])
def test_a_file_comes_from_the_port_that_was_asked(house, guest, path, options):
    heard_from, hear = set(), guest.hear

    def listen():
        packets = hear()
        heard_from.add(guest.server)
        return packets

    guest.hear = listen
    assert guest.fetch(path, options) == house.library.files[path]
    assert heard_from == {house.port()}
    assert len(house.seen(Transferred)) == 1
    assert house.service.under_way == 0


@pytest.mark.fast_path("trains")
def test_windows_leave_in_one_system_call_all_the_same(house, guest, monkeypatch):
    trains = []
    real = house.service._ports[HOME, 0].socket
    house.proved.add("127.0.0.1")
    guest.ask(ReadRequest("loader", "octet", WINDOWS))
    [running] = house.service._crowd._running.values()
    send = running.line._send_segmented
    monkeypatch.setattr(
        type(running.line), "_send_segmented", lambda line, train: trains.append(send(train))
    )
    assert [packet.block for packet in guest.say(Ack(0))] == list(range(1, 17))
    assert len(trains) == 1
    assert running.line._socket is real


def test_many_clients_are_told_apart(house):
    guests = [Guest(house) for _ in range(20)]
    got = [b""] * len(guests)
    for at, each in enumerate(guests):
        got[at] = each.ask(ReadRequest("loader", "octet", {}))[0].data
    for block in range(1, 200):
        for at, each in enumerate(guests):
            got[at] += b"".join(packet.data for packet in each.say(Ack(block)))
    assert set(got) == {house.library.files["loader"]}
    for each in guests:
        each.socket.close()


def test_a_refusal_comes_from_there_too(house, guest):
    assert guest.ask(ReadRequest("nothing")) == [Error(1, "file not found")]
    assert guest.server == house.port()
    assert len(house.seen(Refused)) == 1


@pytest.mark.parametrize(
    ("datagram", "answer"),
    [
        (wire.encode(Ack(7)), [Error(5, "")]),
        (wire.encode(Data(1, b"")), [Error(5, "")]),
        (wire.encode(Error(0, "stop")), []),
        (wire.encode(Error(5, "unknown transfer ID")), []),
        (b"", []),
    ],
)
def test_a_stranger_is_told_in_few_words_and_an_error_is_never_answered(
    house, guest, datagram, answer
):
    assert guest.ask(datagram) == answer
    assert all(len(wire.encode(packet)) <= len(datagram) + 1 for packet in answer)


def test_a_late_copy_of_the_last_ack_is_not_answered(house, guest):
    """The client may have asked for its next file from the same port by then."""
    guest.ask(ReadRequest("small"))
    assert guest.say(Ack(1)) == []
    assert len(house.seen(Transferred)) == 1
    assert guest.say(Ack(1)) == []
    assert guest.ask(ReadRequest("small")) == [Data(1, b"hello")]


def test_the_same_request_again_gets_the_first_reply_again(house, guest):
    request = ReadRequest("loader", "octet", {"blksize": "1468"})
    [oack] = guest.ask(request)
    assert guest.ask(request) == [oack]
    assert house.service.under_way == 1
    guest.say(Ack(0))
    assert guest.ask(request) == []
    assert len(house.library.opened) == 1


def test_another_request_from_the_same_port_takes_its_place(house, guest):
    guest.ask(ReadRequest("loader"))
    guest.say(Ack(1))
    assert guest.ask(ReadRequest("small")) == [Data(1, b"hello")]
    assert house.service.under_way == 1
    assert house.seen(TransferEnded)[0].reason == "the client began anew"


def test_a_machine_that_was_reset_and_came_by_the_same_port_begins_anew(house, guest):
    request = ReadRequest("loader", "octet", {"blksize": "1468"})
    guest.ask(request)
    guest.say(Ack(0))
    house.reactor.advance(5)
    guest.hear()
    assert isinstance(guest.ask(request)[0], OptionAck)
    assert guest.say(Ack(0))[0].block == 1


def test_nonsense_from_the_client_does_not_disturb(house, guest):
    guest.ask(ReadRequest("loader"))
    for nonsense in (b"", b"\0", b"\0\4", b"\xff" * 40):
        assert guest.say(nonsense) == []
    assert [packet.block for packet in guest.say(Ack(1))] == [2]


def test_what_is_lost_is_sent_again(house, guest):
    [data] = guest.ask(ReadRequest("loader"))
    pass_time(house, 0.55)
    assert guest.hear() == [data]


def test_acks_that_wait_are_served_before_the_timer(house):
    """A shared socket is one event for the reactor, however many have answered."""
    guests = [Guest(house) for _ in range(300)]
    for each in guests:
        each.ask(ReadRequest("loader"))
    for each in guests:
        each.socket.sendto(wire.encode(Ack(1)), each.server)
    house.reactor.advance(3)
    assert all([packet.block for packet in each.hear()] == [2] for each in guests)
    for each in guests:
        each.socket.close()


def test_the_setting_can_change_while_transfers_run(house, guest):
    """Each goes on as it began."""
    shared, own = guest, Guest(house)
    shared.ask(ReadRequest("loader"))
    switch(house, False)
    own.ask(ReadRequest("loader"))
    assert own.server != house.port()
    assert [packet.block for packet in shared.say(Ack(1))] == [2]
    assert shared.server == house.port()
    switch(house, True)
    assert [packet.block for packet in own.say(Ack(1))] == [2]
    assert own.server != house.port()
    assert [packet.block for packet in shared.say(Ack(2))] == [3]
    assert own.ask(ReadRequest("nothing")) == [Error(1, "file not found")]
    assert own.server == house.port()
    own.socket.close()


def test_a_port_that_is_not_wanted_stays_until_its_transfers_have_ended(house, guest):
    guest.ask(ReadRequest("small"))
    port, other = guest.server, Guest(house)
    house.serve(OTHER)
    assert set(house.service.addresses) == {OTHER}
    assert other.ask(ReadRequest("small"), port) == []
    assert guest.say(Ack(1)) == []
    assert len(house.seen(Transferred)) == 1
    assert not house.service._retired
    other.socket.connect(port)
    other.socket.send(b"anybody there")
    with pytest.raises(ConnectionRefusedError):
        other.socket.recv(100)
    other.socket.close()


def test_a_port_that_is_wanted_again_was_never_away(house, guest):
    guest.ask(ReadRequest("loader"))
    house.serve(OTHER)
    assert house.serve(HOME) == []
    assert house.port() == guest.server
    assert [packet.block for packet in guest.say(Ack(1))] == [2]
    other = Guest(house)
    assert other.fetch("small") == b"hello"
    other.socket.close()


def test_stopping_waits_for_what_runs_and_takes_nothing_new(house, guest):
    guest.ask(ReadRequest("small"))
    stopped, other, port = [], Guest(house), house.port()
    house.service.stopService().addCallback(stopped.append)
    assert not stopped
    assert other.ask(ReadRequest("small"), port) == []
    assert guest.say(Ack(1)) == []
    assert stopped
    assert not house.reactor.getReaders()
    assert not house.reactor.getDelayedCalls()
    other.socket.close()


def test_stopping_ends_after_the_grace(house, guest):
    guest.ask(ReadRequest("loader"))
    guest.say(Ack(1))
    stopped = []
    house.service.stopService().addCallback(stopped.append)
    pass_time(house, 5.1)
    assert stopped
    assert house.seen(TransferFailed)[0].reason == "the server was stopped"


def test_one_that_does_not_answer_costs_no_other_at_its_address_the_options(house, guest):
    """Without tsize EDK2 does not boot."""
    request = ReadRequest("loader", "octet", {"tsize": "0", "blksize": "1468"})
    silent = Guest(house)
    assert isinstance(silent.ask(request)[0], OptionAck)
    pass_time(house, 2.0)
    assert isinstance(guest.ask(request)[0], OptionAck)
    silent.socket.close()


def test_an_address_may_stand_for_many_clients():
    house = House(single_port=True, per_client=1, per_gateway=2)
    guests = [Guest(house) for _ in range(3)]
    for each in guests:
        each.ask(ReadRequest("loader"))
        if each.server:
            each.say(Ack(1))
    assert house.service.under_way == 2
    house.service.stopService()
    house.service._crowd.cut()
    for each in guests:
        each.socket.close()


def test_nodes_behind_a_gateway_that_ask_together_take_nobodys_place():
    """All their requests are read before the first ACK; later, who never answered makes room."""
    house = House(single_port=True, per_gateway=2)
    first, second, third = [Guest(house) for _ in range(3)]
    for each in (first, second):
        assert each.ask(ReadRequest("loader"))[0].block == 1
    assert third.ask(ReadRequest("loader")) == []
    assert [packet.block for packet in first.say(Ack(1))] == [2]
    pass_time(house, 1.5)
    assert third.ask(ReadRequest("loader"))[0].block == 1
    assert "never answered" in house.seen(TransferEnded)[0].reason
    assert [packet.block for packet in first.say(Ack(2))][-1] == 3
    house.service.stopService()
    house.service._crowd.cut()
    for each in (first, second, third):
        each.socket.close()
