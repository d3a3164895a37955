"""
Real iPXE and real firmware load by HTTPS what they boot, and only from whom they trust.

HTTPS tells the cable nothing but that it is there: what was fetched is what the daemon says.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.certificates import authority, signed
from tests.end_to_end import guest, machines, trust
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.end_to_end.node import Node
from tests.end_to_end.test_firmware import (
    INITRD,
    KERNEL,
    LINUX_S,
    NODE,
    PLAIN_BIOS_S,
    SCRIPT,
    UEFI_S,
    arguments,
)
from tests.end_to_end.tokens import new_token

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def assert_linux_by_https(site: Site, node: Node) -> None:
    """Script, kernel and initrd came from us, and none of them in clear."""
    node.wait_for(guest.DONE, LINUX_S)
    assert site.daemon is not None
    for path in (KERNEL, INITRD):
        assert f"fetched {path} by HTTP (200)" in site.daemon.text
    assert "got its boot script: linux/one" in site.daemon.text
    clear = [path for path in node.packets().paths() if path in (SCRIPT, KERNEL, INITRD)]
    assert not clear


@pytest.mark.ci
def test_ipxe_that_trusts_us_loads_script_kernel_and_initrd_by_https(site: Site) -> None:
    site.lab.dhcp()
    trust.by_https(site, authority())
    trust.loader(site, authority())
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.uefi(NODE) as node:
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        assert_linux_by_https(site, node)


def test_ipxe_that_does_not_trust_us_boots_nothing_and_says_so(site: Site) -> None:
    site.lab.dhcp()
    trust.by_https(site, authority())
    trust.loader(site, None)
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.uefi(NODE) as node:
        node.wait_for(r"Permission denied \(https://ipxe.org/0216eb", UEFI_S)
        assert guest.UP not in node.console


def test_ipxe_takes_no_certificate_for_another_address(site: Site) -> None:
    site.lab.dhcp()
    file = trust.by_https(site, authority())
    signed("boot", "192.0.2.99", signer=authority()).write(file)
    trust.loader(site, authority())
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.uefi(NODE) as node:
        node.wait_for(r"Permission denied \(https://ipxe.org/0216ea", UEFI_S)
        assert guest.UP not in node.console


def test_uefi_firmware_that_trusts_us_begins_by_https(site: Site) -> None:
    """UEFI HTTP boot; Debian 12's OVMF knows no forward secrecy but with Diffie-Hellman of old."""
    site.lab.dhcp()
    trust.by_https(site, authority(), old_clients=True)
    site.config["subnets"] = {"192.0.2.0/24": {"boot_server": f"https://{BOOT_SERVER}"}}
    trust.loader(site, authority())
    site.machine(NODE, "linux", "one")
    site.serve()

    trusts = trust.enrolled(authority(), site.lab.folder / "cacerts")
    with site.lab.power_on(machines.UEFI.but(*machines.HTTP_ONLY, *trusts), NODE) as node:
        node.wait_for(f"URI: https://{BOOT_SERVER}/", UEFI_S)
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        assert_linux_by_https(site, node)


# -- signatures ------------------------------------------------------------------------------------


@pytest.fixture
def signing(site: Site) -> Site:
    """A site whose kernel and initrd are signed by somebody whom BIOS machines' iPXE trusts."""
    site.lab.dhcp()
    root = trust.built(site)
    signer = signed("signer", signer=root, code=True)
    trust.by_https(site, root)
    for path in (KERNEL, INITRD):
        trust.sign(site, signer, path.lstrip("/"))
    site.config["targets"]["linux"]["one"]["signed"] = "signer"
    site.machine(NODE, "linux", "one")
    return site


def test_a_signed_kernel_and_initrd_boot(signing: Site) -> None:
    signing.serve()
    with signing.lab.plain_bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, PLAIN_BIOS_S)
        assert_linux_by_https(signing, node)


def test_an_initrd_that_somebody_changed_is_not_booted(signing: Site) -> None:
    file = Path(signing.config["netbootd"]["files"]) / INITRD.lstrip("/")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    signing.serve()
    with signing.lab.plain_bios(NODE) as node:
        node.wait_for("Could not verify: Permission denied", PLAIN_BIOS_S)
        node.wait_for("netbootd: linux/one is not booted: a signature is bad", PLAIN_BIOS_S)
        assert guest.UP not in node.console


def test_what_another_has_signed_is_not_booted(signing: Site) -> None:
    signing.config["targets"]["linux"]["one"]["signed"] = "somebody-else"
    signing.serve()
    with signing.lab.plain_bios(NODE) as node:
        node.wait_for("netbootd: linux/one is not booted: a signature is bad", PLAIN_BIOS_S)
        assert guest.UP not in node.console


# -- the daemon ------------------------------------------------------------------------------------


def curl(lab: Lab, anchor: Path, *words: str) -> str:
    """What curl says on the LAN's other host, which trusts *anchor* alone."""
    argv = ("curl", "--silent", "--show-error", "--max-time", "20", "--cacert", str(anchor))
    return lab.run("lan", *argv, *words)


@pytest.mark.ci
def test_api_page_and_events_by_https_and_a_new_certificate_by_sighup(site: Site) -> None:
    file = trust.by_https(site, authority(), only=True)
    anchor = site.lab.folder / "anchor.pem"
    anchor.write_bytes(authority().pem)
    daemon = site.serve()
    token = new_token(Path(site.config["netbootd"]["state"]))
    base, allowed = f"https://{BOOT_SERVER}", ("-H", f"Authorization: Bearer {token}")

    cookie = curl(site.lab, anchor, "-X", "POST", "-D", "-", *allowed, f"{base}/api/v1/session")
    assert "; Secure" in cookie
    assert "<html" in curl(site.lab, anchor, f"{base}/ui/")
    clear = curl(
        site.lab,
        anchor,
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{redirect_url}",
        f"http://{BOOT_SERVER}:3000/ui/",
    )
    assert clear == f"307 {base}/ui/"
    told = json.loads(curl(site.lab, anchor, f"{base}/status"))
    assert "HTTPS TCP 443" in told["listening"]
    assert "tls_certificate_expiry_seconds" in curl(site.lab, anchor, f"{base}/metrics")
    stream = site.lab.spawn(
        "lan",
        "curl",
        "-sN",
        "--cacert",
        str(anchor),
        *allowed,
        f"{base}/api/v1/events?topics=machines",
    )
    stream.wait_for("retry: ", 20)

    signed("boot", BOOT_SERVER, signer=authority(), days=(-1, 9.5)).write(file)
    assert "reloaded" in site.reload()
    shown = curl(site.lab, anchor, f"{base}/healthz")
    assert "the certificate of HTTPS expires in 9 days" in shown

    file.write_bytes(b"nothing")
    site.reload()
    daemon.wait_for("HTTPS: .* the certificate from before stays in force", 20)
    assert curl(site.lab, anchor, f"{base}/status")
