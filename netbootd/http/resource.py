"""
What is asked over HTTP and what is answered, as values; no socket, no Twisted.

A request target may be a path or a whole URL (RFC 9112, 3.2); percent signs are decoded here,
once, and what the path then means is for ``content`` and ``urls``.  A Host header may be missing:
firmware forgets it.  Of a header sent twice the values are joined (RFC 9110, 5.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from os import fsdecode
from urllib.parse import parse_qsl, unquote_to_bytes

from netbootd.content import Content
from netbootd.events.event import Event, Refused

METHODS = ("GET", "HEAD")
PLAIN = "text/plain; charset=utf-8"
#: What must be asked for anew each time (RFC 9111, 5.2.2.5).
NO_STORE = {"Cache-Control": "no-store"}

_IPXE = "iPXE/"
_WHOLE_URL = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_MOST_PARAMETERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    One request.

    *path* is decoded, undecodable bytes kept as surrogates as for file names; one that does not
    begin with a slash is no path, but ``*`` or worse.  *headers* go by their names in lower case.
    *host* is what the client calls us, with its port, empty if it does not say; *here* the address
    and port of ours that it reached; *peer* its own address.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    here: tuple[str, int] = ("127.0.0.1", 80)
    peer: str = ""

    @property
    def by_ipxe(self) -> bool:
        """iPXE shows nothing of an answer but a script with status 200."""
        return self.headers.get("user-agent", "").startswith(_IPXE)


def asked_of(
    method: bytes,
    target: bytes,
    headers: Iterable[tuple[bytes, Sequence[bytes]]],
    here: tuple[str, int],
    peer: str,
) -> Asked:
    """Read a request's first line and headers."""
    named = {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in headers
    }
    host, path, query = _split(target)
    return Asked(
        method=method.decode("latin-1"),
        path=fsdecode(unquote_to_bytes(path)),
        query=_parameters(query),
        headers=named,
        host=host or named.get("host", ""),
        here=here,
        peer=peer,
    )


def _split(target: bytes) -> tuple[str, bytes, bytes]:
    """Host, path and query; a URL's own host counts, not the Host header (RFC 9112, 3.2.2)."""
    host = ""
    if url := _WHOLE_URL.fullmatch(target):
        host, target = url[1].decode("latin-1"), url[2]
        target = target if target.startswith(b"/") else b"/" + target
    path, _, query = target.partition(b"?")
    return host, path, query


def _parameters(query: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(query.decode("latin-1"), max_num_fields=_MOST_PARAMETERS))
    except ValueError:
        return {}  # more than anybody needs; nothing of ours depends on them


@dataclass(frozen=True, slots=True)
class Part:
    """*count* bytes of *content* from *offset*; whoever sends them closes the content."""

    content: Content
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer; *event* is what to publish about it, None for what nobody wants to read.

    Content-Length comes from the body when it is sent, so HEAD and GET cannot differ.
    """

    status: HTTPStatus
    headers: Mapping[str, str]
    body: bytes | Part = b""
    event: Event | None = None

    @property
    def size(self) -> int:
        """The body's length in bytes."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.count


def text(status: HTTPStatus, body: str, event: Event | None = None) -> Answer:
    """Plain text that is to be asked for anew each time."""
    encoded = body.encode("utf-8", "replace")
    return Answer(status, {"Content-Type": PLAIN, **NO_STORE}, encoded, event)


def refused(
    request: Asked, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """A "no" in plain text; the event carries the reason as well."""
    event = Refused(
        peer=request.peer, protocol="HTTP", path=request.path, status=status, reason=reason
    )
    answer = text(status, f"{status} {status.phrase}: {reason}\n", event)
    return Answer(status, {**answer.headers, **(headers or {})}, answer.body, event)
