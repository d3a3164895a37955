"""
Floods in the name of machines that are listed, of DHCPv6, and of frames that cannot be read: beside
each of them listed machines are answered within the tries of their firmware, and everybody else is
served.

See ``test_floods`` for the cables.  The flood begins some seconds before, so that what is saved up for
a rack that is switched on has been used up.
"""

from __future__ import annotations

import json
import sys
import time
from ipaddress import IPv6Address

import pytest

from tests.end_to_end import flood
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import HTTP
from tests.end_to_end.process import ROOT
from tests.end_to_end.test_floods import TFTP_CLIENTS, flooded
from tests.end_to_end.test_ipv6 import OURS, POOL, PREFIX

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

#: Machines that the flood knows as well, every five hundredth.
REAL = [flood.listed(number).hex(":") for number in range(0, flood.LISTED, 500)]
USED_UP_S = 12
_LOADER = "curl"


@pytest.fixture
def big(site: Site) -> Site:
    """With all the machines that the flood knows."""
    site.target("nfs", "a", kernel="images/vmlinuz")
    site.config["machines"] = {
        flood.listed(number).hex(":"): {"type": "nfs", "name": "a"}
        for number in range(flood.LISTED)
    }
    return site


def asks(site: Site, *words: str) -> list[int]:
    """At which try each of REAL was answered."""
    program = str(ROOT / "tests" / "end_to_end" / "rom.py")
    environment = ("env", f"PYTHONPATH={ROOT}")
    told = site.lab.run("lan", *environment, sys.executable, program, *words, *REAL, timeout=120)
    return [int(line.split()[1]) for line in told.splitlines() if line != "done"]


def everybody_else_is_served(site: Site) -> None:
    """Its loader by TFTP, its script, the API and what tells that the daemon is well."""
    site.lab.run("lan", *TFTP_CLIENTS[_LOADER], timeout=60)
    for path in (f"boot/{REAL[0]}", "status", "healthz", "metrics"):
        url = f"http://{HTTP}/{path}"
        site.lab.run("lan", "curl", "-sSf", "-m", "30", "-o", "/dev/null", url)


def shed(site: Site) -> float:
    told = site.lab.run("lan", "curl", "-sSf", "-m", "30", f"http://{HTTP}/metrics")
    name = "netbootd_dhcp_shed_total "
    return next(float(line.split()[1]) for line in told.splitlines() if line.startswith(name))


@pytest.mark.parametrize("kind", ["fresh-discover-listed", "discover-listed"])
def test_listed_machines_are_answered_in_a_flood_in_the_name_of_all_of_them(
    big: Site, kind: str
) -> None:
    daemon = big.serve()
    with flooded(big, 120, **{kind: 8000}) as flooding:
        time.sleep(USED_UP_S)
        tries = asks(big, "eth0")
        everybody_else_is_served(big)
        assert shed(big) > 0
        assert flooding.returncode is None
    print(kind, sorted(tries), flush=True)
    assert all(tries)
    daemon.wait_for(r"is flooded: \d+ DHCP packets were not looked at", 60)
    assert "Traceback" not in daemon.text


@pytest.mark.parametrize("mode", ["socket", "snoop"])
def test_frames_that_cannot_be_read_take_nothing_from_anybody(big: Site, mode: str) -> None:
    big.config["netbootd"]["proxydhcp"] = {"mode": mode}
    daemon = big.serve()
    with flooded(big, 60, broken=10_000) as flooding:
        time.sleep(USED_UP_S)
        tries = asks(big, "eth0")
        everybody_else_is_served(big)
        assert flooding.returncode is None
    print(mode, sorted(tries))
    assert all(tries)
    assert "Traceback" not in daemon.text


@pytest.mark.parametrize("kind", ["solicit", "solicit-listed"])
def test_dhcpv6_has_the_same_shares(big: Site, kind: str) -> None:
    big.lab.ip("boot", f"addr add {OURS}/64 dev eth0 nodad")
    big.config["subnets"] = {PREFIX: {"dhcp": "server", "pools": [POOL]}}
    daemon = big.serve()
    for mac in REAL:  # which nobody here would answer for
        near = flood.link_local(bytes.fromhex(mac.replace(":", "")))
        big.lab.ip("boot", f"neigh replace {IPv6Address(near)} lladdr {mac} dev eth0 nud permanent")
    card = json.loads(big.lab.run("boot", "ip", "-j", "link", "show", "eth0"))[0]["address"]
    with flooded(big, 120, **{kind: 4000}) as flooding:
        time.sleep(USED_UP_S)
        tries = asks(big, "-6", "eth0", card)
        everybody_else_is_served(big)
        assert shed(big) > 0
        assert flooding.returncode is None
    print(kind, sorted(tries), flush=True)
    assert all(tries)
    daemon.wait_for(r"is flooded: \d+ DHCPv6 packets were not looked at", 60)
    assert "Traceback" not in daemon.text
