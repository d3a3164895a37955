"""The edge without a network: what comes in is answered or dropped, and never more than that."""

import errno
import socket
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import formatEvent, globalLogPublisher

from netbootd.dhcp import service, wire
from netbootd.dhcp.destination import Port
from netbootd.events.event import Dropped, Offered, Passed, Unserved
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.registry.live import LiveRegistry

from . import captures
from .registries import TITLE, registry

FIRST, SECOND = "192.168.77.2/24", "198.51.100.2/24"
BROADCAST = ("255.255.255.255", 68)
NOBODY = ("0.0.0.0", 68)


def interface(name="eth1", index=7, addresses=(FIRST, SECOND)) -> Interface:
    return Interface(name, index, 1500, up=True, addresses=tuple(map(IPv4Interface, addresses)))


def pktinfo(ours: str, written: str) -> bytes:
    return struct.pack("=I4s4s", 7, IPv4Address(ours).packed, IPv4Address(written).packed)


def to(written: str) -> bytes:
    return pktinfo(written, written)


TO_ALL = pktinfo("192.168.77.2", "255.255.255.255")


@dataclass
class SilentPeer:
    """A socket that delivers what it is given and remembers what is sent."""

    waiting: list = field(default_factory=list)
    sent: list = field(default_factory=list)
    problem: OSError | None = None
    open: bool = True

    def recvmsg(self, size, space):
        if not self.waiting:
            raise BlockingIOError
        datagram, info, source = self.waiting.pop(0)
        ancillary = [(socket.IPPROTO_IP, 8, info)] if info else []
        return datagram[:size], ancillary, 0, source

    def sendmsg(self, buffers, ancillary, flags, address):
        if self.problem:
            raise self.problem
        _, ours, _ = struct.unpack("=I4s4s", ancillary[0][2])
        self.sent.append((b"".join(buffers), str(IPv4Address(ours)), address))

    def fileno(self):
        return 5 if self.open else -1

    def close(self):
        self.open = False


class Edge:
    """One listener, a registry and the events it published."""

    def __init__(self, known=None, port=Port.DHCP, where=None):
        self.events = []
        self.live = LiveRegistry(known or registry(default=True))
        stream = Stream(pytest.fail)
        stream.subscribe(self.events.append)
        self.peer = SilentPeer()
        edge = service._Edge(self.live, stream)
        self.listener = service._Listener(self.peer, port, where or interface(), edge)

    def receive(self, *datagrams):
        self.peer.waiting.extend(datagrams)
        self.listener.doRead()
        return self


def discover(name="qemu-ovmf-x64-pxe-discover", info=TO_ALL, source=NOBODY):
    return captures.capture(name).payload, info, source


@pytest.fixture
def faults():
    """What is logged as a fault of ours."""
    seen = []

    def observe(event):
        if "log_failure" in event:
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


# -- an answer ---------------------------------------------------------------------------------


def test_an_offer_is_broadcast_and_told():
    edge = Edge().receive(discover())
    [(datagram, ours, address)] = edge.peer.sent
    assert (ours, address) == ("192.168.77.2", BROADCAST)
    assert wire.decode(datagram).file == b"52:54:00:aa:00:02/snponly.efi"
    [event] = edge.events
    assert isinstance(event, Offered)
    assert str(event) == (
        f"52:54:00:aa:00:02 ({TITLE}) UEFI x64 offered snponly.efi from 192.168.77.2 on eth1"
    )
    assert event.because.endswith("snponly.efi is the first loader found for UEFI x64")


def test_a_boot_server_answers_from_the_address_it_was_asked_at():
    name, client = "qemu-ovmf-x64-4011-binl-request", ("192.168.77.50", 4011)
    edge = Edge(port=Port.BOOT_SERVER)
    edge.receive(discover(name, to("198.51.100.2"), client))
    [(datagram, ours, address)] = edge.peer.sent
    assert (ours, address) == ("198.51.100.2", client)
    assert str(wire.decode(datagram).siaddr) == "198.51.100.2"
    assert "acknowledged snponly.efi from 198.51.100.2" in str(edge.events[0])


def test_a_broadcast_is_answered_from_the_network_of_its_source():
    edge = Edge().receive(discover(source=("198.51.100.50", 68)))
    assert edge.peer.sent[0][1] == "198.51.100.2"


