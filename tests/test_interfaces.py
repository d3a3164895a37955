"""Which interfaces are served, as a table; reading and watching them in a network namespace."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import queue
import signal
import socket
import subprocess
import threading
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

import pytest

from netbootd import interfaces as module
from netbootd.interfaces import (
    Interface,
    Monitor,
    default_route_interface,
    read_interfaces,
    read_network,
    served,
)

WAIT_S = 10  # at most; what is waited for takes about a quarter of a second


# --- which of them to serve ----------------------------------------------------------------------


def an_interface(name, *addresses, up=True):
    texts = tuple(IPv4Interface(address) for address in addresses)
    return Interface(name, hash(name), 1500, up, texts, loopback=name == "lo")


LO = an_interface("lo", "127.0.0.1/8")
ADMIN = an_interface("eth0", "192.0.2.1/24", "192.0.2.2/24")
STORAGE = an_interface("eth1", "198.51.100.1/24")
BARE = an_interface("eth2")
DOWN = an_interface("eth3", "203.0.113.1/24", up=False)
ALL = (LO, ADMIN, STORAGE, BARE, DOWN)


@pytest.mark.parametrize(
    ("names", "boot_servers", "default", "expected", "unserved"),
    [
        # the setting has the last word, in its order
        (["eth1"], ["192.0.2.1"], "eth0", ["eth1"], []),
        (["eth1", "eth0", "eth1"], [], None, ["eth1", "eth0"], []),
        (["lo"], [], None, ["lo"], []),
        (
            ["eth7"],
            ["192.0.2.1"],
            "eth0",
            [],
            [("eth7", "no such interface; there are: eth0, eth1, eth3")],
        ),
        (["eth2", "eth0"], [], None, ["eth0"], [("eth2", "has no IPv4 address yet")]),
        (["eth3"], [], None, [], [("eth3", "is down")]),
        # else the address of a boot server, any of the interface's
        ([], ["192.0.2.2"], "eth1", ["eth0"], []),
        ([], ["198.51.100.1", "192.0.2.1"], None, ["eth0", "eth1"], []),
        ([], ["203.0.113.1"], "eth0", [], [("eth3", "is down")]),
        # a boot server of ours that is another host says nothing about this one
        ([], ["192.0.2.200"], "eth1", ["eth1"], []),
        # else the default route
        ([], [], "eth0", ["eth0"], []),
        ([], [], "eth2", [], [("eth2", "has no IPv4 address yet")]),
        # never loopback on its own account
        ([], ["127.0.0.1"], "eth0", ["eth0"], []),
    ],
)
def test_default_policy(names, boot_servers, default, expected, unserved):
    addresses = {IPv4Address(text) for text in boot_servers}
    answer = served(ALL, names, addresses, default)
    assert [interface.name for interface in answer.interfaces] == expected
    assert list(answer.unserved) == unserved


@pytest.mark.parametrize("default", [None, "gone", "lo"])
def test_nothing_to_serve_has_a_reason(default):
    answer = served(ALL, [], {IPv4Address("127.0.0.1")}, default)
    assert not answer.interfaces
    assert answer.unserved == (
        ("default route", "there is none, and no interface has a boot server's address"),
    )


def test_the_only_interface_with_an_address_is_served_where_nothing_leads_out():
    assert served((LO, ADMIN, BARE), [], set(), None).interfaces == (ADMIN,)


def test_a_network_of_ipv6_alone_is_served():
    def eth0(address):
        return replace(an_interface("eth0"), addresses6=(IPv6Interface(address),))

    wide, near = eth0("2001:db8::1/64"), eth0("fe80::1/64")
    assert served([wide], ["eth0"], set(), None).interfaces == (wide,)
    assert served([near], ["eth0"], set(), None).interfaces == ()


# --- reading them --------------------------------------------------------------------------------


@pytest.fixture
def namespace():
    """A network namespace of our own for this thread and for what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(0x40000000):  # CLONE_NEWNET
        os.close(home)
        pytest.skip(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}")
    try:
        ip("link set lo up")
        yield
    finally:
        assert libc.setns(home, 0) == 0, "this thread is lost in the namespace of a test"
        os.close(home)


