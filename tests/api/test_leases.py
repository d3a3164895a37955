"""``/api/v1/leases``: who has which address, as seen over the API."""

from __future__ import annotations

import json

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from netbootd.leases.lease import INFINITE, State
from netbootd.leases.usage import Foreign, Usage

N1, STRANGER = "52:54:00:12:34:56", "52:54:00:aa:bb:cc"


@pytest.fixture
def full(make_rig):
    rig = make_rig()
    book = rig.leases
    book.give("192.0.2.101", STRANGER, hostname="laptop", port="192.0.2.254 ge-0/0/7")
    book.give("192.0.2.9", N1, hostname="n1", machine=N1, reserved=True)
    book.give("192.0.2.102", seconds=60, state=State.OFFERED, key="id:0102")
    book.give("192.0.2.103", "52:54:00:aa:bb:dd", state=State.FREE, hostname="gone")
    book.give("198.51.100.7", "52:54:00:aa:bb:ee", state=State.DECLINED, seconds=900)
    return rig


def found(rig, query=""):
    return [one["address"] for one in rig.get(f"/leases{query}").json["leases"]]


def test_the_list_has_all_that_somebody_has_by_their_addresses(full):
    assert found(full) == ["192.0.2.9", "192.0.2.101", "192.0.2.102", "198.51.100.7"]


@pytest.mark.parametrize(
    ("query", "addresses"),
    [
        ("?state=free", ["192.0.2.103"]),
        ("?state=offered", ["192.0.2.102"]),
        ("?subnet=198.51.100.0/24", ["198.51.100.7"]),
        ("?subnet=2001:db8::/64&state=all", []),
        ("?q=LAP", ["192.0.2.101"]),
        ("?q=5254.00aa.bbcc", ["192.0.2.101"]),
        ("?q=ge-0/0", ["192.0.2.101"]),
        ("?q=gone", []),
        ("?q=gone&state=all", ["192.0.2.103"]),
        ("?limit=1", ["192.0.2.9"]),
    ],
)
def test_a_list_is_what_is_asked_for(full, query, addresses):
    assert found(full, query) == addresses


@pytest.mark.parametrize(
    "query", ["?state=x", "?subnet=x", "?subnet=192.0.2.1/24", "?limit=0", "?limit=x"]
)
def test_what_makes_no_sense_is_told(full, query):
    assert full.get(f"/leases{query}").status == 400


def test_a_limit_says_how_many_there_are(full):
    assert full.get("/leases?limit=2").json["total"] == 4


def test_times_are_those_of_the_wall_clock(full):
    one = full.get("/leases?q=laptop").json["leases"][0]
    assert (one["since"], one["until"]) == (full.now, full.now + 3600)


def test_a_wall_clock_that_jumps_leaves_a_lease_its_time(full):
    full.leases._behind += 86400
    full.now += 86400
    one = full.get("/leases?q=laptop").json["leases"][0]
    assert one["until"] - full.now == 3600


def test_a_name_that_is_a_listed_machines_by_now_is_not_a_strangers(full):
    full.leases.give("192.0.2.104", STRANGER, hostname="twin", key="one")
    full.leases.give("192.0.2.105", STRANGER, hostname="node3", key="two")
    lines = full.get("/leases?q=192.0.2.10").json["leases"]
    told = {one["address"]: one["hostname"] for one in lines}
    assert (told["192.0.2.104"], told["192.0.2.105"]) == ("", "node3")


def test_a_lease_without_end_ends_never(full):
    full.leases.give("192.0.2.10", N1, seconds=INFINITE)
    assert full.get("/leases?q=192.0.2.10").json["leases"][0]["until"] is None


def test_a_lease_whose_time_is_over_is_free_at_once(full):
    full.now += 3601
    assert found(full) == []
    assert "192.0.2.101" in found(full, "?state=free")


def test_a_listed_machine_is_named_and_a_stranger_is_not(full):
    lines = {one["address"]: one for one in full.get("/leases").json["leases"]}
    assert lines["192.0.2.9"]["machine"] == N1
    assert lines["192.0.2.101"]["machine"] == ""
    assert lines["192.0.2.102"]["mac"] is None


def test_who_keeps_an_address_from_others_is_named(full):
    full.leases.give("192.0.2.104", N1, key="", state=State.DECLINED, seconds=900)
    one = full.get("/leases?q=192.0.2.104").json["leases"][0]
    assert (one["hostname"], one["machine"], one["mac"]) == ("n1", N1, N1)


