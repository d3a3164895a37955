"""By which names browsers may call us, and whose pages may change something."""

from __future__ import annotations

import pytest

from netbootd.api.no import No
from netbootd.http.origin import must_be_our_page, must_call_us_ours
from netbootd.http.resource import Asked

NAMES = frozenset({"boot1", "boot1.lab.example", "boot.example.net"})


def asked(host="192.0.2.1:3000", uid=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Asked(method="POST", path="/api/v1/reload", host=host, headers=named, uid=uid)


@pytest.mark.parametrize(
    "host",
    [
        *("", "192.0.2.1", "192.0.2.1:3000", "127.0.0.1:3000", "[::1]:3000", "[2001:db8::1]"),
        *("[fe80::1%25eth0]:3000", "localhost:3000", "page.localhost", "boot", "boot:3000"),
        *("boot1.lab.example", "BOOT1.lab.example.:3000", "boot.example.net:80", "boot1"),
    ],
)
def test_addresses_names_without_a_dot_and_our_own_are_fine(host):
    must_call_us_ours(asked(host), NAMES)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:3000", "192.0.2.1.evil.example", "boot1.evil.example"),
        *("xboot1.lab.example", "localhost.evil.example", "1.2.3", "192.0.2.1:x", "a.b@192.0.2.1"),
        *("[::1].evil.example", "evil.example\x00", "[evil.example]", "ev:il:3000"),
    ],
)
def test_any_other_name_may_be_an_attackers(host):
    with pytest.raises(No, match='"web_names" : ') as caught:
        must_call_us_ours(asked(host), NAMES)
    assert caught.value.status == 403


def test_whoever_opened_the_socket_may_call_us_anything():
    must_call_us_ours(asked("evil.example", uid=0), NAMES)
    must_be_our_page(asked(uid=0, origin="http://evil.example"), NAMES)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://192.0.2.1:3000"},
        {"origin": "https://boot.example.net", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
)
def test_our_own_page_and_what_is_no_page_may_change_things(headers):
    must_be_our_page(asked(**headers), NAMES)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://192.0.2.1"},
        {"origin": "http://192.0.2.1:8080"},
        {"origin": "http://192.0.2.1:3000.evil.example"},
        {"origin": "http://192.0.2.1:3000", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_a_foreign_page_may_not(headers):
    with pytest.raises(No, match="may change nothing here") as caught:
        must_be_our_page(asked(**headers), NAMES)
    assert caught.value.status == 403
