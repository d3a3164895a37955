"""
The service in one namespace, clients in another: what only real sockets can show.

A booting client has no address, so its packets are made and read as Ethernet frames; scapy is the
other side's stack here.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from netbootd.dhcp import wire

from . import captures
from .namespaces import USABLE, Namespace, cable

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not USABLE, reason="needs root and the command ip (iproute2)"),
]

ROOT = Path(__file__).parents[2]
FIRST, SECOND = "192.0.2.1", "192.0.2.2"
OTHER = "198.51.100.1"
CLIENT = "192.0.2.50"
PATIENCE_S = 5.0
_SO_RCVBUFFORCE = 33


class Server:
    """DhcpService in a namespace of its own, ``eth0`` and ``eth1`` towards the clients."""

    def __init__(self, home: Namespace) -> None:
        python = home.command(sys.executable, "-m", "tests.dhcp.lone_service")
        interfaces = [f"eth0={FIRST}/24,{SECOND}/24", f"eth1={OTHER}/24"]
        self.process = subprocess.Popen(
            [*python, *interfaces], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        assert self.process.stdout.readline() == "ready\n"
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)

    def saw(self, text: str) -> bool:
        """Whether an event with *text* was printed, now or soon."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if any(text in line for line in list(self.lines)):
                return True
            time.sleep(0.01)
        return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def clients():
    """The clients' namespace: ``eth0`` and ``eth1`` without addresses, no route anywhere."""
    home, away = Namespace(), Namespace()
    try:
        cable(home, "eth0", away, "eth0")
        cable(home, "eth1", away, "eth1")
        home.add("eth0", f"{FIRST}/24", f"{SECOND}/24")
        home.add("eth1", f"{OTHER}/24")
        away.server = Server(home)
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


class Firmware:
    """A client without an IP stack, on one interface; each frame comes from *mac*."""

    def __init__(self, space: Namespace, interface: str) -> None:
        with space.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
        self.socket.bind((interface, 0x0800))

    def __enter__(self) -> Firmware:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def broadcast(self, payload: bytes) -> None:
        self.socket.send(frame(payload))

    def replies(self, seconds: float):
        """Every frame with a reply to port 68, until none came for *seconds*."""
        while select.select([self.socket], [], [], seconds)[0]:
            packet = Ether(self.socket.recv(2048))
            if UDP in packet and packet[UDP].dport == 68:
                yield packet

    def reply(self) -> Ether:
        return next(self.replies(PATIENCE_S))


def frame(payload: bytes) -> bytes:
    ethernet = Ether(src=payload[28:34], dst="ff:ff:ff:ff:ff:ff")
    ip = IP(src="0.0.0.0", dst="255.255.255.255")
    return bytes(ethernet / ip / UDP(sport=68, dport=67, chksum=0) / payload)


def payload(name="qemu-ovmf-x64-pxe-discover", *, xid=0x11111111, ciaddr=None, giaddr=None):
    packet = bytearray(captures.capture(name).payload)
    packet[4:8] = xid.to_bytes(4, "big")
    if ciaddr:
        packet[12:16] = socket.inet_aton(ciaddr)
    if giaddr:
        packet[24:28] = socket.inet_aton(giaddr)
    return bytes(packet)


def udp(space: Namespace, address: str, port: int) -> socket.socket:
    with space.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(PATIENCE_S)
    made.bind((address, port))
    return made


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


def test_a_burst_of_2000_discovers_loses_none(clients):
    """A rack that is powered on: firmware asks again only after four seconds."""
    requests = [frame(payload(xid=number)) for number in range(2000)]
    with Firmware(clients, "eth0") as rack:
        for request in requests:
            rack.socket.send(request)
        offered = {packet[BOOTP].xid for packet in rack.replies(1.0)}
    assert offered == set(range(2000))


def test_garbage_does_not_stop_it(clients):
    with Firmware(clients, "eth0") as client:
        for length in range(0, 300, 5):
            client.broadcast(payload()[:length])
        client.broadcast(payload(xid=0x22222222))
        assert 0x22222222 in {packet[BOOTP].xid for packet in client.replies(0.5)}