def test_the_pools_the_other_servers_and_the_disk_are_told_of(full):
    ranges = ("192.0.2.100-192.0.2.199",)
    full.leases.pools = (Usage(subnet="192.0.2.0/24", size=100, leased=98, ranges=ranges),)
    full.leases.others = (Foreign(server="192.0.2.200", interface="eth1", first=1.0, last=2.0),)
    full.leases.trouble = "leases.sqlite: disk full"
    said = full.get("/leases").json
    assert (said["pools"][0]["free"], said["pools"][0]["ranges"]) == (2, [*ranges])
    assert said["foreign"][0]["server"] == "192.0.2.200"
    assert said["trouble"] == "leases.sqlite: disk full"


def test_a_lease_can_be_ended(full):
    done = full.ask("DELETE", "/leases/192.0.2.101")
    assert (done.status, done.json["address"]) == (200, "192.0.2.101")
    assert full.leases.released == [("192.0.2.101", "API token ops, 192.0.2.77")]
    assert "192.0.2.101" not in found(full)
    again = full.ask("DELETE", "/leases/192.0.2.101")
    assert (again.status, again.code) == (404, "no-such-lease")


@pytest.mark.parametrize("what", ["x", "192.0.2", "192.0.2.1%2f32", "1" * 99])
def test_what_is_no_address_has_no_lease(full, what):
    assert full.ask("DELETE", f"/leases/{what}").status == 404


def test_a_lease_that_cannot_be_written_is_not_ended(full):
    full.leases.full = True
    done = full.ask("DELETE", "/leases/192.0.2.101")
    assert (done.status, done.code) == (503, "not-kept")
    assert "192.0.2.101" in found(full)


def test_a_session_needs_more_than_a_cookie_to_end_one(full):
    cookie = full.ask("POST", "/session", {}).headers["set-cookie"].partition(";")[0]
    assert full.ask("DELETE", "/leases/192.0.2.101", token="", cookie=cookie).status == 403


def test_without_a_server_there_are_no_leases(rig):
    rig.desk.leases = None
    assert rig.get("/leases").status == 503
    assert rig.ask("DELETE", "/leases/192.0.2.1").status == 503


def test_a_machine_shows_the_address_it_has(rig):
    assert rig.machine("n1")["address"] == ""
    rig.leases.give("192.0.2.101", N1, machine=N1)
    assert rig.machine("n1")["address"] == "192.0.2.101"
    rig.leases.give("192.0.2.101", N1, machine=N1, state=State.FREE)
    assert rig.machine("n1")["address"] == ""


def test_a_machine_that_got_another_address_keeps_that(rig):
    rig.leases.give("192.0.2.101", N1)
    rig.leases.give("192.0.2.102", N1)
    rig.leases.give("192.0.2.101", N1, state=State.FREE)
    assert rig.machine("n1")["address"] == "192.0.2.102"


def test_the_address_of_ipv4_is_the_one_that_is_shown(rig):
    rig.leases.give("192.0.2.101", N1)
    rig.leases.give("2001:db8::5", N1)
    assert rig.machine("n1")["address"] == "192.0.2.101"


def test_leases_of_ipv6_stand_behind_the_others(full):
    full.leases.give("2001:db8::5", N1)
    assert found(full)[-1] == "2001:db8::5"
    assert found(full, "?subnet=2001:db8::/64") == ["2001:db8::5"]
    assert full.ask("DELETE", "/leases/2001:db8::5").status == 200
    assert full.ask("DELETE", "/leases/2001%3adb8%3a%3a5").status == 404


def events(transport):
    """Name and value of each that was sent."""
    text = transport.value().decode().partition("\r\n\r\n")[2]
    for block in text.split("\n\n"):
        lines = dict(line.partition(": ")[::2] for line in block.split("\n") if ": " in line)
        if "event" in lines:
            yield lines["event"], json.loads(lines["data"])


def test_a_stream_tells_of_leases_and_pools(rig):
    headers = {"Authorization": "Bearer a-token-of-the-api"}
    made, transport = rig.send("GET", "/api/v1/events?topics=leases", b"", headers, local=False)
    rig.leases.give("192.0.2.101", STRANGER)
    rig.leases.give("192.0.2.101", STRANGER, hostname="again")
    rig.leases.pools = (Usage(subnet="192.0.2.0/24", size=9, leased=1),)
    rig.reactor.pump([0.25] * 8)
    told = list(events(transport))
    (lease,) = [value for name, value in told if name == "lease"]
    assert (lease["address"], lease["hostname"]) == ("192.0.2.101", "again")
    (pools,) = [value for name, value in told if name == "pools"]
    assert pools["pools"][0]["leased"] == 1
    made.connectionLost(Failure(ConnectionDone()))


def test_what_nobody_listens_to_is_not_collected(rig):
    headers = {"Authorization": "Bearer a-token-of-the-api"}
    made, _ = rig.send("GET", "/api/v1/events?topics=machines", b"", headers, local=False)
    rig.leases.give("192.0.2.101", STRANGER)
    assert not rig.api.streams._leases
    made.connectionLost(Failure(ConnectionDone()))
