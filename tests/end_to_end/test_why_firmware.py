"""
Faults between a firmware's DISCOVER and its loader, injected for real: foreign servers, filters,
switches that drop offers.  The daemon's own record names the one that was injected first.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netbootd.boots.boot import Code, Stage
from netbootd.dhcp.message import Message
from tests.end_to_end.asking import Asker, assert_first, both, noted, nothing, reached
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER
from tests.end_to_end.pretender import Pretender

pytestmark = pytest.mark.wire

NODE = "52:54:00:12:34:56"
TWIN = "52:54:00:65:43:21"
MISTYPED = "52:54:00:12:43:56"


@pytest.fixture
def node(site: Site) -> Iterator[Pretender]:
    """A UEFI machine on a LAN where all is well so far."""
    site.machine(NODE, "linux", "one")
    machine = Pretender(site.lab, NODE)
    yield machine
    machine.close()


def nft(site: Site, place: str, rule: str, *, family: str = "inet", hook: str = "input") -> None:
    """A filter in *place* that drops what *rule* says."""
    base = f"add chain {family} why {hook} {{ type filter hook {hook} priority 0; }}"
    for words in (f"add table {family} why", base, f"add rule {family} why {hook} {rule} drop"):
        site.lab.run(place, "nft", words)


# -- nothing is asked ------------------------------------------------------------------------------


def test_a_machine_that_never_asked(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    site.machine(TWIN, "linux", "two")
    site.serve()
    node.discover()
    asker = Asker(site)
    asker.boots(NODE, reached(Stage.OFFER))
    assert_first(asker.why(TWIN, nothing), "no-discover")


def test_a_network_whose_broadcasts_do_not_arrive(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    nft(site, "boot", "udp dport 67")
    site.lab.run("switch", "nft", "add table bridge why")
    site.serve()
    site.lab.ip("switch", "link set eth0-boot nomaster")
    node.discover(0.3)
    assert_first(Asker(site).why(NODE, nothing), "nobody-heard")


def test_a_mac_that_was_mistyped(site: Site, node: Pretender) -> None:
    """The card's own MAC asks and is not listed; the one that is listed never does."""
    site.lab.dhcp()
    site.config["machines"] = {MISTYPED: {"type": "linux", "name": "one"}}
    daemon = site.serve()
    node.discover()
    daemon.wait_for(rf"{NODE}.*not in the configuration", 10)
    assert_first(Asker(site).why(MISTYPED, nothing, strangers=[NODE]), "mac-misspelt")
    of_the_card = Asker(site).why(NODE, nothing)
    assert_first(of_the_card, "unknown-machine")
    assert MISTYPED in of_the_card.causes[0].sentence


def test_a_machine_that_boots_its_disk(site: Site, node: Pretender) -> None:
    """A running system's DHCP client: busybox's."""
    site.lab.dhcp()
    site.serve()
    node.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", "2", "-s", "/bin/true")
    diagnosis = Asker(site).why(NODE, noted(Code.NOT_NETBOOT))
    assert_first(diagnosis, "not-a-netboot-client")
    assert "udhcp" in diagnosis.causes[0].sentence


# -- other servers ---------------------------------------------------------------------------------


def test_a_dhcp_server_that_names_its_own_boot_file(site: Site, node: Pretender) -> None:
    site.lab.dhcp("--dhcp-boot=pxelinux.0,lan,192.0.2.1")
    site.serve()
    node.becomes("bios")
    node.take_address(node.discover())
    node.run("curl", "-s", "-m", "1", "-o", "/dev/null", "tftp://192.0.2.1/pxelinux.0")
    diagnosis = Asker(site).why(NODE, both(noted(Code.OVERHEARD), noted(Code.REQUESTED)))
    assert_first(diagnosis, "foreign-boot-file")
    assert LAN_SERVER in diagnosis.causes[0].sentence
    assert "pxelinux.0" in diagnosis.causes[0].sentence


def test_a_boot_file_of_the_dhcp_servers_that_is_asked_of_us(site: Site, node: Pretender) -> None:
    """Only options 66 and 67, without siaddr: half a change-over to netbootd."""
    site.lab.dhcp(f"--dhcp-boot=netboot.xyz.kpxe,boot,{BOOT_SERVER}")
    site.serve()
    node.becomes("bios")
    node.take_address(node.discover())
    assert not node.tftp("netboot.xyz.kpxe", 2)
    assert_first(Asker(site).why(NODE, noted(Code.REFUSED)), "foreign-boot-file")


