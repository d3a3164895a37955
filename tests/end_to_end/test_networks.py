"""
Networks as sites have them: a DHCP server on netbootd's own host, a relay between it and the nodes.
"""

from __future__ import annotations

import signal
from ipaddress import IPv4Address

import pytest

from tests.end_to_end import guest, neighbours
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER
from tests.end_to_end.node import Node
from tests.end_to_end.packets import Packets, _frames
from tests.end_to_end.process import Process
from tests.end_to_end.test_firmware import (
    IPXE_ROM_S,
    LINUX_S,
    NODE,
    SCRIPT,
    UEFI_S,
    arguments,
    assert_linux_by_http,
    finish,
    first_discover,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FAR_RELAY, NEAR_RELAY = "198.51.100.1", "192.0.2.30"
FAR = "198.51.100."


# --- a DHCP server on the same host --------------------------------------------------------------


def dnsmasq(site: Site) -> Process:
    """With a wildcard socket on UDP 67."""
    return site.lab.dhcp(place="boot")


def kea(site: Site) -> Process:
    """With packet sockets, and UDP 67 of its address."""
    return neighbours.kea(site.lab, "boot")


def ours(packets: Packets) -> list[str]:
    """The boot files of the offers without an address: Kea and dnsmasq here give one."""
    return [offer.boot_file for offer in packets.offers(BOOT_SERVER) if offer.yiaddr == "0.0.0.0"]


def assert_shared(site: Site, packets: Packets, owner: str) -> None:
    """Both answered from one address, each its own half."""
    assert site.daemon is not None
    assert "TROUBLE" not in site.daemon.text
    assert f"snooping UDP 67 on eth0, {owner} (pid" in site.daemon.text
    assert ours(packets)
    theirs = [offer for offer in packets.offers(BOOT_SERVER) if offer.yiaddr != "0.0.0.0"]
    assert theirs
    assert not [offer.boot_file for offer in theirs if offer.boot_file]


def assert_plain_client_leased(node: Node) -> None:
    """udhcpc in the guest is no netboot client: its address is the DHCP server's affair alone."""
    assert node.wait_for(rf"{guest.ADDRESS} (\S+)\s", LINUX_S)[1].startswith("192.0.2.")


@pytest.mark.ci
def test_bios_machine_boots_linux_beside_kea_on_the_same_host(site: Site) -> None:
    kea(site)
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, IPXE_ROM_S)
        assert_plain_client_leased(node)
        packets = finish(node)

    assert_shared(site, packets, "kea-dhcp4")
    assert_linux_by_http(packets)


@pytest.mark.parametrize(("server", "owner"), [(kea, "kea-dhcp4"), (dnsmasq, "dnsmasq")])
def test_uefi_machine_boots_linux_beside_a_dhcp_server_on_the_same_host(
    site: Site, server, owner
) -> None:
    server(site)
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.uefi(NODE) as node:
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        assert_plain_client_leased(node)
        packets = finish(node)

    assert first_discover(packets).arch == 7
    assert_shared(site, packets, owner)
    assert packets.loaded("snponly.efi")
    assert_linux_by_http(packets)


def renewed_by_unicast(client: Process) -> bool:
    """Renew the lease of udhcpc; whether it did not have to broadcast for that."""
    position = len(client.text)
    client.send(signal.SIGUSR1)
    client.wait_for(f"lease of 192.0.2.1.. obtained from {BOOT_SERVER}", 20, after=position)
    return "broadcasting" not in client.text[position:]


@pytest.mark.parametrize("server", [kea, dnsmasq])
def test_a_dhcp_server_on_the_same_host_keeps_its_clients(site: Site, server) -> None:
    """A lease by broadcast, and its renewal by unicast to the address that we share."""
    owner = server(site)
    daemon = site.serve()
    site.lab.plug("client", "192.0.2.200")
    site.lab.ip("client", "addr flush dev eth0")
    script = site.lab.folder / "lease"
    script.write_text('#!/bin/sh\n[ "$1" = deconfig ] || ip addr replace "$ip/24" dev eth0\n')
    script.chmod(0o755)

    udhcpc = ("busybox", "udhcpc", "-f", "-i", "eth0", "-s", str(script))
    client = site.lab.spawn("client", *udhcpc)
    client.wait_for(f"lease of 192.0.2.1.. obtained from {BOOT_SERVER}", 20)
    # udhcpc misses an answer that comes before it listens, and broadcasts three seconds later.
    assert any(renewed_by_unicast(client) for _ in range(5))

    assert owner.returncode is None
    assert "offered" not in daemon.text