def ip(*commands):
    """Run each command by iproute2, all in one process."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


def named(name):
    return next(one for one in read_interfaces() if one.name == name)


VETH = "link add eth7 type veth peer name peer7"
in_namespace = [pytest.mark.wire, pytest.mark.usefixtures("namespace")]


class TestReading:
    pytestmark = in_namespace

    def test_loopback_is_known_as_such(self):
        (loopback,) = read_interfaces()
        assert loopback == Interface(
            "lo", 1, 65536, True, (IPv4Interface("127.0.0.1/8"),), None, loopback=True
        )

    def test_an_interface_has_all_its_facts(self):
        ip(VETH, "link set eth7 address 02:00:5E:10:00:0A mtu 9000", "link set eth7 up")
        ip("addr add 192.0.2.1/24 dev eth7", "addr add 192.0.2.9/24 dev eth7")
        expected = (IPv4Interface("192.0.2.1/24"), IPv4Interface("192.0.2.9/24"))
        index = socket.if_nametoindex("eth7")
        assert named("eth7") == Interface("eth7", index, 9000, True, expected, "02:00:5e:10:00:0a")

    def test_an_interface_is_down_until_it_is_set_up(self):
        ip(VETH)
        assert not named("eth7").up
        ip("link set eth7 up")
        assert named("eth7").up

    def test_an_ipv6_address_is_none_of_ours(self):
        ip(VETH, "link set eth7 up", "addr add 2001:db8::1/64 dev eth7")
        assert named("eth7").addresses == ()

    def test_addresses_of_ipv6_are_told_apart(self):
        ip(VETH, "link set eth7 up", "addr add 2001:db8::1/64 dev eth7 nodad")
        assert named("eth7").addresses6 == (IPv6Interface("2001:db8::1/64"),)
        assert named("eth7").reaches6

    def test_one_that_was_written_here_comes_first(self):
        learned = "addr add 2001:db8::2/64 dev eth7 nodad valid_lft 100 preferred_lft 100"
        ip(VETH, "link set eth7 up", learned, "addr add 2001:db8::1/64 dev eth7 nodad")
        texts = [str(one) for one in named("eth7").addresses6]
        assert texts == ["2001:db8::1/64", "2001:db8::2/64"]

    def test_one_that_is_not_ours_yet_is_left_out(self):
        ip(VETH, "link set eth7 up", "addr add 2001:db8::1/64 dev eth7")  # no peer: for ever
        assert named("eth7").addresses6 == ()

    def test_on_a_point_to_point_link_the_near_end_is_ours(self):
        ip(VETH, "addr add 192.0.2.1 peer 192.0.2.2/32 dev eth7")
        assert named("eth7").addresses == (IPv4Interface("192.0.2.1/32"),)

    def test_a_sandbox_without_traffic_control_is_not_worth_a_warning(self):
        logger = logging.getLogger("pyroute2.netlink.rtnl.tcmsg.common")
        assert not logger.isEnabledFor(logging.WARNING)

    def test_no_default_route(self):
        assert default_route_interface() is None

    def test_the_default_route_of_the_lowest_metric_counts(self):
        ip(*two_interfaces())
        ip("route add default via 192.0.2.254 metric 100")
        assert default_route_interface() == "eth7"
        ip("route add default via 198.51.100.254 metric 50")
        assert default_route_interface() == "eth8"
        ip("route add default via 192.0.2.254")
        assert default_route_interface() == "eth7"

    def test_routes_that_lead_nowhere_or_stand_elsewhere_do_not_count(self):
        ip(*two_interfaces())
        ip("route add unreachable default metric 1")
        ip("route add default via 192.0.2.254 table 7")
        ip("route add 0.0.0.0/1 via 192.0.2.254")
        assert default_route_interface() is None

    def test_of_a_route_over_several_the_first_counts(self):
        ip(*two_interfaces())
        ip("route add default nexthop via 198.51.100.254 dev eth8 nexthop via 192.0.2.254 dev eth7")
        assert default_route_interface() == "eth8"

    def test_reading_leaves_no_descriptor_and_no_signal_behind(self):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        read_network()
        before = len(os.listdir("/proc/self/fd"))
        signal.set_wakeup_fd(ours.fileno())
        try:
            for _ in range(5):
                read_network()
        finally:
            assert signal.set_wakeup_fd(-1) == ours.fileno()
        assert len(os.listdir("/proc/self/fd")) == before
        ours.close()
        theirs.close()


def two_interfaces():
    yield "link add eth7 type veth peer name eth8"
    for name, address in (("eth7", "192.0.2.1/24"), ("eth8", "198.51.100.1/24")):
        yield f"link set {name} up"
        yield f"addr add {address} dev {name}"


# --- word of their changes -----------------------------------------------------------------------


class Told:
    """Remembers the network as it was at each call, and lets a test wait for a call."""

    def __init__(self):
        self.calls = queue.Queue()
        self.monitor = Monitor(lambda: self.calls.put(self.monitor.network))

    def until(self, wanted):
        """The first network told of that is as wanted."""
        while True:
            network = self.calls.get(timeout=WAIT_S)
            if wanted({interface.name: interface for interface in network.interfaces}):
                return network

    def nothing_more(self):
        """After what is on its way has come, provoke a call; it must be the only one."""
        ip("link set lo mtu 4242")
        network = self.calls.get(timeout=WAIT_S)
        return network.interfaces[0].mtu == 4242


@pytest.fixture
def told(namespace):
    told = Told()
    yield told
    told.monitor.close()


class TestMonitor:
    pytestmark = [pytest.mark.wire]

    def test_an_interface_that_was_missing_appears(self, told):
        ip(VETH)
        told.until(lambda by_name: "eth7" in by_name)

    def test_addresses_come_and_go(self, told):
        ip(VETH, "addr add 192.0.2.1/24 dev eth7")
        told.until(lambda by_name: "eth7" in by_name and by_name["eth7"].addresses)
        ip("addr del 192.0.2.1/24 dev eth7")
        told.until(lambda by_name: not by_name["eth7"].addresses)

    def test_an_interface_comes_up(self, told):
        ip(VETH)
        told.until(lambda by_name: "eth7" in by_name)
        ip("link set eth7 up")
        told.until(lambda by_name: by_name["eth7"].up)

    def test_an_interface_vanishes_and_returns_as_another(self, told):
        ip(VETH, "addr add 192.0.2.1/24 dev eth7")
        told.until(lambda by_name: "eth7" in by_name and by_name["eth7"].addresses)
        before = named("eth7")
        ip("link del eth7", VETH, "addr add 192.0.2.1/24 dev eth7")
        told.until(lambda by_name: "eth7" in by_name and by_name["eth7"].addresses)
        after = named("eth7")
        assert (before.name, before.addresses) == (after.name, after.addresses)
        assert before.index != after.index

    def test_the_default_route_appears(self, told):
        ip(*two_interfaces())
        told.until(lambda by_name: "eth8" in by_name and by_name["eth8"].addresses)
        ip("route add default via 192.0.2.254")
        assert told.calls.get(timeout=WAIT_S).default_route == "eth7"

    def test_a_flock_of_changes_is_told_few_times(self, told):
        ip(VETH, *(f"addr add 10.0.{number}.1/24 dev eth7" for number in range(100)))
        told.until(lambda by_name: len(by_name.get("eth7", BARE).addresses) == 100)
        assert told.calls.empty()

    def test_what_changes_nothing_is_not_told(self, told):
        ip("link set lo up", "route add 203.0.113.0/24 dev lo", "addr add 2001:db8::1 dev lo")
        assert told.nothing_more()

    def test_after_close_nothing_is_told(self, told):
        told.monitor.close()
        told.monitor.close()
        assert not any(thread.name == "interfaces" for thread in threading.enumerate())
        ip(VETH)
        assert told.calls.empty()

    def test_a_monitor_leaves_no_descriptor_behind(self, namespace):
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(3):
            Monitor(lambda: None).close()
        assert sorted(os.listdir("/proc/self/fd")) == before

    def test_it_may_be_closed_by_whom_it_calls(self, namespace):
        done = threading.Event()
        monitor = Monitor(lambda: (monitor.close(), done.set()))
        ip(VETH)
        assert done.wait(WAIT_S)
        monitor._thread.join(WAIT_S)
        assert not monitor._thread.is_alive()

    def test_a_failing_listener_is_called_again(self, namespace):
        calls = queue.Queue()

        def fail():
            calls.put(None)
            raise RuntimeError("a bug of the caller")

        monitor = Monitor(fail)
        for command in (VETH, "link set eth7 up"):
            ip(command)
            calls.get(timeout=WAIT_S)
        monitor.close()


class LossySocket(socket.socket):
    """Loses every message, and says so as the kernel does."""

    def recv(self, *args):
        super().recv(*args)  # BlockingIOError when there was none
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


class TestTrouble:
    pytestmark = in_namespace

    def test_lost_messages_mean_read_again(self, monkeypatch):
        usual = module._listening_socket
        monkeypatch.setattr(
            module, "_listening_socket", lambda: LossySocket(fileno=usual().detach())
        )
        told = Told()
        ip(VETH)
        told.until(lambda by_name: "eth7" in by_name)
        told.monitor.close()

    def test_more_changes_than_the_kernel_keeps(self, monkeypatch):
        usual = module._listening_socket

        def with_little_room():
            small = usual()
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            return small

        monkeypatch.setattr(module, "_listening_socket", with_little_room)
        told = Told()
        ip(VETH, *(f"addr add 10.{n // 250}.{n % 250}.1/24 dev eth7" for n in range(1000)))
        told.until(lambda by_name: len(by_name.get("eth7", BARE).addresses) == 1000)
        told.monitor.close()

    def test_what_cannot_be_read_is_read_later(self, monkeypatch, caplog):
        monkeypatch.setattr(module, "_RETRY_S", 0.05)
        told = Told()
        usual, problems = module.read_network, [OSError("half gone"), KeyError("IFLA_IFNAME")]

        def sometimes():
            if problems:
                raise problems.pop()
            return usual()

        monkeypatch.setattr(module, "read_network", sometimes)
        ip(VETH)
        told.until(lambda by_name: "eth7" in by_name)
        told.monitor.close()
        assert caplog.text.count("cannot read the interfaces") == 2