def test_an_address_that_was_added_counts_from_the_next_packet():
    edge = Edge(where=interface(addresses=()))
    edge.receive(discover())
    assert edge.peer.sent == []
    assert "eth1 has no IPv4 address" in str(edge.events[0])
    edge.listener.interface = interface()
    assert len(edge.receive(discover()).peer.sent) == 1


def test_a_new_registry_counts_from_the_next_packet():
    edge = Edge().receive(discover())
    edge.live.swap(registry())
    edge.receive(discover())
    assert len(edge.peer.sent) == 1
    assert isinstance(edge.events[1], Unserved)


@pytest.mark.parametrize(
    ("name", "known", "kind"),
    [
        ("qemu-debian-installer-discover", registry(default=True), Passed),
        ("qemu-ovmf-x64-pxe-request", registry(default=True), Passed),
        ("qemu-ovmf-x64-pxe-discover", registry(), Unserved),
    ],
)
def test_silence_is_debug_except_for_netboot_clients(name, known, kind):
    edge = Edge(known).receive(discover(name))
    assert edge.peer.sent == []
    assert [type(event) for event in edge.events] == [kind]


def test_a_refused_machine_is_named_with_its_target():
    edge = Edge(registry("52:54:00:aa:00:02", loaders=())).receive(discover())
    assert str(edge.events[0]).startswith(f"52:54:00:aa:00:02 ({TITLE}) DHCP request not answered")


# -- trouble -----------------------------------------------------------------------------------


@pytest.mark.parametrize("datagram", [b"", b"\1", b"\0" * 600, b"\xff" * 2048])
def test_nonsense_is_dropped_and_the_next_packet_answered(datagram):
    edge = Edge().receive((datagram, TO_ALL, ("192.0.2.66", 9)), discover())
    assert [type(event) for event in edge.events] == [Dropped, Offered]
    assert edge.events[0].peer == "192.0.2.66"


@pytest.mark.parametrize(
    "problem",
    [
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        PermissionError(errno.EPERM, "Operation not permitted"),
    ],
)
def test_a_reply_that_cannot_be_sent_is_dropped(problem, faults):
    edge = Edge()
    edge.peer.problem = problem
    edge.receive(discover())
    [event] = edge.events
    assert isinstance(event, Dropped)
    assert problem.strerror in event.reason
    assert faults == []


def test_a_fault_of_ours_is_logged_with_its_traceback_and_costs_one_packet(faults, monkeypatch):
    edge = Edge()
    with monkeypatch.context() as broken:
        broken.setattr(service.proxy, "answer", lambda *_: 1 / 0)
        edge.receive(discover())
    edge.receive(discover())
    assert [type(event) for event in edge.events] == [Dropped, Offered]
    assert [event["log_failure"].type for event in faults] == [ZeroDivisionError]


@pytest.mark.parametrize("info", [b"", b"\0" * 3])
def test_without_packet_information_the_interface_has_its_own_address(info):
    assert Edge().receive(discover(info=info)).peer.sent[0][1] == "192.168.77.2"


@pytest.mark.parametrize("port", Port)
def test_a_capture_cut_or_changed_anywhere_is_no_fault_of_ours(port, faults):
    edge = Edge(port=port)
    for capture in captures.everything():
        for at in range(len(capture.payload)):
            changed = bytearray(capture.payload)
            changed[at] ^= 0xFF
            edge.receive((capture.payload[:at], TO_ALL, capture.source))
            edge.receive((bytes(changed), TO_ALL, capture.source))
    assert faults == []


@given(
    st.sampled_from(captures.ours()),
    st.binary(max_size=300),
    st.sampled_from(Port),
    st.ip_addresses(v=4),
)
def test_a_capture_with_anything_behind_it_is_no_fault_of_ours(capture, tail, port, giaddr):
    changed = bytearray(capture.payload)
    changed[24:28] = giaddr.packed
    end = changed.rindex(b"\xff")
    edge = Edge(port=port)
    edge.receive((bytes(changed[:end]) + tail, TO_ALL, capture.source))
    assert len(edge.events) == 1
    assert "fault of ours" not in str(edge.events[0])


def test_a_flood_leaves_the_reactor_its_turn():
    edge = Edge().receive(*[discover()] * 1000)
    assert 0 < len(edge.peer.sent) < 1000


# -- which sockets -----------------------------------------------------------------------------


class Reactor:
    """Remembers its readers."""

    def __init__(self):
        self.readers = []

    def addReader(self, reader):
        self.readers.append(reader)

    def removeReader(self, reader):
        self.readers.remove(reader)


