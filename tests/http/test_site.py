"""The edge itself: hostile bytes, keep-alive, pipelining, methods, and one event per answer."""

from __future__ import annotations

import errno
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol

from netbootd.events.event import Refused, Scripted
from netbootd.http import site, status

from .inmemory import KERNEL, MAC, Rig, responses

REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % MAC.encode()


def test_status_is_json_and_makes_no_event(rig):
    answer = rig.get("/status")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.text) == {"version": "1", "machines": 2}
    assert rig.events == []


def test_status_writes_what_json_does_not_know_as_text():
    assert json.loads(status.answer({"mac": b"x", "n": {"a": 1}}).body) == {
        "mac": "b'x'",
        "n": {"a": 1},
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "BREW"])
def test_other_methods_are_405_and_told_what_is_allowed(rig, method):
    answer = rig.ask(method, f"/{MAC}")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert isinstance(rig.events[-1], Refused)


def test_targets_that_are_no_path(rig):
    assert rig.ask("OPTIONS", "*").status == 405
    assert rig.ask("CONNECT", "example.com:443").status == 405
    assert rig.get("*").status == 400
    assert rig.get("boot").status == 400


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_host_header_may_be_missing(rig, version):
    sent = rig.raw(b"GET / HTTP/" + version + b"\r\n\r\n")
    assert b"http://192.0.2.1:3000/boot/" in sent


def test_connections_stay_open_unless_the_client_wants_otherwise(rig):
    for request, closes in (
        (REQUEST, False),
        (REQUEST.replace(b"Host", b"Connection: keep-alive\r\nHost"), False),
        (REQUEST.replace(b"Host", b"Connection: close\r\nHost"), True),
        (REQUEST.replace(b"1.1", b"1.0"), True),
    ):
        channel, transport = rig.connect()
        channel.dataReceived(request)
        assert transport.disconnecting is closes
        (answer,) = responses(transport.value(), "GET")
        assert answer.status == 200


def test_pipelined_requests_are_answered_in_order(rig):
    data = b"".join(
        b"%s %s HTTP/1.1\r\n\r\n" % request
        for request in ((b"GET", b"/images/vmlinuz"), (b"HEAD", b"/images/vmlinuz"), (b"GET", b"/"),
                        (b"GET", b"/none"), (b"GET", b"/status"))
    )  # fmt: skip
    answers = responses(rig.raw(data), "GET", "HEAD", "GET", "GET", "GET")
    assert [answer.status for answer in answers] == [200, 200, 200, 404, 200]
    assert answers[0].body == KERNEL
    assert len(rig.events) == 3  # neither HEAD nor the status page makes one


def test_a_request_may_come_byte_by_byte(rig):
    channel, transport = rig.connect()
    for byte in REQUEST:
        channel.dataReceived(bytes([byte]))
    assert responses(transport.value(), "GET")[0].status == 200


