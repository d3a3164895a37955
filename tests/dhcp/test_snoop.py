"""Beside a server that has UDP 67: what is heard, what is let pass, and that the other hears it all."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from netbootd.dhcp import wire

from .namespaces import USABLE, Namespace, cable
from .wires import CLIENT, FIRST, OTHER, PATIENCE_S, Firmware, Server, payload, udp

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not USABLE, reason="needs root and the command ip (iproute2)"),
]

CARD = "52:54:00:aa:00:02"  # of the captured DISCOVER
EVERY_CARD = "ff:ff:ff:ff:ff:ff"
LAST = 0x1A57  # the transaction of a DISCOVER that comes behind all others


@pytest.fixture(scope="module")
def place():
    """
    The clients' namespace.  At the other end of ``eth0`` a server has UDP 67, and so we snoop; of
    ``eth1`` as well, which there is a port of the bridge ``br0``.
    """
    home, away = Namespace(), Namespace()
    with home.entered():
        away.taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        cable(home, "eth0", away, "eth0")
        cable(home, "eth1", away, "eth1")
        home.run("link", "add", "br0", "type", "bridge", "forward_delay", "0")
        home.run("link", "set", "eth1", "master", "br0")
        home.run("link", "set", "br0", "up")
        home.add("eth0", f"{FIRST}/24")
        home.add("br0", f"{OTHER}/24")
        away.taken.bind(("0.0.0.0", 67))
        away.taken.setblocking(False)
        away.home = home
        away.card = _card(home, "eth0")
        away.server = Server(home, interfaces=(f"eth0={FIRST}/24", f"br0={OTHER}/24"))
        yield away
        away.server.stop()
    finally:
        away.taken.close()
        home.remove()
        away.remove()


def _card(space: Namespace, interface: str) -> str:
    return space.run("-o", "link", "show", interface).partition("link/ether ")[2][:17]


@pytest.fixture(autouse=True)
def _nothing_left(place):
    """What earlier tests sent has been read by the server that has the port."""
    while _read(place.taken):
        pass


def _read(taken: socket.socket) -> bytes:
    try:
        return taken.recv(2048)
    except BlockingIOError:
        return b""


def packet(
    name="qemu-ovmf-x64-pxe-discover", *, dst=EVERY_CARD, to="255.255.255.255", tag=None, **more
):
    ethernet = Ether(src=CARD, dst=dst)
    if tag is not None:
        ethernet /= Dot1Q(vlan=tag)
    source = more.pop("source", "0.0.0.0")
    return ethernet / IP(src=source, dst=to) / UDP(sport=68, dport=67) / payload(name, **more)


def answers(place, *packets, interface="eth0") -> list[Ether]:
    """What comes back for *packets*, by the time that one more DISCOVER is answered."""
    with Firmware(place, interface) as client:
        for one in packets:
            client.socket.send(bytes(one))
        return until_the_last(client)


def until_the_last(client: Firmware) -> list[Ether]:
    """What came before the answer to a DISCOVER that is sent now."""
    client.socket.send(bytes(packet(xid=LAST)))
    came = []
    for reply in client.replies(PATIENCE_S):
        if reply[BOOTP].xid == LAST:
            return came
        came.append(reply)
    raise AssertionError("the last DISCOVER was not answered")


def test_both_hear_a_discover_and_only_we_answer(place):
    [offer] = answers(place, packet())
    assert (offer.src, offer.dst) == (place.card, EVERY_CARD)
    assert (offer[IP].src, offer[UDP].sport) == (FIRST, 67)
    assert wire.decode(bytes(offer[BOOTP])).file.endswith(b"snponly.efi")
    assert _read(place.taken) == payload()


@pytest.mark.parametrize("checksum", ["ip", "udp"])
def test_its_checksums_are_right(place, checksum):
    [offer] = answers(place, packet())
    layer = offer[IP] if checksum == "ip" else offer[UDP]
    written = layer.chksum
    assert written != 0
    del layer.chksum
    again = Ether(bytes(offer))
    assert (again[IP] if checksum == "ip" else again[UDP]).chksum == written


def test_a_bridge_is_heard_as_one_interface(place):
    [offer] = answers(place, packet(), interface="eth1")
    assert offer[IP].src == OTHER


def test_the_broadcast_address_of_our_network_is_heard(place):
    assert len(answers(place, packet(to="192.0.2.255"))) == 1


def test_a_priority_tag_is_no_vlan(place):
    """VLAN 0 of IEEE 802.1Q, as some cards send it while they boot."""
    assert len(answers(place, packet(tag=0))) == 1


@pytest.mark.parametrize(
    "passing",
    [
        packet(tag=7),
        packet(dst="02:00:00:00:00:77"),
        packet(dst="02:00:00:00:00:77", to=FIRST),
        packet(to="203.0.113.7"),
        packet("qemu-debian-installer-discover"),
        packet("qemu-ovmf-x64-pxe-request"),
    ],
    ids=[
        "vlan",
        "other card",
        "other card, our address",
        "other address",
        "no firmware",
        "request",
    ],
)
def test_what_is_not_for_us_is_let_pass(place, passing):
    assert answers(place, passing) == []


def test_a_packet_for_somebody_behind_us_is_let_pass(place):
    """A router sees its neighbours' renewals: to its card, but to another's address."""
    assert answers(place, packet(dst=place.card, to="203.0.113.7", ciaddr=CLIENT)) == []


def test_broken_packets_do_no_harm(place):
    whole = bytes(packet())
    damaged = [whole[:length] for length in range(14, 300, 7)]
    wrong_sum = bytearray(whole)
    wrong_sum[300] ^= 0xFF
    assert len(answers(place, *damaged, bytes(wrong_sum), whole)) == 1


def test_udp_that_is_no_request_of_dhcp_does_not_even_reach_us(place):
    """The kernel keeps it from us: whoever floods with it costs us nothing."""
    reply, bare = bytearray(payload()), bytearray(payload())
    reply[0], bare[236:240] = 2, bytes(4)
    made = Ether(src=CARD, dst=EVERY_CARD) / IP(src="0.0.0.0", dst="255.255.255.255")
    udp_ = made / UDP(sport=68, dport=67)
    before = len(place.server.lines)
    passing = [udp_ / bytes(one) for one in (reply, bare, bare[:200])]
    assert len(answers(place, *passing, packet())) == 1
    told = place.server.lines[before:]
    assert [line for line in told if "dropped" in line or "not answered" in line] == []


def test_a_checksum_left_to_the_card_is_no_error(place):
    """The client's kernel leaves it to the veth, which has none."""
    place.add("eth0", f"{CLIENT}/24")
    try:
        with udp(place, CLIENT, 67) as relay:
            relay.sendto(payload(giaddr=CLIENT), (FIRST, 67))
            assert wire.decode(relay.recv(2048)).message_name == "OFFER"
    finally:
        place.run("address", "flush", "dev", "eth0")


