"""Networks of IPv6 in the section ``subnets``, and what they say of addresses."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, IPv6Network

import pytest

from netbootd.addressing import Serving
from netbootd.errors import ConfigErrors
from netbootd.registry.load import load
from netbootd.registry.subnets6 import DNS_SERVERS, DOMAIN_LIST, NTP_SERVER

NETWORK = "2001:db8:1::/64"
NODE = "52:54:00:12:34:56"


@pytest.fixture
def loaded(tmp_path):
    def load_it(entry, **more):
        file = tmp_path / "netbootd.json"
        file.write_text(json.dumps({"subnets": {NETWORK: entry}, **more}))
        registry = load(file)
        told = [one.text for one in registry.findings if one.code.startswith(("subnet", "ip6"))]
        return registry, registry.subnets.of("2001:db8:1::5"), told

    return load_it


def test_all_keys(loaded):
    _, subnet, told = loaded(
        {
            "dhcp": "server",
            "pools": ["2001:db8:1::1000-2001:db8:1::1fff", "2001:db8:1::2000/120"],
            "exclude": "2001:db8:1::1005",
            "dns": ["2001:db8::53", "2001:db8::54"],
            "domain": "example.org",
            "search": ["lab.example.org"],
            "ntp": "2001:db8::123",
            "lease_time": 7200,
            "rapid_commit": True,
        }
    )
    given = subnet.addressing6
    assert told == []
    assert subnet.network == IPv6Network(NETWORK)
    assert [str(pool) for pool in given.pools] == [
        "2001:db8:1::1000-2001:db8:1::1fff",
        "2001:db8:1::2000-2001:db8:1::20ff",
    ]
    assert given.excludes(IPv6Address("2001:db8:1::1005"))
    assert (given.serving, given.lease_time, given.rapid_commit) == (Serving.SERVER, 7200, True)
    assert given.options == {
        DNS_SERVERS: IPv6Address("2001:db8::53").packed + IPv6Address("2001:db8::54").packed,
        DOMAIN_LIST: b"\7example\3org\0\3lab\7example\3org\0",
        NTP_SERVER: b"\0\1\0\x10" + IPv6Address("2001:db8::123").packed,
    }


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"pools": ["2001:db8:2::1-2001:db8:2::9"]}, "is outside the network 2001:db8:1::/64"),
        ({"pools": ["10.0.0.1-10.0.0.9"]}, "is no range"),
        ({"pools": ["2001:db8:1::9-2001:db8:1::1"]}, "ends before it begins"),
        ({"pools": 7}, "is no range"),
        ({"dns": "192.0.2.1"}, "is no IPv6 address"),
        ({"dns": "fe80::1"}, "none that a machine can be given"),
        ({"domain": "no domain"}, "is no domain"),
        ({"lease_time": 1}, "outside"),
        ({"rapid_commit": "yes"}, "true or false"),
        ({"router": "2001:db8:1::1"}, "no key of a subnet"),
    ],
)
def test_what_is_wrong_is_told_and_left_out(loaded, entry, told):
    _, _, [text] = loaded(entry)
    assert told in text


def test_a_wrong_mode_refuses_the_file(loaded):
    with pytest.raises(ConfigErrors, match="server"):
        loaded({"dhcp": "serve"})


def test_a_policy_counts_for_clients_of_ipv6(loaded):
    registry, subnet, _ = loaded({"enabled": False})
    assert not subnet.served
    assert registry.subnets.of("2001:db8:1::5%eth0") is subnet
    assert registry.subnets.of("2001:db8:2::5").served
    assert registry.subnets.of("192.0.2.5").served


def machines(*addresses):
    return {f"{NODE[:-1]}{number}": {"ip6": one} for number, one in enumerate(addresses)}


def test_a_machine_has_an_address_of_its_own(loaded):
    registry, _, told = loaded({}, machines=machines("2001:db8:1::77"))
    [(address, machine)] = registry.reserved6.items()
    assert (str(address), str(machine.mac), told) == ("2001:db8:1::77", f"{NODE[:-1]}0", [])


@pytest.mark.parametrize(
    ("addresses", "told"),
    [
        (["2001:db8:1::77", "2001:db8:1::77"], "netbootd.json:1:51) as well, which"),
        (["192.0.2.1"], "is no IPv6 address"),
        ([7], "is no IPv6 address"),
    ],
)
def test_an_address_that_cannot_be_its_own_is_told(loaded, addresses, told):
    _, _, [text] = loaded({}, machines=machines(*addresses))
    assert told in text


def test_an_exclusion_that_is_wrong_refuses_the_file(loaded):
    pools = ["2001:db8:1::1000-2001:db8:1::1fff"]
    with pytest.raises(ConfigErrors, match='"exclude"'):
        loaded({"dhcp": "server", "pools": pools, "exclude": ["2001:db8:1::1005", "::g"]})
