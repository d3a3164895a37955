"""The heads of HTTP requests, read both ways: at once, and as Twisted reads them."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from netbootd.api.no import No
from netbootd.events.stream import Stream
from netbootd.http import admission, answers, authority, files, origin, simple
from netbootd.http.bodies import Bodies
from netbootd.http.resource import Answer, Asked, asked_of, asked_simply, text
from netbootd.http.site import Site
from netbootd.registry import marks
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load

from .decoder import Decoder

_HERE = IPv4Address("TCP", "192.0.2.1", 3000)
_PEER = IPv4Address("TCP", "192.0.2.77", 40000)
_STATUS = re.compile(rb"HTTP/1\.[01] (?:100|200|400) ")
_SIZE = 1000
_MOST_LINES = 500  # as in the channel
_STAMPS = files.Stamps('"e"', 784_111_777)
_DONE = Failure(ConnectionDone())


class _Echo(Site):
    """Tells each request what was understood of it."""

    def answer(self, asked: Asked) -> Answer:
        told = (asked.method, asked.path, asked.query, dict(sorted(asked.headers.items())))
        more = (asked.body, asked.cut, asked.host, asked.here, asked.peer)
        return text(HTTPStatus.OK, repr((*told, *more)))


@cache
def _site() -> _Echo:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "c.json"
        file.write_text('{ "netbootd" : { "state" : "state" } }')
        live = LiveRegistry(load(file))
    clock = Clock()
    return _Echo(clock, live, Stream(_raise), Bodies(clock), dict)


def _raise(problem: BaseException) -> None:
    raise problem


@contextlib.contextmanager
def _no_fault() -> Iterator[None]:
    """Nothing is logged as one meanwhile."""
    faults: list[Any] = []

    def note(event: Any) -> None:
        if event["log_level"] >= LogLevel.error:
            faults.append(event)

    globalLogPublisher.addObserver(note)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(note)
    assert not faults, faults[0]


@_no_fault()
def http(data: bytes) -> None:
    """
    A simple request is one for Twisted too, the same one, and gets the same answer; what is not
    simple is answered with 200 or 400, or more of it is awaited.
    """
    site = _site()
    transport = StringTransport(hostAddress=_HERE, peerAddress=_PEER)
    channel = site.buildProtocol(_PEER)
    channel.makeConnection(transport)
    channel.dataReceived(data)
    sent = transport.value()
    ended = transport.disconnecting or transport.disconnected
    channel.connectionLost(_DONE)
    for call in site.clock.getDelayedCalls():
        call.cancel()
    request = simple.read(data)
    if request is not None:
        assert (_simply(site, request), request[2].close) == (_undated(sent), ended)
    elif sent:
        assert _STATUS.match(sent), sent[:99]


def _simply(site: Site, request: tuple[bytes, bytes, simple.Head]) -> bytes:
    """As ``Visitor`` answers."""
    method, target, head = request
    here = (_HERE.host, _HERE.port)
    asked = asked_simply(method, target, head.headers, here, _PEER.host, site.live.sightings)
    answer = site.answer(asked)
    first = simple.head_of(answer, close=head.close)
    return _undated(first + answer.body if method == b"GET" else first)


def _undated(sent: bytes) -> bytes:
    before, date, behind = sent.partition(b"\r\nDate: ")
    return before + date + behind.partition(b"\r\n")[2]


def headers(data: bytes) -> None:
    """A request that was read means something whatever its headers and its query say."""
    target, *lines = data.split(b"\n")[:_MOST_LINES]
    pairs = [(name, [value]) for name, _, value in (line.partition(b":") for line in lines)]
    here = (_HERE.host, _HERE.port)
    asked = asked_of(b"GET", target, pairs, here=here, peer=_PEER.host)
    files.verdict(asked, _STAMPS)
    wanted = files.wanted_range(asked, _STAMPS, _SIZE)
    if wanted:
        assert 0 <= wanted[0] <= wanted[1] < _SIZE
    for name in ("if-match", "if-none-match", "if-range"):
        files.among(asked.headers.get(name, ""), _STAMPS.etag, weak=True)
    authority.given_by(asked)
    admission._cookie(asked)
    list(answers._macs_in_headers(asked))
    for check in (origin.must_call_us_ours, origin.must_be_our_page):
        with contextlib.suppress(No):
            check(asked, {"boot.example.net"})
    said = marks.Marks.of(asked.query)
    for name in marks.MARKS:
        marks.told(name, getattr(said, name))
        marks.told(name, asked.query.get(name, ""))
    assert asked.by_ipxe + asked.by_loader < 2


def _header_seeds() -> Iterator[bytes]:
    yield b'/x?uuid=33221100-5544-7766-8899-aabbccddeeff&serial=A1&asset=b\nRange:bytes=0-9\nIf-Range:"e"'
    yield b'/x\nIf-None-Match:W/"e", "f"\nIf-Modified-Since:Sun, 06 Nov 1994 08:49:37 GMT\nRange:bytes=-5'
    yield b"/x\nIf-Unmodified-Since:Sunday, 06-Nov-94 08:49:37 GMT\nIf-Match:*\nUser-Agent:iPXE/1.0"
    yield b"/x\nHost:[::1]:80\nOrigin:http://a.b\nSec-Fetch-Site:cross-site\nCookie:a=b; session=x"
    yield b"/x?client_id=0x01525400123456\nX-RHN-Provisioning-MAC-0:eth0 52:54:00:12:34:56"
    yield b"http://h/x\nAuthorization:Bearer x\nHost:boot.example.net."


def _seeds() -> Iterator[bytes]:
    ipxe = b"User-Agent: iPXE/1.21.1\r\nConnection: keep-alive\r\nHost: 192.0.2.1:3000\r\n\r\n"
    yield b"GET /boot/52:54:00:12:34:56 HTTP/1.1\r\n" + ipxe
    yield b"HEAD /images/vmlinuz?a=b&c=%20+ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    yield b"GET /a HTTP/1.0\r\n\r\n"
    yield b"GET http://h:1/x HTTP/1.1\r\nRange: bytes=0-9\r\nAccept: */*\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"
    yield b"PUT /vms/a.json HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}"
    yield (
        b"POST /done/525400123456 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n"
        b"\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n"
    )
    yield b"GET / HTTP/1.1\r\nA: b\r\n c\r\nCookie: x=y\r\nAuthorization: Bearer z\r\n\r\n"


DECODERS = (
    Decoder(
        "http",
        http,
        (
            "netbootd.http.simple",
            "netbootd.http.channel",
            "netbootd.http.resource",
            "twisted.web.http",
            "twisted.web.http_headers",
            "twisted.web._abnf",
            "twisted.protocols.basic",
        ),
        _seeds,
        4096,
    ),
    Decoder(
        "headers",
        headers,
        (
            *("netbootd.http.files", "netbootd.http.resource", "netbootd.http.authority"),
            *("netbootd.http.origin", "netbootd.http.answers", "netbootd.registry.marks"),
            "email._parseaddr",
        ),
        _header_seeds,
        2048,
        16_384,
    ),
)
