"""How many may be connected, who has to go for whom, and what requests may bring along."""

from __future__ import annotations

import contextlib
import random
from http import HTTPStatus

import pytest

from netbootd.http.guests import Guests, Most
from netbootd.http.resource import Answer
from tests.http.test_door import House, request


class Somebody:
    def __init__(self, guests, address="192.0.2.7"):
        self.gone = False
        self.guests = guests
        self.stays = guests.enter(self, address)

    def send_away(self):
        self.gone = True


class Book:
    """Guests, a clock, and what was told."""

    def __init__(self, **most):
        self.now, self.told = 0.0, []
        self.guests = Guests(lambda: self.now, self.told.append)
        self.guests.most = Most(**most)

    def come(self, count, address="192.0.2.{}", *, waits=False):
        made = [Somebody(self.guests, address.format(number)) for number in range(count)]
        for one in made if waits else ():
            self.guests.waits(one)
        return made


def test_one_address_cannot_take_all_places():
    book = Book(connections=10, of_one=3)
    crowd = book.come(8, "192.0.2.7")
    assert [one.stays for one in crowd] == [True] * 3 + [False] * 5
    assert not any(one.gone for one in crowd)
    assert all(one.stays for one in book.come(7))


def test_of_one_address_who_has_waited_for_longest_goes_for_a_newcomer():
    """So a gateway is not shut out by those behind it that say nothing."""
    book = Book(connections=100, of_one=5)
    others = book.come(20, waits=True)
    crowd = book.come(5, "198.51.100.7", waits=True)
    book.guests.answered(crowd[0])
    book.guests.answered(crowd[1])
    book.guests.waits(crowd[1])
    newcomers = book.come(2, "198.51.100.7")
    assert all(one.stays for one in newcomers)
    assert [one.gone for one in crowd] == [False, False, True, True, False]
    assert not any(one.gone for one in others)
    assert len(book.guests) == 25


def test_of_one_address_who_is_being_answered_stays():
    book = Book(of_one=3)
    crowd = book.come(3, "198.51.100.7", waits=True)
    for one in crowd:
        book.guests.answered(one)
    assert not book.come(1, "198.51.100.7", waits=True)[0].stays
    assert not any(one.gone for one in crowd)


def test_who_has_waited_for_longest_goes_for_a_newcomer():
    book = Book(connections=10)
    crowd = book.come(10, waits=True)
    book.guests.waits(crowd[0])
    (newcomer,) = book.come(1)
    assert newcomer.stays
    assert [one.gone for one in crowd] == [False, True] + [False] * 8
    assert len(book.guests) == 10


def test_who_is_being_answered_stays():
    book = Book(connections=10)
    crowd = book.come(10, waits=True)
    for one in crowd:
        book.guests.answered(one)
    assert [one.stays for one in book.come(3)] == [False] * 3
    assert not any(one.gone for one in crowd)
    book.guests.leave(crowd[4])
    assert [one.stays for one in book.come(2)] == [True, False]


def test_addresses_with_many_that_are_being_answered_give_up_some_for_those_with_fewer():
    """Whoever reads a byte now and then is being answered for ever."""
    book = Book(connections=10, of_one=5)
    crowds = [book.come(5, address) for address in ("192.0.2.7", "192.0.2.8")]
    newcomers = book.come(4, "198.51.100.7")
    assert [one.stays for one in newcomers] == [True, True, True, False]
    gone = [[one.gone for one in crowd] for crowd in crowds]
    assert sorted(map(sum, gone)) == [1, 2]
    assert all(crowd == sorted(crowd, reverse=True) for crowd in gone), "the oldest go first"
    assert not any(one.gone for one in newcomers)
    assert len(book.guests) == 10


def test_a_connection_that_is_handed_over_is_one_still():
    book = Book(connections=10, of_one=1)
    (visitor,) = book.come(1, "192.0.2.7", waits=True)
    other = Somebody.__new__(Somebody)
    book.guests.hand_over(visitor, other)
    assert book.guests.enter(other, "192.0.2.7")
    assert len(book.guests) == 1
    book.guests.leave(visitor)
    assert len(book.guests) == 1
    book.guests.leave(other)
    book.guests.leave(other)
    assert len(book.guests) == 0
    assert book.come(1, "192.0.2.7")[0].stays


def test_lower_limits_are_for_newcomers():
    book = Book(connections=100)
    book.come(100)
    book.guests.most = Most(connections=10)
    assert len(book.guests) == 100
    assert not book.come(1)[0].stays


