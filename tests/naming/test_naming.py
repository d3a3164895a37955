"""The hosts file and DNS as leases come and go, with the real configuration and a real BIND."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address

import pytest

from netbootd.events.lease import AddressInUse, Leased, LeaseEnded
from netbootd.leases.lease import Lease, State
from netbootd.mac import MAC
from netbootd.naming.naming import MOST_WAITING, Naming
from netbootd.record.record import Record
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from tests.commands.daemons import until
from tests.end_to_end.nameserver import named

from .test_updates import ADDRESS, free_port, lookup

N1, STRANGER, THIRD = "52:54:00:12:34:56", "52:54:00:aa:bb:cc", "52:54:00:aa:bb:dd"
COMMENT = "# Written by netbootd: the names of its leases.  Changes here are lost.\n"


def live_of(folder, machines=None, **netbootd):
    file = folder / "netbootd.json"
    settings = {"state": "state", "files": "files", **netbootd}
    (folder / "files").mkdir(exist_ok=True)
    target = {"type": "localboot", "name": "disk"}
    listed = {N1: {**target, "hostname": "n1"}} if machines is None else machines
    config = {
        "targets": {"localboot": {"disk": {}}},
        "machines": listed,
        "subnets": {"192.0.2.0/24": {"dhcp": "server", "domain": "lab.example"}},
        "netbootd": settings,
    }
    file.write_text(json.dumps(config))
    registry = load(file)
    assert [one for one in registry.findings if one.level.name == "ERROR"] == []
    return LiveRegistry(registry, Record(lambda: 0.0))


@pytest.fixture
def make(tmp_path):
    made = []

    def naming(leases=(), **settings):
        live = live_of(tmp_path, **settings)
        one = Naming(live, lambda: None)
        made.append(one)
        one.start(leases)
        return one, live

    yield naming
    for one in made:
        one.stop()


def leased(address, mac, hostname=""):
    return Leased(
        mac=MAC.parse(mac), address=address, seconds=60, how="new", key=mac, hostname=hostname
    )


def ended(address, mac, hostname=""):
    return LeaseEnded(
        mac=MAC.parse(mac), address=address, how="expired", key=mac, hostname=hostname
    )


def becomes(file, *lines):
    wanted = COMMENT + "".join(f"{line}\n" for line in lines)
    until(lambda: file.exists() and file.read_text() == wanted)


def test_the_file_has_the_names_of_leases(make, tmp_path):
    file = tmp_path / "hosts"
    naming, _ = make(dhcp={"hosts": "hosts"})
    becomes(file)
    naming(leased("192.0.2.101", STRANGER, "Laptop"))
    naming(leased("192.0.2.11", N1, "whatever-it-says"))
    naming(leased("192.0.2.102", THIRD, "n1"))
    becomes(file, "192.0.2.11\tn1.lab.example n1", "192.0.2.101\tlaptop.lab.example laptop")
    naming(ended("192.0.2.101", STRANGER, "Laptop"))
    becomes(file, "192.0.2.11\tn1.lab.example n1")
    assert (file.stat().st_mode & 0o777, naming.trouble) == (0o644, "")
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".hosts")] == []


def test_a_file_of_somebody_else_stays_as_it_is(make, tmp_path):
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1\tlocalhost\n")
    naming, _ = make(dhcp={"hosts": "hosts"})
    naming(leased("192.0.2.11", N1))
    until(lambda: naming.trouble)
    assert "not of netbootd's making" in naming.trouble
    assert file.read_text() == "127.0.0.1\tlocalhost\n"


def test_a_folder_that_is_missing_is_told_of_once(tmp_path):
    live = live_of(tmp_path, dhcp={"hosts": "none/hosts"})
    told = []
    naming = Naming(live, lambda: told.append(naming.trouble))
    naming.start(())
    for number in (101, 102):
        naming(leased(f"192.0.2.{number}", STRANGER, "laptop"))
        until(lambda: not naming._waiting and naming.trouble)
    naming.stop()
    trouble = f"{tmp_path}/none/hosts: No such file or directory"
    assert told == [f"the hosts file cannot be written: {trouble}"]


def test_a_file_that_is_empty_is_written(make, tmp_path):
    (tmp_path / "hosts").touch()
    naming, _ = make(dhcp={"hosts": "hosts"})
    naming(leased("192.0.2.11", N1))
    becomes(tmp_path / "hosts", "192.0.2.11\tn1.lab.example n1")


def test_an_address_that_is_declined_is_called_nothing(make, tmp_path):
    naming, _ = make(dhcp={"hosts": "hosts"})
    naming(leased("192.0.2.101", STRANGER, "laptop"))
    naming(leased("192.0.2.11", N1))
    naming(AddressInUse(mac=MAC.parse(STRANGER), address="192.0.2.101"))
    naming(AddressInUse(mac=MAC.parse(STRANGER), address="192.0.2.102"))
    becomes(tmp_path / "hosts", "192.0.2.11\tn1.lab.example n1")


def test_leases_of_before_a_restart_have_their_names_at_once(make, tmp_path):
    facts = {"key": STRANGER, "mac": MAC.parse(STRANGER), "since": 0.0, "until": 60.0}
    one = Lease(address=ip_address("192.0.2.9"), state=State.LEASED, hostname="a", **facts)
    gone = replace(one, address=ip_address("192.0.2.8"), state=State.FREE)
    make(leases=(one, gone), dhcp={"hosts": "hosts"})
    becomes(tmp_path / "hosts", "192.0.2.9\ta.lab.example a")


def test_a_reload_calls_everybody_anew(make, tmp_path):
    naming, live = make(machines={}, dhcp={"hosts": "hosts"})
    naming(leased("192.0.2.101", STRANGER, "n1"))
    naming(leased("192.0.2.11", N1, "x"))
    becomes(tmp_path / "hosts", "192.0.2.11\tx.lab.example x", "192.0.2.101\tn1.lab.example n1")
    live.swap(live_of(tmp_path, dhcp={"hosts": "hosts"}).snapshot)
    naming.configured()
    becomes(tmp_path / "hosts", "192.0.2.11\tn1.lab.example n1")


def test_a_file_that_cannot_be_written_is_a_trouble_until_it_can(make, tmp_path):
    naming, _ = make(dhcp={"hosts": "folder/hosts"})
    until(lambda: "the hosts file cannot be written" in naming.trouble)
    (tmp_path / "folder").mkdir()
    naming(leased("192.0.2.11", N1))
    becomes(tmp_path / "folder" / "hosts", "192.0.2.11\tn1.lab.example n1")
    until(lambda: naming.trouble == "")


def test_without_a_file_and_a_server_nothing_is_written(make, tmp_path):
    naming, _ = make()
    naming(leased("192.0.2.11", N1))
    naming.stop()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["files", "netbootd.json"]


def test_what_waits_has_an_end(tmp_path):
    naming = Naming(live_of(tmp_path), lambda: None)
    for _ in range(MOST_WAITING + 3):
        naming(leased("192.0.2.11", N1))
    assert naming.counts["events"] == 3


def test_addresses_and_names_of_nonsense_do_no_harm(make, tmp_path):
    naming, _ = make(dhcp={"hosts": "hosts"})
    naming(leased("no address", STRANGER, "a"))
    naming(leased("192.0.2.1", STRANGER, "a\n192.0.2.66 bank.example"))
    naming(ended("192.0.2.2", STRANGER, "\0" * 300))
    naming(leased("192.0.2.11", N1))
    becomes(tmp_path / "hosts", "192.0.2.11\tn1.lab.example n1")


def test_leases_stand_in_dns_while_they_last(make, tmp_path):
    port = free_port()
    zones = {"lab.example": "printer IN A 192.0.2.77\n", "2.0.192.in-addr.arpa": ""}
    process = named(tmp_path, zones, address=ADDRESS, port=port)
    ddns = {"server": ADDRESS, "port": port, "zones": list(zones), "key": "key"}
    naming, live = make(ddns=ddns)
    ask = live.snapshot.config.ddns
    naming(leased("192.0.2.11", N1))
    naming(leased("192.0.2.101", STRANGER, "laptop"))
    naming(leased("192.0.2.102", THIRD, "printer"))
    until(lambda: naming.counts["done"] == 6)
    assert lookup(ask, "n1.lab.example") == ["192.0.2.11"]
    assert lookup(ask, "laptop.lab.example") == ["192.0.2.101"]
    assert lookup(ask, "101.2.0.192.in-addr.arpa", "PTR") == ["laptop.lab.example."]
    assert lookup(ask, "printer.lab.example") == ["192.0.2.77"]
    naming(ended("192.0.2.101", STRANGER, "laptop"))
    until(lambda: naming.counts["done"] == 8)
    assert lookup(ask, "laptop.lab.example") == []
    assert lookup(ask, "101.2.0.192.in-addr.arpa", "PTR") == []
    naming.stop()
    again, _ = make(ddns=ddns)
    again(ended("192.0.2.11", N1, "n1"))
    until(lambda: lookup(ask, "n1.lab.example") == [])
    process.close()
