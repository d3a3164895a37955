"""
Whose page a browser asks for us: by the Host and the Origin that it sends.

A page of anybody may have the browser ask us, and DNS rebinding even makes our answers its own: its
name leads to our address.  It needs a name for that: so by addresses anybody may call us, by names
only if they are ours.  A name without a dot is nobody's on the Internet.

None of this is for firmware, which calls us whatever it likes: boot files and scripts are not asked
here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from ipaddress import ip_address

from netbootd.api.no import No
from netbootd.http.resource import Asked

_HOST = re.compile(r"(\[[0-9a-fA-F:.%a-z0-9]*\]|[^:\[\]]*)(?::[0-9]*)?")
#: What browsers say of requests that they send for a foreign page (Fetch Metadata, 2.4).
_FOREIGN_SITES = frozenset({"cross-site", "same-site"})


def must_call_us_ours(asked: Asked, names: Collection[str]) -> None:
    """Raise No to a browser that was led here by a name that is none of *names*, in lower case."""
    host = _name_of(asked.host)
    if asked.uid is not None or _is_harmless(host) or host in names:
        return
    told = (
        f"netbootd does not go by the name {host!r:.100} here; call it by its address, or put into "
        f'section netbootd of the configuration: "web_names" : ["{host:.100}"]'
    )
    raise No(HTTPStatus.FORBIDDEN, "foreign-name", told)


def must_be_our_page(asked: Asked, names: Collection[str]) -> None:
    """Raise No to what a browser sends for a page that is not ours; others say nothing of pages."""
    origin = asked.headers.get("origin")
    site = asked.headers.get("sec-fetch-site", "").strip().lower()
    if asked.uid is not None or (site not in _FOREIGN_SITES and _is_ours(origin, asked, names)):
        return
    told = f"a page of {origin or site!r:.100} may change nothing here"
    raise No(HTTPStatus.FORBIDDEN, "foreign-page", told)


def _is_ours(origin: str | None, asked: Asked, names: Collection[str]) -> bool:
    """Whether a page of *origin* is ours; one behind a proxy may be called by a name of ours."""
    if origin is None:
        return True
    there = origin.strip().lower().partition("://")[2]
    return bool(there) and (there == asked.host.strip().lower() or there in names)


def _name_of(host: str) -> str:
    """The host of a Host header in lower case, without its port and a dot at its end."""
    match = _HOST.fullmatch(host.strip())
    return match[1].lower().removesuffix(".") if match else host.strip().lower()


def _is_harmless(host: str) -> bool:
    """Nothing, an address, or a name that nobody on the Internet can have."""
    if "." not in host and ":" not in host:
        return True
    if host.endswith(".localhost"):
        return True
    try:
        ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True
