"""
What is asked over HTTP and what is answered, as values; no socket, no Twisted.

A request target may be a path or a whole URL (RFC 9112, 3.2); percent signs are decoded here,
once, and what the path then means is for ``content`` and ``urls``.  A Host header may be missing:
firmware forgets it.  Of a header sent twice the values are joined (RFC 9110, 5.3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from os import fsdecode
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from netbootd import urls
from netbootd.boot.client import Client, Stage
from netbootd.content import Content
from netbootd.events.event import Event, Refused, Unreadable
from netbootd.http.receipt import Receipt
from netbootd.mac import MAC
from netbootd.registry.marks import UNMARKED
from netbootd.registry.sightings import Sightings

METHODS = ("GET", "HEAD")
#: What pages that take something answer to as well.
REPORTS = (*METHODS, "POST", "PUT")
WRITES = (*METHODS, "PUT", "DELETE")
PLAIN = "text/plain; charset=utf-8"
#: What must be asked for anew each time (RFC 9111, 5.2.2.5).
NO_STORE = {"Cache-Control": "no-store"}
_OF_TEXT = {"Content-Type": PLAIN, **NO_STORE}
#: With a 503; iPXE asks again by itself after so many seconds.
LATER = {"Retry-After": "5"}

_IPXE = "iPXE/"
#: GRUB (grub-core/net/http.c, and as firmware where it uses that: net/efi/http.c in Debian 13),
#: PXELINUX (core/fs/pxe/http.c), U-Boot's wget.
_LOADERS = ("GRUB", "UefiHttpBoot", "Syslinux", "U-Boot")
_WHOLE_URL = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    One request.

    *path* is decoded, undecodable bytes kept as surrogates as for file names; one that does not
    begin with a slash is no path, but ``*`` or worse.  *query* has the last value of each name.
    *headers* go by their names in lower case.  *body* is what was sent along; *cut*: only its end.
    *host* is what the client calls us, with its port, empty if it does not say; *here* the address
    and port of ours that it reached; *peer* its own address.  *sightings* are what was learned of
    machines before.  *uid* is the user at the other end of our Unix socket, None over TCP;
    *secure*: it came by HTTPS.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    sightings: Sightings = field(default_factory=Sightings)
    host: str = ""
    here: tuple[str, int] = ("127.0.0.1", 80)
    peer: str = ""
    uid: int | None = None
    secure: bool = False

    def client(self, stage: Stage, mac: MAC | None) -> Client:
        """Whoever asks, *mac* being whom it asks for, with what is known of that."""
        said = self.sightings.of(mac)
        if said is UNMARKED:
            return Client(stage=stage, mac=mac, address=self.peer, asks=True)
        return Client(
            stage=stage,
            mac=mac,
            address=self.peer,
            uuid=said.uuid,
            serial=said.serial,
            asset=said.asset,
            client_id=said.client_id,
            circuit_id=said.circuit_id,
            remote_id=said.remote_id,
            asks=True,
        )

    @property
    def by_ipxe(self) -> bool:
        """iPXE shows nothing of an answer but a script with status 200."""
        return self.headers.get("user-agent", "").startswith(_IPXE)

    @property
    def by_loader(self) -> bool:
        """Another boot loader asks, which is nobody with a browser."""
        return self.headers.get("user-agent", "").startswith(_LOADERS)


def asked_of(
    method: bytes,
    target: bytes,
    headers: Iterable[tuple[bytes, Sequence[bytes]]],
    here: tuple[str, int],
    peer: str,
    body: bytes = b"",
    *,
    cut: bool = False,
    uid: int | None = None,
    secure: bool = False,
    sightings: Sightings | None = None,
) -> Asked:
    """Read a request's first line and headers."""
    by_name = named(headers)
    host, path, query = _read(target)
    return Asked(
        method=method.decode("latin-1"),
        path=path,
        query=query,
        headers=by_name,
        body=body,
        cut=cut,
        host=host or by_name.get("host", ""),
        here=here,
        peer=peer,
        uid=uid,
        secure=secure,
        sightings=sightings or Sightings(),
    )


