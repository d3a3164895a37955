"""
``GET /<path>`` and ``/<mac>/<loader>``: files, whole or in part.

Conditions in the order of RFC 9110, 13.2.2; single byte ranges of 14.1.2.  Several ranges at once
are answered with the whole, and so is a range we cannot read (14.2 allows both).

Who needs it: EDK2 asks HEAD first, knows a program by ``application/efi`` or the path's ending
(NetworkPkg/HttpBootDxe/HttpBootSupport.c), and resumes with Range and If-Match; iPXE reads block
devices by Range, and GRUB seeks with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from email.utils import formatdate, mktime_tz, parsedate_tz
from http import HTTPStatus

from netbootd.boot.client import Stage
from netbootd.boot.decision import identify, refusal
from netbootd.content import Content
from netbootd.errors import NotFound
from netbootd.events.event import Served
from netbootd.http import answers
from netbootd.http.resource import PLAIN, Answer, Asked, Part, refused
from netbootd.record.record import Record
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.rendering import SUFFIX
from netbootd.urls import Route

_OTHER = "application/octet-stream"
#: By the path's ending.  ``.iso`` and ``.img`` stay bytes: EDK2 knows them by their names, and to
#: everybody else an initrd.img is no disk.
CONTENT_TYPES = {
    "efi": "application/efi",
    "gz": "application/gzip",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "zst": "application/zstd",
    **dict.fromkeys(("cfg", "conf", "ini", "ipxe", "ks", "list", "log", "md", "preseed"), PLAIN),
    **dict.fromkeys(("repo", "seed", "sh", "txt", "yaml", "yml"), PLAIN),
}

#: What browsers would run as a page of ours, with the session of whoever looks at it: they run no
#: script of it, and take it for nobody's (Content Security Policy Level 3, 6.3.2).
_PAGES = frozenset({"text/html; charset=utf-8", "application/xml"})
_SANDBOX = {"Content-Security-Policy": "sandbox"}

_LAST_SECOND = 253402300799  # of the year 9999: HTTP's years have four digits (RFC 9110, 5.6.7)
_ETAGS = re.compile(r'(?:W/)?"[^"]*"')
#: Blanks stand in one place each: in either of two, thousands of them are tried in every way.
_RANGE = re.compile(r"bytes\s*=\s*(?:([0-9]{1,18})\s*)?-\s*([0-9]{0,18})", re.IGNORECASE)


def answer(asked: Asked, route: Route, registry: Registry, record: Record) -> Answer:
    """
    The file that *route* names, unless it names a machine that DHCP would have refused as well.

    Where there is none but a template for it, what that renders to for the machine.

    Raises what ``Library.lookup`` raises.  A Part's content is open.
    """
    client = asked.client(Stage.HTTP_BOOT, route.mac)
    machine = identify(client, registry)
    if route.mac and (reason := refusal(client, machine, registry)):
        told = f"{route.mac} is {reason}"
        return refused(asked, HTTPStatus.FORBIDDEN, told, mac=route.mac)
    try:
        content = registry.library.lookup(route.path)
    except NotFound:
        if not answers.answers(route, registry):
            raise
        return answers.answer(asked, route, registry, record, _text_type(asked.path))
    served = _event(asked, route, machine, content)
    try:
        made = _conditional(asked, content, served)
    except BaseException:
        content.close()
        raise
    if not isinstance(made.body, Part):
        content.close()
    return made


def _event(asked: Asked, route: Route, machine: Machine | None, content: Content) -> Served:
    return Served(
        mac=route.mac or (machine.mac if machine else None),
        target=machine.title if machine else "",
        peer=asked.peer,
        path=asked.path,
        status=HTTPStatus.OK,
        size=content.size,
        count=content.size,
        sent=0,
        seconds=0.0,
    )


def _conditional(asked: Asked, content: Content, served: Served) -> Answer:
    stamps = Stamps.of(content)
    match verdict(asked, stamps):
        case HTTPStatus.PRECONDITION_FAILED as failed:
            return refused(asked, failed, "the file is not the one you have a part of")
        case HTTPStatus.NOT_MODIFIED as same:
            return Answer(same, stamps.headers, b"", replace(served, status=same, count=0))
        case _:
            return _whole_or_part(asked, content, stamps, served)


def _whole_or_part(asked: Asked, content: Content, stamps: Stamps, served: Served) -> Answer:
    size = content.size
    kind = content_type(asked.path)
    headers = {
        "Content-Type": kind,
        "Accept-Ranges": "bytes",
        **stamps.headers,
        **(_SANDBOX if kind in _PAGES else {}),
    }
    match wanted_range(asked, stamps, size):
        case None:
            return Answer(HTTPStatus.OK, headers, Part(content, 0, size), served)
        case (first, last):
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            part = Part(content, first, last - first + 1)
            status = HTTPStatus.PARTIAL_CONTENT
            event = replace(served, status=status, first=part.offset, count=part.count)
            return Answer(status, headers, part, event)
        case _:
            beyond = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            extent = {"Content-Range": f"bytes */{size}"}
            return refused(asked, beyond, f"the file has {size} bytes", extent)


def _text_type(path: str) -> str:
    """By the ending before that of a template; text for what is not known."""
    found = content_type(path.rstrip("/").removesuffix(SUFFIX))
    return PLAIN if found == _OTHER else found


def content_type(path: str) -> str:
    """By the path's ending; bytes for what is not known."""
    name = path.rpartition("/")[2]
    return CONTENT_TYPES.get(name.rpartition(".")[2].lower(), _OTHER) if "." in name else _OTHER


