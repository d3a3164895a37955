"""
netbootd as the DHCP server of a LAN, on the wire: what a client sees, and what an operator is told.

Nobody else gives addresses there, but where a test lets somebody.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from netbootd.dhcp.message import MessageType
from tests.end_to_end import neighbours
from tests.end_to_end.cards import Cards, Heard
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER, Lab, write_config
from tests.end_to_end.process import Daemon, NotSeenError

pytestmark = pytest.mark.e2e

LAN = "192.0.2.0/24"
LISTED, HELD = "52:54:00:00:02:01", "192.0.2.50"
FAR, FAR_RELAY, NEAR_RELAY = "198.51.100.0/24", "198.51.100.1", "192.0.2.30"


class Office:
    """A LAN in which netbootd gives addresses; *config* is what the administrator wrote so far."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.state = lab.folder / "state"
        self.subnets: dict[str, Any] = {
            LAN: {"dhcp": "server", "pools": ["192.0.2.100-192.0.2.199"], "router": "192.0.2.1"}
        }
        self.machines: dict[str, Any] = {
            LISTED: {"type": "localboot", "name": "disk", "ip": HELD, "hostname": "web1"}
        }
        self.settings: dict[str, Any] = {}
        self.daemon: Daemon

    def serve(self) -> Daemon:
        self.daemon = self.lab.netbootd(self.config())
        return self.daemon

    def config(self) -> dict[str, Any]:
        return {
            "targets": {"localboot": {"disk": {}}},
            "machines": self.machines,
            "subnets": self.subnets,
            "netbootd": {
                "interfaces": ["eth0"],
                "state": str(self.state),
                "files": str(self.lab.folder),
                **self.settings,
            },
        }

    def reload(self) -> str:
        write_config(self.lab.folder / "netbootd.json", self.config())
        return self.daemon.reload()

    def place(self, name: str, address: str = "") -> str:
        """A computer on the LAN, with *address* or without one."""
        self.lab.plug(name, address or "192.0.2.254")
        if not address:
            self.lab.ip(name, "addr flush dev eth0")
        return name

    def cards(self, name: str = "desk") -> Cards:
        return Cards(self.lab, self.place(name))

    def asked(self, path: str) -> str:
        """What the daemon says on its own host."""
        return self.lab.run("boot", "curl", "-sf", f"http://127.0.0.1:3000{path}")

    def metric(self, name: str) -> float:
        lines = self.asked("/metrics").splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " "))

    def troubles(self) -> str:
        return "\n".join(json.loads(self.asked("/status"))["troubles"])


@pytest.fixture
def office(lab: Lab) -> Office:
    return Office(lab)


def mac(number: int) -> str:
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


# -- one client --------------------------------------------------------------------------------


@pytest.mark.ci
def test_a_client_gets_an_address_renews_and_gives_it_back(office: Office) -> None:
    office.serve()
    place = office.place("desk")
    script = office.lab.folder / "script"
    script.write_text(
        '#!/bin/sh\ncase "$1" in bound|renew) ip addr replace $ip/$mask dev $interface;; '
        "esac\necho $1 $ip $router\n"
    )
    script.chmod(0o755)
    client = office.lab.spawn(
        place, "busybox", "udhcpc", "-f", "-R", "-i", "eth0", "-s", str(script)
    )
    client.wait_for("bound 192.0.2.100 192.0.2.1", 20)
    client.send(signal.SIGUSR1)
    client.wait_for("renew 192.0.2.100", 20)
    client.send(signal.SIGTERM)
    office.daemon.wait_for(r"has 192\.0\.2\.100 no more: released", 20)


def test_a_listed_machine_gets_the_address_that_is_reserved_for_it(office: Office) -> None:
    office.serve()
    with office.cards() as cards:
        assert cards.lease(LISTED).address == HELD
        assert cards.lease(mac(1)).address == "192.0.2.100"


