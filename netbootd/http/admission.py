"""
Who may ask the API.

Over our Unix socket whoever can open it.  Over TCP whoever brings an API token, or the cookie of a
session, which is what a browser gets for one.  A browser sends the cookie with whatever any page
asks of us, so a change needs more than that: it comes from our own page (``origin``), with a type
of content or a header that no foreign page can send without our leave (Fetch Standard,
"CORS-safelisted"), and from where no machines boot (``authority``).
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

from netbootd.api.no import No
from netbootd.http import origin
from netbootd.http.apicall import JSON
from netbootd.http.authority import CHALLENGE, Authority, given_by
from netbootd.http.deed import Deed
from netbootd.http.resource import Asked
from netbootd.http.sessions import LIFE_S, Sessions

COOKIE = "netbootd_session"
#: The methods that change nothing.
READING = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION = "session"


class Admitted(NamedTuple):
    """Who was let in: *owner* of the token or the session; *by_cookie* where that alone says so."""

    owner: str
    by_cookie: bool = False


class Admission:
    """*authority* knows tokens and networks, *seconds* is a clock."""

    def __init__(self, authority: Authority, seconds: Callable[[], float]) -> None:
        self.authority = authority
        self.sessions = Sessions(seconds)
        self._tokens = authority.keyring.tokens

    def admit(self, deed: Deed, page: str) -> None:
        """Let in who may do *deed* by *page*, and tell it whose it is; raises No."""
        asked = deed.asked
        if asked.uid is not None:
            return
        deed.owner, deed.by_cookie = self._known(asked, page)
        if asked.method not in READING:
            self._must_be_meant(deed)
            if page != SESSION:
                self.authority.must_be_elsewhere(asked)

    def _known(self, asked: Asked, page: str) -> Admitted:
        self._heed_tokens()
        if "authorization" in asked.headers:
            opens = page == SESSION and asked.method == "POST"
            if opens and (owner := self.sessions.use_key(given_by(asked))):
                return Admitted(owner)
            return Admitted(f"API token {self.authority.must_have_token(asked)}")
        if owner := self.sessions.owner(_cookie(asked)):
            return Admitted(owner, by_cookie=True)
        told = "needs an API token: Authorization: Bearer TOKEN, or a session"
        raise No(HTTPStatus.UNAUTHORIZED, "token-missing", told, headers=CHALLENGE)

    def _must_be_meant(self, deed: Deed) -> None:
        """Whether no foreign page can have made a browser send it."""
        asked = deed.asked
        origin.must_be_our_page(asked, self.authority.names)
        kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
        ours = kind == JSON or asked.headers.get("x-requested-with", "") == "netbootd"
        if deed.by_cookie and not ours:
            told = (
                f"with a session a change needs Content-Type: {JSON} or X-Requested-With: netbootd"
            )
            raise No(HTTPStatus.FORBIDDEN, "not-from-our-page", told)

    def may_stay(self, asked: Asked, *, by_cookie: bool) -> bool:
        """Whether who was let in would be so now."""
        if asked.uid is not None:
            return True
        if not self.authority.live.snapshot.config.web:
            return False
        self._heed_tokens()
        return bool(
            self.sessions.owner(_cookie(asked)) if by_cookie else self.authority.holder(asked)
        )

    def _heed_tokens(self) -> None:
        """End the sessions that were opened while other tokens counted."""
        tokens = self.authority.keyring.tokens
        if tokens.digests != self._tokens.digests:
            self.sessions.clear()
        self._tokens = tokens

    # -- sessions ------------------------------------------------------------------------------

    def open(self, deed: Deed) -> dict[str, str]:
        """A new session of its owner; the header that tells the browser."""
        return _set(deed.asked, self.sessions.begin(deed.owner), LIFE_S)

    def make_key(self, owner: str) -> str:
        """What opens one session for *owner*, a user of this host, who needs no token."""
        self._heed_tokens()
        return self.sessions.make_key(owner)

    def close(self, asked: Asked) -> dict[str, str]:
        """End that of the browser that asks, and have it forget the cookie."""
        self.sessions.end(_cookie(asked))
        return _set(asked, "", 0)


def _set(asked: Asked, value: str, life_s: int) -> dict[str, str]:
    """By HTTPS under a name that browsers take from us alone (RFC 6265bis, 4.1.3.2)."""
    own = "Path=/; Secure" if asked.secure else "Path=/api"
    cookie = f"{_name(asked)}={value}; Max-Age={life_s}; HttpOnly; SameSite=Strict; {own}"
    return {"Set-Cookie": cookie}


def _name(asked: Asked) -> str:
    return f"__Host-{COOKIE}" if asked.secure else COOKIE


def _cookie(asked: Asked) -> str:
    """The session that a browser names; a garbled header names none."""
    try:
        morsel = SimpleCookie(asked.headers.get("cookie", "")[:4096]).get(_name(asked))
    except CookieError:
        return ""
    return morsel.value if morsel else ""