def test_what_is_turned_away_is_told_once_a_minute():
    book = Book(of_one=1)
    for _ in range(130):
        book.come(20, "192.0.2.7")
        book.now += 1.0
    assert len(book.told) == 3
    assert "192.0.2.7 has 1 HTTP connections" in book.told[0]
    assert book.guests.refused == 130 * 20 - 1


# -- at real ports -----------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path / "a")
    yield made
    made.close()


def answered(house, client, path="/boot"):
    client.send(request(path))
    for _ in range(3):
        house.turn()
    return client.recv(1 << 16).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("said", [b"", b"GET /boot HTTP/1.1\r\nHost: x\r\nX-", b"POST /vms/x HTT"])
def test_connections_that_never_end_their_request_keep_nobody_out(house, said):
    """Slowloris, in the request line and in headers; and who was served and says nothing more."""
    house.rig.site.guests.most = Most(connections=8)
    slow = [house.connect() for _ in range(40)]
    for one in slow:
        assert said or answered(house, one)
        one.send(said)
        house.turn()
    assert len(house.rig.site.guests) <= 8
    client = house.connect()
    assert answered(house, client)
    for one in (*slow, client):
        one.close()
    for _ in range(3):
        house.turn()
    assert len(house.rig.site.guests) == 0


def is_reset(client):
    try:
        return not client.recv(1)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_one_address_has_its_share_of_real_connections(house):
    """A new one is served, and takes the place of the one that has been idle for longest."""
    house.rig.site.guests.most = Most(of_one=3)
    clients = [house.connect() for _ in range(5)]
    assert [answered(house, client) for client in clients] == [True] * 5
    assert [is_reset(client) for client in clients] == [True, True, False, False, False]
    assert len(house.rig.site.guests) == 3
    for one in clients:
        one.close()


def test_who_is_in_the_middle_of_an_answer_keeps_its_place(house):
    """A long answer that its client reads slowly; newcomers of its address go for each other."""
    guests, site = house.rig.site.guests, house.rig.site
    guests.most = Most(of_one=3)
    text = random.Random(1).randbytes(32 << 20)
    site.answer = lambda asked: Answer(HTTPStatus.OK, {}, text if asked.path == "/boot" else b"x")
    slow = house.connect()
    slow.send(request("/boot"))
    for _ in range(5):
        house.turn()
    for _ in range(10):
        other = house.connect()
        assert answered(house, other, "/short")
        other.close()
    idle = [house.connect() for _ in range(10)]
    for one in idle:
        one.send(b"GET /")
        house.turn()
    got = b""
    for _ in range(100_000):
        with contextlib.suppress(BlockingIOError):
            got += slow.recv(1 << 20)
        if got.endswith(text[-100:]):
            break
        house.turn()
    assert got.endswith(text)
    assert len(guests) <= 3
    for one in (slow, *idle):
        one.close()


@pytest.mark.parametrize("path", ["/boot", "/status", "/images/vmlinuz", "/nothing"])
def test_whoever_leaves_is_counted_no_more(house, path):
    for closes in (True, False):
        client = house.connect()
        client.send(request(path, *((b"Connection: close",) if closes else ())))
        for _ in range(4):
            house.turn()
        client.close()
        for _ in range(4):
            house.turn()
    assert len(house.rig.site.guests) == 0


def test_nothing_is_left_of_addresses_that_have_gone():
    """Or ever new ones would be memory."""
    book = Book()
    for number in range(100):
        (one,) = book.come(1, f"198.18.0.{number}")
        book.guests.leave(one)
    assert not book.guests._of
    assert not book.guests._large
    assert not book.guests._waiting


# -- bodies that requests bring ----------------------------------------------------------------


def test_bodies_of_all_requests_have_a_limit_together(house):
    house.rig.site.guests.most = Most(held=1 << 20)
    clients = [house.connect() for _ in range(4)]
    head = b"POST /done/52:54:00:12:34:56 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    closed = 0
    for client in clients:
        client.setblocking(True)
        client.send(head)
    for _ in range(8):
        for client in clients:
            try:
                client.send(bytes(60_000))
            except OSError:
                closed += 1
        for _ in range(3):
            house.turn()
        assert house.rig.site.guests.held <= (1 << 20) + 4 * 65536
    assert closed
    for client in clients:
        client.close()
    for _ in range(4):
        house.turn()
    assert house.rig.site.guests.held == 0
