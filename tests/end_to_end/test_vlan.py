"""
Ports that are no plain ones: a machine whose network comes with tags, and one that blocks at first.

Tags are passed on by the bridge as they come, and tagger.py takes them off.  The iPXE that is loaded
is Debian 13's, whose build knows of VLANs; the capture is of untagged packets alone, so what is
missing there went the other way.
"""

from __future__ import annotations

import sys

import pytest

from tests.end_to_end import foreign, guest, machines
from tests.end_to_end import tagger as tagging
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import HTTP
from tests.end_to_end.test_firmware import (
    IPXE_ROM_S,
    KERNEL,
    LINUX_S,
    NODE,
    PLAIN_BIOS_S,
    SCRIPT,
    UEFI_S,
    arguments,
    finish,
    first_discover,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TAG = 20
TAGGED, TAGGED_DHCP, TAGGED_RANGE = "198.51.100.10", "198.51.100.1", "198.51.100.100,198.51.100.199"


def tagged_network(site: Site) -> None:
    """A VLAN on the machines' segment, in which netbootd and a DHCP server have addresses."""
    lab = site.lab
    lab.ip("switch", "tuntap add trunk mode tap")
    lab.ip("switch", "link set trunk master lan up")
    for place, address in (("boot", TAGGED), ("lan", TAGGED_DHCP)):
        lab.ip(place, f"tuntap add eth0.{TAG} mode tap")
        lab.ip(place, f"addr add {address}/24 broadcast + dev eth0.{TAG}")
        # EDK2's VirtioNetDxe has no room for a tag in a frame of full size.
        lab.ip(place, f"link set eth0.{TAG} mtu 1496 up")
    ends = [("switch", "trunk"), ("boot", f"eth0.{TAG}"), ("lan", f"eth0.{TAG}")]
    places = [f"{lab.prefix}{place}:{name}" for place, name in ends]
    tagger = lab.spawn("switch", sys.executable, tagging.__file__, str(TAG), *places)
    tagger.wait_for("tagging", 10)
    server = lab.spawn(
        *("lan", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *(f"--interface=eth0.{TAG}", "--bind-interfaces", "--no-ping", "--dhcp-authoritative"),
        *(f"--dhcp-range={TAGGED_RANGE},1h", f"--dhcp-leasefile={lab.folder}/leases-{TAG}"),
        "--dhcp-option=3",
    )
    server.wait_for("DHCP, IP range", 10)


def in_vlan(site: Site) -> None:
    """The machine boots from VLAN 20, where alone its files can be had."""
    tagged_network(site)
    site.lab.dhcp()
    site.config["boot_servers"]["tagged"] = f"{TAGGED}:3000"
    site.config["netbootd"]["interfaces"] = ["eth0", f"eth0.{TAG}"]
    site.machine(NODE, "linux", "one", vlan=TAG, boot_server="tagged", extra_args="in=__vlan__")


def knows_vlans(site: Site) -> None:
    """The iPXE that netbootd gives to machines is one with VLANs."""
    if not foreign.IPXE_X64.ready:
        pytest.skip("no iPXE with VLANs in the cache")
    site.config["netbootd"]["firmware"].insert(0, str(foreign.IPXE_X64.folder))


def test_ipxe_of_a_card_that_knows_no_vlans_is_replaced_once_by_one_that_does(site: Site) -> None:
    in_vlan(site)
    knows_vlans(site)
    daemon = site.serve()

    with site.lab.bios(NODE) as node:
        assert f"in={TAG}" in arguments(node, PLAIN_BIOS_S)
        packets = finish(node)

    assert first_discover(packets).user_class == b"iPXE"
    assert len(packets.loaded("undionly.kpxe")) == 1
    assert KERNEL not in packets.paths()
    assert f"fetched {KERNEL} by HTTP" in daemon.text


def test_uefi_machine_changes_over_to_its_vlan(site: Site) -> None:
    in_vlan(site)
    knows_vlans(site)
    daemon = site.serve()

    with site.lab.uefi(NODE) as node:
        assert f"in={TAG}" in arguments(node, UEFI_S)
        packets = finish(node)

    assert any(path.startswith(SCRIPT) for path in packets.paths())
    assert KERNEL not in packets.paths()
    assert f"fetched {KERNEL} by HTTP" in daemon.text
    assert "no VLAN" not in node.console


def test_ipxe_that_knows_no_vlans_says_so_and_goes_on(site: Site) -> None:
    """That of its card is replaced by Debian 12's, which knows none either."""
    in_vlan(site)
    site.machine(NODE, "linux", "one", vlan=TAG, extra_args="in=__vlan__")
    site.serve()

    with site.lab.bios(NODE) as node:
        node.wait_for(f"netbootd: no VLAN {TAG} on net0", PLAIN_BIOS_S)
        assert f"in={TAG}" in arguments(node, IPXE_ROM_S)
        assert KERNEL in finish(node).paths()


def test_a_port_that_blocks_at_first_is_waited_for(site: Site) -> None:
    """iPXE from a disk runs the first script before it has an address; so does autoexec.ipxe."""
    site.machine(NODE, "linux", "one")
    site.serve()
    first = site.lab.folder / "first.ipxe"
    first.write_text(site.lab.run("boot", "curl", "--silent", "--fail", f"http://{HTTP}/boot"))
    loader = ("-kernel", "/usr/lib/ipxe/ipxe.lkrn", "-initrd", str(first))

    with site.lab.power_on(machines.BIOS.but(*loader), NODE, rom="") as node:
        for seconds in (5, 10):
            node.wait_for(f"no address yet; again in {seconds} seconds", IPXE_ROM_S)
        site.lab.dhcp()
        assert "netbootd.word=one" in arguments(node, 2 * IPXE_ROM_S)
        node.wait_for(guest.DONE, LINUX_S)


def test_a_port_that_stays_blocked_is_given_up(site: Site) -> None:
    site.machine(NODE, "linux", "one")
    site.serve()
    first = site.lab.folder / "first.ipxe"
    first.write_text(site.lab.run("boot", "curl", "--silent", "--fail", f"http://{HTTP}/boot"))
    loader = ("-kernel", "/usr/lib/ipxe/ipxe.lkrn", "-initrd", str(first))

    with site.lab.power_on(machines.BIOS.but(*loader), NODE, rom="") as node:
        node.wait_for("no address yet; again in 20 seconds", 3 * IPXE_ROM_S)
        node.wait_for("no boot script could be fetched", 2 * IPXE_ROM_S)
        assert "again in 40" not in node.console
