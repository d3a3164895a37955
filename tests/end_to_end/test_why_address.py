"""
Faults of the addresses that netbootd itself gives, injected for real: an empty pool, an address in
use, a NAK, another DHCP server.  The daemon's own record names the one that was injected first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from netbootd.boots.boot import Code, Stage
from netbootd.dhcp.message import MessageType, Option
from tests.end_to_end.asking import Asker, assert_first, both, noted, reached
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER
from tests.end_to_end.pretender import PATIENCE_S, Pretender

pytestmark = pytest.mark.wire

NODE, OTHER = "52:54:00:12:34:56", "52:54:00:65:43:21"
LAN = "192.0.2.0/24"
OURS, SQUATTED = "192.0.2.150", "192.0.2.77"


@pytest.fixture
def node(site: Site) -> Iterator[Pretender]:
    """A UEFI machine on a LAN where netbootd gives the addresses."""
    site.machine(NODE, "linux", "one")
    site.config["subnets"] = {
        LAN: {"dhcp": "server", "pools": ["192.0.2.150-192.0.2.159"], "router": LAN_SERVER}
    }
    machine = Pretender(site.lab, NODE)
    yield machine
    machine.close()


def subnet(site: Site, **keys: object) -> None:
    site.config["subnets"][LAN].update(keys)


def request(node: Pretender, address: str, **options: bytes) -> list:
    """A REQUEST of *address* as one who had it before, and what is answered."""
    plain = node.firmware.discover(node.mac)
    said = {
        **plain.options,
        int(Option.MESSAGE_TYPE): bytes((MessageType.REQUEST,)),
        int(Option.REQUESTED_ADDRESS): IPv4Address(address).packed,
    }
    node.send(plain._replace(xid=node._xid, options=said))
    return list(node._answers(PATIENCE_S / 5))


def test_a_pool_without_a_free_address(site: Site, node: Pretender) -> None:
    subnet(site, pools=[f"{OURS}-{OURS}"])
    site.serve()
    other = Pretender(site.lab, OTHER, place="other")
    other.take_address(other.discover())
    other.close()
    assert node.insists() == []
    diagnosis = Asker(site).why(NODE, noted(Code.NO_ADDRESS))
    assert_first(diagnosis, "pool-exhausted")
    assert LAN in diagnosis.causes[0].sentence
    assert diagnosis.reached is Stage.DISCOVER


def test_a_subnet_without_a_pool(site: Site, node: Pretender) -> None:
    subnet(site, pools=[])
    site.serve()
    assert node.discover() == []
    assert_first(Asker(site).why(NODE, noted(Code.NO_ADDRESS)), "no-pool")


def test_an_address_that_somebody_wrote_into_his_machine_by_hand(
    site: Site, node: Pretender
) -> None:
    site.machine(NODE, "linux", "one", ip=SQUATTED)
    subnet(site, pools=[])
    site.lab.plug("squatter", SQUATTED)
    (link,) = json.loads(site.lab.run("squatter", "ip", "-j", "link", "show", "eth0"))
    site.serve()
    assert node.discover(2.0) == []
    diagnosis = Asker(site).why(NODE, noted(Code.ADDRESS_IN_USE))
    assert_first(diagnosis, "address-in-use")
    assert SQUATTED in diagnosis.causes[0].sentence
    assert link["address"] in diagnosis.causes[0].sentence


def test_a_client_that_insists_on_an_address_of_elsewhere(site: Site, node: Pretender) -> None:
    site.serve()
    assert [one.message_type for one in node.discover()] == [MessageType.OFFER]
    assert [one.message_type for one in request(node, "198.51.100.7")] == [MessageType.NAK]
    diagnosis = Asker(site).why(NODE, noted(Code.NAKED))
    assert_first(diagnosis, "address-refused")
    assert "198.51.100.7" in diagnosis.causes[0].sentence


def test_another_dhcp_server_that_takes_our_client(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    site.serve()
    offers = node.discover(2.0)
    theirs = [one for one in offers if str(one.server_id) == LAN_SERVER]
    assert theirs
    assert [one for one in offers if str(one.server_id) == BOOT_SERVER]
    node.take_address(theirs)
    diagnosis = Asker(site).why(NODE, both(noted(Code.REQUESTED), noted(Code.LEASE_OFFERED)))
    assert_first(diagnosis, "foreign-dhcp-server")
    assert LAN_SERVER in diagnosis.causes[0].sentence


def test_an_offer_that_nobody_takes(site: Site, node: Pretender) -> None:
    site.serve()
    assert node.insists()
    diagnosis = Asker(site).why(NODE, noted(Code.LEASE_OFFERED))
    assert_first(diagnosis, "offer-not-requested")


def test_a_filter_for_tftp_behind_our_own_lease(site: Site, node: Pretender) -> None:
    site.serve()
    address = node.take_address(node.discover())
    asker = Asker(site)
    diagnosis = asker.why(NODE, noted(Code.LEASED))
    assert_first(diagnosis, "tftp-blocked")
    assert asker.boots(NODE, noted(Code.LEASED))[0].peer == address


def test_lines_of_the_log_are_filed_by_the_lease(site: Site, node: Pretender) -> None:
    """A system that nobody saw boot, and whose address stands nowhere."""
    del site.config["machines"][NODE]
    site.serve()
    node.take_address(node.discover())
    node.says("all is well up here")
    assert Asker(site).console(NODE, "all is well up here")


def test_a_whole_boot_with_addresses_of_ours(site: Site, node: Pretender) -> None:
    site.serve()
    node.take_address(node.discover())
    file = node.discover()[0].file.rstrip(b"\0").decode()
    assert node.tftp(file)
    node.runs_ipxe()
    assert node.http(f"/boot/{node.mac.dashed}")
    assert node.http("/images/vmlinuz") is not None
    assert node.http("/images/initrd.gz") is not None
    node.runs_a_system()
    (boot,) = Asker(site).boots(NODE, reached(Stage.SYSTEM))
    assert [step.stage for step in boot.steps] == [
        *(Stage.DISCOVER, Stage.OFFER, Stage.LOADER, Stage.IPXE_DISCOVER, Stage.IPXE_OFFER),
        *(Stage.SCRIPT, Stage.KERNEL, Stage.INITRD, Stage.SYSTEM),
    ]
    assert boot.peer == node.address
