"""
What only real sockets can show; the same whether port 67 is a socket of ours or snooped on.
"""

from __future__ import annotations

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP

from netbootd.dhcp import wire

from .namespaces import USABLE, Namespace, cable
from .wires import CLIENT, FIRST, OTHER, PATIENCE_S, SECOND, Firmware, Server, frame, payload, udp

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not USABLE, reason="needs root and the command ip (iproute2)"),
]

NEARER = "198.51.100.9"  # the clients' namespace on our second network


@pytest.fixture(scope="module", params=["socket", "snoop"])
def clients(request):
    """The clients' namespace: ``eth0`` and ``eth1`` without addresses, no route anywhere."""
    home, away = Namespace(), Namespace()
    try:
        cable(home, "eth0", away, "eth0")
        cable(home, "eth1", away, "eth1")
        home.add("eth0", f"{FIRST}/24", f"{SECOND}/24")
        home.add("eth1", f"{OTHER}/24")
        away.home = home
        away.server = Server(home, f"mode={request.param}")
        yield away
        away.server.stop()
    finally:
        home.remove()
        away.remove()


@pytest.fixture
def addressed(clients):
    """The clients' namespace, where ``eth0`` has an address by now."""
    clients.add("eth0", f"{CLIENT}/24")
    yield clients
    clients.run("address", "flush", "dev", "eth0")


@pytest.mark.parametrize(("interface", "ours"), [("eth0", FIRST), ("eth1", OTHER)])
def test_a_client_without_address_is_offered_by_broadcast_on_its_own_interface(
    clients, interface, ours
):
    """The server has no default route; each interface advertises its own address."""
    other = "eth1" if interface == "eth0" else "eth0"
    with Firmware(clients, interface) as client, Firmware(clients, other) as bystander:
        client.broadcast(payload())
        packet = client.reply()
        assert list(bystander.replies(0.2)) == []
    assert packet.dst == "ff:ff:ff:ff:ff:ff"
    assert (packet[IP].src, packet[IP].dst) == (ours, "255.255.255.255")
    assert (packet[UDP].sport, packet[UDP].dport) == (67, 68)
    assert (packet[IP].ttl, "DF" in packet[IP].flags) == (64, False)
    reply = wire.decode(bytes(packet[BOOTP]))
    assert reply.file == b"52:54:00:aa:00:02/snponly.efi"
    assert str(reply.siaddr) == str(reply.server_id) == ours
    assert clients.server.saw(f"UEFI x64 offered snponly.efi from {ours} on {interface}")


@pytest.mark.parametrize("server", [FIRST, SECOND])
@pytest.mark.parametrize(
    ("name", "port"),
    [("qemu-ovmf-x64-4011-binl-request", 4011), ("qemu-ipxe-bios-4011-request", 68)],
)
def test_a_boot_server_answers_from_4011_and_the_address_asked(addressed, server, name, port):
    with udp(addressed, CLIENT, port) as client:
        client.sendto(payload(name, ciaddr=CLIENT), (server, 4011))
        datagram, source = client.recvfrom(2048)
    assert source == (server, 4011)
    reply = wire.decode(datagram)
    assert reply.message_name == "ACK"
    assert str(reply.siaddr) == str(reply.server_id) == server


def test_a_relay_gets_the_offer_on_port_67(addressed):
    with udp(addressed, CLIENT, 67) as relay:
        relay.sendto(payload(giaddr=CLIENT), (SECOND, 67))
        datagram, source = relay.recvfrom(2048)
    assert source == (SECOND, 67)
    reply = wire.decode(datagram)
    assert str(reply.giaddr) == CLIENT
    assert str(reply.siaddr) == SECOND


def test_a_relay_may_reach_our_address_of_another_network_by_this_cable(addressed):
    addressed.run("route", "add", f"{OTHER}/32", "via", FIRST)
    with udp(addressed, CLIENT, 67) as relay:
        relay.sendto(payload(giaddr=CLIENT), (OTHER, 67))
        datagram, source = relay.recvfrom(2048)
    assert source == (OTHER, 67)
    assert str(wire.decode(datagram).siaddr) == OTHER


@pytest.fixture
def routed(clients):
    """The clients' namespace as a relay's: on both networks, its nodes on a third behind it."""
    clients.add("eth0", f"{CLIENT}/24")
    clients.add("eth1", f"{NEARER}/24")
    clients.add("lo", "203.0.113.1/24")
    clients.home.run("route", "add", "203.0.113.0/24", "via", NEARER)
    yield clients
    clients.home.run("route", "del", "203.0.113.0/24")
    for interface in ("eth0", "eth1"):
        clients.run("address", "flush", "dev", interface)
    clients.run("address", "del", "203.0.113.1/24", "dev", "lo")


@pytest.mark.parametrize("giaddr", ["198.51.100.9", "203.0.113.1"])
def test_a_relay_is_answered_by_the_way_to_it_not_by_that_of_its_request(routed, giaddr):
    """Its address is that of the clients' side, which may be nearer to us by another card."""
    with udp(routed, CLIENT, 67) as asking, udp(routed, giaddr, 67) as relay:
        asking.sendto(payload(giaddr=giaddr), (SECOND, 67))
        datagram, source = relay.recvfrom(2048)
    assert source == (SECOND, 67)
    reply = wire.decode(datagram)
    assert str(reply.siaddr) == str(reply.server_id) == SECOND
    assert (reply.hops, str(reply.giaddr)) == (0, giaddr)


def test_a_client_behind_a_router_is_answered_on_4011_by_the_way_to_it(routed):
    with udp(routed, "203.0.113.1", 4011) as client:
        client.sendto(payload("qemu-ovmf-x64-4011-binl-request"), (SECOND, 4011))
        assert client.recvfrom(2048)[1] == (SECOND, 4011)


def test_a_burst_of_2000_discovers_loses_none(clients):
    """A rack that is powered on: firmware asks again only after four seconds."""
    requests = [frame(payload(xid=number)) for number in range(2000)]
    with Firmware(clients, "eth0") as rack:
        for request in requests:
            rack.socket.send(request)
        offered = set()
        for packet in rack.replies(PATIENCE_S):
            offered.add(packet[BOOTP].xid)
            if len(offered) == len(requests):
                break
    assert offered == set(range(2000))


def test_garbage_does_not_stop_it(clients):
    with Firmware(clients, "eth0") as client:
        for length in range(0, 300, 5):
            client.broadcast(payload()[:length])
        client.broadcast(payload(xid=0x22222222))
        assert any(packet[BOOTP].xid == 0x22222222 for packet in client.replies(PATIENCE_S))
