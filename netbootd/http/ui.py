"""
``/ui/``: the web page, files that are read once at the start and never sought by a client's path.

They are the same for everybody and tell nothing: what the page shows it gets from the API, which
asks for the token.  The headers let the page load nothing but its own files and speak to nobody
but us (Content Security Policy Level 3), and make the browser itself refuse text as markup
(``require-trusted-types-for``); the API's words come from the wire, and one slip in a script must
not run them.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources
from types import MappingProxyType

from netbootd.content import Content
from netbootd.errors import NotFound
from netbootd.http.files import Stamps, verdict
from netbootd.http.resource import Answer, Asked, refused

INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
#: For every answer below ``/ui/``.  Another netbootd brings another page: browsers ask each time.
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cache-Control": "no-cache",
    }
)

#: What browsers heed, and do not complain of, by HTTPS alone (HTML Standard, 7.1.3).
_BY_HTTPS = {"Cross-Origin-Opener-Policy": "same-origin"}


def read() -> Mapping[str, Content]:
    """The files of the page, from the package, by their names."""
    folder = resources.files("netbootd.http").joinpath("ui")
    return MappingProxyType(
        {
            file.name: Content(file.name, held=file.read_bytes())
            for file in folder.iterdir()
            if _ending(file.name) in _TYPES
        }
    )


def answer(asked: Asked, path: str, pages: Mapping[str, Content], *, on: bool) -> Answer:
    """
    The file *path* among *pages*, the index where it is empty; no event, as for a status.

    *on* is the setting ``web``.  Raises NotFound.
    """
    if not on:
        return refused(asked, HTTPStatus.NOT_FOUND, 'the web page is switched off by "web"')
    if not path and not asked.path.endswith("/"):
        # A fragment goes along by itself (RFC 9110, 10.2.2), with the token that may be in it.
        return Answer(HTTPStatus.MOVED_PERMANENTLY, {**HEADERS, "Location": "/ui/"})
    content = pages.get(path or INDEX)
    if content is None:
        raise NotFound(path)
    stamps = Stamps.of(content)
    headers = {**HEADERS, **(_BY_HTTPS if asked.secure else {}), **stamps.headers}
    match verdict(asked, stamps):
        case HTTPStatus.PRECONDITION_FAILED as failed:
            return refused(asked, failed, "it is not the one you know")
        case HTTPStatus.NOT_MODIFIED as same:
            return Answer(same, headers)
    typed = {"Content-Type": _TYPES[_ending(content.name)], **headers}
    return Answer(HTTPStatus.OK, typed, content.read(0, content.size))


def _ending(name: str) -> str:
    return name[name.rfind(".") :]