def named(headers: Iterable[tuple[bytes, Sequence[bytes]]]) -> dict[str, str]:
    """Headers as ``Asked`` has them."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in headers
    }


def asked_simply(
    method: bytes,
    target: bytes,
    headers: Mapping[str, str],
    here: tuple[str, int],
    peer: str,
    sightings: Sightings,
) -> Asked:
    """As ``asked_of``, of a *target* that begins with a slash; nothing came with the request."""
    if b"%" in target or b"+" in target or b"/token-" in target:
        host, path, query = _read(target)
        return Asked(
            method=method.decode("latin-1"),
            path=path,
            query=query,
            headers=headers,
            host=host or headers.get("host", ""),
            here=here,
            peer=peer,
            sightings=sightings,
        )
    text, _, told = target.decode("ascii").partition("?")
    return Asked(
        method=method.decode("ascii"),
        path=text,
        query=dict([pair.partition("=")[::2] for pair in told.split("&") if pair]) if told else {},
        headers=headers,
        host=headers.get("host", ""),
        here=here,
        peer=peer,
        sightings=sightings,
    )


def _read(target: bytes) -> tuple[str, str, dict[str, str]]:
    """Host, path and query; a token in the path counts to the query, so that no log tells it."""
    host, raw_path, raw_query = _split(target)
    query = dict(parse_qsl(raw_query.decode("latin-1"), keep_blank_values=True))
    path, token = urls.without_token(fsdecode(unquote_to_bytes(raw_path)))
    return host, path, {**query, "token": token} if token else query


def _split(target: bytes) -> tuple[str, bytes, bytes]:
    """Host, path and query; a URL's own host counts, not the Host header (RFC 9112, 3.2.2)."""
    host = ""
    if url := _WHOLE_URL.fullmatch(target):
        host, target = url[1].decode("latin-1"), url[2]
        target = target if target.startswith(b"/") else b"/" + target
    path, _, query = target.partition(b"?")
    return host, path, query


@dataclass(frozen=True, slots=True)
class Part:
    """*count* bytes of *content* from *offset*; whoever sends them closes the content."""

    content: Content
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer; *event* is what to publish about it, None for what nobody wants to read.  *receipt*
    is to know whether all of it arrives.

    Content-Length comes from the body when it is sent, so HEAD and GET cannot differ.
    """

    status: HTTPStatus
    headers: Mapping[str, str]
    body: bytes | Part = b""
    event: Event | None = None
    receipt: Receipt | None = None

    @property
    def size(self) -> int:
        """The body's length in bytes."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.count


@dataclass(frozen=True, slots=True)
class Work:
    """An answer that takes its time, or the disk's: *make* is called in a thread of its own."""

    make: Callable[[], Answer]


@dataclass(frozen=True, slots=True)
class Awaited:
    """An answer in which others have a part: *coming* awaits what they do."""

    coming: Coroutine[Any, Any, Answer | Feed]


@dataclass(frozen=True, slots=True)
class Feed:
    """
    An answer without an end: *begin* is given the request, a consumer as Twisted has them, when
    its headers are out.
    """

    headers: Mapping[str, str]
    begin: Callable[[Any], None]


#: All that a page may give.
Reply = Answer | Work | Awaited | Feed


def text(status: HTTPStatus, body: str, event: Event | None = None) -> Answer:
    """Plain text that is to be asked for anew each time."""
    return Answer(status, _OF_TEXT, body.encode("utf-8", "replace"), event)


def no(event: Refused, words: str, headers: Mapping[str, str] | None = None) -> Answer:
    """The "no" that *event* tells the operator about, in plain text and in *words* for clients."""
    status = HTTPStatus(event.status)
    answer = text(status, f"{status} {status.phrase}: {words}\n", event)
    return replace(answer, headers={**answer.headers, **(headers or {})})


def refused(
    asked: Asked,
    status: HTTPStatus,
    reason: str,
    headers: Mapping[str, str] | None = None,
    *,
    mac: MAC | None = None,
    words: str = "",
) -> Answer:
    """A "no" for *reason*; *words* is what the client is told where the reason is not for it."""
    event = Refused(
        mac=mac, peer=asked.peer, protocol="HTTP", path=asked.path, status=status, reason=reason
    )
    return no(event, words or reason, headers)


def unreadable(asked: Asked, problem: OSError) -> Answer:
    """The file is there and cannot be given now; why that is stands in the event alone."""
    event = Unreadable(
        peer=asked.peer,
        protocol="HTTP",
        path=asked.path,
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        reason=problem.strerror or str(problem),
    )
    return no(event, "cannot be read now", LATER)
