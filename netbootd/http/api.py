"""
``/api/v1/``: whose page it is, who may ask, and every "no" as JSON.

Who may ask: over our Unix socket whoever can open it; over TCP whoever brings the API token
(RFC 6750), or the cookie of a session, which is what a browser gets for it.  A browser sends the
cookie with whatever any page asks of us, so a change needs more than that: a type of content or a
header that no foreign page can send without our leave (Fetch Standard, "CORS-safelisted").
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import cache, partial
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from importlib import resources
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from netbootd.api.desk import Desk
from netbootd.api.no import No
from netbootd.errors import Forbidden, NotFound
from netbootd.http import apireading, apiwriting, authority
from netbootd.http.apicall import JSON, Call, nothing, refusal
from netbootd.http.eventstream import Streams
from netbootd.http.resource import Answer, Asked, Awaited, Feed, Reply, Work
from netbootd.http.sessions import LIFE_S, Guesses, Sessions

#: All that some page answers to.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
COOKIE = "netbootd_session"
_ATTRIBUTES = "HttpOnly; SameSite=Strict; Path=/api"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="netbootd"'}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

log = Logger(namespace="netbootd.http")

Page = Callable[..., Reply]

#: Below ``/api/v1/``; what stands in braces is handed to the page.  The first that fits counts.
PAGES: Mapping[str, Mapping[str, Page]] = {
    "machines": {"GET": apireading.machines, "POST": apiwriting.add},
    "machines/import": {"POST": apiwriting.import_table},
    "machines/{id}": {
        "GET": apireading.machine,
        "PUT": apiwriting.put,
        "PATCH": apiwriting.patch,
        "DELETE": apiwriting.delete,
    },
    "machines/{id}/boots": {"GET": apireading.boots},
    "machines/{id}/timeline": {"GET": apireading.timeline},
    "machines/{id}/why": {"GET": apireading.why},
    "machines/{id}/logs": {"GET": apireading.logs},
    "machines/{id}/next": {"PUT": apiwriting.arm, "DELETE": apiwriting.disarm},
    "machines/{id}/release": {"POST": apiwriting.release},
    "machines/{id}/go": {"POST": apiwriting.go},
    "pace": {"GET": apireading.pace, "PUT": apiwriting.pause},
    "pace/go": {"POST": apiwriting.all_go},
    "boots/{number}": {"GET": apireading.boot},
    "leases": {"GET": apireading.leases},
    "leases/{address}": {"DELETE": apiwriting.end_lease},
    "unknown": {"GET": apireading.unknown},
    "status": {"GET": apireading.status},
    "findings": {"GET": apireading.findings},
    "reload": {"POST": apiwriting.reload},
    "transfers": {"GET": apireading.transfers},
    "targets": {"GET": apireading.targets},
    "groups": {"GET": apireading.groups},
    "fleet": {"GET": apireading.fleet},
    "events": {},
    "session": {},
    "openapi.json": {},
}
_PATTERNS = tuple((pattern, tuple(pattern.split("/"))) for pattern in PAGES)


class Api:
    """The pages over one *desk*; what is open between requests is kept here."""

    def __init__(self, reactor: Any, desk: Desk) -> None:
        self.desk = desk
        self.sessions = Sessions(reactor.seconds)
        self._token = desk.token
        self.guesses = Guesses(reactor.seconds)
        self.streams = Streams(reactor, desk)
        self._turn = DeferredLock()
        self._own: Mapping[str, Mapping[str, Page]] = {
            "events": {"GET": self.streams.answer},
            "session": {"POST": self._open, "DELETE": self._close},
            "openapi.json": {"GET": lambda _: _document()},
        }

    def stop(self) -> None:
        """End what would go on for ever."""
        self.streams.stop()

    def answer(self, asked: Asked, path: str) -> Reply:
        """The answer to *asked*, whose path below ``/api/v1/`` is *path*."""
        try:
            return _safely(self._answer(asked, path))
        except (Forbidden, NotFound):
            raise
        except Exception as problem:
            return _no(problem)

    def _answer(self, asked: Asked, path: str) -> Reply:
        if asked.uid is None and not self.desk.live.snapshot.config.web:
            told = 'the API is switched off by "web"; the Unix socket of netbootd still answers'
            raise No(HTTPStatus.NOT_FOUND, "switched-off", told)
        pattern, arguments = _page_of(path)
        pages = {**PAGES[pattern], **self._own.get(pattern, {})}
        if asked.method == "OPTIONS":
            return nothing({"Allow": _allow(pages)})
        method = "GET" if asked.method == "HEAD" else asked.method
        if method not in pages:
            told = f"{_allow(pages)} only"
            headers = {"Allow": _allow(pages)}
            raise No(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", told, headers=headers)
        by_cookie = pattern != "openapi.json" and self._admit(asked)
        may_stay = partial(self._may_stay, asked, by_cookie=by_cookie)
        call = Call(self.desk, asked, self._turn, pattern, by_cookie, may_stay)
        return pages[method](call, *arguments)

    # -- who may -------------------------------------------------------------------------------

    def _admit(self, asked: Asked) -> bool:
        """Let in who may, or raise No; True for one whose session alone says so."""
        if asked.uid is not None:
            return False
        self._heed_token()
        if "authorization" in asked.headers:
            self._must_bring_token(asked)
            return False
        if not self.sessions.holds(_cookie(asked)):
            told = "needs the API token: Authorization: Bearer TOKEN, or a session"
            raise No(HTTPStatus.UNAUTHORIZED, "token-missing", told, headers=_CHALLENGE)
        if asked.method not in _READING and not _is_ours(asked):
            told = (
                f"with a session a change needs Content-Type: {JSON} or X-Requested-With: netbootd"
            )
            raise No(HTTPStatus.FORBIDDEN, "not-from-our-page", told)
        return True

    def _may_stay(self, asked: Asked, *, by_cookie: bool) -> bool:
        """Whether who was let in would be so now."""
        if asked.uid is not None:
            return True
        if not self.desk.live.snapshot.config.web:
            return False
        self._heed_token()
        if by_cookie:
            return self.sessions.holds(_cookie(asked))
        return authority.has_token(asked, self.desk.token)

    def _heed_token(self) -> None:
        """End the sessions that were opened with another token than there is now."""
        if self.desk.token != self._token:
            self.sessions.clear()
            self._token = self.desk.token

    def _must_bring_token(self, asked: Asked) -> None:
        if wait := self.guesses.wait(asked.peer):
            told = f"too many wrong tokens from {asked.peer}; try again in {wait} s"
            headers = {"Retry-After": str(wait)}
            raise No(HTTPStatus.TOO_MANY_REQUESTS, "too-many-tries", told, headers=headers)
        if not self.desk.token:
            told = "netbootd has no API token; its log says why"
            raise No(HTTPStatus.SERVICE_UNAVAILABLE, "no-token", told)
        if not authority.has_token(asked, self.desk.token):
            self.guesses.wrong(asked.peer)
            log.warn("{peer} sent a wrong API token", peer=asked.peer)
            told = "not the API token; it is in the file that the setting api_token names"
            raise No(HTTPStatus.UNAUTHORIZED, "token-wrong", told, headers=_CHALLENGE)

    def _open(self, call: Call) -> Answer:
        """A session for whoever has the token."""
        if call.asked.uid is not None or call.by_cookie:
            return nothing()
        secure = "; Secure" if call.asked.secure else ""
        cookie = f"{COOKIE}={self.sessions.begin()}; Max-Age={LIFE_S}; {_ATTRIBUTES}{secure}"
        return nothing({"Set-Cookie": cookie})

    def _close(self, call: Call) -> Answer:
        self.sessions.end(_cookie(call.asked))
        secure = "; Secure" if call.asked.secure else ""
        return nothing({"Set-Cookie": f"{COOKIE}=; Max-Age=0; {_ATTRIBUTES}{secure}"})


def _page_of(path: str) -> tuple[str, list[str]]:
    """The pattern that fits *path*, and what its braces stand for; raises No."""
    for parts in _readings(path.split("/")):
        for pattern, wanted in _PATTERNS:
            if (arguments := _arguments(parts, wanted)) is not None:
                return pattern, arguments
    told = f"no page {path!r:.100} in the API; /api/v1/openapi.json lists them"
    raise No(HTTPStatus.NOT_FOUND, "not-found", told)


def _readings(parts: list[str]) -> Iterator[list[str]]:
    """*parts* as they stand, then with those joined that may be one: keys may have slashes."""
    yield parts
    if parts[0] == "machines" and len(parts) > 2:
        yield [parts[0], "/".join(parts[1:-1]), parts[-1]]
        yield [parts[0], "/".join(parts[1:])]


def _arguments(parts: Sequence[str], wanted: Sequence[str]) -> list[str] | None:
    """What stands for the braces in *wanted*; None where *parts* do not fit."""
    if len(parts) != len(wanted):
        return None
    pairs = list(zip(wanted, parts, strict=True))
    if not all(one.startswith("{") or one == part for one, part in pairs):
        return None
    return [part for one, part in pairs if one.startswith("{")]


def _allow(pages: Mapping[str, Page]) -> str:
    def each() -> Iterator[str]:
        for method in METHODS:
            if method in pages or method == "OPTIONS" or (method == "HEAD" and "GET" in pages):
                yield method

    return ", ".join(each())


def _cookie(asked: Asked) -> str:
    """The session that a browser names; a garbled header names none."""
    try:
        morsel = SimpleCookie(asked.headers.get("cookie", "")[:4096]).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _is_ours(asked: Asked) -> bool:
    """Whether no foreign page can have sent it."""
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == JSON or asked.headers.get("x-requested-with", "") == "netbootd"


@cache
def _document() -> Answer:
    text = resources.files("netbootd.api").joinpath("openapi.json").read_bytes()
    return Answer(HTTPStatus.OK, {"Content-Type": JSON, "Cache-Control": "no-cache"}, text)


# -- what goes wrong -------------------------------------------------------------------------------


def _safely(reply: Reply) -> Reply:
    """*reply*, whose errors are answers as well."""
    match reply:
        case Work(make=make):
            return Work(lambda: _made(make))
        case Awaited(coming=coming):
            return Awaited(_arrived(coming))
    return reply


def _made(make: Callable[[], Answer]) -> Answer:
    try:
        return make()
    except Exception as problem:
        return _no(problem)


async def _arrived(coming: Coroutine[Any, Any, Answer | Feed]) -> Answer | Feed:
    try:
        return await coming
    except Exception as problem:
        return _no(problem)


def _no(problem: Exception) -> Answer:
    if isinstance(problem, No):
        return refusal(problem)
    log.failure("fault in the API")
    told = "a fault of netbootd's; its log has more"
    return refusal(No(HTTPStatus.INTERNAL_SERVER_ERROR, "our-fault", told))