@pytest.mark.ci
def test_a_reply_goes_to_the_card_alone_unless_a_broadcast_is_asked_for(office: Office) -> None:
    office.serve()
    with office.cards() as cards:
        cards.discover(mac(1))
        offer = cards.reply(mac(1), "offer")
        assert (offer.card, offer.to, offer.source) == (mac(1), offer.address, BOOT_SERVER)
        cards.take(mac(1), offer, broadcast=True)
        ack = cards.reply(mac(1), "ack")
        assert (ack.card, ack.to, ack.source) == (
            *("ff:ff:ff:ff:ff:ff", "255.255.255.255"),
            BOOT_SERVER,
        )


def test_a_wrong_address_is_refused_by_broadcast(office: Office) -> None:
    office.serve()
    with office.cards() as cards:
        cards.send(mac(1), MessageType.REQUEST, requested_address="10.9.9.9")
        nak = cards.reply(mac(1), "nak")
        assert (nak.card, nak.to) == ("ff:ff:ff:ff:ff:ff", "255.255.255.255")
        office.daemon.wait_for(rf"{mac(1)} may not have 10\.9\.9\.9", 10)
        assert office.metric('netbootd_dhcp_messages_total{type="nak"}') == 1


# -- who has the address -----------------------------------------------------------------------


@pytest.mark.ci
def test_an_address_that_somebody_uses_is_given_to_nobody_and_its_holder_named(
    office: Office,
) -> None:
    office.machines["02:00:00:00:0f:ff"] = {"type": "localboot", "name": "disk", "hostname": "sly"}
    office.place("squatter", "192.0.2.100")
    office.lab.ip("squatter", "link set eth0 address 02:00:00:00:0f:ff")
    office.serve()
    with office.cards() as cards:
        assert cards.lease(mac(1)).address == "192.0.2.101"
    office.daemon.wait_for(
        rf"{mac(1)} cannot have 192\.0\.2\.100: 02:00:00:00:0f:ff \(sly\) uses it", 10
    )
    assert office.metric('netbootd_dhcp_declined_total{by="arp"}') == 1
    assert office.metric(f'netbootd_dhcp_leases{{state="declined",subnet="{LAN}"}}') == 1


def test_many_that_are_switched_on_together_all_get_an_address_of_their_own(
    office: Office,
) -> None:
    office.serve()
    with office.cards() as cards:
        for number in range(60):
            cards.discover(mac(number))
        offers = {str(one.message.mac): one for one in cards.replies(1.5) if one.kind == "offer"}
        assert len(offers) == 60
        for number in range(60):
            cards.take(mac(number), offers[mac(number)])
        acks = {str(one.message.mac): one.address for one in cards.replies(1.5)}
    assert len(set(acks.values())) == 60


# -- what must not be forgotten ----------------------------------------------------------------


@pytest.mark.ci
def test_a_daemon_that_is_killed_between_acks_gives_no_address_twice(office: Office) -> None:
    daemon = office.serve()
    held: dict[str, str] = {}
    with office.cards() as cards:
        for round_ in range(3):
            first = 1000 * (round_ + 1)
            for number in range(first, first + 25):
                cards.discover(mac(number))
            for offer in cards.replies(1.0):
                if offer.kind == "offer":
                    cards.take(str(offer.message.mac), offer)
                elif offer.kind == "ack":
                    held[offer.address] = str(offer.message.mac)
                    if len(held) % 25 == 12:
                        daemon.send(signal.SIGKILL)
            daemon.send(signal.SIGKILL)
            daemon.wait(10)
            daemon = office.serve()
            assert_nobody_else_gets(cards, held)
    assert len(held) >= 36


def assert_nobody_else_gets(cards: Cards, held: dict[str, str]) -> None:
    """Each holder still has its address; and a stranger who wants it is refused."""
    for address, holder in held.items():
        cards.send(holder, MessageType.REQUEST, requested_address=address)
        assert cards.reply(holder, "ack", "nak").address == address
    for number, address in enumerate(held):
        cards.discover(mac(0x8000 + number), requested_address=address)
        offer = cards.reply(mac(0x8000 + number), "offer")
        assert offer.address not in held


