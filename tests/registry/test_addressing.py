"""What the file says of giving addresses: what becomes of it, and what is said of each slip."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from netbootd.addressing import LeaseTimes, Match, Range, Serving
from netbootd.check import check
from netbootd.errors import ConfigErrors, Level
from netbootd.mac import MAC
from netbootd.registry.addressing import given as addresses_given
from netbootd.registry.load import load
from netbootd.registry.marks import spelt

NET = "10.1.0.0/24"
ONE, TWO, THREE = (f"52:54:00:00:00:0{digit}" for digit in "123")
DISK = {"type": "localboot", "name": "disk"}


def ip(text):
    return IPv4Address(text)


def span(first, last=None):
    return Range(ip(first), ip(last or first))


@pytest.fixture
def loaded(tmp_path):
    def make(subnets=None, machines=None, dhcp=None, disk=None, **sections):
        settings = {"files": str(tmp_path), "state": str(tmp_path / "state")}
        document = {
            "targets": {"localboot": {"disk": disk or {}}},
            "subnets": subnets or {},
            "machines": {"default": DISK, **(machines or {})},
            "netbootd": settings if dhcp is None else {**settings, "dhcp": dhcp},
            **sections,
        }
        file = tmp_path / "c.json"
        file.write_text(json.dumps(document, indent=1))
        return load(file)

    return make


@pytest.fixture
def net(loaded):
    """One subnet in server mode with *keys*, and what was said of it."""

    def make(dhcp=None, machines=None, **keys):
        registry = loaded({NET: {"dhcp": "server", **keys}}, machines, dhcp)
        return registry.subnets.of("10.1.0.7").addressing, registry.findings

    return make


def codes(findings):
    return [finding.code for finding in findings]


POOL = "10.1.0.100-10.1.0.199"


# -- what is read --------------------------------------------------------------------------------


def test_a_subnet_is_read(net):
    given, findings = net(
        pools=[POOL, {"range": "10.1.0.10-19", "circuit_id": "Gi*", "listed": False}],
        exclude=["10.1.0.110", "10.1.0.120-10.1.0.129"],
        router="10.1.0.1",
        dns=["10.1.0.2", "10.1.0.3"],
        ntp="10.1.0.4",
        domain="example.net",
        search=["example.net", "example.org"],
        mtu=9000,
        routes={"10.9.0.0/16": "10.1.0.254"},
        options={"wpad": "http://w/", "224": "0x01"},
        lease_time=7200,
        authoritative=False,
        rapid_commit=True,
        bootp=True,
        probe=False,
        match_client_id=True,
        port_limit=0,
    )
    assert findings == ()
    assert given.serving is Serving.SERVER
    assert [pool.range for pool in given.pools] == [
        span("10.1.0.100", "10.1.0.199"),
        span("10.1.0.10", "10.1.0.19"),
    ]
    assert given.pools[1].match == Match(circuit_id="Gi*", listed=False)
    assert given.exclude == (span("10.1.0.110"), span("10.1.0.120", "10.1.0.129"))
    assert given.times == LeaseTimes(7200, 300, 86400)
    assert {code: data.hex() for code, data in given.options.items()} == {
        1: "ffffff00",
        3: "0a010001",
        6: "0a0100020a010003",
        15: b"example.net".hex(),
        26: "2328",
        28: "0a0100ff",
        42: "0a010004",
        119: "076578616d706c65036e657400076578616d706c65036f726700",
        # Who reads option 121 does not look at option 3 (RFC 3442).
        121: "000a010001" + "100a090a0100fe",
        224: "01",
        252: b"http://w/".hex(),
    }
    flags = (given.authoritative, given.rapid_commit, given.bootp, given.probe)
    assert flags == (False, True, True, False)
    assert (given.match_client_id, given.port_limit) == (True, 0)


def test_what_a_subnet_does_not_say_the_setting_does(net):
    dhcp = {
        "dns": "10.9.0.1",
        "ntp": ["10.9.0.2"],
        "domain": "example.org",
        "search": "example.org",
        "options": {"wpad": "http://all/", "log-servers": "10.9.0.3"},
        "lease_time": 600,
    }
    given, findings = net(dhcp, pools=POOL, dns="10.1.0.2", options={"wpad": "http://here/"})
    assert findings == ()
    assert given.options[6] == bytes([10, 1, 0, 2])
    assert given.options[42] == bytes([10, 9, 0, 2])
    assert given.options[7] == bytes([10, 9, 0, 3])
    assert given.options[15] == b"example.org"
    assert given.options[252] == b"http://here/"
    assert given.times == LeaseTimes(600, 300, 86400)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("10.1.0.5", "10.1.0.5", "10.1.0.5"),
        (" 10.1.0.5 - 10.1.0.9 ", "10.1.0.5", "10.1.0.9"),
        ("10.1.0.5-9", "10.1.0.5", "10.1.0.9"),
        ("10.1.0.5 10.1.0.9", "10.1.0.5", "10.1.0.9"),
        ("10.1.0.64/26", "10.1.0.64", "10.1.0.127"),
    ],
)
def test_a_range_has_several_spellings(net, text, first, last):
    given, findings = net(pools=[text])
    assert findings == ()
    assert [pool.range for pool in given.pools] == [span(first, last)]


@pytest.mark.parametrize(
    ("dhcp", "keys", "times"),
    [
        ({}, {}, (3600, 300, 86400)),
        ({}, {"lease_time": 604800}, (604800, 300, 604800)),
        ({}, {"lease_time": 60}, (60, 60, 86400)),
        ({}, {"max_lease_time": 1800}, (1800, 300, 1800)),
        ({}, {"min_lease_time": 7200}, (7200, 7200, 86400)),
        ({"lease_time": 600, "max_lease_time": 900}, {"lease_time": 1200}, (1200, 300, 1200)),
        ({"lease_time": 600, "min_lease_time": 500}, {"lease_time": 100}, (100, 100, 86400)),
        ({"max_lease_time": 4294967295}, {}, (3600, 300, 4294967295)),
    ],
)
def test_a_lease_time_moves_the_bounds_that_nobody_wrote_beside_it(net, dhcp, keys, times):
    given, findings = net(dhcp, pools=POOL, **keys)
    assert findings == ()
    assert given.times == LeaseTimes(*times)


def test_two_addresses_alone_have_none_for_all(loaded):
    registry = loaded({"10.1.0.0/31": {"dhcp": "server", "pools": "10.1.0.0-10.1.0.1"}})
    assert 28 not in registry.subnets.of("10.1.0.1").addressing.options


def test_the_subnets_of_a_cable_are_found_from_each(loaded):
    keys = {"dhcp": "server", "shared_network": "lab"}
    registry = loaded(
        {
            NET: {**keys, "pools": POOL},
            "10.2.0.0/24": {**keys, "pools": "10.2.0.5"},
            "10.3.0.0/24": {"dhcp": "server", "pools": "10.3.0.5"},
        }
    )
    of = registry.subnets.of
    assert registry.findings == ()
    assert [net.name for net in registry.subnets.link(of("10.2.0.1"))] == ["10.2.0.0/24", NET]
    assert [net.name for net in registry.subnets.link(of("10.3.0.1"))] == ["10.3.0.0/24"]
    assert registry.subnets.link(of("10.4.0.1")) == (of("10.4.0.1"),)


def test_the_dns_server_and_the_hook_of_leases_are_settings(tmp_path):
    settings = {
        "files": str(tmp_path),
        "hooks": {"lease": ["/bin/true"]},
        "dhcp": {"hosts": "hosts"},
        "ddns": {"server": "2001:db8::53", "zones": "example.net.", "key": "k", "ttl": 60},
    }
    (tmp_path / "c.json").write_text(json.dumps({"netbootd": settings}))
    config = load(tmp_path / "c.json").config
    assert config.hooks.lease == ("/bin/true",)
    assert config.dhcp.hosts == tmp_path / "hosts"
    assert (str(config.ddns.server), config.ddns.port, config.ddns.ttl) == ("2001:db8::53", 53, 60)
    assert (config.ddns.zones, config.ddns.key) == (("example.net",), tmp_path / "k")


# -- who is served -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "interface", "subnet", "serving"),
    [
        (None, None, None, "proxy"),
        ("server", None, None, "server"),
        ("server", "proxy", None, "proxy"),
        ("proxy", "server", None, "server"),
        ("server", "off", None, "off"),
        ("proxy", "server", "proxy", "proxy"),
        ("proxy", None, "server", "server"),
        ("off", "proxy", "server", "server"),
        ("proxy", "off", "server", "off"),
        ("server", "server", "off", "off"),
    ],
)
def test_an_interface_that_is_off_then_the_subnet_the_interface_the_setting(
    loaded, mode, interface, subnet, serving
):
    dhcp = {} if mode is None else {"mode": mode}
    if interface:
        dhcp["interfaces"] = {"eth1": interface}
    registry = loaded({NET: {"dhcp": subnet} if subnet else {}}, dhcp=dhcp)
    assert registry.serving(registry.subnets.of("10.1.0.7"), "eth1") is Serving(serving)


def test_the_mode_alone_has_a_short_form(loaded):
    assert loaded(dhcp="server").config.dhcp.mode is Serving.SERVER


def test_whether_an_interface_serves_is_told_by_its_networks_and_those_behind_relays(loaded):
    registry = loaded(
        {NET: {"dhcp": "server", "pools": POOL}, "10.2.0.0/24": {"dhcp": "proxy"}},
        dhcp={"interfaces": {"eth3": "server", "eth4": "off"}},
    )
    here, there = IPv4Interface("10.1.0.1/24"), IPv4Interface("10.2.0.1/24")
    assert registry.serves("eth1", [here], [here, there])
    assert not registry.serves("eth2", [there], [here, there])
    assert registry.serves("eth2", [there], [there])  # the first network is behind a relay
    assert registry.serves("eth3", [], [here])
    assert not registry.serves("eth4", [here], [here])


# -- machines ------------------------------------------------------------------------------------


def test_an_address_is_kept_for_its_machine(loaded):
    registry = loaded(machines={ONE: {**DISK, "ip": "10.1.0.5/24"}, TWO: {**DISK, "ip": "host"}})
    assert {str(address): one.written for address, one in registry.reserved.items()} == {
        "10.1.0.5": ONE
    }
    assert registry.machines[MAC.parse(ONE)].address == ip("10.1.0.5")
    assert registry.machines[MAC.parse(ONE)].variables["ip"] == "10.1.0.5"
    assert registry.by_address("10.1.0.5").written == ONE
    assert registry.machines[MAC.parse(TWO)].address is None


def test_of_two_machines_with_one_address_the_first_has_it_and_both_are_named(loaded):
    registry = loaded(machines={ONE: {**DISK, "ip": "10.1.0.5"}, TWO: {**DISK, "ip": "10.1.0.5"}})
    assert registry.reserved[ip("10.1.0.5")].written == ONE
    assert registry.by_address("10.1.0.5").written == ONE
    [finding] = registry.findings
    assert (finding.code, finding.level) == ("ip-duplicate", Level.WARNING)
    assert ONE in finding.text
    assert f"{TWO} gets an address of a pool" in finding.text
    assert TWO in finding.path


def test_a_hostname_that_is_none_is_told_as_of_the_machine(loaded, tmp_path):
    loaded(machines={ONE: {**DISK, "hostname": "a b"}})
    # What the daemon's user may read here is another matter.
    findings = check(tmp_path / "c.json").findings
    [finding] = [one for one in findings if one.code == "hostname-invalid"]
    assert finding.level is Level.WARNING
    assert finding.text.startswith("hostname 'a b' is no host name")
    assert finding.path.endswith(".hostname")


def test_two_machines_with_one_hostname_are_both_named(loaded):
    called = {name: {**DISK, "hostname": text} for name, text in ((ONE, "n1"), (TWO, "N1"))}
    called[THREE] = {**DISK, "hostname": "n3", "macs": ["52:54:00:00:00:09"]}
    [finding] = loaded(machines=called).findings
    assert (finding.code, finding.level) == ("hostname-duplicate", Level.WARNING)
    assert ONE in finding.text
    assert TWO in finding.path


def test_the_cards_of_one_machine_have_one_address(loaded):
    registry = loaded(machines={ONE: {**DISK, "macs": [TWO], "ip": "10.1.0.5"}})
    assert registry.findings == ()
    assert len(registry.reserved) == 1


def test_of_an_option_the_machines_word_counts_then_its_groups_then_its_targets(loaded):
    options = [{str(code): text} for code, text in ((224, "m"), (225, "m"))]
    machine = options[0]
    group = {"224": "g", "225": "g"}
    target = {"224": "t", "225": "t", "226": "t"}
    registry = loaded(
        machines={ONE: {**DISK, "group": "rack", "dhcp_options": machine}, TWO: DISK},
        disk={"dhcp_options": target},
        groups={"rack": {"dhcp_options": group}},
    )
    assert registry.findings == ()
    of = registry.machines[MAC.parse(ONE)].dhcp_options
    assert of == {224: b"m", 225: b"g", 226: b"t"}
    assert registry.machines[MAC.parse(TWO)].dhcp_options == {224: b"t", 225: b"t", 226: b"t"}
    assert "dhcp_options" not in registry.machines[MAC.parse(ONE)].variables


def test_the_default_of_a_subnet_may_have_options(loaded):
    registry = loaded(
        {NET: {"default": {**DISK, "dhcp_options": {"wpad": "x"}}}},
    )
    found = registry.stranger(MAC.parse(THREE), registry.subnets.of("10.1.0.5"))
    assert found.dhcp_options == {252: b"x"}


def test_an_option_that_is_wrong_is_told_where_it_stands(loaded):
    registry = loaded(
        machines={
            ONE: {**DISK, "dhcp_options": {"router": 1}},
            TWO: {**DISK, "group": "a"},
            THREE: {**DISK, "group": "a"},
        },
        disk={"dhcp_options": {"54": "10.1.0.1"}},
        groups={"a": {"dhcp_options": []}},
    )
    found = {finding.path: finding.code for finding in registry.findings}
    assert found == {
        "targets.localboot.disk.dhcp_options": "option-invalid",
        f'machines."{ONE}".dhcp_options': "option-invalid",
        "groups.a.dhcp_options": "option-invalid",
    }


def test_a_machine_is_known_by_the_port_of_its_switch(loaded):
    registry = loaded(
        machines={
            "a": {**DISK, "circuit_id": "Gi0/1", "remote_id": "sw1"},
            "b": {**DISK, "circuit_id": "Gi0/1", "remote_id": "sw2"},
            "c": {**DISK, "circuit_id": "0x0004000A0107"},
            "d": {**DISK, "remote_id": "0x737734"},
        }
    )
    assert registry.findings == ()
    by = registry.by_mark
    assert by("circuit_id", "Gi0/1", "sw1").named == "a"
    assert by("circuit_id", "Gi0/1", "sw2").named == "b"
    assert by("circuit_id", "Gi0/1", "sw3") is None
    assert by("circuit_id", "Gi0/1") is None
    assert by("circuit_id", spelt(bytes.fromhex("0004000a0107")), "sw1").named == "c"
    assert by("remote_id", "sw4").named == "d"
    assert by("remote_id", "sw1") is None


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"Gi0/1", "Gi0/1"), (b"", ""), (b"\0\x04", "0x0004"), (b" x", "0x2078"), (b"\xff", "0xff")],
)
def test_what_a_relay_says_is_spelt_as_text_or_in_hexadecimal(data, text):
    assert spelt(data) == text


# -- slips of the fingers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "code", "told"),
    [
        ({"pools": "10.1.0.9-10.1.0.5"}, "subnet-value", "backwards: write 10.1.0.5-10.1.0.9"),
        ({"pools": "10.2.0.1-10.2.0.9"}, "subnet-value", f"is outside the network {NET}"),
        ({"pools": "10.1.0.250-10.1.1.9"}, "subnet-value", "10.1.0.0 to 10.1.0.255"),
        ({"pools": ["10.1.0.5-10.1.0.300"]}, "subnet-value", 'a range such as "10.1.0.100'),
        ({"pools": 5}, "subnet-value", "a range such as"),
        ({"pools": "10.1.0.5-"}, "subnet-value", "a range such as"),
        ({"pools": "10.1.0.5 9"}, "subnet-value", "a range such as"),
        ({"pools": "10.1.0.255", "dhcp": "server"}, "subnet-value", "gives nothing: 10.1.0.255 is"),
        ({"routers": "10.1.0.1"}, "subnet-key", 'did you mean "router"?'),
        ({"gateway": "10.1.0.1"}, "subnet-key", 'did you mean "router"?'),
        ({"range": POOL}, "subnet-key", 'did you mean "pools"?'),
        ({"option domain-name-servers": "10.1.0.1"}, "subnet-key", 'did you mean "dns"?'),
        ({"option-data": []}, "subnet-key", 'did you mean "options"?'),
        ({"pools": "-"}, "subnet-value", "a range such as"),
        ({"pools": [None, POOL]}, "subnet-value", "a range such as"),
        ({"pools": {"from": "10.1.0.5"}}, "subnet-value", 'has no "range"'),
        ({"pools": {"range": POOL, "circuit": "x"}}, "subnet-value", 'mean "circuit_id"'),
        ({"pools": {"range": POOL, "listed": "no"}}, "subnet-value", "true or false, not 'no'"),
        ({"router": "10.1.0"}, "subnet-value", "an IPv4 address, not '10.1.0'; left out"),
        ({"dns": ["10.1.0.2", 5]}, "subnet-value", '"dns" must be an IPv4 address, not 5'),
        ({"ntp": "time.example.net"}, "subnet-value", '"ntp" must be an IPv4 address'),
        ({"domain": "a b"}, "subnet-value", "a domain name such as"),
        ({"search": ["a..b"]}, "subnet-value", "a domain name such as"),
        ({"router": "10.2.0.1"}, "gateway-outside", "10.2.0.1 is outside the network"),
        ({"routes": {"10.9.0.0/16": "10.2.0.1"}}, "gateway-outside", '"routes": 10.2.0.1'),
        ({"routes": {"10.9.0.1/16": "10.1.0.9"}}, "subnet-value", "has host bits set"),
        ({"routes": ["x"]}, "subnet-value", '"routes" must be an object such as'),
        ({"lease_time": "1h"}, "subnet-value", "a whole number from 10 to 4294967295"),
        ({"lease_time": 60, "min_lease_time": 90}, "lease-times", "in this order"),
        ({"max_lease_time": 60, "lease_time": 90}, "lease-times", "in this order"),
        ({"options": {"ntp-severs": "10.1.0.1"}}, "option-invalid", 'mean "ntp-servers"'),
        ({"options": {"ntp-servers": "x"}}, "option-invalid", "an IPv4 address or an array"),
        ({"options": {"53": 1}}, "option-invalid", "netbootd decides option 53"),
        ({"options": ["x"]}, "option-invalid", "must be an object, not an array"),
        ({"options": {"routers": "10.1.0.9"}, "router": "10.1.0.1"}, "option-twice", "differ"),
        ({"probe": "no"}, "subnet-value", "true or false, not 'no'; left out"),
        ({"port_limit": -1}, "subnet-value", "a whole number from 0 to 65535"),
        ({"lease_tmie": 60}, "subnet-key", 'did you mean "lease_time"?; left out'),
        ({"pools": [POOL, "10.1.0.150-10.1.0.220"]}, "pool-overlap", "overlap"),
        ({"exclude": "10.1.0.5"}, "exclude-outside", "10.1.0.5 is in no pool"),
    ],
)
def test_a_slip_is_told_and_costs_itself_alone(net, keys, code, told):
    _, findings = net(**{"pools": [POOL], **keys})
    [finding] = [one for one in findings if one.code != "subnet-empty"]
    assert finding.code == code
    assert told in finding.text
    assert finding.level < Level.ERROR
    assert finding.place.line > 1
    assert finding.path.startswith(f'subnets."{NET}".')


@pytest.mark.parametrize(
    ("keys", "pool", "count"),
    [
        ({"pools": "10.1.0.0/24"}, "10.1.0.1-10.1.0.254", 254),
        ({"pools": "10.1.0.0/24", "router": "10.1.0.1"}, "10.1.0.2-10.1.0.254", 253),
        (
            {"pools": "10.1.0.0/24", "router": ["10.1.0.254", "10.1.0.253"]},
            "10.1.0.1-10.1.0.252",
            252,
        ),
        ({"pools": POOL, "router": "10.1.0.150"}, POOL, 99),
        ({"pools": POOL, "exclude": ["10.1.0.90-109", "10.1.0.105-114"]}, POOL, 85),
    ],
)
def test_what_nobody_is_given_is_not_counted_of_a_pool(net, keys, pool, count):
    given, findings = net(**keys)
    assert findings == ()
    assert [str(one.range) for one in given.pools] == [pool]
    assert addresses_given(IPv4Network(NET), given) == count


def test_an_address_in_two_pools_counts_once(net):
    given, [finding] = net(pools=[POOL, "10.1.0.190-10.1.0.209"])
    assert finding.code == "pool-overlap"
    assert addresses_given(IPv4Network(NET), given) == 110


def test_a_pool_outside_is_as_grave_in_both_families(loaded):
    net6 = "2001:db8:1::/64"
    findings = loaded(
        {
            NET: {"dhcp": "server", "pools": [POOL, "10.2.0.1-10.2.0.9"]},
            net6: {"dhcp": "server", "pools": ["2001:db8:2::1-2001:db8:2::9"]},
        }
    ).findings
    assert [(one.level, one.code) for one in findings] == [(Level.WARNING, "subnet-value")] * 2
    for one, network in zip(findings, (NET, net6), strict=True):
        assert f"is outside the network {network}" in one.text
        assert "pool " in one.text


def test_check_counts_the_networks_of_both_families(loaded, tmp_path):
    given = {"dhcp": "server", "pools": ["2001:db8:1::10-2001:db8:1::1f"]}
    loaded({"2001:db8:1::/64": given, NET: {"dhcp": "server", "pools": POOL}})
    assert "DHCP server of 2 subnets (100 addresses" in check(tmp_path / "c.json").summary


def test_a_word_of_ipv4_is_not_meant_in_a_network_of_ipv6(loaded):
    [finding] = loaded({"2001:db8:1::/64": {"gateway": "2001:db8:1::1"}}).findings
    assert finding.code == "subnet-key"
    assert "router" not in finding.text


def test_the_good_pools_beside_a_bad_one_are_used(net):
    given, _ = net(pools=["10.1.0.9-10.1.0.5", POOL])
    assert [str(pool.range) for pool in given.pools] == [POOL]


@pytest.mark.parametrize(
    "keys",
    [
        {"dhcp": "srever"},
        {"dhcp": True},
        {"dchp": "server"},
        {"authoritative": "no"},
        {"authorative": False},
        {"known_only": "yes"},
        {"exclude": "10.1.0.9-10.1.0.5"},
        {"exclude": ["printer"]},
        {"excluded": ["10.1.0.7"]},
    ],
)
def test_a_policy_that_is_wrong_refuses_the_file(loaded, keys):
    with pytest.raises(ConfigErrors) as refused:
        loaded({NET: {"pools": POOL, **keys}})
    said = [one for one in refused.value.findings if one.code != "pools-unused" or "dhcp" in keys]
    assert [one.level for one in said] == [Level.ERROR]


@pytest.mark.parametrize(
    ("dhcp", "told"),
    [
        ("srever", '"proxy", "server" or "off"'),
        ({"mode": "on"}, '"proxy", "server" or "off"'),
        ({"interfaces": {"eth1": "on"}}, '"eth1" must be "proxy", "server" or "off"'),
        ({"interfaces": "eth1"}, "must be an object"),
        ({"dns": "x"}, "must be an IPv4 address"),
        ({"ntp": ["10.7.0.3", "10.7.0.300"]}, "must be an IPv4 address, not '10.7.0.300'"),
        ({"options": {"ntp-severs": "x"}}, 'did you mean "ntp-servers"?'),
        ({"lease_time": 100, "min_lease_time": 200}, "in this order"),
        ({"mdoe": "server"}, 'did you mean "dhcp.mode"?'),
        (5, "an object"),
    ],
)
def test_a_setting_that_is_wrong_refuses_the_file(loaded, dhcp, told):
    with pytest.raises(ConfigErrors) as refused:
        loaded(dhcp=dhcp)
    [finding] = refused.value.findings
    assert told in finding.text


@pytest.mark.parametrize("code", [43, 60, 66, 67])
def test_what_who_boots_gets_otherwise_is_allowed_with_a_note(net, code):
    given, [finding] = net(pools=POOL, options={str(code): "0x6162"})
    assert given.options[code] == b"ab"
    assert finding.level is Level.NOTE


# -- subnets and machines together ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("subnets", "dhcp", "code"),
    [
        ({NET: {"dhcp": "server"}}, {}, "subnet-empty"),
        ({NET: {"pools": POOL}}, {}, "pools-unused"),
        ({NET: {"pools": POOL, "dhcp": "off"}}, "server", "pools-unused"),
        ({NET: {"pools": POOL}}, {"interfaces": {"eth1": "server"}}, None),
        ({NET: {"pools": POOL}}, "server", None),
        ({NET: {"dhcp": "server", "enabled": False}}, {}, None),
        ({}, "server", "dhcp-no-subnet"),
        ({}, {"interfaces": {"eth1": "server"}}, "dhcp-no-subnet"),
        ({NET: {}}, {}, None),
        ({NET: {"dhcp": "server", "pools": POOL, "shared_network": "x"}}, {}, "shared-alone"),
        (
            {
                NET: {"dhcp": "server", "pools": POOL, "shared_network": "x"},
                "10.2.0.0/24": {"shared_network": "x"},
            },
            {},
            "shared-modes",
        ),
        (
            {NET: {"dhcp": "server", "pools": POOL}, "10.1.0.128/25": {}},
            {},
            "pool-overlap",
        ),
        (
            {
                "10.1.0.0/16": {"dhcp": "server", "pools": "10.1.0.0/20"},
                "10.1.3.0/24": {"dhcp": "server", "pools": "10.1.3.5-10.1.3.9"},
            },
            {},
            "pool-overlap",
        ),
        (
            {
                "10.1.0.0/16": {"dhcp": "server", "pools": "10.1.64.0/20"},
                "10.1.3.0/24": {"dhcp": "server", "pools": "10.1.3.5-10.1.3.9"},
            },
            {},
            None,
        ),
    ],
)
def test_subnets_that_do_not_go_together_are_told(loaded, subnets, dhcp, code):
    assert codes(loaded(subnets, dhcp=dhcp).findings) == ([code] if code else [])


def test_a_reservation_is_enough_for_a_subnet(net):
    assert net(machines={ONE: {**DISK, "ip": "10.1.0.5"}})[1] == ()


@pytest.mark.parametrize(
    ("address", "code", "told"),
    [
        ("10.1.0.5", None, ""),
        ("10.1.0.100", None, ""),  # of a pool: nobody else gets it
        ("10.2.0.5", "ip-outside", "in none of the subnets"),
        ("10.3.0.5", None, ""),  # somebody else gives the addresses there
        ("10.1.0.1", "ip-taken", "the router's"),
        ("10.1.0.0", "ip-taken", "the address of the network"),
        ("10.1.0.255", "ip-taken", "broadcast"),
        ("10.1.0.2", "ip-taken", "the boot server's"),
        ("10.1.0.110", "ip-excluded", '"exclude"'),
    ],
)
def test_an_address_that_its_machine_does_not_get_is_told(loaded, address, code, told):
    subnet = {"dhcp": "server", "pools": POOL, "exclude": "10.1.0.110", "router": "10.1.0.1"}
    registry = loaded(
        {NET: subnet, "10.3.0.0/24": {}},
        {ONE: {**DISK, "ip": address}},
        boot_servers={"default": "10.1.0.2:3000"},
    )
    assert codes(registry.findings) == ([code] if code else [])
    assert all(told in finding.text and ONE in finding.path for finding in registry.findings)


def test_where_nobody_is_given_an_address_nothing_is_said_of_them(loaded):
    assert loaded({NET: {}}, {ONE: {**DISK, "ip": "10.9.0.5"}}).findings == ()


def test_a_thousand_addresses_outside_are_told_in_a_few_lines(loaded):
    machines = {
        f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}": {**DISK, "ip": f"10.9.{n >> 8}.{n & 255}"}
        for n in range(1000)
    }
    registry = loaded({NET: {"dhcp": "server", "pools": POOL}}, machines)
    assert len(registry.findings) < 30
    assert "980 more machines" in registry.findings[-1].text


@pytest.mark.parametrize(
    "value", ["0x180a09090a050501", 7, [], None, "10.9.0.0/16", {"10.0.0.1/8": "x"}]
)
def test_routes_that_are_no_object_are_left_out(net, value):
    addressing, findings = net(pools=POOL, routes=value)
    (found,) = (one for one in findings if one.code == "subnet-value")
    assert '"routes" must be an object such as' in found.text
    assert 121 not in addressing.options


def test_routes_to_nowhere_are_none(net):
    addressing, findings = net(pools=POOL, routes={})
    assert 121 not in addressing.options
    assert [one for one in findings if one.code == "subnet-value"] == []


@pytest.mark.parametrize(
    ("network", "pool"),
    [
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("127.0.0.0/8", "127.0.0.5-127.0.0.9"),
        ("224.0.0.0/4", "224.0.0.1-224.0.0.9"),
        ("240.0.0.0/4", "250.0.0.1"),
    ],
)
def test_a_pool_has_no_addresses_that_no_machine_can_have(loaded, network, pool):
    registry = loaded({network: {"dhcp": "server", "pools": pool}})
    assert [net.addressing.pools for net in registry.subnets] == [()]
    assert any("no machine can have" in one.text for one in registry.findings)


def test_each_overlap_and_each_idle_hole_is_told_among_many(net):
    pools = [f"10.1.0.{at}-10.1.0.{at + 1}" for at in range(10, 200, 4)]
    _, findings = net(
        pools=[*pools, "10.1.0.20-10.1.0.31"], exclude=["10.1.0.11", "10.1.0.13", "10.1.0.16"]
    )
    told = [one.text for one in findings if one.code == "pool-overlap"]
    assert len(told) == 3, told  # of 22-23, 26-27 and 30-31
    idle = [one.text for one in findings if one.code == "exclude-outside"]
    assert len(idle) == 2, idle
    assert "10.1.0.13 is in no pool" in idle[0]
