"""
Faults of the loader's transfer and start, injected for real; other people's TFTP clients fetch it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from netbootd.boots.boot import Code, Stage
from tests.binaries import pe
from tests.end_to_end.asking import Asker, assert_first, begun, both, noted, reached
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.pretender import Pretender
from tests.end_to_end.test_why_firmware import NODE, nft, node

pytestmark = pytest.mark.wire

__all__ = ["node"]
TFTP_ENDS_S = 50.0
IA32 = 0x14C


def as_far_as_its_loader(node: Pretender) -> str:
    """The path of the loader that it is told."""
    node.take_address(node.discover())
    answer = node.asks_4011()
    assert answer is not None
    return answer.file.rstrip(b"\0").decode()


@pytest.mark.e2e
@pytest.mark.slow
def test_an_answer_of_tftp_that_is_never_acknowledged(site: Site, node: Pretender) -> None:
    """A filter lets port 69 in, and nothing out from the ports of transfers."""
    site.lab.dhcp()
    nft(site, "boot", "udp sport 5000-65535 udp dport 5000-65535", hook="output")
    site.serve()
    path = as_far_as_its_loader(node)
    assert not node.tftp(path, 3)
    diagnosis = Asker(site).why(NODE, noted(Code.BROKEN), patience=TFTP_ENDS_S)
    assert_first(diagnosis, "oack-unacknowledged")


@pytest.mark.e2e
@pytest.mark.slow
def test_a_hop_whose_mtu_is_smaller_than_the_links(site: Site, node: Pretender) -> None:
    """The client's own cable takes 1000 bytes; nobody tells us."""
    site.lab.dhcp()
    site.serve()
    path = as_far_as_its_loader(node)
    node.lab.ip(node.place, "link set eth0 mtu 1000")
    assert not node.tftp(path, 3)
    diagnosis = Asker(site).why(NODE, noted(Code.BROKEN), patience=TFTP_ENDS_S)
    assert_first(diagnosis, "tftp-stalls")
    assert "MTU" in diagnosis.causes[0].sentence


def test_a_file_that_nobody_named(site: Site, node: Pretender) -> None:
    """Its firmware has another boot file, from somebody whom we do not hear."""
    site.lab.dhcp()
    site.serve()
    as_far_as_its_loader(node)
    assert not node.tftp("bootx64-of-old.efi", 2)
    assert_first(Asker(site).why(NODE, noted(Code.REFUSED)), "foreign-boot-file")


def test_a_loader_for_another_architecture(site: Site, node: Pretender) -> None:
    """Somebody named the 32-bit build for 64-bit firmware."""
    site.lab.dhcp()
    (site.lab.folder / "fw").mkdir()
    (site.lab.folder / "fw" / "ipxe32.efi").write_bytes(pe(IA32, bytes(40_000)))
    site.config["netbootd"]["firmware"].append(str(site.lab.folder / "fw"))
    site.machine(NODE, "linux", "one", loader={"efi-x64": "ipxe32.efi"})
    site.serve()
    assert node.tftp(as_far_as_its_loader(node))
    node.insists(1)
    again = both(begun(2), reached(Stage.OFFER))
    assert_first(Asker(site).why(NODE, again), "wrong-loader")


