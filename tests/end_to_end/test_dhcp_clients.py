"""
Other people's DHCP clients take their addresses from us, and keep, renew and give them back.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from tests.end_to_end import dhcp_sites
from tests.end_to_end.conftest import Site
from tests.end_to_end.dhcp_clients import CLIENTS, DHCLIENT, DHCPCD, SYSTEMD, UDHCPC, Client, Host
from tests.end_to_end.dhcp_sites import OPTIONS, ROUTER
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.packets import Dhcp
from tests.end_to_end.process import Process

pytestmark = pytest.mark.wire
long = pytest.mark.e2e

#: Seconds in which a client of an idle network has long got its address; dhcpcd and networkd ask
#: the network for five before they take one.
BOUND_S = 40

each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


def mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


def bound(client: Client, process: Process, after: int = 0) -> str:
    """The address that it says it has."""
    return process.wait_for(client.bound, BOUND_S, after=after)[1]


def until(true: Callable[[], object], what: str, timeout: float = BOUND_S) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def types(packets: list[Dhcp]) -> list[str]:
    return [packet.type for packet in packets]


# --- what a client is told ------------------------------------------------------------------------


def test_every_client_gets_its_own_address_and_all_that_goes_with_it(site: Site) -> None:
    for number, client in enumerate(CLIENTS, start=1):
        site.machine(
            *(mac(number), "linux", "one"), ip=f"192.0.2.{50 + number}", hostname=client.name
        )
    dhcp_sites.serve(site, **OPTIONS)
    hosts = {
        client: Host(site.lab, client.name, mac(number))
        for number, client in enumerate(CLIENTS, start=1)
    }
    running = {client: client.start(host) for client, host in hosts.items()}

    for number, (client, process) in enumerate(running.items(), start=1):
        address = f"192.0.2.{50 + number}"
        host = hosts[client]
        assert bound(client, process) == address
        until(lambda host=host: host.routes().get("default"), f"{client.name} has a router")
        told = client.told(host)
        assert told["address"] == [address]
        assert told["server"] == [BOOT_SERVER]
        assert host.address() == f"{address}/24"
        assert host.routes()["default"] == ROUTER
        for word in ("dns", "ntp", "search"):
            assert told[word] == OPTIONS[word], (client.name, word)
        assert told["domain"] == ["example.org"]
        assert told["hostname"] == [client.name]
        assert told["mtu"] == ["1400"]


@long
@each_client
def test_a_client_configures_what_it_is_told(site: Site, client: Client) -> None:
    dhcp_sites.serve(site, **OPTIONS)
    host = Host(site.lab, "client", mac(1))
    bound(client, client.start(host))

    until(host.routes, "the routes")
    assert host.address().startswith("192.0.2.1")
    # The script of udhcpc knows neither routes nor search lists.
    far = {"198.51.100.0/24": "192.0.2.9"} if client is not UDHCPC else {}
    until(lambda: host.routes() == {"default": ROUTER, **far}, f"routes: {host.routes()}")
    until(lambda: host.mtu() == 1400, f"mtu {host.mtu()}")
    if client is not SYSTEMD:  # which leaves names to systemd-resolved
        until(lambda: host.resolver().get("nameserver") == OPTIONS["dns"], f"{host.resolver()}")
        assert host.resolver()["domain"] == ["example.org"]


def test_a_client_that_is_not_listed_gets_an_address_of_the_pool_and_its_name_is_known(
    site: Site,
) -> None:
    daemon = dhcp_sites.serve(site, probe=False)
    host = Host(site.lab, "client", mac(9), name="wanderer")
    address = bound(DHCLIENT, DHCLIENT.start(host))

    assert address.startswith("192.0.2.1")
    daemon.wait_for(rf"has {address} as wanderer for", 10)


# --- a lease in time ------------------------------------------------------------------------------


def quick(site: Site, seconds: int, **keys: object) -> None:
    """Leases of so many *seconds*, of which the clients renew after the half."""
    dhcp_sites.subnet(
        site, lease_time=seconds, min_lease_time=seconds, max_lease_time=seconds, **keys
    )
    site.serve()


@long
@each_client
def test_a_client_renews_by_unicast(site: Site, client: Client) -> None:
    quick(site, 20)
    host = Host(site.lab, "client", mac(1))
    cable = host.capture()
    address = bound(client, client.start(host))

    def renewals() -> list[Dhcp]:
        """Requests that begin at its own address."""
        return [one for one in cable.packets().dhcp if one.src == address]

    until(lambda: len(renewals()) > 1, "renewed twice", 60)
    assert {(one.type, one.dst) for one in renewals()} == {("request", BOOT_SERVER)}
    told = types(cable.packets().dhcp)
    assert (told.count("discover"), told.count("nak")) == (1, 0)
    assert told.count("ack") >= 2
    assert host.address() == f"{address}/24"


@long
@each_client
def test_a_client_rebinds_after_the_server_has_moved(site: Site, client: Client) -> None:
    """A daemon that is killed, and begins again on another address of the same network."""
    quick(site, 20)
    host = Host(site.lab, "client", mac(1))
    cable = host.capture()
    process = client.start(host)
    address = bound(client, process)
    assert site.daemon is not None
    site.daemon.send(signal.SIGKILL)
    site.daemon.wait(5)
    site.lab.ip("boot", f"addr del {BOOT_SERVER}/24 dev eth0")
    site.lab.ip("boot", "addr add 192.0.2.11/24 broadcast + dev eth0")
    site.serve()

    def servers() -> list[str]:
        """Who confirmed, one after the other."""
        acks = (one for one in cable.packets().dhcp if one.type == "ack")
        return [".".join(map(str, one.options[54])) for one in acks]

    until(lambda: "192.0.2.11" in servers(), "an answer of the new address", 60)
    rebinding = [one for one in cable.packets().dhcp if one.type == "request" and rebinds(one)]
    assert rebinding
    assert "nak" not in types(cable.packets().dhcp)
    assert host.address() == f"{address}/24"


def rebinds(request: Dhcp) -> bool:
    """To everybody, about the address that the client has (RFC 2131, section 4.3.6)."""
    return request.dst == "255.255.255.255" and not {50, 54} & set(request.options)


def test_leases_outlive_the_daemon_and_go_on(site: Site) -> None:
    """Killed and begun anew: the holder keeps its address, and another client gets another."""
    dhcp_sites.serve(site, pools=["192.0.2.100-192.0.2.101"], probe=False)
    first = Host(site.lab, "first", mac(1))
    process = UDHCPC.start(first)
    address = bound(UDHCPC, process)
    assert site.daemon is not None
    site.daemon.send(signal.SIGKILL)
    site.daemon.wait(5)
    site.serve()

    position = len(process.text)
    process.send(signal.SIGUSR1)  # renew
    assert bound(UDHCPC, process, after=position) == address
    second = bound(UDHCPC, UDHCPC.start(Host(site.lab, "second", mac(2))))
    assert {address, second} == {"192.0.2.100", "192.0.2.101"}


# --- giving it back -------------------------------------------------------------------------------


def release(client: Client, host: Host, process: Process) -> None:
    if client is UDHCPC:
        process.send(signal.SIGUSR2)
    elif client is DHCPCD:
        process.send(signal.SIGALRM)
    elif client is DHCLIENT:
        DHCLIENT.start(host, "-r")
    else:
        process.send(signal.SIGTERM)


def test_addresses_that_are_released_are_for_the_next_client(site: Site) -> None:
    daemon = dhcp_sites.serve(site, pools=["192.0.2.100-192.0.2.103"], probe=False)
    hosts = {
        client: Host(site.lab, client.name, mac(number))
        for number, client in enumerate(CLIENTS, start=1)
    }
    running = {client: client.start(host) for client, host in hosts.items()}
    addresses = {client: bound(client, process) for client, process in running.items()}
    assert len(set(addresses.values())) == 4
    for host in hosts.values():
        until(host.address, f"the address of {host.place}")

    for client, host in hosts.items():
        release(client, host, running[client])
    for client, host in hosts.items():
        daemon.wait_for(rf"{host.mac} .*has {addresses[client]} no more: released", 10)

    assert bound(UDHCPC, UDHCPC.start(Host(site.lab, "next", mac(9)))) in addresses.values()


# --- an address that is somebody's ----------------------------------------------------------------


def squatter(site: Site, address: str) -> None:
    """A computer that took *address* for itself."""
    site.lab.plug("squatter", address)
    site.lab.ip("squatter", "link set eth0 address 52:54:00:00:00:66")


def test_an_address_that_another_computer_uses_is_not_given(site: Site) -> None:
    site.machine("52:54:00:00:00:66", "linux", "one", hostname="squatter")
    squatter(site, "192.0.2.100")
    daemon = dhcp_sites.serve(site, pools=["192.0.2.100-192.0.2.101"])

    assert bound(UDHCPC, UDHCPC.start(Host(site.lab, "client", mac(1)))) == "192.0.2.101"
    daemon.wait_for("192.0.2.100.*squatter", 10)


#: systemd-networkd of Debian 12 finds the conflict, and cannot send DECLINE without an address.
DECLINING = {UDHCPC: ("-a",), DHCPCD: ("--timeout", "0")}


@long
@pytest.mark.parametrize("client", DECLINING, ids=lambda client: client.name)
def test_a_client_that_finds_its_address_in_use_declines_and_gets_another(
    site: Site, client: Client
) -> None:
    squatter(site, "192.0.2.100")
    daemon = dhcp_sites.serve(site, pools=["192.0.2.100-192.0.2.101"], probe=False)
    host = Host(site.lab, "client", mac(1))
    client.start(host, *DECLINING[client])

    daemon.wait_for(f"{mac(1)} .*declines 192.0.2.100", BOUND_S)
    until(lambda: host.address() == "192.0.2.101/24", "the other address", 60)


# --- another network ------------------------------------------------------------------------------


def two_networks(site: Site, **keys: object) -> None:
    site.lab.segment("other")
    site.lab.cable("boot", "eth1", "198.51.100.10", "other")
    site.config["netbootd"]["interfaces"] = ["eth0", "eth1"]
    dhcp_sites.subnet(site, **keys)
    dhcp_sites.subnet(site, "198.51.100.0/24", pools=["198.51.100.50-198.51.100.59"], **keys)
    site.serve()


REBOOTING = (DHCLIENT, DHCPCD, SYSTEMD)


@long
@pytest.mark.parametrize("client", REBOOTING, ids=lambda client: client.name)
def test_a_client_that_comes_back_asks_for_its_address_and_one_that_has_moved_is_told(
    site: Site, client: Client
) -> None:
    """INIT-REBOOT: without a DISCOVER in its own network, with a NAK in another."""
    two_networks(site)
    host = Host(site.lab, "client", mac(1))
    cable = host.capture()
    process = client.start(host)
    address = bound(client, process)
    assert address.startswith("192.0.2.1")
    until(host.address, "its address")

    process = come_back(client, host, process, "lan")
    assert types(cable.packets().dhcp)[-2:] == ["request", "ack"]
    assert types(cable.packets().dhcp).count("discover") == 1
    assert host.address() == f"{address}/24"

    come_back(client, host, process, "other")
    until(lambda: host.address().startswith("198.51.100.5"), "an address of the other network")
    told = types(cable.packets().dhcp)
    assert told[-6:] == ["request", "nak", "discover", "offer", "request", "ack"]


def come_back(client: Client, host: Host, process: Process, segment: str) -> Process:
    """Wake up in *segment*, with the same lease file; until the client has an answer."""
    if client is SYSTEMD:  # it keeps no lease over its own end, but over that of the cable
        position = len(process.text)
        host.move(segment)
    else:
        process.send(signal.SIGKILL)
        process.wait(5)
        host.lab.ip(host.place, "addr flush dev eth0")
        host.move(segment)
        process, position = client.start(host), 0
    bound(client, process, after=position)
    until(host.address, "an address")
    return process


# --- a client with an address of its own ----------------------------------------------------------


def test_a_client_that_has_an_address_is_told_the_rest(site: Site) -> None:
    """DHCPINFORM: options and no lease."""
    dhcp_sites.serve(site, **OPTIONS)
    host = Host(site.lab, "client", mac(1))
    site.lab.ip("client", "addr add 192.0.2.77/24 dev eth0")
    cable = host.capture()
    DHCPCD.start(host, "--noarp", "--inform=192.0.2.77/24")

    until(lambda: "ack" in types(cable.packets().dhcp), "an answer")
    inform, ack = cable.packets().dhcp[:2]
    assert (inform.type, ack.type) == ("inform", "ack")
    assert (ack.dst, ack.yiaddr) == ("192.0.2.77", "0.0.0.0")
    assert not {51, 58, 59} & set(ack.options)
    # dhcpcd may not listen yet: who answers at once is not heard.  So it is the answer that counts.
    assert ack.options[6] == b"".join(IPv4Address(one).packed for one in OPTIONS["dns"])
    assert ack.options[15] == b"example.org"