HOSTILE = {
    "binary": bytes(range(256)) * 10 + b"\r\n\r\n",
    "http/0.9": b"GET /\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET / \r\n\r\n",
    "overlong request line": b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
    "endless request line": b"GET /" + b"a" * 70000,
    "header flood": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000 + b"\r\n",
    "endless header": b"GET / HTTP/1.1\r\nA: " + b"b" * 70000,
    "no header": b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
    "blank in a name": b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    "negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "nul in a header": b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
    "bad chunks": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_a_bad_request_with_one_event(rig, data):
    channel, transport = rig.connect()
    channel.dataReceived(data)
    assert transport.value().startswith(b"HTTP/1.1 400 ")
    assert transport.disconnecting
    assert [event.status for event in rig.events if isinstance(event, Refused)] == [400]


@pytest.mark.parametrize(
    "path",
    ["/%", "/%zz", "/%e2%28", "/%ff%fe", "/%25252e", "/?%%%", "/" + "%41" * 400, "/a?" + "&x" * 4000,
     "/\x7f\xa0", "/{}|^`", "/con", "/%F0%9F%92%A9", "http:///x", "http://[/x", "///", "/;/;",
     "/%2f%2f%2f", "/status/x", "/boot%2F" + MAC],
)  # fmt: skip
def test_odd_paths_are_answered_without_a_fault(rig, path):
    assert rig.get(path).status in (200, 403, 404)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            ["/", "..", ".", "%2e", "%2f", "%5c", "\\", "images", "vmlinuz", "boot", MAC, "%00", "c.json",
             "status", "etc", "passwd", "%", "%c0%ae", "?", "#", "//", ":", "%3A", "ipxe.efi"]
        )
        | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8),
        max_size=8,
    )
)  # fmt: skip
def test_no_path_is_a_fault_or_leaves_the_root(fuzzed, parts):
    answer = fuzzed.get("/" + "".join(parts))
    assert answer.status in (200, 403, 404)
    assert b'"targets"' not in answer.body
    assert b"root:" not in answer.body


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return Rig(tmp_path_factory.mktemp("fuzz"))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"GET / HTTP/1.1\r\n", b"\r\n", b": "])))
def test_no_bytes_raise(fuzzed, pieces):
    channel, transport = fuzzed.connect()
    for piece in pieces:
        if not transport.disconnecting:
            channel.dataReceived(piece)


