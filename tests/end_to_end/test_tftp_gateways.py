"""
TFTP through routers that translate addresses, that are narrower than expected, or that bring
packets twice and in another order.

::

    server 192.0.2.1 ---- 192.0.2.254 router 198.51.100.254 ---- 198.51.100.2 client

What makes a transfer fail behind a translation is its second port: the router knows of a flow to
port 69 and of no other, so a reply from elsewhere is nobody's.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest

from tests.end_to_end.lab import BOOT_SERVER, Lab, write_config
from tests.end_to_end.tftp_network import (
    FAR,
    MISSING,
    NEAR,
    SERVER,
    Network,
    atftp,
    busybox,
    check,
    curl,
    fill,
    hpa,
    run,
    sha256,
)

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

#: A container whose port 69 is published: outside it is the router's, and nothing else leads in
#: or, of its own accord, out.
PUBLISHED = """
table ip gateway {
  chain arriving {
    type nat hook prerouting priority dstnat;
    iifname "far" udp dport 69 dnat to 192.0.2.1
  }
  chain passing {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct status dnat accept
  }
}
"""
#: Clients behind a router that gives them its own address.
HIDDEN = """
table ip gateway {
  chain leaving {
    type nat hook postrouting priority srcnat;
    oifname "near" masquerade
  }
}
"""
GATEWAYS = {"a published port": (PUBLISHED, FAR), "hidden clients": (HIDDEN, SERVER)}
CLIENTS = {
    "atftp": lambda path, into, server: atftp(path, into, server=server),
    "atftp, window 16": lambda path, into, server: atftp(
        path, into, "windowsize 16", "blksize 1428", server=server
    ),
    "tftp-hpa": hpa,
    "curl": lambda path, into, server: curl(path, into, server=server),
    "busybox": busybox,
}
LOSS = """
table ip loss {
  chain arriving {
    type filter hook input priority 0; policy accept;
    %s
  }
}
"""
FRAGMENTS = """
table ip count {
  counter fragments { }
  chain early {
    type filter hook prerouting priority -450; policy accept;
    ip frag-off & 0x3fff != 0 counter name fragments
  }
}
"""
#: A wire that brings every tenth datagram twice, and every tenth late: a TFTP relay of its own,
#: since a namespace's kernel may have no netem.  Requests and OACKs pass untouched: at a second
#: OACK curl goes back to block 0, and atftp and tftpy give up.  Arguments: server, seed, and how
#: long each datagram is on its way.
BAD_WIRE = """
import heapq, itertools, random, select, socket, sys, time

server, chance = sys.argv[1], random.Random(int(sys.argv[2]))
DISORDER, DOUBLING, LATE_S, WAY_S = 0.1, 0.1, 0.004, float(sys.argv[3])
waiting, order = [], itertools.count()

def bound():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", 0))
    return made

def carry(out, datagram, to):
    touched = datagram[1] not in (1, 6)
    for _ in range(2 if touched and chance.random() < DOUBLING else 1):
        late = LATE_S if touched and chance.random() < DISORDER else 0.0
        heapq.heappush(waiting, (time.monotonic() + late + WAY_S, next(order), out, datagram, to))

front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
front.bind(("127.0.0.1", 69))
print("ready", flush=True)
near, far, peers, servers, partner = {}, {}, {}, {}, {}
sockets = [front]
while True:
    while waiting and waiting[0][0] <= time.monotonic():
        _, _, out, datagram, to = heapq.heappop(waiting)
        out.sendto(datagram, to)
    left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
    for each in select.select(sockets, [], [], left)[0]:
        datagram, peer = each.recvfrom(65535)
        if each is front:
            if peer not in near:
                ours, theirs = bound(), bound()
                near[peer], partner[ours], partner[theirs] = theirs, theirs, ours
                peers[ours], servers[theirs] = peer, None
                sockets += [ours, theirs]
            carry(near[peer], datagram, (server, 69))
        elif each in servers:  # from the server, whose port is known by its first reply
            servers[each] = peer
            carry(partner[each], datagram, peers[partner[each]])
        elif servers[partner[each]]:
            carry(partner[each], datagram, servers[partner[each]])
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("files"), "loader", "two")


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


PORTS = [pytest.param(False, id="own port"), pytest.param(True, id="single port")]


@pytest.fixture(scope="module")
def log_of_module(tmp_path_factory):
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def routed_single(files, log_of_module):
    """Behind a router, everything from port 69."""
    log = log_of_module / "single"
    with Network.routed(files, log, 1500) as network, network.served(single_port=True):
        yield network


