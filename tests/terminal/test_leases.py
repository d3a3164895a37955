"""The table of leases, with pools and troubles."""

from __future__ import annotations

import io

from netbootd.terminal.leases import holder, pools_within, show_leases
from netbootd.terminal.paper import Paper

NOW = 1_700_000_000.0


def lease(address="192.0.2.101", **more):
    return {
        **{"address": address, "state": "leased", "mac": "52:54:00:aa:bb:cc", "client_id": ""},
        **{"hostname": "laptop", "machine": "", "since": NOW - 120, "until": NOW + 7200},
        **{"subnet": "192.0.2.0/24", "port": "eth1", "reserved": False},
        **more,
    }


def pools(**more):
    counts = {"leased": 90, "offered": 2, "declined": 3, "free": 5, "reserved": 7}
    usual = {"subnet": "192.0.2.0/24", "size": 100, "ranges": ["a-b", "c-d"], "wanting": 0.0}
    return {**usual, **counts, **more}


def drawn(*leases, **more) -> str:
    out = io.StringIO()
    found = {"now": NOW, "total": len(leases), "leases": leases, "pools": [], "foreign": [], **more}
    show_leases(Paper(out), {"trouble": "", **found})
    return out.getvalue()


def test_a_lease_says_whose_it_is_since_when_and_for_how_long():
    heads, row, _, count = drawn(lease()).splitlines()
    assert heads.split("  ")[0] == "ADDRESS"
    words = [word.strip() for word in row.split("  ") if word.strip()]
    assert words == [
        *("192.0.2.101", "laptop (not listed)", "52:54:00:aa:bb:cc", "leased", "2 min ago", "2 h"),
        *("192.0.2.0/24", "eth1"),
    ]
    assert count == "1 lease"


def test_reserved_endless_and_over_ones_say_so():
    told = drawn(lease(reserved=True, until=None), lease("192.0.2.102", state="free", until=1.0))
    assert "leased, reserved" in told
    assert "never" in told
    assert "free" in told


def test_without_leases_there_is_no_table():
    assert drawn() == "0 leases\n"


def test_what_is_not_shown_is_counted():
    assert "1 lease, and 41 that are not shown" in drawn(lease(), total=42)


def test_a_pool_says_how_full_it_is():
    row = drawn(pools=[pools()]).splitlines()[-1]
    assert row.split() == [
        *("192.0.2.0/24", "95%", "###################.", "90", "2", "3", "5", "7", "a-b", "c-d")
    ]


def test_a_subnet_without_a_pool_has_its_reservations():
    row = drawn(pools=[pools(size=0, free=0, leased=4, offered=0, declined=0)]).splitlines()[-1]
    assert "no pool" in row


def test_troubles_come_first_the_worst_first():
    foreign = [{"server": "192.0.2.9", "interface": "eth1", "address": "192.0.2.7", "last": NOW}]
    lacking = [pools(wanting=NOW - 60), pools(subnet="198.51.100.0/24", wanting=NOW - 3600)]
    told = drawn(lease(), trouble="disk full", foreign=foreign, pools=lacking).splitlines()
    assert told[0] == "leases cannot be written: disk full"
    assert told[1].startswith("another DHCP server, 192.0.2.9, answers on eth1 and gave 192.0.2.7")
    assert told[2] == "192.0.2.0/24 had no address left for somebody 60 s ago"
    assert told[3].startswith("ADDRESS")


def test_what_comes_from_the_wire_moves_no_cursor():
    told = drawn(lease(hostname="\x1b[2Jlaptop", port="\x07\x1b]0;x"))
    assert "\x1b" not in told
    assert "\x07" not in told


def test_the_holder_is_called_by_what_is_known():
    assert holder(lease()) == "laptop"
    assert holder(lease(hostname="")) == "52:54:00:aa:bb:cc"
    assert holder(lease(hostname="", mac=None, client_id="0102")) == "0102"
    assert holder(lease(hostname="", mac=None)) == ""


def test_who_got_no_address_is_named():
    told = drawn(pools=[pools(wanting=NOW - 60, wanted_by="52:54:00:aa:bb:cc")])
    assert "had no address left for 52:54:00:aa:bb:cc" in told


def test_of_the_pools_those_of_a_network_are_shown():
    all_of_them = [pools(), pools(subnet="2001:db8:1::/64"), pools(subnet="198.51.100.0/24")]
    for wanted in ("2001:db8:1::/64", "2001:db8:1::/80"):
        [one] = pools_within(all_of_them, wanted)
        assert one["subnet"] == "2001:db8:1::/64"
    assert pools_within(all_of_them, "192.0.2.128/25") == all_of_them[:1]
    assert pools_within(all_of_them, "203.0.113.0/24") == []
