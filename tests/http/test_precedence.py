"""
Who goes first: real epolls, and rests that nobody sleeps through.
"""

from __future__ import annotations

import os

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import Clock

from netbootd.http.precedence import FIRST_REST_S, RESTS, giving_way


class Inbox:
    """A reader of the reactor's, which has something to read from ``fill`` to ``empty``."""

    def __init__(self):
        self.number = os.eventfd(0, os.EFD_NONBLOCK)

    def fill(self):
        os.eventfd_write(self.number, 1)

    def empty(self):
        os.eventfd_read(self.number)

    def fileno(self):
        return self.number

    def logPrefix(self):
        return "inbox"


@pytest.fixture
def inbox():
    inbox = Inbox()
    yield inbox
    os.close(inbox.number)


@pytest.fixture
def reactor(inbox):
    """Not installed, and never run."""
    reactor = EPollReactor()
    reactor.addReader(inbox)
    yield reactor
    reactor.removeAll()
    reactor._poller.close()


def test_a_reactor_with_nothing_to_read_is_not_waited_for(reactor):
    rests = []
    giving_way(reactor, rests.append)()
    assert rests == []


def test_a_reactor_with_something_to_read_goes_first(reactor, inbox):
    rests = []
    inbox.fill()

    def sleep(seconds):
        rests.append(seconds)
        if len(rests) == 2:
            inbox.empty()

    giving_way(reactor, sleep)()
    assert rests == [FIRST_REST_S, 2 * FIRST_REST_S]


def test_a_reactor_that_is_never_done_does_not_stop_files(reactor, inbox):
    rests = []
    inbox.fill()
    give_way = giving_way(reactor, rests.append)
    give_way()
    assert len(rests) == RESTS
    assert sum(rests) < 0.01
    give_way()
    assert len(rests) == 2 * RESTS


def test_a_reactor_without_an_epoll_is_not_waited_for():
    giving_way(Clock(), pytest.fail)()