@dataclass(frozen=True, slots=True)
class Stamps:
    """What tells two versions apart: a strong *etag*, in quotes; *modified* in seconds, or 0."""

    etag: str
    modified: int

    @classmethod
    def of(cls, content: Content) -> Stamps:
        return cls(f'"{content.etag}"', content.modified)

    @property
    def headers(self) -> dict[str, str]:
        """ETag, and Last-Modified where it is known and HTTP can say it."""
        if not 0 < self.modified <= _LAST_SECOND:
            return {"ETag": self.etag}
        return {"ETag": self.etag, "Last-Modified": formatdate(self.modified, usegmt=True)}


def verdict(asked: Asked, stamps: Stamps) -> HTTPStatus | None:
    """412 or 304 where a condition of the request says so, else None (RFC 9110, 13.2.2)."""
    headers = asked.headers
    if tags := headers.get("if-match"):
        if not among(tags, stamps.etag, weak=False):
            return HTTPStatus.PRECONDITION_FAILED
    elif _changed_since(headers.get("if-unmodified-since"), stamps) is True:
        return HTTPStatus.PRECONDITION_FAILED
    if tags := headers.get("if-none-match"):
        return HTTPStatus.NOT_MODIFIED if among(tags, stamps.etag, weak=True) else None
    if _changed_since(headers.get("if-modified-since"), stamps) is False:
        return HTTPStatus.NOT_MODIFIED
    return None


def among(tags: str, etag: str, *, weak: bool) -> bool:
    """Weak comparison takes ``W/"x"`` for ``"x"`` (RFC 9110, 8.8.3.2)."""
    if tags.strip() == "*":
        return True
    listed = _ETAGS.findall(tags)
    return etag in listed or (weak and f"W/{etag}" in listed)


def _changed_since(date: str | None, stamps: Stamps) -> bool | None:
    """None where one of the two times is not known: then the condition does not count."""
    since = parse_date(date) if date else None
    return None if since is None or not stamps.modified else stamps.modified > since


def parse_date(text: str) -> int | None:
    """Seconds since 1970 of any HTTP date (RFC 9110, 5.6.7), None for what is none."""
    try:
        fields = parsedate_tz(text)
        return mktime_tz(fields) if fields else None
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def wanted_range(asked: Asked, stamps: Stamps, size: int) -> tuple[int, int] | tuple[()] | None:
    """
    First and last byte wanted; None for the whole, ``()`` for a range the file does not have.

    Range counts for GET alone (RFC 9110, 14.2), and with If-Range only if nothing changed.
    """
    match = _RANGE.fullmatch(asked.headers.get("range", "").strip())
    if asked.method != "GET" or not match or not _still_the_same(asked, stamps):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(last, size)
    if last and int(last) < int(first):
        return None  # not a range at all (14.1.1), so ignored
    if int(first) >= size:
        return ()
    return int(first), min(int(last), size - 1) if last else size - 1


def _suffix(length: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """``-500`` is the last 500 bytes."""
    if not length:
        return None
    if not int(length) or not size:
        return ()
    return max(0, size - int(length)), size - 1


def _still_the_same(asked: Asked, stamps: Stamps) -> bool:
    """If-Range: the very ETag, or the very date (RFC 9110, 13.1.5)."""
    validator = asked.headers.get("if-range", "").strip()
    if not validator or validator == stamps.etag:
        return True
    return bool(stamps.modified) and parse_date(validator) == stamps.modified