@pytest.fixture
def tmpfs(office: Office) -> Iterator[Path]:
    """The state folder on a small disk of its own."""
    office.state.mkdir()
    size = ("mount", "-t", "tmpfs", "-o", "size=8m", "none", str(office.state))
    subprocess.run(size, check=True)
    yield office.state
    subprocess.run(["umount", "-l", str(office.state)], check=True)


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))


@pytest.mark.ci
def test_on_a_full_disk_reservations_go_on_and_it_recovers_by_itself(
    office: Office, tmpfs: Path
) -> None:
    daemon = office.serve()
    with office.cards() as cards:
        assert cards.lease(mac(1)).address == "192.0.2.100"
        fill(tmpfs)
        refused(office, cards)
        assert cards.lease(LISTED).address == HELD
        assert "no lease can be written" in office.troubles()
        assert office.metric('netbootd_disk_trouble{what="leases"}') == 1
        (tmpfs / "ballast").unlink()
        daemon.wait_for("leases are written again", 20)
        assert cards.lease(mac(3)).address not in ("192.0.2.100", HELD)
        assert "no lease can be written" not in office.troubles()
        daemon.send(signal.SIGKILL)
        daemon.wait(10)
        office.serve()
        cards.send(LISTED, MessageType.REQUEST, requested_address=HELD)
        assert cards.reply(LISTED, "ack").address == HELD


def test_on_a_disk_that_is_read_only_reservations_go_on(office: Office, tmpfs: Path) -> None:
    daemon = office.serve()
    with office.cards() as cards:
        assert cards.lease(mac(1)).address == "192.0.2.100"
        daemon.close()
        subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
        daemon = office.serve()
        refused(office, cards)
        assert cards.lease(LISTED).address == HELD
        cards.send(mac(1), MessageType.REQUEST, requested_address="192.0.2.100")
        renewed = cards.reply(mac(1), "ack")
        assert renewed.address == "192.0.2.100"
        assert renewed.seconds <= 3600
        subprocess.run(["mount", "-o", "remount,rw", str(tmpfs)], check=True)
        daemon.wait_for("leases are written again", 20)
        assert cards.lease(mac(3)).address == "192.0.2.101"


def refused(office: Office, cards: Cards) -> None:
    """Somebody new asks until it is known that nothing can be written; nobody got an address."""
    for _ in range(20):
        cards.discover(mac(2))
        for reply in cards.replies(0.5):
            assert reply.kind == "offer"
            cards.take(mac(2), reply)
        if "no lease can be written" in office.daemon.text:
            break
    office.daemon.wait_for(f"{mac(2)} got no address", 10)


# -- others ------------------------------------------------------------------------------------


def test_another_dhcp_server_is_told_of_with_its_address(office: Office) -> None:
    daemon = office.serve()
    office.lab.dhcp()
    with office.cards() as cards:
        cards.discover(mac(1), broadcast=True)
        servers = {one.server for one in cards.replies(4.0) if one.kind == "offer"}
    assert servers == {LAN_SERVER, BOOT_SERVER}
    daemon.wait_for(rf"{mac(1)} was given \S+ by another DHCP server, {LAN_SERVER}, on eth0", 10)
    assert f"another DHCP server, {LAN_SERVER}" in office.troubles()
    assert office.metric("netbootd_dhcp_foreign_servers") == 1


def test_an_empty_pool_is_told_once_and_shown(office: Office) -> None:
    office.subnets[LAN]["pools"] = ["192.0.2.100-192.0.2.101"]
    daemon = office.serve()
    with office.cards() as cards:
        cards.lease(mac(1))
        cards.lease(mac(2))
        for _ in range(5):
            cards.discover(mac(3))
        assert [*cards.replies(1.0)] == []
    daemon.wait_for(f"{mac(3)} got no address: every address of the pools of {LAN}", 10)
    assert len([line for line in daemon.lines(mac(3)) if "got no address" in line]) == 1
    assert office.metric('netbootd_dhcp_no_address_total{code="exhausted"}') == 5
    assert LAN in office.troubles()