def test_a_loader_whose_end_is_missing(site: Site, node: Pretender) -> None:
    site.lab.dhcp()
    (site.lab.folder / "fw").mkdir()
    whole = open("/usr/lib/ipxe/snponly.efi", "rb").read()  # noqa: SIM115
    (site.lab.folder / "fw" / "snponly.efi").write_bytes(whole[: len(whole) // 2])
    site.config["netbootd"]["firmware"].insert(0, str(site.lab.folder / "fw"))
    site.serve()
    assert node.tftp(as_far_as_its_loader(node))
    assert_first(Asker(site).why(NODE, reached(Stage.LOADER)), "loader-truncated")


def test_firmware_that_refuses_an_unsigned_loader(site: Site, node: Pretender) -> None:
    """As EDK2 does with Secure Boot: it fetches it, and goes on with HTTP boot a second later."""
    site.lab.dhcp()
    site.serve()
    node.loads()
    node.becomes("http")
    node.discover()
    later = both(noted(Code.REQUESTED), lambda boots: len(boots[0].steps) > 4)
    assert_first(Asker(site).why(NODE, later), "secure-boot")


def test_a_legacy_machine_whose_loader_stays_silent(site: Site, node: Pretender) -> None:
    """No Secure Boot there: iPXE finds no card, or hangs."""
    site.lab.dhcp()
    site.serve()
    node.becomes("bios")
    node.loads()
    assert_first(Asker(site).why(NODE, reached(Stage.LOADER)), "loader-silent")


def test_a_loader_that_loads_itself(site: Site, node: Pretender) -> None:
    """The DHCP server names undionly.kpxe to iPXE as well, and iPXE heeds that."""
    site.lab.dhcp(f"--dhcp-boot=undionly.kpxe,boot,{BOOT_SERVER}")
    site.serve()
    node.becomes("bios")
    node.take_address(node.discover())
    assert node.tftp("undionly.kpxe")
    node.becomes("ipxe")
    for _ in range(3):
        node.take_address(node.discover(0.6))
        assert node.tftp("undionly.kpxe")
    assert_first(Asker(site).why(NODE, noted(Code.LOOPED)), "chain-loop")


@pytest.mark.e2e
@pytest.mark.slow
def test_a_switch_port_that_blocks_for_half_a_minute(site: Site, node: Pretender) -> None:
    """Spanning tree: the port listens (802.1D) while iPXE's first DISCOVERs are lost."""
    site.lab.dhcp()
    site.serve()
    node.loads()
    until = time.monotonic() + 21
    site.lab.run("switch", "bridge", "link", "set", "dev", "eth0-node", "state", "1")
    node.becomes("ipxe")
    while time.monotonic() < until:
        assert not node.discover(3)
    site.lab.run("switch", "bridge", "link", "set", "dev", "eth0-node", "state", "3")
    node.discover()
    diagnosis = Asker(site).why(NODE, noted(Code.SILENT))
    assert_first(diagnosis, "port-blocked")
    assert "portfast" in diagnosis.causes[0].advice


# -- iPXE ------------------------------------------------------------------------------------------


@pytest.fixture
def loader(site: Site, node: Pretender) -> Iterator[Pretender]:
    """The machine runs iPXE, once the site serves."""
    site.lab.dhcp()
    return node


def test_http_behind_a_filter(site: Site, loader: Pretender) -> None:
    nft(site, "boot", "tcp dport 3000")
    site.serve()
    loader.loads()
    loader.runs_ipxe()
    assert loader.http(f"/boot/{loader.mac.dashed}", 1) is None
    until = both(reached(Stage.IPXE_OFFER), noted(Code.REQUESTED))
    assert_first(Asker(site).why(NODE, until), "http-blocked")


def test_a_boot_server_whose_name_nobody_knows(site: Site, loader: Pretender) -> None:
    """The script takes its files from a name, and iPXE gets no name server."""
    site.config["boot_servers"] = {"default": "boot.invalid:3000"}
    site.serve()
    assert "http://boot.invalid:3000/images/vmlinuz" in loader.gets_script()
    assert loader.http("http://boot.invalid:3000/images/vmlinuz", 1) is None
    assert_first(Asker(site).why(NODE, reached(Stage.SCRIPT)), "name-unresolved")


def test_ipxe_that_gets_no_address(site: Site, node: Pretender) -> None:
    """The DHCP server gives one address to a MAC and goes away."""
    server = site.lab.dhcp()
    site.serve()
    node.loads()
    server.close()
    node.becomes("ipxe")
    assert node.insists()
    assert_first(Asker(site).why(NODE, reached(Stage.IPXE_OFFER)), "no-address")
