"""
Networks of IPv6: real clients get addresses, and real firmware boots Linux without an address of
IPv4 anywhere.

A router announces itself and the prefix, as in every network of IPv6 (radvd).  OVMF wants to be
asked for IPv6; where its IPv4 is switched off as a whole it has no HTTP boot either, so there it
first waits more than a minute for an address of IPv4 that nobody gives.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from netbootd.boots.boot import Stage
from tests.end_to_end import guest, machines, neighbours, routers, told
from tests.end_to_end.conftest import Site
from tests.end_to_end.dhcp_clients import Host
from tests.end_to_end.machines import Machine
from tests.end_to_end.process import Daemon, LabError, Process

PREFIX = "2001:db8:1::/64"
OURS = "2001:db8:1::10"
POOL = "2001:db8:1::1000-2001:db8:1::1fff"
RESERVED = "2001:db8:1::77"
DNS = "2001:db8:1::53"
NODE = "52:54:00:12:34:56"
STRANGER = "52:54:00:99:99:99"

BOUND_S = 60
PXE_S = 200
HTTP_S = 400
IPXE_S = 120


def serve(site: Site, *, mode: str = "server", managed: bool = True) -> Daemon:
    """netbootd in a network of IPv6 with a router."""
    site.lab.ip("boot", f"addr add {OURS}/64 dev eth0 nodad")
    site.lab.ip("lan", "addr add 2001:db8:1::1/64 dev eth0 nodad")
    routers.advertise(site.lab, "lan", PREFIX, managed=managed)
    pools = {"pools": [POOL], "dns": [DNS], "domain": "example.org"} if mode == "server" else {}
    if mode != "none":
        site.config["subnets"] = {PREFIX: {"dhcp": mode, **pools}}
    site.machine(NODE, "linux", "one", ip6=RESERVED, hostname="node")
    return site.serve()


# -- other people's clients --------------------------------------------------------------------


def a_host(site: Site, place: str, mac: str, segment: str = "lan") -> Host:
    """Its card comes up once more, and so has a link-local address, made of *mac*."""
    host = Host(site.lab, place, mac, segment=segment)
    for state in ("down", "up"):
        site.lab.ip(place, f"link set eth0 {state}")
    return host


def _dhclient(host: Host, leases: str = "leases") -> Process:
    return host.spawn(
        *(str(neighbours.file("sbin/dhclient")), "-6", "-d", "-v", "eth0"),
        *("-sf", host.script(neighbours.file("sbin/dhclient-script"))),
        *("-lf", f"/var/lib/dhcp/{leases}", "-pf", "/run/dhclient.pid"),
    )


def _dhcpcd(host: Host) -> Process:
    hooks = neighbours.file("lib/dhcpcd/dhcpcd-run-hooks")
    own = host.folder / "dhcpcd-run-hooks"
    own.write_text(hooks.read_text().replace("/usr/lib/dhcpcd", str(hooks.parent)))
    own.chmod(0o755)
    (host.etc / "dhcpcd.conf").write_text("duid ll\noption domain_name_servers\n")
    program = str(neighbours.file("sbin/dhcpcd"))
    return host.spawn(program, "-6", "-B", "-d", "--nodelay", "-c", str(own), "eth0")


def addresses(host: Host) -> list[str]:
    """Those of IPv6 that reach beyond the link, as the kernel has them."""
    words = ("ip", "-j", "-6", "address", "show", "dev", "eth0", "scope", "global")
    cards = json.loads(host.lab.run(host.place, *words) or "[]")
    found = [one for card in cards for one in card.get("addr_info", ())]
    return [one["local"] for one in found if "local" in one]


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + BOUND_S
    while not true():
        assert time.monotonic() < deadline, f"not within {BOUND_S} s: {what}"
        time.sleep(0.05)


CLIENTS: dict[str, Callable[[Host], Process]] = {"dhclient": _dhclient, "dhcpcd": _dhcpcd}


@pytest.mark.wire
@pytest.mark.parametrize("name", CLIENTS)
def test_clients_get_addresses_and_reach_us(site: Site, name: str) -> None:
    daemon = serve(site)
    listed, stranger = a_host(site, "listed", NODE), a_host(site, "other", STRANGER)
    CLIENTS[name](listed)
    CLIENTS[name](stranger)

    daemon.wait_for(rf"{NODE} \S+ has {RESERVED} as node for 3600 s", BOUND_S)
    given = daemon.wait_for(rf"{STRANGER} has (2001:db8:1::1\w{{3}}) for 3600 s", BOUND_S)[1]
    until(lambda: RESERVED in addresses(listed), RESERVED)
    until(lambda: given in addresses(stranger), given)

    for url in (f"http://[{OURS}]:3000/status", f"tftp://[{OURS}]/{NODE}/snponly.efi"):
        told = listed.lab.run(
            listed.place, "curl", "-sS", "-6", "-g", "--interface", "eth0", "-o", "/dev/null",
            "-w", "%{size_download} %{local_ip}", url,
        )  # fmt: skip
        size, local = told.split()
        assert int(size) > 0
        assert local == RESERVED or url.startswith("tftp")


@pytest.mark.wire
def test_a_client_has_the_same_address_after_a_restart(site: Site) -> None:
    daemon = serve(site)
    others = [a_host(site, f"other{number}", f"{STRANGER[:-1]}{number}") for number in range(2)]
    given = []
    for host in others:
        client = _dhclient(host)
        bound = rf"{host.mac} has (2001:db8:1::1\w{{3}}) for 3600 s"
        given.append(daemon.wait_for(bound, BOUND_S)[1])
        client.close()
    daemon.send(signal.SIGKILL)
    daemon.wait(BOUND_S)

    again = site.serve()
    _dhclient(others[1], "none yet")  # else it only asks whether it is on the same link (CONFIRM)
    bound = rf"{others[1].mac} has (2001:db8:1::1\w{{3}}) for"
    assert again.wait_for(bound, BOUND_S)[1] == given[1] != given[0]


FAR = "2001:db8:2::/64"


@pytest.mark.wire
def test_behind_a_relay_the_far_networks_pool_counts(site: Site) -> None:
    lab = site.lab
    lab.segment("far")
    lab.plug("relay", "192.0.2.20")
    lab.cable("relay", "eth1", "198.51.100.1", "far")
    lab.ip("relay", "addr add 2001:db8:1::fe/64 dev eth0 nodad")
    lab.ip("relay", "addr add 2001:db8:2::1/64 dev eth1 nodad")
    lab.run("relay", "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
    agent = lab.spawn(
        *("relay", str(neighbours.file("usr/sbin/dhcrelay")), "-6", "-d", "--no-pid", "-I"),
        *("-l", "eth1", "-u", f"{OURS}%eth0"),
    )
    agent.wait_for("Listening on Socket/eth1", BOUND_S)
    daemon = serve(site)
    lab.ip("boot", f"route add {FAR} via 2001:db8:1::fe")
    site.config["subnets"][FAR] = {"dhcp": "server", "pools": ["2001:db8:2::1000/120"]}
    site.reload()

    host = a_host(site, "other", STRANGER, segment="far")
    _dhclient(host)
    daemon.wait_for(rf"{STRANGER} has 2001:db8:2::1000 for 3600 s", BOUND_S)
    until(lambda: "2001:db8:2::1000" in addresses(host), "an address")


@pytest.mark.wire
def test_nobody_is_served_by_ipv6_before_the_network_is_listed(site: Site) -> None:
    daemon = serve(site, mode="none")
    assert "DHCPv6" not in daemon.text
    host = a_host(site, "other", STRANGER)
    site.lab.ip("other", "addr add 2001:db8:1::99/64 dev eth0 nodad")
    ask = ("curl", "-sS", "-6", "-g", f"http://[{OURS}]:3000/status")
    with pytest.raises(LabError, match=r"refused|connect"):
        site.lab.run(host.place, *ask)

    site.config["subnets"] = {PREFIX: {}}
    site.reload()
    daemon.wait_for(r"listening +DHCPv6 +UDP 547 on eth0, boot files alone", BOUND_S)
    assert "listening" in site.lab.run(host.place, *ask)


# -- firmware ----------------------------------------------------------------------------------


def ovmf(*settings: str) -> Machine:
    """The usual UEFI machine with its IPv6, and *settings* of EDK2 that are off."""
    usual = machines.UEFI.options
    options = usual[: usual.index("-fw_cfg")]
    off = (word for name in settings for word in machines.setting(name, "n"))
    return replace(machines.UEFI, options=(*options, *off))


def boots(site: Site, machine: Machine, timeout: float) -> str:
    """What the console of *machine* says until Linux has come to its end."""
    node = site.lab.power_on(machine, NODE)
    node.wait_for(guest.DONE, timeout)
    assert not [packet for packet in node.packets().dhcp if packet.type == "ack"]
    told.one_boot(node, Stage.SCRIPT, Stage.KERNEL, Stage.INITRD)
    return node.console


@pytest.mark.e2e
@pytest.mark.slow
def test_uefi_boots_linux_by_pxe_over_ipv6(site: Site) -> None:
    daemon = serve(site)
    console = boots(site, ovmf("IPv4Support", "IPv4PXESupport"), PXE_S)
    assert f"Station IP address is {spelt(RESERVED)}" in console
    assert f"http://[{OURS}]:3000/images/vmlinuz" in console
    daemon.wait_for(rf"{NODE} \(linux/one\) fetched {NODE}/snponly.efi by TFTP", BOUND_S)
    assert "192.0.2.10:3000/images" not in console


@pytest.mark.e2e
@pytest.mark.slow
def test_uefi_boots_linux_by_http_over_ipv6(site: Site) -> None:
    daemon = serve(site)
    console = boots(site, ovmf("IPv4PXESupport", "IPv6PXESupport"), HTTP_S)
    assert f"http://[{OURS}]:3000/images/vmlinuz" in console
    daemon.wait_for(rf"fetched /{NODE.replace(':', '-')}/snponly.efi by HTTP", BOUND_S)


@pytest.mark.e2e
@pytest.mark.slow
def test_ipxe_boots_linux_from_what_a_proxy_says(site: Site) -> None:
    """It makes its own address of the prefix, and asks for the rest alone (INFORMATION-REQUEST)."""
    daemon = serve(site, mode="proxy", managed=False)
    console = boots(site, machines.BIOS, IPXE_S)
    assert f"Filename: http://[{OURS}]:3000/boot/{NODE}" in console
    assert "has 2001:" not in daemon.text


def spelt(address: str) -> str:
    """As EDK2 writes it: all eight groups, in capitals."""
    groups = IPv6Address(address).exploded.split(":")
    return ":".join(f"{int(group, 16):X}" for group in groups)
