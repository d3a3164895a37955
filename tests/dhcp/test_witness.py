"""
Real DHCP servers beside us, and what is overheard of them: dnsmasq as the site's server and as
another proxy, on a host of its own and on ours.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from netbootd.dhcp import wire
from netbootd.dhcp.message import Message, Option
from netbootd.dhcp.witness import open_witness

from . import captures
from .namespaces import USABLE, Namespace, cable
from .wires import FIRST, Firmware, Server, frame, payload

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(
        not USABLE or shutil.which("dnsmasq") is None, reason="needs root, iproute2 and dnsmasq"
    ),
]

FOREIGN = "192.0.2.3"
RANGE = "192.0.2.100,192.0.2.199,1h"
DISCOVER, REQUEST = "qemu-ovmf-x64-pxe-discover", "qemu-ovmf-x64-pxe-request"
CARD = "52:54:00:aa:00:02"


class Place:
    """A switch with three hosts: ours, another server's, and a client without an address."""

    def __init__(self) -> None:
        self.switch, self.home, self.foreign, self.away = (Namespace() for _ in range(4))
        self.switch.run("link", "add", "br0", "type", "bridge", "forward_delay", "0")
        self.switch.run("link", "set", "br0", "up")
        for number, space in enumerate((self.home, self.foreign, self.away)):
            cable(space, "eth0", self.switch, f"p{number}")
            self.switch.run("link", "set", f"p{number}", "master", "br0")
        self.home.add("eth0", f"{FIRST}/24")
        self.foreign.add("eth0", f"{FOREIGN}/24")

    def remove(self) -> None:
        for space in (self.switch, self.home, self.foreign, self.away):
            space.remove()


@pytest.fixture
def place():
    made = Place()
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def dnsmasq(space: Namespace, tmp_path, *options: str):
    """The site's server, once it listens."""
    command = space.command(
        *("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--log-dhcp", "--interface=eth0", "--bind-interfaces", "--no-ping"),
        *("--dhcp-authoritative", f"--dhcp-leasefile={tmp_path}/leases", *options),
    )
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "DHCP" in line:
                break
        else:
            pytest.fail("dnsmasq ended")
        yield
    finally:
        process.terminate()
        process.wait(10)
        process.stderr.close()


@contextmanager
def ours(space: Namespace, *settings: str):
    server = Server(space, *settings, interfaces=(f"eth0={FIRST}/24",))
    try:
        yield server
    finally:
        server.stop()


def offer(place, name=DISCOVER, server=FOREIGN) -> Message:
    """The DISCOVER *name* is sent; what *server* offers."""
    with Firmware(place.away, "eth0") as client:
        client.broadcast(payload(name))
        for packet in client.replies(5):
            reply = wire.decode(bytes(packet["BOOTP"]))
            if str(reply.server_id) == server:
                return reply
    raise AssertionError(f"{server} has not answered")


def take(place, offered: Message, name=REQUEST) -> None:
    """Take the address that was *offered*, as firmware does."""
    request = wire.decode(captures.capture(name).payload)
    options = {
        **request.options,
        Option.SERVER_ID: offered.server_id.packed,
        Option.REQUESTED_ADDRESS: offered.yiaddr.packed,
    }
    request = request._replace(xid=offered.xid, chaddr=offered.chaddr, options=options)
    with Firmware(place.away, "eth0") as client:
        client.socket.send(frame(wire.encode(request)))
        client.reply()


def test_a_server_that_gives_addresses_alone_is_overheard_from_offer_to_ack(place, tmp_path):
    with dnsmasq(place.foreign, tmp_path, f"--dhcp-range={RANGE}"), ours(place.home) as server:
        offered = offer(place)
        take(place, offered)
        address = offered.yiaddr
        assert server.saw(
            f"{CARD} got offer from the DHCP server {FOREIGN} with address {address}\n"
        )
        assert server.saw(f"{CARD} takes {address} from the DHCP server {FOREIGN}")
        assert server.saw(f"{CARD} got ack from the DHCP server {FOREIGN} with address {address}\n")


