"""The address that a client would get, by the configuration alone, and how the commands tell it."""

from __future__ import annotations

import json

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.check import check
from netbootd.diff import as_text, diff
from netbootd.explain import explain, remembered
from netbootd.mac import MAC
from netbootd.reasons import facts
from netbootd.registry.expected import expected
from netbootd.registry.load import load, load_with_origins
from netbootd.show import show

NET, HALL, YARD = "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"
NODE, OTHER, STRANGER = (MAC.parse(f"52:54:00:00:00:0{digit}") for digit in "123")
DISK = {"type": "localboot", "name": "disk"}
SERVER = {"dhcp": "server", "router": "10.1.0.1", "pools": "10.1.0.100-10.1.0.199"}


@pytest.fixture
def written(tmp_path):
    def make(subnets, machines=None, dhcp=None, name="c.json", known_only=False):
        settings = {"files": str(tmp_path), "state": str(tmp_path / "state")}
        document = {
            "targets": {"localboot": {"disk": {}}},
            "subnets": subnets,
            "machines": {"default": DISK, **(machines or {})},
            "netbootd": {**settings, "known_only": known_only, "dhcp": dhcp or {}},
        }
        file = tmp_path / name
        file.write_text(json.dumps(document, indent=1))
        return file

    return make


def told(file, mac, link):
    registry = load(file)
    found = expected(registry.machine(mac, link), link, registry)
    return found and found.text.partition(", /")[0].rstrip(")")


@pytest.mark.parametrize(
    ("link", "mac", "text"),
    [
        ("10.1.0.9", NODE, "10.1.0.5 (its ip"),
        ("10.1.0.9", STRANGER, f"one of 10.1.0.100-10.1.0.199 (a pool of subnet {NET}"),
        ("", NODE, "none (where it asks from is not known: --from says it"),
        ("10.2.0.9", NODE, f"one of 10.2.0.5-10.2.0.6 [listed] (not 10.1.0.5: that is not in subnet {HALL}; a pool of subnet {HALL}"),
        ("10.2.0.9", STRANGER, f"one of 10.2.0.7-10.2.0.7 [circuit_id Gi*, not listed] (a pool of subnet {HALL}"),
        ("10.2.0.9", OTHER, "10.2.0.20 (its ip"),
        ("10.3.0.9", NODE, 'that of another DHCP server ("proxy" by netbootd.dhcp.mode'),
        ("10.4.0.9", NODE, 'none ("off" by subnet 10.4.0.0/24'),
    ],
)  # fmt: skip
def test_the_address_and_why(written, link, mac, text):
    subnets = {
        NET: SERVER,
        HALL: {
            "dhcp": "server",
            "pools": [
                {"range": "10.2.0.5-6", "listed": True},
                {"range": "10.2.0.7", "listed": False, "circuit_id": "Gi*"},
            ],
        },
        YARD: {},
        "10.4.0.0/24": {"dhcp": "off"},
    }
    machines = {str(NODE): {**DISK, "ip": "10.1.0.5"}, str(OTHER): {**DISK, "ip": "10.2.0.20"}}
    found = told(written(subnets, machines), mac, link)
    assert found == text or (not link and found.endswith("--from says it"))


@pytest.mark.parametrize(
    ("keys", "dhcp", "machine", "text"),
    [
        ({"known_only": True}, {}, {}, f"one of {SERVER['pools']}"),
        ({"exclude": "10.1.0.110"}, {}, {"ip": "10.1.0.110"}, f"one of {SERVER['pools']} (not 10.1.0.110: that is excl"),
        ({"enabled": False}, {}, {}, "none (nobody is served"),
        ({"pools": []}, {}, {}, "none (no pool of subnet"),
        ({}, {"interfaces": {"eth1": "off"}}, {}, f"one of {SERVER['pools']}"),
    ],
)  # fmt: skip
def test_what_keeps_a_machine_from_an_address(written, keys, dhcp, machine, text):
    file = written({NET: {**SERVER, **keys}}, {str(NODE): {**DISK, **machine}}, dhcp)
    assert told(file, NODE, "10.1.0.9").startswith(text)


def test_strangers_get_none_where_only_who_is_listed_is_served(written):
    file = written({NET: SERVER}, known_only=True)
    assert told(file, STRANGER, "10.1.0.9") == "none (known_only is set, and it is not listed"


def test_where_nobody_is_given_addresses_nothing_is_told(written):
    file = written({NET: {}}, {str(NODE): {**DISK, "ip": "10.1.0.5"}})
    assert told(file, NODE, "10.1.0.9") is None
    client = Client(stage=Stage.IPXE, mac=NODE)
    registry, origins = load_with_origins(file)
    case = remembered(client, registry, origins)
    assert "address " not in explain(case).text
    assert facts(case)["dhcp"] is None
    assert show(registry, client).as_dict()["dhcp"] is None
    assert "DHCP" not in check(file).summary


def test_the_commands_tell_the_address_its_options_and_the_lease(written):
    options = {"domain-search": ["a.b", "c"], "time-offset": -60, "224": "0x0001"}
    net = {**SERVER, "options": options, "routes": {"10.9.0.0/16": "10.1.0.9"}}
    file = written({NET: net}, {str(NODE): {**DISK, "ip": "10.1.0.5"}})
    registry, origins = load_with_origins(file)
    client = Client(stage=Stage.IPXE, mac=NODE)
    case = remembered(client, registry, origins)
    lines = [" ".join(line.split()) for line in explain(case).text.splitlines()]
    assert f"address 10.1.0.5 (its ip, {registry.machines[NODE].place})" in lines
    assert "option 3 routers = 10.1.0.1" in lines
    assert "option 2 time-offset = -60" in lines
    assert "option 119 domain-search = a.b, c" in lines
    routes = "0.0.0.0/0 via 10.1.0.1, 10.9.0.0/16 via 10.1.0.9"
    assert f"option 121 classless-static-routes = {routes}" in lines
    assert "option 224 224 = 0x0001" in lines
    assert "lease 3600 seconds; 300 to 86400 for who asks for it" in lines
    dhcp = facts(case)["dhcp"]
    assert (dhcp["mode"], dhcp["address"], dhcp["lease_time"]) == ("server", "10.1.0.5", 3600)
    assert dhcp["options"]["routers"] == "0x0a010001"
    shown = show(registry, client)
    assert "address   10.1.0.5 (its ip, " in shown.text
    assert shown.as_dict()["dhcp"]["address"] == "10.1.0.5"
    summary = "DHCP server of 1 subnet (100 addresses in pools, 1 kept for machines)"
    assert summary in check(file).summary


def test_a_difference_of_addresses_and_options_is_one(written):
    machines = {str(NODE): {**DISK, "ip": "10.1.0.5"}}
    old = load(written({NET: SERVER}, machines))
    new = load(written({NET: {**SERVER, "dns": "10.1.0.2"}}, machines, name="d.json"))
    changes = as_text(diff(old, new))
    assert "+option domain-name-servers 10.1.0.2" in changes
    assert diff(old, load(written({NET: SERVER}, machines, name="e.json"))) == []