def test_a_reply_of_the_server_here_is_not_taken_for_a_request(place):
    """It relays, say, and sends to port 67 itself."""
    place.taken.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    place.taken.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
    with Firmware(place, "eth0") as client:
        place.taken.sendto(payload(), ("255.255.255.255", 67))
        assert until_the_last(client) == []
    place.taken.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"")


def test_a_cable_pulled_for_a_moment_is_no_matter(place):
    place.home.run("link", "set", "eth0", "down")
    place.home.run("link", "set", "eth0", "up")
    for end in (place.home, place):
        end.until_up("eth0")
    assert len(answers(place, packet())) == 1


def test_another_card_address_counts_at_once(place):
    place.home.run("link", "set", "eth0", "address", "02:00:00:00:00:99")
    [offer] = answers(place, packet())
    place.home.run("link", "set", "eth0", "address", place.card)
    assert offer.src == "02:00:00:00:00:99"


def test_an_interface_that_is_no_ethernet_is_refused():
    home = Namespace()
    try:
        home.run("tuntap", "add", "tun0", "mode", "tun")
        home.run("link", "set", "tun0", "up")
        code = "from netbootd.dhcp.snoop import open_snoop\nopen_snoop('tun0', 67)"
        tried = subprocess.run(
            home.command(sys.executable, "-c", code), capture_output=True, text=True
        )
        assert "is not Ethernet" in tried.stderr
    finally:
        home.remove()


def test_cap_net_raw_is_enough():
    home = Namespace()
    try:
        code = (
            "from netbootd.dhcp.snoop import open_snoop, Raw\n"
            "from netbootd.interfaces import Interface\n"
            "open_snoop('eth9', 67); Raw(Interface('eth9', 2, 1500, up=True)); print('both')"
        )
        home.run("link", "add", "eth9", "type", "veth")
        home.run("link", "set", "eth9", "up")
        for capability, told in (("+net_raw", "both"), ("-net_raw", "")):
            reduced = ("setpriv", f"--bounding-set=-all,{capability}", "--inh-caps=-all,+net_raw")
            tried = subprocess.run(
                home.command(*reduced, sys.executable, "-c", code), capture_output=True, text=True
            )
            assert tried.stdout.strip() == told
    finally:
        home.remove()


# -- to one card -------------------------------------------------------------------------------


@pytest.fixture(params=["socket", "snoop"])
def pair(request):
    """Two ends of a cable, and which mode to serve in at the far one."""
    home, away = Namespace(), Namespace()
    try:
        cable(home, "eth0", away, "eth0")
        home.add("eth0", f"{FIRST}/24")
        away.home, away.mode = home, f"mode={request.param}"
        yield away
    finally:
        home.remove()
        away.remove()


def offers(pair, flags: int, *settings: str) -> list[Ether]:
    server = Server(pair.home, pair.mode, *settings, interfaces=(f"eth0={FIRST}/24",))
    try:
        asked = bytearray(payload())
        asked[10:12] = flags.to_bytes(2, "big")
        made = Ether(src=CARD, dst=EVERY_CARD) / IP(src="0.0.0.0", dst="255.255.255.255")
        return answers(pair, made / UDP(sport=68, dport=67) / bytes(asked))
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("flags", "settings", "card", "to"),
    [
        (0, ("gives=192.0.2.77",), CARD, "192.0.2.77"),
        (0x8000, ("gives=192.0.2.77",), EVERY_CARD, "255.255.255.255"),
        (0, ("unicast",), CARD, "255.255.255.255"),
        (0x8000, ("unicast",), EVERY_CARD, "255.255.255.255"),
        (0, (), EVERY_CARD, "255.255.255.255"),
    ],
)
def test_a_client_without_address_is_reached_as_rfc_2131_has_it(pair, flags, settings, card, to):
    """Section 4.1.  Nobody asks by ARP who has an address that nobody has yet."""
    [offer] = offers(pair, flags, *settings)
    assert (offer.dst, offer[IP].dst) == (card, to)
    assert (offer[IP].src, offer[UDP].sport, offer[UDP].dport) == (FIRST, 67, 68)