@pytest.fixture(scope="module")
def routed_own(files, log_of_module):
    """Behind a router, a port for each transfer."""
    log = log_of_module / "own"
    with Network.routed(files, log, 1500) as network, network.served():
        yield network


@pytest.fixture(scope="module", params=PORTS)
def plugged(request, files, log_of_module):
    """A cable, and either way of serving."""
    log = log_of_module / f"plugged {request.param}"
    with Network.plugged(files, log) as network, network.served(single_port=request.param):
        yield network


def translate(network, rules):
    """As *rules* say, and no others."""
    argv = ("ip", "netns", "exec", f"{network.server}r", "nft", "-f", "-")
    run(*argv, input=f"flush ruleset\n{rules}")


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_single_port_passes_a_translation(routed_single, tmp_path, gateway, client):
    rules, address = GATEWAYS[gateway]
    translate(routed_single, rules)
    into = tmp_path / "got"
    check(routed_single, lambda *what: CLIENTS[client](*what, address), "loader", into, 20)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_port_for_each_transfer_does_not(routed_own, files, tmp_path, gateway):
    """All clients at once, each for two seconds."""
    rules, address = GATEWAYS[gateway]
    translate(routed_own, rules)
    into = {tmp_path / client: fetch for client, fetch in CLIENTS.items()}
    within = ["ip", "netns", "exec", routed_own.client, "timeout", "-k", "1", "2"]
    begun = [
        subprocess.Popen([*within, *fetch("loader", got, address)], stderr=subprocess.DEVNULL)
        for got, fetch in into.items()
    ]
    ends = [each.wait(20) for each in begun]
    assert all(ends), "one of them came to a good end"
    assert all(not got.exists() or sha256(got) != sha256(files / "loader") for got in into)
    assert "Transferred" not in routed_own.log.read_text()


def test_refusals_pass_a_translation_as_well(routed_single, tmp_path):
    translate(routed_single, PUBLISHED)
    into = tmp_path / "got"
    began = time.monotonic()
    done = routed_single.fetch(curl("nothing", into, server=FAR), into, 20)
    assert done.returncode == 68  # CURLE_TFTP_NOTFOUND
    assert time.monotonic() - began < 2


#: Two clients that do as they are told, a line each, and say what they hear and from which port.
PUPPETS = """
import socket, sys
clients = {}
for line in sys.stdin:
    name, datagram = line.split()
    if name not in clients:
        clients[name] = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM), (sys.argv[1], 69)]
        clients[name][0].settimeout(5)
    udp, server = clients[name]
    sent = bytes.fromhex(datagram)
    udp.sendto(sent, server)
    wanted = sent[3] + 1 if sent[1] == 4 else 1
    heard = bytes(4)
    while heard[3] != wanted:  # what came before may have been sent again by the timer
        heard, clients[name][1] = udp.recvfrom(2000)
    print(clients[name][1][1], heard[:4].hex(), flush=True)
for udp, server in clients.values():  # or netbootd would give them ten seconds to end
    udp.sendto(b"\\0\\5\\0\\0\\0", server)
"""


def test_a_reload_changes_new_transfers_and_no_running_one(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "kernel").write_bytes(bytes(100_000))
    settings = {"files": str(tmp_path / "files"), "interfaces": ["eth0"], "proxydhcp": False}
    ask = (b"\0\1kernel\0octet\0").hex()
    with Lab(tmp_path) as lab:
        config = tmp_path / "netbootd.json"
        daemon = lab.netbootd({"netbootd": settings})
        argv = lab.inside("lan", sys.executable, "-u", "-c", PUPPETS, BOOT_SERVER)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(argv, **pipes) as puppets:

            def tell(name, datagram):
                puppets.stdin.write(f"{name} {datagram}\n")
                puppets.stdin.flush()
                port, heard = puppets.stdout.readline().split()
                return int(port), heard

            first, heard = tell("one", ask)
            assert (first != 69, heard) == (True, "00030001")
            assert tell("one", "00040001") == (first, "00030002")
            write_config(config, {"netbootd": {**settings, "tftp": {"single_port": True}}})
            daemon.reload(60)
            assert tell("one", "00040002") == (first, "00030003")
            assert tell("two", ask) == (69, "00030001")
            assert tell("two", "00040001") == (69, "00030002")
            write_config(config, {"netbootd": settings})
            daemon.reload(60)
            assert tell("two", "00040002") == (69, "00030003")
            assert tell("one", "00040003") == (first, "00030004")
            third, heard = tell("three", ask)
            assert (third != 69, heard) == (True, "00030001")
            puppets.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize("client", ["atftp, window 16", "curl"])
