# mypy: allow-untyped-calls
"""
Simple requests, read at once, and the heads of answers as Twisted's channel writes them.

A request is simple that has come whole, alone, in HTTP/1.1, without a body, and means nothing but
what it says.  (The first line is for twisted.web.http, which has hardly any annotations.)
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

from twisted.web import http
from twisted.web.http_headers import Headers

from netbootd.http.resource import Answer, named

_MOST = 4096  # bytes of a request that is simple

#: A request whose parts mean nothing but what they say: no folded lines, no blanks where none are.
_SIMPLE = re.compile(
    rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?\r\n)*)\r\n"
)
#: Headers with which a request is more than it says, or may be a secret (which is not kept).
_NOT_SIMPLE = {
    *("content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer", "cookie"),
    *("authorization", "proxy-authorization"),
}


class Head(NamedTuple):
    """The lines below a request's first, read: *headers* by lower-case name; *close* after it."""

    headers: Mapping[str, str]
    close: bool


def read(data: bytes) -> tuple[bytes, bytes, Head] | None:
    """Method, target and head of the request that *data* is; None where that is not simple."""
    found = _SIMPLE.fullmatch(data) if len(data) <= _MOST else None
    head = _head(found[3]) if found else None
    return (found[1], found[2], head) if found and head else None


@functools.lru_cache(maxsize=512)
def _head(lines: bytes) -> Head | None:
    """
    Read header lines, None for such as are not simple.  A thousand nodes send the very same ones.
    """
    pairs = [line.split(b": ", 1) for line in lines.split(b"\r\n")[:-1]]
    headers = named((name, (value,)) for name, value in pairs)
    if len(headers) < len(pairs) or len(pairs) > 64 or headers.keys() & _NOT_SIMPLE:
        return None
    connection = headers.get("connection", "keep-alive").lower()
    if connection not in ("keep-alive", "close"):
        return None
    return Head(headers, connection == "close")


@functools.lru_cache(maxsize=256)
def _lines(status: int, headers: tuple[tuple[str, str], ...], close: bool) -> tuple[bytes, bytes]:
    """What stands in an answer's head before its date, and behind that, spelt as Twisted does."""
    spelt = Headers()
    for name, value in headers:
        spelt.setRawHeaders(name, [value])
    first = b"HTTP/1.1 %d %s\r\n" % (status, http.RESPONSES.get(status, b"Unknown Status"))
    before = first + (b"Connection: close\r\n" if close else b"") + b"Server: netbootd\r\nDate: "
    behind = b"".join(
        b"\r\n%s: %s" % (name, value)
        for name, values in spelt.getAllRawHeaders()
        for value in values
    )
    return before, behind + b"\r\nContent-Length: %d\r\n\r\n"


@functools.lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    date: bytes = http.datetimeToString(second)
    return date


def head_of(answer: Answer, *, close: bool) -> bytes:
    """The status line and headers of *answer*, as the channel writes them."""
    before, behind = _lines(answer.status, tuple(answer.headers.items()), close)
    return before + _date(int(time.time())) + behind % answer.size
