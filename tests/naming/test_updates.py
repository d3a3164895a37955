"""Names in DNS, as a real BIND has them after our updates."""

from __future__ import annotations

import base64
import socket
import threading
from dataclasses import replace
from ipaddress import ip_address

import dns.message
import dns.query
import dns.rdatatype
import pytest

from netbootd.config import Ddns
from netbootd.naming.names import Named
from netbootd.naming.nameserver import BadKey, dhcid, key_of, zone_of
from netbootd.naming.updates import Updates
from netbootd.naming.wanted import Pointer
from tests.commands.daemons import until
from tests.end_to_end.nameserver import keygen, named

A, B = "52:54:00:00:00:0a", "id:0152540000000b"
ZONE, REVERSE = "example.org", "2.0.192.in-addr.arpa"
ADDRESS = "127.0.0.1"


def free_port():
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """BIND with two zones; ``printer`` is the operator's own."""
    folder, port = tmp_path_factory.mktemp("named"), free_port()
    zones = {
        ZONE: "printer IN A 192.0.2.77\nn9 IN CNAME printer\n",
        REVERSE: "77 IN PTR printer.example.org.\n",
        "other.org": "",
    }
    process = named(folder, zones, address=ADDRESS, port=port)
    key = folder / "key"
    yield Ddns(server=ip_address(ADDRESS), port=port, zones=(ZONE, REVERSE), key=key, ttl=120)
    process.close()


@pytest.fixture
def updates(server):
    made = begun(server)
    yield made
    made.stop(5)


def begun(settings):
    made = Updates(lambda: None)
    made.configure(settings)
    made.start()
    return made


def finish(updates, many=None):
    """Until all that was wanted is told of."""
    until(updates.idle)
    assert updates.trouble == ""


def lookup(server, name, kind="A"):
    """What BIND says, as dig would."""
    question = dns.message.make_query(name, kind)
    answer = dns.query.udp(question, ADDRESS, 5, port=server.port)
    wanted = dns.rdatatype.from_text(kind)
    return sorted(
        rdata.to_text() for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset
    )


def one(name, *addresses, identity=A, listed=False):
    found = tuple(map(ip_address, addresses))
    return Named(name=f"{name}.{ZONE}", addresses=found, listed=listed, identity=identity)


def tell(updates, *wanted):
    for each in wanted:
        updates.want(each)
    finish(updates)


def test_a_name_comes_moves_and_goes(server, updates):
    tell(updates, one("laptop", "192.0.2.101"))
    assert lookup(server, "laptop.example.org") == ["192.0.2.101"]
    assert lookup(server, "laptop.example.org", "DHCID") != []
    tell(updates, one("laptop", "192.0.2.102", "2001:db8::1"))
    assert lookup(server, "laptop.example.org") == ["192.0.2.102"]
    assert lookup(server, "laptop.example.org", "AAAA") == ["2001:db8::1"]
    tell(updates, one("laptop"))
    for kind in ("A", "AAAA", "DHCID"):
        assert lookup(server, "laptop.example.org", kind) == []


def test_a_pointer_comes_changes_and_goes(server, updates):
    address, where = ip_address("192.0.2.101"), "101.2.0.192.in-addr.arpa"
    tell(updates, Pointer(address, "a.example.org"))
    tell(updates, Pointer(address, "b.example.org", "a.example.org"))
    assert lookup(server, where, "PTR") == ["b.example.org."]
    tell(updates, Pointer(address, "", "a.example.org"))
    assert lookup(server, where, "PTR") == ["b.example.org."]
    tell(updates, Pointer(address, "", "b.example.org"))
    assert lookup(server, where, "PTR") == []


def test_a_name_that_we_did_not_make_stays_as_it_is(server, updates):
    tell(updates, one("printer", "192.0.2.103"))
    assert lookup(server, "printer.example.org") == ["192.0.2.77"]
    tell(updates, one("printer"))
    assert lookup(server, "printer.example.org") == ["192.0.2.77"]
    assert updates.counts["taken"] == 1


def test_a_name_that_another_client_has_stays_that_ones(server, updates):
    tell(updates, one("phone", "192.0.2.104"))
    tell(updates, one("phone", "192.0.2.105", identity=B))
    tell(updates, one("phone", identity=B))
    assert lookup(server, "phone.example.org") == ["192.0.2.104"]
    tell(updates, one("phone"))


def test_a_listed_machine_takes_its_name_from_anybody(server, updates):
    tell(updates, one("n1", "192.0.2.104"))
    tell(updates, one("n1", "192.0.2.11", identity="n1", listed=True))
    assert lookup(server, "n1.example.org") == ["192.0.2.11"]
    tell(updates, one("n1", identity=A))
    assert lookup(server, "n1.example.org") == ["192.0.2.11"]
    tell(updates, one("n1", identity="n1", listed=True))
    assert lookup(server, "n1.example.org") == []


def test_an_alias_gives_way_to_a_listed_machine(server, updates):
    tell(updates, one("n9", "192.0.2.19", listed=True))
    assert lookup(server, "n9.example.org") == ["192.0.2.19"]
    assert lookup(server, "n9.example.org", "CNAME") == []


def test_the_same_again_after_a_restart_changes_nothing(server, updates):
    tell(updates, one("again", "192.0.2.106"))
    later = begun(server)
    tell(later, one("again", "192.0.2.106"))
    tell(later, one("again"))
    later.stop(5)
    assert lookup(server, "again.example.org") == []