def test_a_body_sent_to_us_is_thrown_away_and_an_endless_one_ends_the_connection(rig):
    channel, transport = rig.connect()
    channel.dataReceived(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
    assert responses(transport.value(), "POST")[0].status == 405
    transport.clear()
    channel.dataReceived(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1100):
        channel.dataReceived(b"10000\r\n" + bytes(0x10000) + b"\r\n")
    assert transport.disconnecting


def test_form_data_is_not_parsed(rig):
    form = "Content-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc"
    sent = rig.raw(f"POST / HTTP/1.1\r\n{form}".encode())
    assert responses(sent, "POST")[0].status == 405


def test_a_trickle_of_bytes_buys_no_time(rig):
    channel, transport = rig.connect()
    for byte in b"GET / HTTP/1.1\r\nX-Slow: yes":
        channel.dataReceived(bytes([byte]))
        rig.clock.advance(site.REQUEST_S / 20)
        if transport.disconnecting:
            break
    assert transport.disconnecting


def test_a_kept_connection_has_the_whole_time_again_after_each_answer(rig):
    channel, transport = rig.connect()
    for _ in range(5):
        rig.clock.advance(site.REQUEST_S - 1)
        channel.dataReceived(REQUEST)
        assert not transport.disconnecting
    rig.clock.advance(site.REQUEST_S + 1)
    assert transport.disconnecting


def test_connections_to_an_address_not_served_end_before_a_byte_is_read(rig):
    asked = []
    rig.site.allowed = asked.append
    _, transport = rig.connect()
    assert asked == ["192.0.2.1"]
    assert transport.disconnected or transport.disconnecting
    assert rig.clock.getDelayedCalls() == []


def half_closed(rig, data):
    """The transport after *data* and the end of what the client sends."""
    channel, transport = rig.connect()
    channel.dataReceived(data)
    assert not transport.disconnecting
    channel.readConnectionLost()
    rig.clock.advance(0)
    return channel, transport


def test_a_client_that_sends_no_more_ends_an_idle_connection(rig):
    assert IHalfCloseableProtocol.providedBy(rig.connect()[0])
    for data in (b"", REQUEST, b"GET / HT", b"GET / HTTP/1.1\r\nHost:",
                 b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"):  # fmt: skip
        _, transport = half_closed(rig, data)
        assert transport.disconnecting


def test_a_client_that_sends_no_more_gets_all_it_asked(rig):
    class SlowBodies:
        def send(self, request, *_):
            self.request = request
            return Deferred()

    rig.site.bodies = SlowBodies()
    ahead = b"GET / HTTP/1.1\r\n\r\n" * 2
    channel, transport = half_closed(rig, b"GET /images/vmlinuz HTTP/1.1\r\n\r\n" + ahead)
    channel.readConnectionLost()
    rig.clock.advance(0)
    assert not transport.disconnecting
    rig.site.bodies.request.write(KERNEL)
    rig.site.bodies.request.finish()
    rig.clock.advance(0)
    assert transport.disconnecting
    answers = responses(transport.value(), "GET", "GET", "GET")
    assert [answer.status for answer in answers] == [200] * 3


def test_a_client_that_sends_no_more_and_does_not_read_is_waited_for(rig):
    channel, transport = rig.connect()
    channel.pauseProducing()  # Twisted's buffer is full of answers
    channel.dataReceived(REQUEST)
    channel.readConnectionLost()
    rig.clock.advance(0)
    assert not transport.disconnecting
    channel.resumeProducing()
    rig.clock.advance(0)
    assert transport.disconnecting
    assert responses(transport.value(), "GET")[0].status == 200


def test_while_stopping_clients_are_asked_to_come_back(rig):
    rig.site.stopping = True
    answer = rig.get(f"/{MAC}", User_Agent="iPXE/1.21")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0


def test_a_fault_in_the_status_page_is_ours(rig, caught_faults):
    rig.site._status_of = lambda: 1 / 0
    answer = rig.get("/status")
    assert answer.status == 500
    assert "division" not in answer.text
    assert len(caught_faults(ZeroDivisionError)) == 1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_what_cannot_be_sent_is_one_error_and_the_client_is_asked_to_come_back(rig, number):
    class NothingGoes:
        def send(self, *_):
            raise OSError(number, os.strerror(number))

    rig.site.bodies = NothingGoes()
    answer = rig.get("/images/vmlinuz")
    (event,) = rig.events
    assert (event.level, event.reason) == ("error", os.strerror(number))
    assert answer.status == 503
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "etag" not in answer.headers
    assert "retry-after" in answer.headers


def test_one_event_per_answer(rig):
    for path in ("/", f"/{MAC}", "/images/vmlinuz", "/none", "/..", "/boot/x"):
        rig.get(path)
    assert [event.kind for event in rig.events] == [
        "scripted",
        "scripted",
        "served",
        *["refused"] * 3,
    ]
    assert all(event.peer == "192.0.2.77" for event in rig.events)
    assert isinstance(rig.events[0], Scripted)


# -- by HTTPS alone --------------------------------------------------------------------------------


@pytest.fixture
def strict(tmp_path):
    return Rig(tmp_path, netbootd='"tls": {"certificate": "none.pem", "port": 8443, "only": true}')


def test_the_page_is_elsewhere_where_it_is_by_https_alone(strict):
    answer = strict.get("/ui/index.html", Host="192.0.2.1")
    assert answer.status == 307
    assert answer.headers["location"] == "https://192.0.2.1:8443/ui/index.html"
    stranger = strict.get("/ui/", Host="evil.example")
    assert stranger.headers["location"] == "https://192.0.2.1:8443/ui/"


def test_no_token_is_taken_by_http_where_it_is_by_https_alone(strict):
    for method, path in (
        ("GET", "/api/v1/machines"),
        ("PUT", "/vms/a"),
        ("POST", "/api/v1/session"),
    ):
        answer = strict.ask(method, path)
        assert answer.status in (403, 405), path
    assert strict.get("/api/v1/status").text == (
        "403 Forbidden: by HTTPS alone: https://192.0.2.1:8443/api/v1/status\n"
    )


def test_what_machines_ask_for_is_never_sent_elsewhere(strict):
    for path in (
        f"/boot/{MAC}",
        "/",
        "/images/vmlinuz",
        "/ipxe.efi",
        "/status",
        "/healthz",
    ):
        assert strict.get(path).status == 200, path


def test_the_page_stays_where_nobody_wants_https(tmp_path):
    assert Rig(tmp_path, netbootd='"tls": {"certificate": "none.pem"}').get("/ui/").status == 200
