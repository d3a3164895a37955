"""From where things may be changed, for whose page, and what the audit tells of it."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace

import pytest
from twisted.internet.address import IPv4Address, IPv6Address

from netbootd import mac
from netbootd.http.deed import Deed
from netbootd.http.resource import Asked

from .rig import TOKEN
from .test_asking import FREE, MAC, session

ME = pwd.getpwuid(os.getuid()).pw_name
STRICT = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def at(rig, peer):
    kind = IPv6Address if ":" in peer else IPv4Address
    rig.peer = kind("TCP", peer, 40000)


@pytest.fixture
def lan(rig):
    """Machines boot on 192.0.2.0/24 and on 2001:db8::/64, networks of eth0."""
    rig.authority.link = lambda peer: "eth0" if peer.startswith(("192.0.2.", "2001:db8:")) else ""
    return rig


# -- networks --------------------------------------------------------------------------------------


def test_where_machines_boot_everything_is_read_and_nothing_changed(lan):
    cookie = session(lan)
    assert lan.get("/machines").status == 200
    assert lan.raw("GET", "/machines", Cookie=cookie).status == 200
    with_session = lan.raw("POST", "/reload", Cookie=cookie, X_Requested_With="netbootd")
    for no in (
        lan.ask("POST", "/reload"),
        with_session,
        lan.ask("DELETE", f"/machines/{MAC}/next"),
    ):
        assert (no.status, no.code) == (403, "boot-network")
        assert "192.0.2.77 is on the network of eth0" in no.message
        assert '"admin_networks" : ["192.0.2.77"]' in no.message
    assert lan.reloads == 0
    assert lan.raw("DELETE", "/session", Cookie=cookie, X_Requested_With="netbootd").status == 204


@pytest.mark.parametrize("peer", ["198.51.100.7", "127.0.0.1", "::1", "192.0.2.1", "192.0.2.9"])
def test_from_elsewhere_and_from_this_host_it_is(lan, peer):
    lan.authority.is_ours = lambda address: address == "192.0.2.9"
    at(lan, peer)
    assert lan.ask("POST", "/reload").status == 200
    assert lan.ask("POST", "/reload", token="no").status == 401


@pytest.mark.parametrize("peer", ["192.0.2.78", "2001:db8::7", "fe80::7%eth0", "fe80::9"])
def test_a_neighbour_may_not(lan, peer):
    at(lan, peer)
    assert lan.ask("POST", "/reload").code == "boot-network"
    assert lan.local("POST", "/reload").status == 200


@pytest.mark.parametrize("allowed", ['"192.0.2.77"', '["192.0.2.64/26", "2001:db8::/64"]'])
def test_an_address_that_is_allowed_may(make_rig, allowed):
    rig = make_rig(netbootd=f'"admin_networks" : {allowed}')
    rig.authority.link = lambda _: "eth0"
    assert rig.ask("POST", "/reload").status == 200
    at(rig, "192.0.2.50")
    assert rig.ask("POST", "/reload").code == "boot-network"


def test_an_address_of_a_machine_or_a_subnet_is_one_where_machines_boot(make_rig):
    rig = make_rig(machines=f'"{FREE}" : {{ "ip" : "198.51.100.7" }},')
    for peer, where in (("198.51.100.7", "the address of a machine"), ("203.0.113.9", "")):
        at(rig, peer)
        told = rig.ask("POST", "/reload")
        assert (told.status, where in (told.message if where else "")) == (
            403 if where else 200,
            True,
        )
    rig.live.record.begin(
        MAC, "nfs/a", armed=False, mac=mac.MAC.parse(MAC), peer="203.0.113.9", listed=True
    )
    assert "the address of a machine" in rig.ask("POST", "/reload").message


def test_a_network_of_subnets_is_one_as_well(make_rig):
    rig = make_rig(
        config='{ "subnets" : { "10.7.0.0/16" : {} }, "netbootd" : { "state" : "state" } }'
    )
    at(rig, "10.7.3.3")
    assert "in subnet" in rig.ask("POST", "/reload").message


def test_a_vm_description_is_not_put_from_there_either(lan):
    put = {"prefix": "", "Authorization": f"Bearer {TOKEN}"}
    no = lan.raw("PUT", "/vms/web.json", b"{}", **put)
    assert no.status == 403
    assert b'"admin_networks" : ["192.0.2.77"]' in no.body
    at(lan, "198.51.100.7")
    assert lan.raw("PUT", "/vms/web.json", b"{}", **put).status == 201


# -- pages -----------------------------------------------------------------------------------------


def test_a_rebound_name_gets_neither_the_page_nor_the_api_and_firmware_all_it_wants(rig):
    for path in ("/api/v1/machines", "/api/v1/openapi.json", "/ui/"):
        no = rig.raw("GET", path, prefix="", Host="evil.example:3000")
        assert no.status == 403
        assert b"web_names" in no.body
        assert b"evil.example" in no.body
    assert rig.raw("GET", f"/boot/{MAC}", prefix="", Host="evil.example").status == 200
    assert rig.raw("GET", "/status", prefix="", Host="evil.example").status == 200


def test_names_of_ours_are_taken_from_the_settings(make_rig):
    rig = make_rig(netbootd='"web_names" : ["Boot.example.net"]')
    assert rig.raw("GET", "/ui/", prefix="", Host="boot.example.net:3000").status == 200
    rig.authority.host_names = frozenset({"srv7.lab.example"})
    assert rig.get("/machines", Host="srv7.lab.example").status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://x:8080", "null"])
def test_a_foreign_page_changes_nothing_whatever_it_brings(rig, origin):
    cookie = session(rig)
    ours = {"Content_Type": "application/json", "X_Requested_With": "netbootd", "Origin": origin}
    for who in ({"Cookie": cookie}, {"Authorization": f"Bearer {TOKEN}"}):
        no = rig.raw("POST", "/reload", **who, **ours)
        assert (no.status, no.code) == (403, "foreign-page")
    assert rig.reloads == 0
    assert rig.raw("POST", "/reload", Cookie=cookie, **{**ours, "Origin": "http://x"}).status == 200


def test_every_answer_has_strict_headers_and_none_lets_other_pages_read(rig):
    for told in (
        rig.get("/machines"),
        rig.get("/nothing"),
        rig.get("/machines", token=""),
        rig.ask("OPTIONS", "/machines", Origin="http://evil.example"),
        rig.ask("POST", "/session"),
    ):
        assert STRICT.items() <= told.headers.items()
        assert not [name for name in told.headers if name.startswith("access-control")]


def test_by_https_the_cookie_has_a_name_that_no_other_page_can_set(rig):
    deed = Deed(Asked(method="POST", path="/api/v1/session", secure=True), "session")
    deed.owner = "API token ops"
    (header,) = rig.api.admission.open(deed).values()
    cookie, _, attributes = header.partition("; ")
    assert cookie.startswith("__Host-netbootd_session=")
    assert attributes == "Max-Age=43200; HttpOnly; SameSite=Strict; Path=/; Secure"
    asked = Asked(method="GET", path="/", headers={"cookie": cookie}, secure=True)
    assert rig.api.admission.may_stay(asked, by_cookie=True)
    assert not rig.api.admission.may_stay(replace(asked, secure=False), by_cookie=True)


# -- sessions and keys -----------------------------------------------------------------------------


def test_a_key_of_the_socket_opens_one_session_and_ends_with_its_time(rig):
    key = rig.local("POST", "/session/key").json["key"]
    opened = rig.ask("POST", "/session", token=key)
    cookie = opened.headers["set-cookie"].partition(";")[0]
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 200
    assert rig.ask("POST", "/session", token=key).status == 401
    late = rig.local("POST", "/session/key").json["key"]
    rig.reactor.advance(301)
    assert rig.ask("POST", "/session", token=late).status == 401


def test_a_key_is_no_token(rig):
    key = rig.local("POST", "/session/key").json["key"]
    assert rig.get("/machines", token=key).status == 401
    assert rig.ask("POST", "/reload", token=key).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/ops"), ("POST", "/session/key")],
)
def test_tokens_and_keys_are_made_over_the_socket_alone(rig, method, path):
    no = rig.ask(method, path, {"name": "evil"} if method == "POST" else None)
    assert (no.status, no.code) == (403, "socket-only")
    assert list(rig.keyring.tokens.digests) == ["ops"]


def test_a_new_token_ends_the_sessions_and_the_old_token(rig):
    rig.keyring.configured(rig.live.snapshot.config)
    first = rig.local("POST", "/tokens", {"name": "ops"}).json["token"]
    opened = rig.ask("POST", "/session", token=first)
    cookie = opened.headers["set-cookie"].partition(";")[0]
    second = rig.local("POST", "/tokens", {"name": "ops"}).json["token"]
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 401
    assert rig.get("/machines", token=first).status == 401
    assert rig.get("/machines", token=second).status == 200
    assert rig.local("GET", "/tokens").json == {"tokens": ["ops"]}
    assert rig.local("DELETE", "/tokens/ops").status == 204
    assert rig.get("/machines", token=second).status == 503
    assert rig.local("DELETE", "/tokens/ops").code == "no-such-token"
    assert rig.local("POST", "/tokens", {"name": "a\nb"}).code == "name-invalid"


# -- the audit -------------------------------------------------------------------------------------


def test_each_way_to_change_something_has_its_line(rig):
    by_socket = f"audit: {ME} (user {os.getuid()}) by the socket: "
    by_token = "audit: API token ops from 192.0.2.77: "
    changed = {"hostname": "n9", "vars": {"password": "geheim"}}
    assert rig.local("PATCH", "/machines/n1", changed).status == 200
    assert rig.ask("PUT", f"/machines/{MAC}/next", {"target": "nfs/a"}).status == 200
    assert rig.ask("POST", "/machines", {"mac": FREE, "target": "localboot/disk"}).status == 201
    assert rig.ask("DELETE", f"/machines/{FREE}").status == 204
    cookie = session(rig)
    assert rig.raw("POST", "/reload", Cookie=cookie, X_Requested_With="netbootd").status == 200
    assert rig.audited == [
        f'{by_socket}PATCH machines/n1 ({MAC}: hostname "n1" -> "n9", vars): done',
        f"{by_token}PUT machines/{MAC}/next (nfs/a, 1 time): done",
        f'{by_token}POST machines ({FREE}: added with type nothing -> "localboot", '
        'name nothing -> "disk"): done',
        f"{by_token}DELETE machines/{FREE} ({FREE}: removed): done",
        f"{by_token}POST session: done",
        "audit: session of API token ops from 192.0.2.77: POST reload "
        "(0 added, 0 removed, 0 changed): done",
    ]
    assert rig.table("mac,hostname\n525400123457,n7\n525400123458,n8\n").status == 200
    assert "n7" in rig.audited[-1]
    assert "n8" in rig.audited[-1]


def test_tokens_keys_and_vm_descriptions_have_theirs(rig):
    rig.keyring.configured(rig.live.snapshot.config)
    token = rig.local("POST", "/tokens", {"name": "ci"}).json["token"]
    key = rig.local("POST", "/session/key").json["key"]
    rig.ask("POST", "/session", token=key)
    put = {"prefix": "", "Authorization": f"Bearer {token}"}
    assert rig.raw("PUT", "/vms/web.json", b"{}", **put).status == 201
    assert rig.raw("DELETE", "/vms/web.json", **put).status == 204
    rig.local("DELETE", "/tokens/ci")
    by_socket = f"audit: {ME} (user {os.getuid()}) by the socket: "
    assert rig.audited == [
        f"{by_socket}POST tokens (new: ci): done",
        f"{by_socket}POST session/key: done",
        f"audit: {ME} from 192.0.2.77: POST session: done",
        "audit: API token ci from 192.0.2.77: created VM description web: done",
        "audit: API token ci from 192.0.2.77: removed VM description web: done",
        f"{by_socket}DELETE tokens/ci: done",
    ]
    assert not [line for line in rig.audited if token in line or key in line]


def test_what_is_refused_has_its_line_and_says_why(lan):
    lan.ask("POST", "/reload")
    lan.ask("POST", "/reload", token="")
    lan.ask("PUT", f"/machines/{MAC}/next", {"target": "nfs/none"})
    lan.raw("GET", "/machines", Authorization="Bearer no")
    lan.raw("PUT", "/vms/web.json", b"{}", prefix="", Authorization="Bearer no")
    at(lan, "198.51.100.7")
    lan.ask("PUT", f"/machines/{MAC}/next", {"target": "nfs/none"})
    lan.ask("PATCH", f"/machines/{MAC}", {"target": "nfs/none"})
    assert lan.audited == [
        "audit: API token ops from 192.0.2.77: POST reload: refused, boot-network",
        "audit: 192.0.2.77: POST reload: refused, token-missing",
        f"audit: API token ops from 192.0.2.77: PUT machines/{MAC}/next: refused, boot-network",
        "audit: 192.0.2.77: GET machines: refused, token-wrong",
        "audit: 192.0.2.77: PUT /vms/web.json: refused, token-wrong",
        f"audit: API token ops from 198.51.100.7: PUT machines/{MAC}/next (nfs/none, 1 time): "
        "refused, target-unknown",
        f"audit: API token ops from 198.51.100.7: PATCH machines/{MAC}: refused",
    ]


def test_whoever_tries_without_end_does_not_fill_the_log(rig):
    for _ in range(300):
        rig.ask("POST", "/reload", token="")
    assert len(rig.audited) == 20
    rig.reactor.advance(61)
    rig.ask("POST", "/reload", token="")
    assert rig.audited[20:] == [
        "audit: 192.0.2.77: 280 more tries: refused, and not told one by one",
        "audit: 192.0.2.77: POST reload: refused, token-missing",
    ]


def test_no_name_makes_a_second_line_of_it(rig):
    rig.ask("DELETE", "/machines/a%E2%80%A8audit:%20root:%20all:%20done%C2%85x%E2%80%AE")
    rig.ask("PATCH", "/machines/n1", {"hostname": "a\nb", "x\ny\u2028": 1})
    assert len(rig.audited) == 2
    assert all(line.isprintable() for line in rig.audited)


def test_who_only_looks_is_not_told_of(rig):
    rig.get("/machines")
    rig.get("/machines", token="")
    rig.get("/nothing")
    assert rig.audited == []