@pytest.mark.parametrize("overload", [False, True], ids=["header", "option"])
def test_a_boot_file_of_another_server_is_overheard(place, tmp_path, overload):
    file = "grub/" + "x" * 130 + ".efi" if overload else "foreign.efi"
    options = f"--dhcp-range={RANGE}", f"--dhcp-boot={file},,{FOREIGN}"
    with dnsmasq(place.foreign, tmp_path, *options), ours(place.home) as server:
        offered = offer(place)
        assert server.saw(
            f"from the DHCP server {FOREIGN} with address {offered.yiaddr}, file {file}"
        )


def test_a_server_that_refuses_an_address_is_overheard(place, tmp_path):
    with dnsmasq(place.foreign, tmp_path, f"--dhcp-range={RANGE}"), ours(place.home) as server:
        offered = offer(place)
        take(place, offered._replace(yiaddr=offered.yiaddr + 5000))
        assert server.saw(f"{CARD} got nak from the DHCP server {FOREIGN}\n")


def test_another_proxy_is_told_from_a_server(place, tmp_path):
    proxy = "--dhcp-range=192.0.2.0,proxy", "--pxe-service=BC_EFI,Boot,foreign.efi"
    with dnsmasq(place.foreign, tmp_path, *proxy), ours(place.home) as server:
        offered = offer(place)
        assert int(offered.yiaddr) == 0
        assert server.saw(f"{CARD} got offer from another proxyDHCP server {FOREIGN}")
        assert not any(FIRST in line and "got" in line for line in server.lines), "ours are no news"


def test_a_running_system_beside_us_is_told_as_such(place, tmp_path):
    with dnsmasq(place.foreign, tmp_path, f"--dhcp-range={RANGE}"), ours(place.home) as server:
        offer(place, "qemu-debian-installer-discover")
        assert server.saw("not a netboot client")


def test_a_server_on_this_host_is_overheard_where_we_share_its_port(place, tmp_path):
    options = f"--dhcp-range={RANGE}", f"--dhcp-boot=foreign.efi,,{FIRST}"
    with dnsmasq(place.home, tmp_path, *options), ours(place.home) as server:
        with Firmware(place.away, "eth0") as client:
            client.broadcast(payload())
            replies = [wire.decode(bytes(packet["BOOTP"])) for packet in client.replies(1)]
        assert len(replies) == 2, "dnsmasq's and ours"
        assert server.saw(f"{CARD} got offer from the DHCP server {FIRST} with address")
        assert server.saw("file foreign.efi")
        assert not any("another proxyDHCP server" in line for line in server.lines)


def test_only_replies_leave_the_kernel(place):
    """What is no reply to a client costs us nothing: it never gets here."""
    with place.home.entered():
        heard = open_witness("eth0", own_host=True)
    try:
        whole = payload()
        reply = bytes((2,)) + whole[1:]
        no_cookie = reply[:236] + b"\0\0\0\0" + reply[240:]
        with Firmware(place.away, "eth0") as client:
            for sent in (whole, no_cookie, reply[:200]):
                client.socket.send(_to_client(sent))
            client.socket.send(frame(reply))  # to port 67
            client.socket.send(_to_client(reply))
        heard.setblocking(True)
        heard.settimeout(5)
        assert heard.recv(2048).endswith(reply)
        heard.setblocking(False)
        with pytest.raises(BlockingIOError):
            heard.recv(2048)
    finally:
        heard.close()


def _to_client(sent: bytes) -> bytes:
    ethernet = Ether(src="02:00:00:00:00:03", dst="ff:ff:ff:ff:ff:ff")
    ip = IP(src=FOREIGN, dst="255.255.255.255")
    return bytes(ethernet / ip / UDP(sport=67, dport=68) / sent)