def test_ipxe_takes_an_offer_to_its_own_card(site: Site) -> None:
    """For networks that hold broadcasts back; iPXE does not ask for them."""
    site.lab.dhcp()
    site.config["netbootd"]["proxydhcp"] = {"unicast": True}
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, IPXE_ROM_S)
        packets = finish(node)
        cards = {frame[:6].hex(":") for frame in frames(node) if comes_from(frame, BOOT_SERVER)}

    assert cards == {NODE}
    assert packets.offers(BOOT_SERVER)
    assert_linux_by_http(packets)


def frames(node: Node) -> list[bytes]:
    """Every frame on its cable, as it was."""
    return [frame for _, frame in _frames((node.lab.folder / f"{node.tap}.pcap").read_bytes())]


def comes_from(frame: bytes, server: str) -> bool:
    """Whether it is a DHCP server's packet to a client, by UDP from port 67."""
    return frame[23] == 17 and frame[26:30] == IPv4Address(server).packed and frame[34:36] == b"\0C"


# --- a relay -------------------------------------------------------------------------------------


def behind_a_relay(site: Site) -> None:
    """
    A network of nodes, 198.51.100.0/24, whose router relays to the DHCP server and to netbootd.
    """
    lab = site.lab
    lab.dhcp(
        "--dhcp-range=set:far,198.51.100.100,198.51.100.199,255.255.255.0,1h",
        f"--dhcp-option=tag:far,option:router,{FAR_RELAY}",
    )
    lab.plug("relay", NEAR_RELAY)
    lab.segment("far")
    lab.cable("relay", "eth1", FAR_RELAY, "far")
    lab.run("relay", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    for place in ("lan", "boot"):
        lab.ip(place, f"route add 198.51.100.0/24 via {NEAR_RELAY}")
    # An IPv6 router, as in Lab.dhcp, or iPXE waits for one.
    lab.ip("relay", "addr add fd00:2:3::1/64 dev eth1 nodad")
    lab.spawn(
        *("relay", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--interface=eth1", "--bind-interfaces", "--enable-ra"),
        *("--dhcp-range=fd00:2:3::,ra-only", "--ra-param=eth1,4"),
    )
    neighbours.relay(lab, "relay", "eth1", "eth0", LAN_SERVER, BOOT_SERVER)
    site.machine(NODE, "linux", "one")
    site.serve()


def assert_relayed(packets: Packets) -> None:
    """What the node saw came from the relay, and nothing was given by us but a boot file."""
    offers = [packet for packet in packets.dhcp if packet.type == "offer"]
    assert {offer.src for offer in offers} == {FAR_RELAY}
    assert {offer.yiaddr.rpartition(".")[0] for offer in offers} == {"0.0.0", FAR[:-1]}
    assert [offer.boot_file for offer in offers if offer.yiaddr == "0.0.0.0"]


@pytest.mark.ci
def test_bios_machine_behind_a_relay_boots_linux(site: Site) -> None:
    behind_a_relay(site)

    with site.lab.bios(NODE, segment="far") as node:
        assert "netbootd.word=one" in arguments(node, IPXE_ROM_S)
        packets = finish(node)

    assert_relayed(packets)
    assert_linux_by_http(packets)


def test_uefi_machine_behind_a_relay_boots_linux(site: Site) -> None:
    behind_a_relay(site)

    with site.lab.uefi(NODE, segment="far") as node:
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        packets = finish(node)

    assert_relayed(packets)
    assert {asked.dst for asked in packets.asked_4011() if asked.type == "request"} == {BOOT_SERVER}
    assert packets.loaded("snponly.efi")
    assert SCRIPT in packets.paths()
    assert_linux_by_http(packets)
