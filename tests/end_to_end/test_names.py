"""
Names of real clients in a real BIND, and in a hosts file that dnsmasq answers from, over the life of
leases and of netbootd.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.commands.daemons import until
from tests.end_to_end.lab import LAN_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.nameserver import named
from tests.end_to_end.process import Daemon

pytestmark = [pytest.mark.wire, pytest.mark.slow]

LISTED = "52:54:00:12:34:56"
ZONE, REVERSE = "lab.example", "2.0.192.in-addr.arpa"
#: A question as dig asks it: server, port, name, type.
ASK = """
import sys, dns.message, dns.query, dns.rdatatype
where, port, name, kind = sys.argv[1:]
answer = dns.query.udp(dns.message.make_query(name, kind), where, 5, port=int(port))
wanted = dns.rdatatype.from_text(kind)
print(*sorted(r.to_text() for s in answer.answer if s.rdtype == wanted for r in s))
"""


@dataclass
class Site:
    lab: Lab
    file: Path
    daemon: Daemon

    @property
    def hosts(self) -> Path:
        return self.file.parent / "run" / "hosts"

    def lookup(self, name: str, kind: str = "A", port: int = 53) -> str:
        words = (LAN_SERVER, str(port), name, kind)
        return self.lab.run("lan", sys.executable, "-c", ASK, *words).strip()

    def lease(self, place: str, *options: str) -> None:
        udhcpc = ("busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "9", "-s", "/bin/true")
        self.lab.run(place, *udhcpc, *options)

    def laptop(self) -> str:
        """The address of a client that says this name, once it is in DNS."""
        self.lease("one", "-x", "hostname:laptop")
        until(lambda: self.lookup("laptop.lab.example"))
        return self.lookup("laptop.lab.example")

    def command(self, *words: str) -> str:
        return self.lab.run("boot", str(NETBOOTD), *words, "--config", str(self.file))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    folder = tmp_path_factory.mktemp("names")
    with Lab(folder) as lab:
        for name in ("one", "two", "listed"):
            lab.plug(name, "192.0.2.200")
            lab.ip(name, "addr flush dev eth0")
        lab.ip("listed", f"link set eth0 address {LISTED}")
        zones = {ZONE: "printer IN A 192.0.2.77\nnode7 IN A 192.0.2.99\n", REVERSE: ""}
        named(folder, zones, address=LAN_SERVER, spawn=lambda *argv: lab.spawn("lan", *argv))
        file = write_config(folder / "netbootd.json", configuration(folder))
        yield Site(lab, file, lab.netbootd(file))


def configuration(folder: Path) -> dict[str, object]:
    listed = {"type": "localboot", "name": "disk", "hostname": "node7", "ip": "192.0.2.50"}
    pools = ["192.0.2.101-192.0.2.199"]
    return {
        "targets": {"localboot": {"disk": {}}},
        "machines": {LISTED: listed},
        "subnets": {"192.0.2.0/24": {"dhcp": "server", "pools": pools, "domain": ZONE}},
        "netbootd": {
            "interfaces": ["eth0"],
            "state": str(folder / "state"),
            "files": str(folder),
            "dhcp": {"hosts": str(folder / "run" / "hosts")},
            "ddns": {"server": LAN_SERVER, "zones": [ZONE, REVERSE], "key": str(folder / "key")},
        },
    }


def test_a_client_is_in_dns_with_the_name_that_it_says(site: Site) -> None:
    site.lease("one", "-x", "hostname:Laptop")
    until(lambda: site.lookup("laptop.lab.example") == "192.0.2.101")
    until(lambda: site.lookup("101.2.0.192.in-addr.arpa", "PTR") == "laptop.lab.example.")


def test_a_listed_machine_is_there_with_its_own_whatever_was_there_before(site: Site) -> None:
    site.lease("listed", "-x", "hostname:something-else")
    until(lambda: site.lookup("node7.lab.example") == "192.0.2.50")
    assert site.lookup("something-else.lab.example") == ""


@pytest.mark.parametrize("name", ["node7", "laptop", "printer", "bad_name", "wpad"])
def test_nobody_takes_a_name_that_is_anothers_or_none(site: Site, name: str) -> None:
    before = site.lookup(f"{name}.lab.example")
    site.lease("two", "-x", f"hostname:{name}")
    site.lease("two", "-x", "hostname:phone")
    until(lambda: site.lookup("phone.lab.example"))
    assert site.lookup(f"{name}.lab.example") == before


def test_the_hosts_file_is_one_that_dnsmasq_answers_from(site: Site) -> None:
    address = site.laptop()
    site.lease("listed")
    until(lambda: site.lookup("node7.lab.example") == "192.0.2.50")
    hosts = site.hosts
    until(lambda: hosts.exists() and {"laptop", "node7"} <= set(hosts.read_text().split()))
    server = site.lab.spawn(
        *("lan", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=5353"),
        *("--no-resolv", "--no-hosts", f"--addn-hosts={hosts}", f"--listen-address={LAN_SERVER}"),
        "--bind-interfaces",
    )
    server.wait_for("read .*hosts", 10)
    assert site.lookup("laptop.lab.example", port=5353) == address
    assert site.lookup("50.2.0.192.in-addr.arpa", "PTR", 5353) == "node7.lab.example."


def test_a_lease_that_is_over_takes_its_name_along(site: Site) -> None:
    address = site.laptop()
    site.command("leases", "release", address)
    until(lambda: site.lookup("laptop.lab.example") == "")
    until(lambda: site.lookup(ip_address(address).reverse_pointer, "PTR") == "")


def test_names_outlive_netbootd_and_go_with_their_leases_after_it(site: Site) -> None:
    site.lease("one", "-x", "hostname:laptop")
    until(lambda: site.lookup("laptop.lab.example"))
    site.daemon.close()
    assert site.lookup("laptop.lab.example")
    site.hosts.unlink()
    site.daemon = site.lab.netbootd(site.file)
    until(site.hosts.exists)
    assert "laptop.lab.example" in site.hosts.read_text()
    [address] = site.lookup("laptop.lab.example").split()
    site.command("leases", "release", address)
    until(lambda: site.lookup("laptop.lab.example") == "")
