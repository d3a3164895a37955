"""The service on loopback, and a client."""

from __future__ import annotations

import pytest

from .rig import Guest, House


@pytest.fixture
def house():
    made = House()
    yield made
    made.service.stopService()
    made.service._crowd.cut()


@pytest.fixture
def guest(house):
    made = Guest(house)
    yield made
    made.socket.close()
