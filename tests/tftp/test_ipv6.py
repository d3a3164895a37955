"""TFTP over IPv6, on the loopback device."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest

from netbootd.events.event import Transferred
from netbootd.tftp.port import Listener

from .rig import Guest, House

HOME6 = IPv6Address("::1")


def ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not ipv6_works(), reason="this host has no IPv6")


class Guest6(Guest):
    def __init__(self, house) -> None:
        self.house = house
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.bind(("::1", 0))
        self.socket.setblocking(False)
        self.server = None

    def ask(self, packet, server=None):
        return super().ask(packet, server or self.house.port(HOME6))


@pytest.fixture(params=[False, True], ids=["own ports", "single port"])
def house(request):
    house = House(single_port=request.param)
    assert house.serve(IPv4Address("127.0.0.1"), HOME6) == []
    yield house
    house.service.stopService()


@pytest.mark.parametrize("options", [{}, {"blksize": "1428", "windowsize": "64"}], ids=str)
@pytest.mark.parametrize("path", ["loader", "empty"])
def test_a_file_is_fetched(house, path, options):
    guest = Guest6(house)
    assert guest.fetch(path, options) == house.library.files[path]
    [event] = house.seen(Transferred)
    assert (event.peer, house.library.asked[-1][1:]) == ("::1", ("::1", "::1"))


def test_a_block_leaves_room_for_the_longer_header(house):
    guest = Guest6(house)
    [answer] = guest.ask(_request("loader", {"blksize": "9000"}))
    assert answer.options["blksize"] == str(1500 - 52)


def _request(path, options):
    from netbootd.tftp.wire import ReadRequest

    return ReadRequest(path, "octet", options)


def test_a_link_local_address_is_bound_with_its_scope():
    assert Listener(IPv6Address("fe80::1"), "eth7", 1500).local == "fe80::1%eth7"
    assert Listener(IPv6Address("2001:db8::1"), "eth7", 1500).local == "2001:db8::1"
