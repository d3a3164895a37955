"""Each form of the network's files, whole, and every fault of the data that they are made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from netbootd.scripts import network

from .machines import NODE, facts

GOLDEN = Path(__file__).parent / "golden"
#: A VLAN on a bond under a bridge, and one on the card that booted.
RACK = {
    "eno1": {"mac": "52-54-00-12-34-56", "address": "10.0.0.7/24"},
    "lan": {"mac": "52:54:00:00:00:01", "mtu": 9000},
    "lan2": {"mac": "52:54:00:00:00:02", "mtu": 9000},
    "br20": {
        "bridge": ["vlan20"],
        "address": ["10.0.20.7/24", "fd00::7/64"],
        "gateway": "10.0.20.1",
        "dns": ["10.0.20.2", "fd00::2"],
    },
    "vlan20": {"link": "bond0", "vlan": 20},
    "bond0": {"bond": ["lan", "lan2"], "mode": "802.3ad", "mtu": 9000, "mac": "02:00:00:00:00:0b"},
    "vlan30": {"link": "eno1", "vlan": 30, "address": "dhcp"},
    "eno2": {"address": "10.1.0.7/16"},
}
#: The same where there are no bridges.
GLOBAL_ZONE = {
    "admin": {"mac": "52:54:00:12:34:56"},
    "lan": {"mac": "52:54:00:00:00:01"},
    "lan2": {"mac": "52:54:00:00:00:02"},
    "aggr0": {"bond": ["lan", "lan2"], "mode": "802.3ad", "mtu": 9000},
    "storage": {"link": "aggr0", "vlan": 20, "address": ["10.0.20.7/24", "fd00::7/64"]},
    "external": {
        "mac": "52:54:00:00:00:03",
        "address": ["10.9.0.7/16", "fd00:9::7/64"],
        "gateway": ["10.9.0.1", "fd00:9::1"],
        "dns": "10.9.0.2",
    },
    "guests": {"link": "admin", "vlan": 30, "address": "dhcp"},
}


def planned(form, interfaces, target="nfs/a"):
    return network.plan(facts(target, network=form, interfaces=interfaces))


def written(plan):
    """A plan as one text."""
    files = "".join(f"--- {path} {plan.mode}\n{text}\n" for path, text in plan.files.items())
    return f"{files}--- devices {' '.join(plan.devices)}; on the booting card {plan.vlans}\n"


@pytest.mark.parametrize("form", network.FORMS)
def test_the_files_of_each_form(form):
    plan = planned(form, GLOBAL_ZONE if form == "smartos" else RACK)
    assert written(plan) == (GOLDEN / f"{form}.txt").read_text()


@pytest.mark.parametrize("form", network.FORMS)
def test_the_card_that_booted_is_configured_by_nobody(form):
    plan = planned(form, {"eno1": {"mac": str(NODE), "address": "10.0.0.7/24", "mtu": 1400}})
    assert str(NODE) not in "".join(plan.files.values())
    assert "eno1" not in "".join(plan.files.values())
    assert plan.devices == ()


@pytest.mark.parametrize("type_", ["install", "localboot"])
def test_a_machine_with_a_disk_of_its_own_may_use_that_card(type_):
    interfaces = {
        "eno1": {"mac": str(NODE)},
        "br0": {"bridge": ["eno1"], "address": "10.0.0.7/24"},
    }
    assert planned("networkd", interfaces, f"{type_}/a").devices == ("eno1", "br0")


def test_smartos_machines_have_the_form_of_smartos():
    assert network.plan(facts("smartos/a", interfaces=GLOBAL_ZONE)).form == "smartos"
    assert network.plan(facts("nfs/a", interfaces=RACK)).form == "networkd"


def test_devices_come_after_what_they_stand_on():
    order = planned("networkd", RACK).devices
    assert order.index("lan") < order.index("bond0") < order.index("vlan20") < order.index("br20")


@pytest.mark.parametrize(
    ("interfaces", "path", "teaches"),
    [
        (["eth0"], (), "must be an object"),
        ({"eth0": "dhcp"}, ("eth0",), "must be an object"),
        ({"eth 0": {}}, ("eth 0",), "letters, digits"),
        ({"a-name-of-sixteen": {}}, ("a-name-of-sixteen",), "1 to 15"),
        ({"eth0": {"mac": "52:54"}}, ("eth0", "mac"), "not a MAC"),
        ({"eth0": {"address": "10.0.0.256/24"}}, ("eth0", "address"), "10.0.0.256"),
        ({"eth0": {"address": "10.0.0.1"}}, ("eth0", "address"), "such as 10.0.0.1/24"),
        ({"eth0": {"address": 10}}, ("eth0", "address"), "a string or an array"),
        ({"eth0": {"gateway": "router"}}, ("eth0", "gateway"), "router"),
        ({"eth0": {"dns": ["10.0.0.1", "x"]}}, ("eth0", "dns"), "'x'"),
        ({"eth0": {"mtu": 9}}, ("eth0", "mtu"), "from 68 to 65535"),
        ({"eth0": {"mtu": True}}, ("eth0", "mtu"), "number"),
        ({"v": {"vlan": 4095, "link": "v2"}}, ("v", "vlan"), "from 1 to 4094"),
        ({"v": {"vlan": 4}}, ("v",), '"link" is missing'),
        ({"v": {"link": "eth0"}, "eth0": {}}, ("v",), '"vlan" is missing'),
        ({"v": {"vlan": 4, "link": "eht0"}, "eth0": {}}, ("v", "link"), 'mean "eth0"'),
        ({"b": {"bond": ["x"]}}, ("b", "bond"), 'no interface "x"'),
        ({"b": {"bond": ["x"], "mode": "lacp"}, "x": {}}, ("b", "mode"), "802.3ad"),
        ({"b": {"bridge": ["x"]}, "c": {"bridge": ["x"]}, "x": {}}, ("c", "bridge"), "already"),
        ({"b": {"bridge": [], "bond": []}}, ("b",), "bond and bridge at once"),
        ({"b": {"bridge": ["c"]}, "c": {"bridge": ["b"]}}, (), "circle: b -> c -> b"),
        ({"b": {"bridge": ["x"]}, "x": {"mac": str(NODE)}}, ("b", "bridge"), "boots from"),
    ],
)
def test_a_fault_names_the_value_and_what_would_be_right(interfaces, path, teaches):
    found = network.faults(facts(interfaces=interfaces))
    assert [(fault.path, teaches in fault.text) for fault in found if fault.path == path] == [
        (path, True)
    ], found
    with pytest.raises(ValueError, match="interfaces"):
        network.plan(facts(interfaces=interfaces))


@pytest.mark.parametrize("key", ["address", "gateway", "mtu", "dns"])
def test_what_the_booting_card_does_not_get_is_said(key):
    values = {"address": "10.0.0.7/24", "gateway": "10.0.0.1", "mtu": 1400, "dns": "10.0.0.2"}
    interfaces = {"eno1": {"mac": str(NODE), key: values[key]}}
    (fault,) = network.faults(facts(interfaces=interfaces))
    assert (fault.path, fault.ignored) == (("eno1", key), True)
    assert "boots from" in fault.text
    assert network.faults(facts("install/a", interfaces={**interfaces, "x": {}}))[1:] == []


def test_cards_without_a_mac_may_be_the_booting_one():
    interfaces = {"eth0": {}, "eth1": {"mac": "02:00:00:00:00:01"}}
    (fault,) = network.faults(facts(interfaces=interfaces))
    assert fault.ignored
    assert str(NODE) in fault.text
    assert planned("networkd", interfaces).by_name == ("eth0",)
    assert planned("ifupdown", interfaces).by_name == ("eth0", "eth1")
    assert planned("networkd", interfaces, "install/a").by_name == ()
    known = {**interfaces, "boot": {"mac": str(NODE)}}
    assert network.faults(facts(interfaces=known)) == []
    assert planned("networkd", known).by_name == ("eth0",)


_TWO = ["10.0.0.1", "10.0.0.2"]
_A, _B = "02:00:00:00:00:01", "02:00:00:00:00:02"


@pytest.mark.parametrize(
    ("interfaces", "forms", "teaches"),
    [
        (
            {"a": {"mac": _A, "address": "10.0.0.7/24", "gateway": _TWO}},
            {"ifupdown", "networkmanager"},
            "one IPv4 gateway",
        ),
        (
            {
                "a": {"mac": _A, "address": "10.0.0.7/24", "gateway": "10.0.0.1"},
                "b": {"mac": _B, "address": "10.1.0.7/24", "gateway": "10.1.0.1"},
            },
            {"ifupdown"},
            'one IPv4 gateway; "a" has one',
        ),
        ({"a": {"mac": _A, "gateway": "10.0.0.1"}}, set(network.FORMS), "no IPv4 address"),
        (
            {"a": {"mac": _A, "address": "10.0.0.7/24", "gateway": "fd00::1"}},
            set(network.FORMS),
            "no IPv6 address",
        ),
        (
            {"a": {"mac": _A, "address": "dhcp", "gateway": "10.0.0.1"}},
            {"ifupdown", "networkmanager"},
            "no IPv4 address",
        ),
        (
            {
                "a": {
                    "mac": _A,
                    "address": ["10.0.0.7/24", "fd00::7/64"],
                    "gateway": ["10.0.0.1", "fd00::1"],
                }
            },
            set(),
            "",
        ),
    ],
)
def test_gateways_that_would_not_count_are_said(interfaces, forms, teaches):
    def found(form):
        given = {"boot": {"mac": str(NODE)}, **interfaces}
        return network.faults(facts("nfs/a", network=form, interfaces=given))

    faults = {form: found(form) for form in network.FORMS}
    assert {form for form, found in faults.items() if found} == forms
    for (fault,) in filter(None, faults.values()):
        assert fault.path in (("a", "gateway"), ("b", "gateway"))
        assert teaches in fault.text
        assert not fault.ignored


@pytest.mark.parametrize(
    ("interfaces", "teaches"),
    [
        ({"br0": {"bridge": []}}, "no bridges"),
        ({"net0": {}}, 'card\'s "mac"'),
        ({"a": {"mac": "02:00:00:00:00:01", "address": ["10.0.0.1/8", "10.0.0.2/8"]}}, "one IPv4"),
    ],
)
def test_what_smartos_cannot_do_is_said(interfaces, teaches):
    (fault,) = network.faults(facts(interfaces=interfaces, network="smartos"))
    assert teaches in fault.text


def test_an_unknown_form_is_a_fault():
    (fault,) = network.faults(facts(interfaces={}, network="netplam"))
    assert "networkd, ifupdown, netplan" in fault.text


def test_an_unknown_key_costs_only_itself():
    (fault,) = network.faults(facts("install/a", interfaces={"eth0": {"adress": "10.0.0.1/8"}}))
    assert fault.ignored
    assert 'did you mean "address"?' in fault.text
    assert network.plan(facts(interfaces={"eth0": {"adress": "10.0.0.1/8"}})).devices == ("eth0",)