def test_a_single_port_stands_loss(files, log, tmp_path, client):
    with Network.plugged(files, log) as network, network.served(single_port=True):
        rules = "udp sport 69 udp dport > 1023 numgen random mod 100 < 3 drop"
        back = "udp dport 69 udp length < 13 numgen random mod 100 < 3 drop"  # not the request
        for namespace, rule in ((network.client, rules), (network.server, back)):
            run("ip", "netns", "exec", namespace, "ethtool", "-K", "lan", "tx", "off")
            off = ("-K", "lan", "tx-udp-segmentation", "off")
            run("ip", "netns", "exec", namespace, "ethtool", *off)
            run("ip", "netns", "exec", namespace, "nft", "-f", "-", input=LOSS % rule)
        into = tmp_path / "got"
        check(network, lambda *of: CLIENTS[client](*of, SERVER), "two", into, 60, tries=5)


def asked(network, options):
    """The OACK (or whatever comes first) to a request for the loader, as seen by the client."""
    script = (
        "import socket, sys\n"
        "udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "udp.settimeout(5)\n"
        "udp.sendto(bytes.fromhex(sys.argv[1]), (sys.argv[2], 69))\n"
        "print(udp.recv(2000).hex())\n"
    )
    request = (b"\0\1loader\0octet\0" + options).hex()
    within = ["ip", "netns", "exec", network.client, sys.executable, "-c", script]
    return bytes.fromhex(run(*within, request, SERVER).stdout)


def fragments(network):
    """How many fragments the client was sent."""
    listed = run("ip", "netns", "exec", network.client, "nft", "-j", "list", "counters").stdout
    [counter] = [each["counter"] for each in json.loads(listed)["nftables"] if "counter" in each]
    return counter["packets"]


@pytest.mark.parametrize("single_port", PORTS)
def test_blocks_fit_the_path_once_it_has_told_its_mtu(files, log, tmp_path, single_port):
    """
    The first transfer cannot know: what it sends again after the router's ICMP leaves in
    fragments, which this client puts together.  The next one is given blocks that fit.
    """
    options = ("blksize 1468", "windowsize 4")
    with Network.routed(files, log, 1280) as network, network.served(single_port=single_port):
        run("ip", "netns", "exec", network.client, "nft", "-f", "-", input=FRAGMENTS)
        assert asked(network, b"blksize\x001468\0") == b"\0\6blksize\x001468\0"
        argv = atftp("loader", tmp_path / "got", "blksize 1468")
        check(network, lambda *_: argv, "loader", tmp_path / "got", 20)
        before = fragments(network)
        assert before > 0
        assert asked(network, b"blksize\x001468\0") == b"\0\6blksize\x001248\0"
        argv = atftp("loader", tmp_path / "got", *options)
        check(network, lambda *_: argv, "loader", tmp_path / "got", 20)
        assert fragments(network) == before


def test_blocks_fit_a_route_that_says_its_mtu(files, log):
    with Network.routed(files, log, 1280) as network, network.served():
        run("ip", "-n", network.server, "route", "replace", "default", "via", NEAR, "mtu", "1300")
        assert asked(network, b"blksize\x001468\0") == b"\0\6blksize\x001268\0"


@contextlib.contextmanager
def bad_wire(network, seed, way_s=0.0):
    """A relay at 127.0.0.1 of the client's namespace."""
    argv = ["ip", "netns", "exec", network.client, sys.executable, "-c", BAD_WIRE]
    argv += [SERVER, str(seed), str(way_s)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as wire:
        try:
            assert wire.stdout.readline() == "ready\n"
            yield
        finally:
            wire.terminate()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "client",
    {
        "atftp": lambda path, into: atftp(path, into, server="127.0.0.1"),
        "atftp, window 16": lambda path, into: atftp(
            path, into, "windowsize 16", "blksize 1428", server="127.0.0.1"
        ),
        "tftp-hpa": lambda path, into: hpa(path, into, "127.0.0.1"),
        "curl": lambda path, into: curl(path, into, server="127.0.0.1"),
        "busybox": lambda path, into: busybox(path, into, "127.0.0.1"),
    }.items(),
    ids=lambda item: item[0],
)
def test_packets_that_come_twice_or_late_do_no_harm(plugged, tmp_path, seed, client):
    with bad_wire(plugged, seed):
        check(plugged, client[1], "loader", tmp_path / "got", 60, tries=5)


def test_a_client_far_away_gets_one_option_ack(plugged, tmp_path):
    """At a second one atftp gives up."""
    with bad_wire(plugged, seed=1, way_s=0.2):
        options = ("windowsize 64", "blksize 1428")
        check(
            plugged,
            lambda *what: atftp(*what, *options, server="127.0.0.1"),
            "loader",
            tmp_path / "got",
            60,
        )
