"""
Networks that we serve through a relay: ISC's agent between their clients and us.

::

      boot 192.0.2.10 ------ lan ------ 192.0.2.30 relay 198.51.100.1 ------ far
                                                         203.0.113.1  ------ farther
"""

from __future__ import annotations

import pytest

from tests.end_to_end import dhcp_sites, neighbours
from tests.end_to_end.conftest import Site
from tests.end_to_end.dhcp_clients import DHCLIENT, SYSTEMD, UDHCPC, Cable, Host
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.packets import Dhcp
from tests.end_to_end.process import Process
from tests.end_to_end.test_dhcp_boots import run
from tests.end_to_end.test_dhcp_clients import bound, long, mac, types, until
from tests.end_to_end.test_firmware import NODE, UEFI_S, assert_linux_by_http

pytestmark = pytest.mark.wire

NEAR_RELAY = "192.0.2.30"
#: The interface of the relay: network, address of the relay there.
NETWORKS = {"far": ("eth1", "198.51.100."), "farther": ("eth2", "203.0.113.")}
RELAY_INFORMATION = 82


def behind_a_relay(site: Site, *, up: tuple[str, ...] = ("-iu", "eth0"), **keys: object) -> Process:
    """Two networks of clients and their router, which relays by *up*; netbootd serves."""
    lab = site.lab
    lab.plug("relay", NEAR_RELAY)
    lab.run("relay", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    ports = []
    for segment, (card, prefix) in NETWORKS.items():
        lab.segment(segment)
        lab.cable("relay", card, f"{prefix}1", segment)
        lab.ip("boot", f"route add {prefix}0/24 via {NEAR_RELAY}")
        pool = f"{prefix}50-{prefix}59"
        dhcp_sites.subnet(site, f"{prefix}0/24", pools=[pool], router=f"{prefix}1", **keys)
        ports += ["-id", card]
    dhcp_sites.serve(site)
    agent = lab.spawn(
        *("relay", str(neighbours.file("sbin/dhcrelay")), "-4", "-d", "--no-pid"),
        *("-a", "-m", "append", *ports, *up, BOOT_SERVER),
    )
    agent.wait_for("Sending on   Socket", 10)
    return agent


def host(site: Site, number: int, segment: str) -> Host:
    return Host(site.lab, f"client{number}", mac(number), segment=segment)


def test_clients_of_two_relayed_networks_get_addresses_of_their_own_pools(site: Site) -> None:
    behind_a_relay(site)
    far, farther, near = host(site, 1, "far"), host(site, 2, "farther"), host(site, 3, "lan")
    cable = far.capture()
    running = {UDHCPC: far, DHCLIENT: farther, SYSTEMD: near}
    told = {client: bound(client, client.start(one)) for client, one in running.items()}

    assert told[UDHCPC].startswith("198.51.100.5")
    assert told[DHCLIENT].startswith("203.0.113.5")
    assert told[SYSTEMD].startswith("192.0.2.1")
    until(lambda: far.routes() == {"default": "198.51.100.1"}, "the router of its own network")
    # The agent takes its option out again (RFC 3046, section 2.1): it was there, as it was sent.
    assert not [one for one in cable.packets().dhcp if RELAY_INFORMATION in one.options]


def test_the_relay_gets_its_option_back_as_it_was(site: Site) -> None:
    behind_a_relay(site)
    between = Cable(site.lab, "eth0-relay")
    bound(UDHCPC, UDHCPC.start(host(site, 1, "far")))

    said = {packet.type: packet.options[RELAY_INFORMATION] for packet in between.packets().dhcp}
    assert set(said) == {"discover", "offer", "request", "ack"}
    assert len(set(said.values())) == 1
    assert b"eth1" in said["ack"]


@long
def test_the_subnet_is_the_one_that_the_relay_selects(site: Site) -> None:
    """Link selection (RFC 3527): the relay is to be answered at its address of another network."""
    behind_a_relay(site, up=("-U", "eth0"))
    between = Cable(site.lab, "eth0-relay")
    told = [
        bound(client, client.start(host(site, number, segment)))
        for number, (client, segment) in enumerate(
            ((UDHCPC, "far"), (DHCLIENT, "farther")), start=1
        )
    ]

    assert [address.rpartition(".")[0] for address in told] == ["198.51.100", "203.0.113"]
    offers = [packet for packet in between.packets().dhcp if packet.type == "offer"]
    assert {packet.dst for packet in offers} == {NEAR_RELAY}


def test_a_machine_is_known_by_the_port_that_the_relay_names(site: Site) -> None:
    site.config["machines"]["port7"] = {
        **{"type": "linux", "name": "one", "circuit_id": "eth1"},
        **{"ip": "198.51.100.77", "hostname": "port7"},
    }
    behind_a_relay(site)

    assert bound(UDHCPC, UDHCPC.start(host(site, 1, "far"))) == "198.51.100.77"
    assert bound(UDHCPC, UDHCPC.start(host(site, 2, "farther"))).startswith("203.0.113.5")


@long
def test_a_client_renews_with_us_past_the_relay(site: Site) -> None:
    behind_a_relay(site, lease_time=20, min_lease_time=20, max_lease_time=20)
    client = host(site, 1, "far")
    cable = client.capture()
    address = bound(DHCLIENT, DHCLIENT.start(client))

    def acks() -> list[Dhcp]:
        return [one for one in cable.packets().dhcp if (one.type, one.dst) == ("ack", address)]

    until(lambda: BOOT_SERVER in {one.src for one in acks()}, "an answer to a renewal", 60)
    assert types(cable.packets().dhcp).count("discover") == 1


@long
@pytest.mark.slow
def test_uefi_machine_behind_a_relay_boots_linux_with_one_address(site: Site) -> None:
    site.machine(NODE, "linux", "one", ip="203.0.113.77")
    behind_a_relay(site)

    with site.lab.uefi(NODE, segment="farther") as node:
        address, packets = run(node, UEFI_S)

    assert address == "203.0.113.77"
    given = [packet for packet in packets.dhcp if packet.type in ("offer", "ack")]
    assert {(packet.src, packet.yiaddr) for packet in given} == {("203.0.113.1", address)}
    assert {request.src for request in packets.http} == {address}
    assert packets.loaded("snponly.efi")
    assert_linux_by_http(packets)
