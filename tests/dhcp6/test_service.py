"""The edge on real sockets: one cable between two namespaces, the server on one end."""

from __future__ import annotations

import select
import socket
import subprocess
from ipaddress import IPv6Address

import pytest
from twisted.internet.testing import MemoryReactorClock

from netbootd.dhcp6 import identifier, wire
from netbootd.dhcp6.message import MessageType as M
from netbootd.dhcp6.message import Option
from netbootd.dhcp6.service import Dhcp6Service
from netbootd.errors import PortError
from netbootd.events.event import Dropped, Offered, Passed
from netbootd.events.lease import Flooded, Leased, LeaseOffered, NoAddress
from netbootd.events.stream import Stream
from netbootd.interfaces import read_interfaces
from netbootd.leases.table import Leases
from netbootd.registry.live import LiveRegistry
from tests.dhcp.namespaces import USABLE, Namespace, cable

from .registries import FIRST, OUR_DUID, PXE, registry, request, subnet

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not USABLE, reason="network namespaces need root and iproute2"),
]

OURS, RELAY = "2001:db8:1::1", "2001:db8:1::fe"
LONG_S = 10.0


class Disk:
    """A ledger whose writes arrive when the test says so."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.saving = True
        self.waiting = []

    def clock(self) -> float:
        return 1000.0

    def commit(self, rows, before, then) -> None:
        self.waiting.append(then)

    def arrive(self, saved=True) -> None:
        for then in self.waiting:
            then(saved)
        self.waiting.clear()


class Wire:
    """The service, and whoever asks it."""

    def __init__(self, server, client, held) -> None:
        self.events, self.disk, self.reactor = [], Disk(), MemoryReactorClock()
        stream = Stream(self.events.append)
        stream.subscribe(self.events.append)
        self.service = Dhcp6Service(
            self.reactor, LiveRegistry(held), stream, self.disk, lambda: OUR_DUID
        )
        with server.entered():
            self.interfaces = [one for one in read_interfaces() if one.name == "eth0"]
            assert self.service.serve(self.interfaces) == []
        with client.entered():
            self.asker = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.asker.bind(("::", 546))
            self.relay = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.relay.bind((RELAY, 547))
            self.index = socket.if_nametoindex("eth0")
        self.asker.settimeout(LONG_S)
        self.relay.settimeout(LONG_S)

    def multicast(self, data) -> None:
        self.asker.sendto(data, ("ff02::1:2", 547, 0, self.index))
        self.turn()

    def turn(self) -> None:
        readers = self.reactor.getReaders()
        readable, _, _ = select.select(readers, [], [], LONG_S)
        assert readable
        for reader in readable:
            reader.doRead()

    def heard(self, by=None):
        return wire.decode((by or self.asker).recv(4096))

    def silent(self) -> bool:
        return not select.select([self.asker, self.relay], [], [], 0)[0]

    def kinds(self):
        return [type(event) for event in self.events]

    def close(self) -> None:
        self.service.stopService()
        self.asker.close()
        self.relay.close()


@pytest.fixture(scope="module")
def cabled():
    server, client = Namespace(), Namespace()
    for one in (server, client):
        quick = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"
        subprocess.run(one.command("sh", "-c", quick), check=True)
    cable(server, "eth0", client, "eth0")
    server.run("address", "add", f"{OURS}/64", "dev", "eth0", "nodad")
    client.run("address", "add", f"{RELAY}/64", "dev", "eth0", "nodad")
    yield server, client
    server.remove()
    client.remove()


@pytest.fixture
def link(cabled):
    made = Wire(*cabled, registry())
    yield made
    made.close()


def test_a_solicit_is_answered_at_once(link):
    link.multicast(wire.encode(request(M.SOLICIT, more=PXE)))
    reply = link.heard()
    assert reply.type == M.ADVERTISE
    assert reply.option(Option.BOOT_FILE_URL).startswith(b"tftp://[2001:db8:1::1]/")
    assert link.kinds() == [LeaseOffered, Offered]


def test_a_lease_waits_for_the_disk(link):
    link.multicast(wire.encode(request(M.REQUEST, FIRST)))
    assert link.silent()
    assert link.events == []
    link.disk.arrive()
    [one] = link.heard().associations
    assert one.addresses == (FIRST,)
    assert link.kinds() == [Leased]


def test_what_cannot_be_written_is_not_promised(link):
    link.multicast(wire.encode(request(M.REQUEST, FIRST)))
    link.disk.arrive(saved=False)
    assert link.silent()
    assert link.events == []


def test_a_relay_is_answered(link):
    inner = wire.encode(request(M.SOLICIT))
    link_address, peer = IPv6Address(RELAY).packed, IPv6Address("fe80::5054:ff:fe12:3456").packed
    name = b"\0\x12\0\2p1"
    data = (
        b"\x0c\0" + link_address + peer + name + b"\0\x09" + len(inner).to_bytes(2, "big") + inner
    )
    link.relay.sendto(data, (OURS, 547))
    link.turn()
    answer = link.relay.recv(4096)
    assert answer[:34] == b"\x0d\0" + link_address + peer
    assert name in answer
    assert FIRST.packed in answer


@pytest.mark.parametrize(
    "data", [b"", b"\1", b"\x0c" + bytes(33), b"\x0c" * 40, b"\1" + b"\xff" * 900, bytes(4)]
)
def test_hostile_bytes_hurt_nobody(link, data):
    link.multicast(data)
    assert link.kinds() in ([Dropped], [Passed])
    link.multicast(wire.encode(request(M.SOLICIT)))
    assert link.heard().type == M.ADVERTISE


def test_strangers_are_turned_away_when_their_share_is_used_up_and_heard_again(link):
    [listener] = link.service._served.values()
    listener.gate.for_stranger(b"others", 0.0).spend(100.0)
    link.multicast(wire.encode(request(M.SOLICIT)))
    assert link.silent()
    assert link.service.shed == 1
    assert link.kinds() == [Flooded]
    link.multicast(wire.encode(request(M.SOLICIT)))
    assert link.heard().type == M.ADVERTISE


def test_what_is_longer_than_a_frame_is_not_read_in_a_flood(link):
    [listener] = link.service._served.values()
    long = wire.encode(request(M.SOLICIT, more=((250, bytes(2000)),)))
    link.multicast(long)
    assert link.heard().type == M.ADVERTISE
    listener.gate.for_broken(0.0).spend(100.0)
    link.multicast(long)
    assert link.silent()
    link.multicast(wire.encode(request(M.SOLICIT)))
    assert link.heard().type == M.ADVERTISE


def test_an_empty_pool_is_told_once_a_minute(cabled):
    link = Wire(*cabled, registry(subnet(addressing={"pools": ()})))
    for _ in range(2):
        link.multicast(wire.encode(request(M.SOLICIT)))
    assert link.kinds() == [NoAddress, NoAddress]
    assert [event.again for event in link.events] == [False, True]
    link.close()


def test_a_port_that_is_taken_is_named(cabled, link):
    other = Dhcp6Service(
        link.reactor, LiveRegistry(registry()), Stream(print), link.disk, lambda: OUR_DUID
    )
    with cabled[0].entered():
        [(interface, problem)] = other.serve(link.interfaces)
    assert isinstance(problem, PortError)
    assert (interface.name, problem.port) == ("eth0", 547)


def test_an_interface_that_stays_keeps_its_socket(cabled, link):
    before = link.reactor.getReaders()
    with cabled[0].entered():
        link.service.serve(link.interfaces)
    assert link.reactor.getReaders() == before
    link.service.serve([])
    assert link.reactor.getReaders() == []


# -- our identifier ----------------------------------------------------------------------------


def test_our_identifier_is_kept(tmp_path):
    file = tmp_path / "state" / identifier.NAME
    duid = identifier.read_or_make(file)
    assert (len(duid), duid[:2]) == (18, b"\0\4")
    assert identifier.read_or_make(file) == duid


@pytest.mark.parametrize("text", ["", "0004", "no hexadecimal"])
def test_a_broken_file_is_not_made_anew(tmp_path, text):
    file = tmp_path / identifier.NAME
    file.write_text(text)
    with pytest.raises(OSError, match="does not hold"):
        identifier.read_or_make(file)