def test_whoever_has_port_67_is_named_and_the_server_begins_when_it_is_free(
    office: Office,
) -> None:
    office.settings["http_port"] = 3000
    other = office.lab.dhcp(place="boot")
    daemon = office.serve()
    assert "DHCP server UDP 67" not in daemon.text
    assert "UDP port 67 on 0.0.0.0 is held by dnsmasq (pid" in office.troubles()
    other.close()
    daemon.wait_for("listening      DHCP server UDP 67 and 4011 on eth0", 20)
    with office.cards() as cards:
        assert cards.lease(mac(1)).server == BOOT_SERVER


def test_a_network_is_served_through_a_relay(office: Office) -> None:
    lab = office.lab
    office.subnets[FAR] = {"dhcp": "server", "pools": ["198.51.100.100-198.51.100.120"]}
    lab.segment("far")
    lab.plug("relay", NEAR_RELAY)
    lab.cable("relay", "eth1", FAR_RELAY, "far")
    lab.run("relay", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    lab.ip("boot", f"route add {FAR} via {NEAR_RELAY}")
    office.serve()
    neighbours.relay(lab, "relay", "eth1", "eth0", BOOT_SERVER)
    lab.plug("desk", "192.0.2.254")
    lab.ip("desk", "addr flush dev eth0")
    lab.ip("switch", "link set eth0-desk master far")
    with Cards(lab, "desk") as cards:
        ack = cards.lease(mac(1))
        assert (ack.address, ack.server) == ("198.51.100.100", BOOT_SERVER)
        cards.send(mac(2), MessageType.REQUEST, requested_address="192.0.2.7")
        assert cards.reply(mac(2), "nak").card == "ff:ff:ff:ff:ff:ff"


def test_modes_change_with_a_reload_and_off_is_silent(office: Office) -> None:
    daemon = office.serve()
    with office.cards() as cards:
        cards.lease(mac(1))
        office.subnets[LAN]["dhcp"] = "proxy"
        office.reload()
        daemon.wait_for("not listening  DHCP server", 10)
        cards.discover(mac(2))
        assert [*cards.replies(1.0)] == []
        office.subnets[LAN]["dhcp"] = "server"
        office.reload()
        assert cards.lease(mac(1)).address == "192.0.2.100"
        office.subnets[LAN]["dhcp"] = "off"
        office.reload()
        cards.discover(mac(1))
        assert [*cards.replies(1.0)] == []


@pytest.mark.ci
def test_a_flood_of_unknown_cards_keeps_no_listed_machine_from_its_address(
    office: Office,
) -> None:
    office.serve()
    over = threading.Event()
    with office.cards("flooder") as flood, office.cards() as cards:

        def pour() -> None:
            """Some 5,000 in a second, if this host can."""
            numbers = count()
            while not over.wait(0.01):
                for number in islice(numbers, 50):
                    flood.discover(f"06:00:{number.to_bytes(4, 'big').hex(':')}")

        pouring = threading.Thread(target=pour)
        pouring.start()
        try:
            for _ in range(5):
                assert persistent(cards).address == HELD
        finally:
            over.set()
            pouring.join()


def persistent(cards: Cards) -> Heard:
    """The lease of a client that asks again: a flood fills the kernel's queues as well."""
    for _ in range(5):
        with suppress(NotSeenError):
            return cards.lease(LISTED, broadcast=True)
    return cards.lease(LISTED, broadcast=True)


def test_nothing_is_listened_on_where_it_is_off(office: Office) -> None:
    office.settings["dhcp"] = {"interfaces": {"eth0": "off"}}
    daemon = office.serve()
    assert "UDP 67" not in daemon.text
    with office.cards() as cards:
        cards.discover(mac(1))
        assert [*cards.replies(1.0)] == []
