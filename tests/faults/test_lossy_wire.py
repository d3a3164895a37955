"""
Every protocol over a cable that loses, doubles and delays 20 of 100 frames in each direction.

Boots are asserted, and bytes; never times, which are those of the clients' own timers.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import neighbours
from tests.end_to_end.dhcp_clients import Host
from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.faults.place import BASE, KERNEL, NODE, Place, until
from tests.faults.wire import Wire

pytestmark = pytest.mark.wire

BAD = (20, 20, 20)
LINES = 40
SEND_LINES = """
import socket, sys, time
kind, server, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
sender = socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sender.connect((server, 514))
for number in range(count):
    line = f"<30>1 - node app - - - {kind} {number}"
    sender.sendall(line.encode() + (b"\\n" if kind == "tcp" else b""))
    time.sleep(0.01)
"""


@pytest.fixture
def wire(lab: Lab) -> Wire:
    return Wire(lab, "boot", f"{BOOT_SERVER}/24", seed=7)


@pytest.fixture
def place(lab: Lab, wire: Wire) -> Iterator[Place]:
    yield Place(lab)
    counted = wire.counted()
    assert min(counted["lost"], counted["doubled"], counted["late"]) > 0, counted


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_nodes_boot(place: Place, wire: Wire) -> None:
    """DHCP by proxy and on port 4011, TFTP, boot script, kernel, initrd."""
    place.serve()
    wire.fails(*BAD)
    place.all_boot(12, firmware="mixed")


def test_addresses_are_given_and_none_twice(place: Place, wire: Wire) -> None:
    place.gives_addresses()
    daemon = place.serve()
    wire.fails(*BAD)
    script = place.lab.folder / "script"
    script.write_text('#!/bin/sh\necho "$1 $ip"\n')
    script.chmod(0o755)
    said = []
    for number in range(8):
        where = f"desk{number}"
        place.lab.plug(where, "192.0.2.254")
        place.lab.ip(where, "addr flush dev eth0")
        argv = ("udhcpc", "-f", "-R", "-t", "40", "-T", "1", "-i", "eth0", "-s", str(script))
        said.append(place.lab.spawn(where, "busybox", *argv))
    given = [client.wait_for(r"bound (\S+)", 90)[1] for client in said]
    assert len(set(given)) == len(given)
    assert set(place.leases()) == set(given)
    assert "Traceback" not in daemon.text


def test_addresses_of_ipv6_are_given(place: Place, wire: Wire) -> None:
    lab = place.lab
    lab.ip("boot", "addr add 2001:db8:1::10/64 dev eth0 nodad")
    place.config["subnets"] = {
        "2001:db8:1::/64": {"dhcp": "server", "pools": ["2001:db8:1::1000-2001:db8:1::1fff"]}
    }
    place.serve()
    wire.fails(*BAD)
    host = Host(lab, "desk", NODE)
    for state in ("down", "up"):
        lab.ip("desk", f"link set eth0 {state}")
    client = host.spawn(
        *(str(neighbours.file("sbin/dhclient")), "-6", "-d", "-v", "eth0"),
        *("-sf", host.script(neighbours.file("sbin/dhclient-script"))),
        *("-lf", "/var/lib/dhcp/leases", "-pf", "/run/dhclient.pid"),
    )
    client.wait_for(r"IAADDR 2001:db8:1::1\w{3}[\s\S]*RCV: Reply", 90)


@pytest.mark.parametrize(
    "client",
    [
        *("curl-tftp", "curl-http"),
        *(pytest.param(one, marks=pytest.mark.e2e) for one in ("tftp-hpa", "atftp")),
    ],
)
def test_other_peoples_clients_fetch_every_byte(place: Place, wire: Wire, client: str) -> None:
    """atftp gives up at an OACK that comes again, as one does whose ACK was lost; a ROM asks anew."""
    place.serve()
    wire.fails(*BAD)
    into = place.lab.folder / "into"
    argv = {
        "curl-tftp": f"curl -sSf --tftp-blksize 1428 -o {into} tftp://{BOOT_SERVER}/{KERNEL}",
        "tftp-hpa": f"tftp -m binary {BOOT_SERVER} -c get {KERNEL} {into}",
        "atftp": " || ".join(
            [f"atftp --get -r {KERNEL} -l {into} --option 'blksize 1428' {BOOT_SERVER}"] * 5
        ),
        "curl-http": f"curl -sSf --retry 5 -o {into} {BASE}/{KERNEL}",
    }[client]
    place.lab.run("lan", "sh", "-c", argv, timeout=240)
    assert digest(into) == digest(place.root / KERNEL)


def test_what_is_written_by_the_api_is_in_force_and_events_come_whole(
    place: Place, wire: Wire
) -> None:
    place.serve()
    authorised = ("-H", f"Authorization: Bearer {place.token}")
    # Before the wire fails: the stream has a connection, as a page that is open has.
    stream = place.lab.spawn("lan", "curl", "-sSN", *authorised, f"{BASE}/api/v1/events")
    stream.wait_for("event: ", 20)
    wire.fails(*BAD)
    for number in range(4):
        card = f"00:25:90:27:db:{number:02x}"
        entry = json.dumps({"mac": card, "target": "localboot/disk"})
        place.lab.run(
            *("lan", "curl", "-sSf", "--retry", "3", "-X", "POST", *authorised),
            *("-H", "Content-Type: application/json", "-d", entry, f"{BASE}/api/v1/machines"),
            timeout=120,
        )
    stream.wait_for('event: reload\ndata: {"generation": 5', 90)
    for data in re.findall(r"^data: (.*)\n", stream.text, re.MULTILINE):
        json.loads(data)


def test_lines_by_tcp_arrive_once_and_in_order_and_by_udp_as_the_wire_has_them(
    place: Place, wire: Wire
) -> None:
    place.config["netbootd"]["syslog"] = True
    place.serve()
    wire.fails(*BAD)
    for kind in ("tcp", "udp"):
        argv = (sys.executable, "-c", SEND_LINES, kind, BOOT_SERVER, str(LINES))
        place.lab.run("lan", *argv, timeout=120)

    def stored(kind: str) -> list[int]:
        text = "".join(path.read_text() for path in (place.state / "logs").glob("*.jsonl"))
        return [int(number) for number in re.findall(rf'"{kind} (\d+)"', text)]

    until(lambda: len(stored("tcp")) >= LINES, "all lines that came by TCP", 90)
    assert stored("tcp") == list(range(LINES))
    until(lambda: stored("udp"), "lines that came by UDP", 30)
    assert set(stored("udp")) <= set(range(LINES))