@dataclass
class Network:
    """Opens sockets that are none; *taken* are the ports that somebody else has."""

    reactor: Reactor = field(default_factory=Reactor)
    taken: set = field(default_factory=set)
    opened: list = field(default_factory=list)

    def open_socket(self, name, port):
        if (name, port) in self.taken:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.opened.append((name, port, SilentPeer()))
        return self.opened[-1][2]

    def service(self):
        live, stream = LiveRegistry(registry(default=True)), Stream(pytest.fail)
        return service.DhcpService(self.reactor, live, stream)

    @property
    def open(self):
        return {(name, port) for name, port, peer in self.opened if peer.open}


@pytest.fixture
def network(monkeypatch):
    made = Network()
    monkeypatch.setattr(service, "open_socket", made.open_socket)
    return made


def both(*names):
    return {(name, port) for name in names for port in (67, 4011)}


def test_both_ports_of_each_interface_are_served(network):
    dhcp = network.service()
    assert dhcp.serve([interface("eth0"), interface("eth1")]) == []
    assert network.open == both("eth0", "eth1")
    assert len(network.reactor.readers) == 4
    assert [each.name for each in dhcp.interfaces] == ["eth0", "eth1"]


def test_what_stays_is_not_opened_again(network):
    dhcp = network.service()
    dhcp.serve([interface("eth0"), interface("eth1")])
    dhcp.serve([interface("eth1"), interface("eth2")])
    assert network.open == both("eth1", "eth2")
    assert len(network.opened) == 6
    assert len(network.reactor.readers) == 4


def test_new_addresses_reach_the_listeners_without_new_sockets(network):
    dhcp = network.service()
    dhcp.serve([interface()])
    moved = interface(addresses=("203.0.113.1/24",))
    dhcp.serve([moved])
    assert len(network.opened) == 2
    assert {listener.interface for listener in network.reactor.readers} == {moved}
    assert dhcp.interfaces == (moved,)


def test_a_device_that_was_made_anew_gets_new_sockets(network):
    """A socket stays bound to the device that is gone."""
    dhcp = network.service()
    dhcp.serve([interface(index=7)])
    dhcp.serve([interface(index=8)])
    assert len(network.opened) == 4
    assert len(network.reactor.readers) == 2


def test_a_taken_port_is_named_and_tried_again(network):
    network.taken = {("eth0", 4011)}
    dhcp = network.service()
    [(failed, problem)] = dhcp.serve([interface("eth0"), interface("eth1")])
    assert failed.name == "eth0"
    assert (problem.errno, problem.port) == (errno.EADDRINUSE, 4011)
    assert "UDP 4011 on eth0: Address already in use" in str(problem)
    assert network.open == both("eth1"), "one port alone would only confuse the clients"
    network.taken = set()
    assert dhcp.serve([interface("eth0"), interface("eth1")]) == []
    assert network.open == both("eth0", "eth1")


def test_a_listener_the_reactor_gave_up_is_opened_again(network):
    dhcp = network.service()
    dhcp.serve([interface()])
    network.opened[0][2].close()
    dhcp.serve([interface()])
    assert network.open == both("eth1")


def test_stopping_closes_everything(network):
    dhcp = network.service()
    dhcp.startService()
    dhcp.serve([interface()])
    dhcp.stopService()
    assert network.open == set()
    assert network.reactor.readers == []
    assert dhcp.interfaces == ()


# -- the receive buffer ------------------------------------------------------------------------


class Unprivileged:
    """A socket that may not exceed net.core.rmem_max, *most* bytes."""

    def __init__(self, most):
        self.most = most
        self.size = 0

    def setsockopt(self, level, option, size):
        if option == service._SO_RCVBUFFORCE:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.size = min(size, self.most)

    def getsockopt(self, level, option):
        return 2 * self.size  # as Linux does, socket(7)


@pytest.mark.parametrize(("most", "warned"), [(212_992, True), (16 << 20, False)])
def test_a_receive_buffer_that_is_too_small_is_told(most, warned):
    seen = []
    globalLogPublisher.addObserver(seen.append)
    try:
        service._enlarge_buffer(Unprivileged(most), "eth1", 67)
    finally:
        globalLogPublisher.removeObserver(seen.append)
    told = [formatEvent(event) for event in seen]
    assert any("UDP 67 on eth1: receive buffer of 212992 bytes" in text for text in told) == warned