def test_a_second_proxy_on_the_wire(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    site.lab.plug("rival", "192.0.2.77")
    rival = site.lab.spawn(
        *("rival", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--log-dhcp", "--interface=eth0", "--bind-interfaces", "--dhcp-range=192.0.2.0,proxy"),
        *("--pxe-service=x86PC,rival,rival", "--pxe-service=X86-64_EFI,rival,rival.efi"),
        *("--pxe-service=BC_EFI,rival,rival.efi",),
    )
    rival.wait_for("DHCP, proxy", 10)
    site.serve()
    node.take_address(node.discover())
    diagnosis = Asker(site).why(NODE, both(noted(Code.OVERHEARD), noted(Code.REQUESTED)))
    assert_first(diagnosis, "second-proxy")
    assert "192.0.2.77" in diagnosis.causes[0].sentence


# -- offers ----------------------------------------------------------------------------------------


def test_no_dhcp_server_at_all(site: Site, node: Pretender) -> None:
    site.serve()
    node.insists()
    assert_first(Asker(site).why(NODE, reached(Stage.OFFER)), "no-address")


def test_a_dhcp_server_whose_addresses_are_all_taken(site: Site, node: Pretender) -> None:
    site.lab.dhcp("--dhcp-host=52:54:00:00:00:01,192.0.2.150", "--dhcp-ignore=tag:!known")
    site.serve()
    assert not [offer for offer in node.insists() if int(offer.yiaddr)]
    assert_first(Asker(site).why(NODE, reached(Stage.OFFER)), "no-address")


def test_a_switch_that_drops_our_offers(site: Site, node: Pretender) -> None:
    """DHCP snooping, as a bridge's filter on our port."""
    site.lab.dhcp()
    nft(
        *(site, "switch", 'iifname "eth0-boot" udp sport 67'),
        family="bridge",
        hook="forward",
    )
    site.serve()
    assert all(int(offer.yiaddr) for offer in node.insists())
    diagnosis = Asker(site).why(NODE, both(noted(Code.OVERHEARD), reached(Stage.OFFER)))
    assert_first(diagnosis, "offers-dropped")


def test_firmware_that_heeds_no_proxy(site: Site, node: Pretender) -> None:
    """It sees both offers and asks again for ever, while its neighbour boots."""
    site.lab.dhcp()
    site.machine(TWIN, "linux", "two")
    site.serve()
    twin = Pretender(site.lab, TWIN, place="twin")
    twin.loads()
    twin.close()
    node.insists()
    asker = Asker(site)
    asker.boots(TWIN, reached(Stage.LOADER))
    assert_first(asker.why(NODE, noted(Code.OVERHEARD)), "heeds-no-proxy")


def test_port_4011_behind_a_filter(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    nft(site, "boot", "udp dport 4011")
    site.serve()
    node.take_address(node.discover())
    assert node.asks_4011(1) is None
    assert_first(Asker(site).why(NODE, noted(Code.REQUESTED)), "port-4011-blocked")


@pytest.mark.parametrize("style", ["direct", "boot-server"])
def test_tftp_behind_a_filter(site: Site, node: Pretender, style: str) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one", reply_style=style)
    nft(site, "boot", "udp dport 69")
    site.serve()
    node.take_address(node.discover())
    if style == "boot-server":
        assert node.asks_4011()
    assert not node.tftp("snponly.efi", 1)
    at = Stage.OFFER if style == "direct" else Stage.BOOT_SERVER
    assert_first(Asker(site).why(NODE, both(noted(Code.REQUESTED), reached(at))), "tftp-blocked")


def test_http_boot_behind_a_filter(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    nft(site, "boot", "tcp dport 3000")
    site.serve()
    node.becomes("http")
    offers: list[Message] = node.discover()
    node.take_address(offers)
    assert node.http("/snponly.efi", 1) is None
    assert_first(Asker(site).why(NODE, noted(Code.REQUESTED)), "http-blocked")


# -- the configuration -----------------------------------------------------------------------------


def test_an_architecture_without_a_loader(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    site.config["netbootd"]["firmware"] = [str(site.lab.folder)]
    site.serve()
    node.discover()
    assert_first(Asker(site).why(NODE, noted(Code.UNSERVED)), "loader-missing")


def test_a_subnet_where_nobody_is_served(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    site.config["subnets"] = {"192.0.2.0/24": {"enabled": False}}
    site.serve()
    node.discover()
    assert_first(Asker(site).why(NODE, noted(Code.UNSERVED)), "subnet-unserved")


def test_a_relay_that_does_not_say_where_it_is(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    site.serve()
    node.lab.ip(node.place, "addr add 192.0.2.240/24 dev eth0")
    asked = node.firmware.discover(node.mac)._replace(hops=1)
    node.relays(asked)
    assert_first(Asker(site).why(NODE, noted(Code.UNSERVED)), "relay-without-giaddr")
