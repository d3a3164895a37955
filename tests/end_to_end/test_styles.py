"""
Firmware that does not follow the first offer: the running daemon tries another style, remembers
which one was followed, also over a restart, and forgets it when it is told to.

The clients speak raw DHCP, as firmware without an address does, and follow one style only.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from netbootd.dhcp import wire
from netbootd.dhcp.message import Message
from netbootd.mac import MAC
from netbootd.simulate.firmware import firmware
from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config

pytestmark = pytest.mark.wire

CARD = MAC.parse("52:54:00:12:34:56")
TWIN = MAC.parse("52:54:00:65:43:21")
OTHER = MAC.parse("00:25:90:27:db:b4")
CLIENT = "192.0.2.50"
PATIENCE_S = 10.0
#: More than the time within which a DISCOVER counts as repeated.
WINDOW_S = 3.3
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(lab: Lab, place: str) -> Iterator[None]:
    """This thread lives in the namespace *place* meanwhile."""
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{lab.prefix}{place}") as there:
        for namespace in (there, home):
            if _libc.setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            if namespace is there:
                yield


class Firmware:
    """A UEFI machine on the LAN that follows an offer only if it is told in *follows*."""

    def __init__(self, lab: Lab, mac: MAC, follows: str, kind: str = "efi") -> None:
        self.mac, self.follows, self.lab = mac, follows, lab
        self._firmware = firmware(kind, None)
        with inside(lab, "lan"):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._socket.bind(("eth0", 0x0800))
        self._xid = 1000

    def close(self) -> None:
        self._socket.close()

    def round(self) -> str:
        """One DISCOVER, and what an offer in its style makes it do; the style that it was told."""
        offer = self.discover()
        told = style_of(offer)
        if told == self.follows:
            self.follow(offer, told)
        return told

    def discover(self) -> Message:
        self._xid += 1
        asked = self._firmware.discover(self.mac)._replace(xid=self._xid)
        ethernet = Ether(src=str(self.mac), dst="ff:ff:ff:ff:ff:ff")
        header = IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67, chksum=0)
        self._socket.send(bytes(ethernet / header / wire.encode(asked)))
        deadline = time.monotonic() + PATIENCE_S
        while select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            packet = Ether(self._socket.recv(2048))
            if UDP in packet and packet[UDP].dport == 68 and packet[BOOTP].xid == self._xid:
                return wire.decode(bytes(packet[BOOTP]))
        raise AssertionError("no offer")

    def follow(self, offer: Message, told: str) -> None:
        """As EDK2 does: a file at once, or port 4011 before it."""
        with inside(self.lab, "lan"):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client:
            client.settimeout(PATIENCE_S)
            if told == "direct":
                client.bind((CLIENT, 2070))
                request = b"\0\1" + offer.file + b"\0octet\0"
                client.sendto(request, (str(offer.siaddr), 69))
                block, server = client.recvfrom(2048)
                assert block[:4] == b"\0\3\0\1"
                client.sendto(b"\0\5\0\0enough\0", server)
                return
            client.bind((CLIENT, 4011))
            asked = self._firmware.boot_server_request(self.mac, CLIENT)
            if told == "menu":
                options = {**asked.options, 43: bytes.fromhex("470480000000ff")}
                asked = asked._replace(options=options)
            client.sendto(wire.encode(asked), (str(offer.siaddr), 4011))
            answer = wire.decode(client.recvfrom(2048)[0])
            assert answer.file == offer.file
            assert answer.options.get(43) == asked.options.get(43)


def style_of(offer: Message) -> str:
    """What option 43 says."""
    said = offer.vendor_options
    if said.get(6) == b"\x08":
        return "direct"
    return "menu" if 9 in said else "boot-server"


@pytest.fixture
def config(tmp_path: Path) -> dict:
    return {
        "targets": {"localboot": {"disk": {}}},
        "machines": {"default": {"type": "localboot", "name": "disk"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(tmp_path),
            "firmware": "/usr/lib/ipxe",
            "state": str(tmp_path / "state"),
        },
    }


@pytest.fixture
def clients(lab: Lab) -> Iterator:
    lab.ip("lan", f"addr add {CLIENT}/24 dev eth0")
    made: list[Firmware] = []

    def client(*arguments: str | MAC) -> Firmware:
        made.append(Firmware(lab, *arguments))
        return made[-1]

    yield client
    for one in made:
        one.close()


def rounds(client: Firmware, times: int) -> list[str]:
    told = []
    for number in range(times):
        if number:
            time.sleep(WINDOW_S)
        told.append(client.round())
    return told


def status(lab: Lab) -> dict:
    url = f"http://{BOOT_SERVER}:3000/status"
    return json.loads(lab.run("lan", "curl", "-sS", "-m", "20", url))


def netbootd(lab: Lab, tmp_path: Path, *words: str) -> str:
    file = str(tmp_path / "netbootd.json")
    return lab.run("boot", str(NETBOOTD), *words, "--config", file)


def test_a_client_that_ignores_its_first_style_is_told_in_the_next_and_that_is_remembered(
    lab, config, clients, tmp_path
):
    daemon = lab.netbootd(config)
    starved = clients(CARD, "direct")
    assert starved.round() == "boot-server"
    assert starved.round() == "boot-server", "a retransmission is no failure"
    time.sleep(WINDOW_S)
    assert starved.round() == "direct"
    daemon.wait_for(
        f"{CARD} .*got an offer in style boot-server, and nothing followed; trying direct", 5
    )
    daemon.wait_for(f"{CARD} .*follows offers in style direct", 5)
    assert status(lab)["restyled"] == [f"{CARD}: direct, not boot-server"]

    # Another of the same kind begins with it; one of another maker does not.
    assert clients(TWIN, "direct").round() == "direct"
    assert clients(OTHER, "boot-server").round() == "boot-server"
    table = netbootd(lab, tmp_path, "styles")
    assert [line.split()[3:5] for line in table.splitlines()[1:]] == [
        ["boot-server", "boot-server"],
        ["direct", "boot-server"],
    ]
    assert f"learned    direct, by {TWIN}" in netbootd(lab, tmp_path, "explain", str(CARD))

    # It outlives the daemon.
    daemon.close()
    again = lab.netbootd(config)
    assert clients(CARD, "direct").round() == "direct"

    # And is forgotten when somebody says so.
    told = netbootd(lab, tmp_path, "styles", "--forget", "52:54:00")
    assert told.startswith("forgotten: 52:54:00 7 PXEClient:Arch:00007")
    assert "as soon as netbootd runs" not in told
    again.wait_for("reply styles of 1 kind of firmware forgotten", 5)
    assert clients(CARD, "boot-server").round() == "boot-server"
    assert clients(OTHER, "boot-server").round() == "boot-server"
    assert netbootd(lab, tmp_path, "styles", "--forget", "all") == "forgotten: 2 kinds\n"
    assert "nothing was learned yet" in netbootd(lab, tmp_path, "styles")


@pytest.mark.parametrize(
    ("kind", "follows", "told"),
    [
        ("efi", "menu", ["boot-server", "direct", "menu", "menu"]),
        ("bios", "boot-server", ["direct", "boot-server", "boot-server"]),
        ("efi", "none of them", ["boot-server", "direct", "menu", "boot-server"]),
    ],
)
def test_one_style_after_the_other(lab, config, clients, kind, follows, told):
    daemon = lab.netbootd(config)
    assert rounds(clients(CARD, follows, kind), len(told)) == told
    if follows == "none of them":
        daemon.wait_for(
            rf"trying boot-server again: .*\(next-server {BOOT_SERVER}, file snponly.efi\)", 5
        )


@pytest.mark.parametrize(
    ("settings", "of_machine", "told"),
    [
        ({"learn": False}, "", ["boot-server", "boot-server"]),
        ({"style": "menu"}, "", ["menu", "menu"]),
        ({"style": "menu"}, "direct", ["direct", "direct"]),
        ({"style": "menu"}, "auto", ["boot-server", "direct"]),
    ],
)
def test_what_the_configuration_says_counts(lab, config, clients, settings, of_machine, told):
    config["netbootd"]["proxydhcp"] = settings
    entry = {"type": "localboot", "name": "disk"}
    config["machines"][str(CARD)] = {**entry, "reply_style": of_machine} if of_machine else entry
    lab.netbootd(config)
    assert rounds(clients(CARD, "none of them"), len(told)) == told


def test_forgetting_what_nobody_knows_says_so(lab, config, tmp_path):
    write_config(tmp_path / "netbootd.json", config)
    (tmp_path / "state").mkdir()
    command = lab.inside(
        *("boot", str(NETBOOTD), "styles", "--forget", "00:25:90"),
        *("--config", str(tmp_path / "netbootd.json")),
    )
    assert os.spawnvp(os.P_WAIT, command[0], command) == 1
