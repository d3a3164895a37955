"""Clients behind a relay: which subnet, whom we are taken for, and how many one port may be."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from netbootd.addressing import Match
from netbootd.dhcp.message import BROADCAST_FLAG

from .servers import CARD, OTHER, Server, address, machine, pool, registry, subnet, told

RELAY = IPv4Address("10.2.0.1")
FAR = subnet("10.2.0.0/24", [pool("10.2.0.100", "10.2.0.103")])
OVERRIDE = IPv4Address("10.2.0.1")


def agent(circuit: bytes = b"", remote: bytes = b"", *, link: str = "", server: str = "") -> dict:
    """Option 82."""
    said = {1: circuit, 2: remote}
    said[5] = IPv4Address(link).packed if link else b""
    said[11] = IPv4Address(server).packed if server else b""
    parts = (bytes((code, len(value))) + value for code, value in said.items() if value)
    return {82: b"".join(parts)}


def behind(
    mac: str = CARD, options=None, far=FAR, machines=(), server=None, giaddr=RELAY, **fields
):
    server = server or Server(registry(subnet(), far, machines=machines))
    return server.discover(mac, options or {}, giaddr=giaddr, hops=1, **fields)


def test_the_relay_says_the_subnet():
    got = behind()
    assert told(got) == "OFFER 10.2.0.100"
    assert got.reply.giaddr == RELAY
    assert got.events[0].relay == "10.2.0.1"
    assert told(behind(giaddr=IPv4Address("10.1.0.9"))) == "OFFER .100"


def test_a_relay_may_select_another_link():
    assert told(behind(options=agent(link="10.1.0.0"))) == "OFFER .100"
    assert told(behind(options={82: b"\5\3\1\2\3"})) == "OFFER 10.2.0.100"
    assert told(behind(options={82: b"\5\4\0\0\0\0"})) == "OFFER 10.2.0.100"


def test_option_82_without_a_relay_is_said_back_and_not_believed():
    server = Server(registry(subnet(), FAR))
    got = server.discover(options=agent(b"ge-1", link="10.2.0.0", server="10.2.0.1"))
    assert told(got) == "OFFER .100"
    assert str(got.reply.server_id) == "10.1.0.1"
    assert got.reply.options[82] == agent(b"ge-1", link="10.2.0.0", server="10.2.0.1")[82]
    assert got.lease.port == "eth1"


def test_a_relay_may_stand_for_us():
    server = Server(registry(subnet(), FAR))
    options = agent(server="10.2.0.1")
    got = behind(options=options, server=server)
    assert got.reply.server_id == OVERRIDE
    assert got.reply.siaddr == IPv4Address("10.1.0.1")
    for by in (OVERRIDE, IPv4Address("10.1.0.1")):
        got = server.select(at="10.2.0.100", by=by, options=options, giaddr=RELAY)
        assert told(got) == "ACK 10.2.0.100"
    assert (
        told(server.select(at="10.2.0.100", by=OVERRIDE, giaddr=RELAY)) == "nothing (not-netboot)"
    )


def test_nobody_can_be_asked_behind_a_relay():
    assert told(behind(far=subnet("10.2.0.0/24", FAR.addressing.pools, probe=True))) == (
        "OFFER 10.2.0.100"
    )


def test_cards_of_one_machine_behind_a_relay_have_an_address_each():
    node = machine(CARD, "10.2.0.50", OTHER)
    server = Server(registry(subnet(), FAR, machines=[node]))
    assert told(behind(CARD, server=server)) == "OFFER 10.2.0.50"
    server.select(CARD, "10.2.0.50", giaddr=RELAY)
    assert told(behind(OTHER, server=server)) == "OFFER 10.2.0.100"


def test_a_nak_goes_back_by_broadcast():
    server = Server(registry(subnet(), FAR))
    got = server.reboot(at="10.9.0.1", giaddr=RELAY)
    assert told(got) == "NAK"
    assert got.reply.flags & BROADCAST_FLAG
    assert got.reply.giaddr == RELAY


def test_of_a_network_that_we_know_nothing_of_nothing_is_said():
    server = Server(registry(subnet()))
    for got in (
        server.discover(giaddr=IPv4Address("10.9.0.1")),
        server.reboot(giaddr=IPv4Address("10.9.0.1")),
    ):
        assert told(got).startswith("nothing")


@pytest.mark.parametrize(
    ("match", "options", "expected"),
    [
        (Match(circuit_id="ge-*"), agent(b"ge-0/0/1"), "OFFER 10.2.0.100"),
        (Match(circuit_id="ge-*"), agent(b"xe-0/0/1"), "nothing (no-pool)"),
        (Match(circuit_id="ge-*"), {}, "nothing (no-pool)"),
        (Match(circuit_id="0x0004*"), agent(b"\0\4\0\1"), "OFFER 10.2.0.100"),
        (Match(remote_id="sw1"), agent(b"ge-1", b"sw1"), "OFFER 10.2.0.100"),
        (Match("ge-1", "sw1"), agent(b"ge-1", b"sw2"), "nothing (no-pool)"),
    ],
)
def test_a_pool_may_be_for_ports_of_switches(match, options, expected):
    far = subnet("10.2.0.0/24", [pool("10.2.0.100", "10.2.0.103", match)])
    assert told(behind(options=options, far=far)) == expected


def test_a_machine_is_known_by_its_port():
    node = replace(machine(CARD, "10.2.0.50"), macs=(), named="node1")
    known = registry(subnet(), FAR)
    known = replace(known, marked={"circuit_id": {"ge-1": node}}, reserved={node.address: node})
    server = Server(known)
    assert told(behind(OTHER, agent(b"ge-1"), server=server)) == "OFFER 10.2.0.50"
    assert told(behind("52:54:00:00:00:11", agent(b"ge-2"), server=server)) == "OFFER 10.2.0.100"


# -- how many ----------------------------------------------------------------------------------

LIMITED = subnet("10.2.0.0/24", [pool("10.2.0.100", "10.2.0.199")], port_limit=3)


def strangers(count: int):
    return [f"52:54:00:99:{n >> 8:02x}:{n & 255:02x}" for n in range(count)]


def test_strangers_behind_one_port_take_offers_from_each_other_alone():
    server = Server(registry(subnet(), LIMITED))
    victim = agent(b"ge-2")
    behind(CARD, victim, server=server)
    for mac in strangers(50):
        server.now += 0.01
        got = behind(mac, agent(b"ge-1"), server=server)
        assert told(got) in ("OFFER 10.2.0.101", "OFFER 10.2.0.102", "OFFER 10.2.0.103")
    assert server.leases.count("10.2.0.1 ge-1") == 3
    assert server.state("10.2.0.100")[0] == CARD


def test_a_port_that_has_what_it_may_have_gets_no_more():
    server = Server(registry(subnet(), LIMITED))
    for mac in strangers(3):
        got = behind(mac, agent(b"ge-1"), server=server)
        server.select(mac, str(got.reply.yiaddr), options=agent(b"ge-1"), giaddr=RELAY)
    got = behind("52:54:00:00:00:01", agent(b"ge-1"), server=server)
    assert told(got) == "nothing (port-limit)"
    assert got.event.subnet == "10.2.0.0/24"
    taking = server.select("52:54:00:00:00:01", "10.2.0.150", options=agent(b"ge-1"), giaddr=RELAY)
    assert told(taking) == "nothing (port-limit)"
    assert told(behind(strangers(1)[0], agent(b"ge-1"), server=server)) == "OFFER 10.2.0.100"
    assert told(behind("52:54:00:00:00:01", agent(b"ge-2"), server=server)).startswith("OFFER")


def test_machines_of_the_file_and_ports_that_no_relay_names_have_no_limit():
    macs = strangers(6)
    server = Server(registry(subnet(), LIMITED, machines=[machine(mac) for mac in macs]))
    got = {told(behind(mac, agent(b"ge-1"), server=server)) for mac in macs}
    assert len(got) == 6
    server = Server(registry(subnet(), LIMITED))
    assert len({told(behind(mac, server=server)) for mac in macs}) == 6
    assert address("10.2.0.100") in {one.address for one in server.leases}