def test_of_a_name_only_the_last_word_is_told(server):
    updates = Updates(lambda: None)
    updates.configure(server)
    for last in range(1, 100):
        updates.want(one("often", f"192.0.2.{last}"))
    updates.start()
    finish(updates)
    updates.stop(5)
    assert lookup(server, "often.example.org") == ["192.0.2.99"]
    assert updates.counts["done"] == 1


def test_names_of_no_zone_of_ours_are_nobodys_business(server, updates):
    name = Named(name="x.other.org", addresses=(ip_address("192.0.2.1"),), identity=A)
    tell(updates, name, Pointer(ip_address("198.51.100.1"), "x.other.org"))
    assert lookup(server, "x.other.org") == []


def test_a_key_that_the_server_does_not_know_is_a_trouble(server, tmp_path):
    wrong = tmp_path / "key"
    wrong.write_text(keygen("netbootd"))
    told = threading.Event()
    updates = Updates(told.set)
    updates.configure(replace(server, key=wrong))
    updates.want(one("nokey", "192.0.2.107"))
    updates.start()
    assert told.wait(20)
    assert "DNS updates: 127.0.0.1: " in updates.trouble
    updates.configure(server)
    until(updates.idle)
    finish(updates)
    updates.stop(5)
    assert lookup(server, "nokey.example.org") == ["192.0.2.107"]


def test_a_zone_that_takes_no_update_is_a_trouble_and_holds_up_no_other(server, updates):
    updates.configure(replace(server, zones=(ZONE, "nowhere.org")))
    updates.want(Named(name="x.nowhere.org", addresses=(ip_address("192.0.2.1"),), identity=A))
    updates.want(one("goes-on", "192.0.2.108"))
    until(lambda: lookup(server, "goes-on.example.org"))


def test_a_server_that_is_away_is_waited_for(server, tmp_path):
    port = free_port()
    told = threading.Event()
    updates = Updates(told.set)
    updates.configure(replace(server, port=port, key=tmp_path / "key"))
    (tmp_path / "key").write_text(keygen("netbootd"))
    updates.want(one("late", "192.0.2.109"))
    updates.start()
    assert told.wait(20)
    assert updates.trouble
    process = named(tmp_path, {ZONE: ""}, address=ADDRESS, port=port)
    until(lambda: lookup(replace(server, port=port), "late.example.org") == ["192.0.2.109"])
    finish(updates)
    updates.stop(5)
    process.close()


def test_what_waits_has_an_end(monkeypatch):
    monkeypatch.setattr("netbootd.naming.updates.MOST_WAITING", 100)
    updates = Updates(lambda: None)
    updates.configure(Ddns(server=ip_address(ADDRESS), zones=(ZONE,)))
    for number in range(105):
        updates.want(one(f"n{number}", "192.0.2.1"))
    assert updates.counts["dropped"] == 5
    updates.configure(Ddns())
    assert updates.idle()
    updates.want(one("n", "192.0.2.1"))
    assert updates.idle()


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha512"])
def test_a_key_is_read_as_binds_tools_write_it(algorithm):
    key = key_of("# a comment\n" + keygen("a.key", algorithm))
    assert (key.name.to_text(), key.algorithm.to_text()) == ("a.key.", f"{algorithm}.")


def test_a_key_may_have_two_slashes():
    text = '// "a\nkey "a.key" { # "b"\nalgorithm hmac-sha256; secret "ab//cdee"; /* " */ };'
    assert key_of(text).secret == base64.b64decode("ab//cdee")


def test_a_key_may_stand_in_one_line():
    key = key_of("netbootd:hmac-sha256:c2VjcmV0\n")
    assert (key.name.to_text(), key.secret) == ("netbootd.", b"secret")


@pytest.mark.parametrize(
    "text",
    ["", "x", "a:b:c", "a:hmac-sha256:%%%", 'key "a" { algorithm hmac-sha256; };', "::", "\0" * 9],
)
def test_a_file_without_a_key_is_told_of(text):
    with pytest.raises(BadKey):
        key_of(text)


@pytest.mark.parametrize(
    "text", ["a:canary:hmac-sha256", "canary%:hmac-sha256:a", "a:hmac-md5:canary%"]
)
def test_what_is_wrong_with_a_key_is_told_without_a_word_of_it(text):
    with pytest.raises(BadKey) as told:
        key_of(text)
    assert "canary" not in str(told.value)


def test_the_narrowest_zone_is_meant():
    zones = ("org", "example.org", "ple.org")
    assert zone_of("a.example.org", zones) == "example.org"
    assert zone_of("example.net", zones) == ""


def test_a_mark_is_that_of_rfc_4701():
    """The examples of its section 3.6."""
    of_client_id = dhcid("id:010708090a0b0c", "chi.example.com").to_text(chunksize=0)
    of_card = dhcid("01:02:03:04:05:06", "client.example.com").to_text(chunksize=0)
    assert of_client_id == "AAEBOSD+XR3Os/0LozeXVqcNc7FwCfQdWL3b/NaiUDlW2No="
    assert of_card == "AAABxLmlskllE0MVjd57zHcWmEH3pCQ6VytcKD//7es/deY="
