"""Whose line it is, with a real configuration; the boots are told by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from netbootd.logbook.filing import Filer
from netbootd.logbook.neighbours import cards_in
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.registry.sightings import Sightings

ONE, TWO, SPARE = (MAC.parse(f"52:54:00:00:00:0{n}") for n in (1, 2, 3))
OURS = {"192.0.2.10", "192.0.2.8"}
STRANGER = MAC.parse("52:54:00:99:00:01")


class Boots:
    """Who has an address, and which boot it is in."""

    def __init__(self):
        self.addresses = {}
        self.numbers = {}

    def boots(self, peer, mac, number):
        self.addresses[peer] = (str(mac), mac, number)
        self.numbers[str(mac)] = number

    def at(self, peer):
        return self.addresses.get(peer, ("", None, 0))

    def latest(self, key):
        number = self.numbers.get(key)
        return SimpleNamespace(number=number, target="localboot/disk") if number else None


@pytest.fixture
def boots():
    return Boots()


@pytest.fixture
def leases():
    return {}


@pytest.fixture
def filer(tmp_path, boots, leases):
    machine = {"type": "localboot", "name": "disk"}
    file = tmp_path / "netbootd.json"
    file.write_text(
        json.dumps(
            {
                "targets": {"localboot": {"disk": {}}},
                "machines": {
                    str(ONE): {
                        **machine,
                        "ip": "192.0.2.1",
                        "hostname": "one.example.org",
                        "timezone": "Europe/Berlin",
                    },
                    str(TWO): {**machine, "hostname": "two"},
                    str(SPARE): {**machine, "hostname": "two", "ip": "192.0.2.8"},
                },
            }
        )
    )
    registry = load(file)
    beside = {"192.0.2.50": TWO}
    filer = Filer(lambda: registry, Sightings(), boots, beside.get, leases.get, OURS.__contains__)
    filer.names = registry.called
    return filer


def found(filer, *asked):
    filing = filer.of(*asked).filing
    return filing.key, filing.by


def test_what_a_sender_says_of_its_card_counts_first(filer, boots):
    boots.boots("192.0.2.1", TWO, 4)
    assert found(filer, "192.0.2.1", str(SPARE)) == (str(SPARE), "mac")
    assert found(filer, "192.0.2.1", "no mac") == (str(TWO), "boot")


def test_no_boot_from_here_and_no_lease_makes_a_machine_of_the_boot_server(filer, boots, leases):
    boots.boots("192.0.2.10", TWO, 4)
    leases["192.0.2.10"] = TWO
    assert found(filer, "192.0.2.10") == ("", "")
    assert found(filer, "192.0.2.10", str(SPARE)) == (str(SPARE), "mac")
    boots.boots("192.0.2.9", TWO, 4)
    leases["192.0.2.9"] = TWO
    assert found(filer, "192.0.2.9") == (str(TWO), "boot")


def test_the_boot_server_may_have_an_entry_with_its_address(filer, boots):
    boots.boots("192.0.2.8", TWO, 4)
    assert found(filer, "192.0.2.8") == (str(SPARE), "ip")


def test_who_booted_from_an_address_comes_before_whose_it_is(filer, boots):
    assert found(filer, "192.0.2.1") == (str(ONE), "ip")
    boots.boots("192.0.2.1", TWO, 4)
    assert found(filer, "192.0.2.1") == (str(TWO), "boot")


def test_a_stranger_takes_no_address_that_the_configuration_gives_to_a_machine(filer, boots):
    boots.boots("192.0.2.1", STRANGER, 4)
    assert found(filer, "192.0.2.1") == (str(ONE), "ip")
    boots.boots("192.0.2.9", STRANGER, 4)
    assert found(filer, "192.0.2.9") == (str(STRANGER), "boot")


def test_a_later_boot_has_its_own_number(filer, boots):
    boots.boots("192.0.2.7", TWO, 4)
    assert filer.of("192.0.2.7").filing.boot == 4
    boots.boots("192.0.2.7", TWO, 5)
    assert filer.of("192.0.2.7").filing.boot == 5
    assert filer.of("192.0.2.1").filing.boot == 0
    boots.numbers[str(ONE)] = 9
    assert filer.of("192.0.2.1").filing.boot == 9


def test_an_address_that_moves_takes_its_new_lines_with_it(filer, boots):
    boots.boots("192.0.2.7", ONE, 1)
    before = filer.of("192.0.2.7").filing
    boots.boots("192.0.2.7", TWO, 2)
    assert filer.of("192.0.2.7").filing.key == str(TWO)
    assert before.key == str(ONE)


def test_a_neighbour_is_known_by_its_card(filer):
    assert found(filer, "192.0.2.50") == (str(TWO), "neighbour")


def test_a_host_name_counts_last_and_only_where_one_machine_has_it(filer):
    assert found(filer, "192.0.2.99", "", "ONE.example.org") == (str(ONE), "hostname")
    assert found(filer, "192.0.2.99", "", "two") == ("", "")
    assert found(filer, "192.0.2.50", "", "one.example.org") == (str(TWO), "neighbour")


def test_a_machine_that_boots_what_all_others_do_is_not_known(tmp_path, boots):
    machine = {"type": "localboot", "name": "disk"}
    file = tmp_path / "netbootd.json"
    machines = {"default": machine, str(ONE): machine}
    file.write_text(json.dumps({"targets": {"localboot": {"disk": {}}}, "machines": machines}))
    registry = load(file)
    filer = Filer(lambda: registry, Sightings(), boots, {}.get)
    assert filer.of_card(ONE).filing.known
    assert not filer.of_card(TWO).filing.known
    assert filer.of_card(TWO).filing.target


def test_a_stranger_is_nobody(filer):
    assert found(filer, "192.0.2.99") == ("", "")


def test_the_clock_of_a_machine_is_in_its_own_zone(filer):
    assert filer.of("192.0.2.1").zone == ZoneInfo("Europe/Berlin")


def test_only_neighbours_that_were_resolved_count():
    table = (
        "IP address  HW type  Flags  HW address  Mask  Device\n"
        "192.0.2.1  0x1  0x2  52:54:00:00:00:01  *  eth0\n"
        "192.0.2.2  0x1  0x0  00:00:00:00:00:00  *  eth0\n"
        "garbage\n"
    )
    assert cards_in(table) == {"192.0.2.1": ONE}


# -- leases ----------------------------------------------------------------------------------------


def test_a_lease_comes_before_who_used_the_address_and_whose_it_is(filer, boots, leases):
    boots.boots("192.0.2.1", TWO, 4)
    leases["192.0.2.1"] = SPARE
    assert found(filer, "192.0.2.1") == (str(SPARE), "lease")
    assert found(filer, "192.0.2.1", str(TWO)) == (str(TWO), "mac")


def test_a_lease_of_a_stranger_is_filed_under_its_card(filer, leases):
    leases["192.0.2.50"] = STRANGER
    assert found(filer, "192.0.2.50") == (str(STRANGER), "lease")


def test_who_boots_with_its_own_lease_is_filed_by_its_boot(filer, boots, leases):
    boots.boots("192.0.2.7", TWO, 4)
    leases["192.0.2.7"] = TWO
    assert found(filer, "192.0.2.7") == (str(TWO), "boot")


def test_a_lease_that_moves_takes_its_new_lines_with_it(filer, leases):
    leases["192.0.2.7"] = ONE
    before = filer.of("192.0.2.7").filing
    leases["192.0.2.7"] = TWO
    assert (before.key, filer.of("192.0.2.7").filing.key) == (str(ONE), str(TWO))
    del leases["192.0.2.7"]
    assert found(filer, "192.0.2.7") == ("", "")
