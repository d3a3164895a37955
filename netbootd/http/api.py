"""
``/api/v1/``: whose page it is, and every "no" as JSON; what is changed, or tried to be, is told of
(``audit``) here, whatever page it is.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import cache, partial
from http import HTTPStatus
from importlib import resources
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from netbootd.api.desk import Desk
from netbootd.api.no import No
from netbootd.errors import Forbidden, NotFound
from netbootd.http import apireading, apiwriting, origin
from netbootd.http.admission import READING, Admission
from netbootd.http.apicall import JSON, Call, code_of, nothing, refusal
from netbootd.http.apitokens import TokenPages
from netbootd.http.authority import Authority
from netbootd.http.deed import Deed
from netbootd.http.eventstream import Streams
from netbootd.http.resource import Answer, Asked, Awaited, Feed, Reply, Work

#: All that some page answers to.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Where somebody who only reads is told of as well.
_GUESSED = "token-wrong"

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
    "session/key": {},
    "tokens": {},
    "tokens/{token}": {},
    "openapi.json": {},
}
_PATTERNS = tuple((pattern, tuple(pattern.split("/"))) for pattern in PAGES)


class Api:
    """The pages over one *desk*; what is open between requests is kept here."""

    def __init__(self, reactor: Any, desk: Desk, authority: Authority) -> None:
        self.desk = desk
        self.authority = authority
        self.admission = Admission(authority, reactor.seconds)
        self.streams = Streams(reactor, desk)
        self._turn = DeferredLock()
        tokens = TokenPages(self.admission)
        self._own: Mapping[str, Mapping[str, Page]] = {
            "events": {"GET": self.streams.answer},
            "session": {"POST": self._open, "DELETE": self._close},
            "session/key": {"POST": tokens.make_key},
            "tokens": {"GET": tokens.listed, "POST": tokens.make},
            "tokens/{token}": {"DELETE": tokens.remove},
            "openapi.json": {"GET": lambda _: _document()},
        }

    def stop(self) -> None:
        """End what would go on for ever."""
        self.streams.stop()

    def answer(self, asked: Asked, path: str) -> Reply:
        """The answer to *asked*, whose path below ``/api/v1/`` is *path*."""
        deed = Deed(asked, path)
        try:
            reply = _safely(self._answer(asked, path, deed))
        except (Forbidden, NotFound):
            raise
        except Exception as problem:
            if isinstance(problem, No) and problem.code == _GUESSED and asked.method in READING:
                self.authority.audit.refused(asked.peer, deed.told, problem.code, asked.peer)
            reply = _no(problem)
        if asked.method in READING:
            return reply
        return Awaited(self._told(reply, deed))

    def _answer(self, asked: Asked, path: str, deed: Deed) -> Reply:
        if asked.uid is None and not self.desk.live.snapshot.config.web:
            told = 'the API is switched off by "web"; the Unix socket of netbootd still answers'
            raise No(HTTPStatus.NOT_FOUND, "switched-off", told)
        origin.must_call_us_ours(asked, self.authority.names)
        pattern, arguments = _page_of(path)
        pages = {**PAGES[pattern], **self._own.get(pattern, {})}
        if asked.method == "OPTIONS":
            return nothing({"Allow": _allow(pages)})
        method = "GET" if asked.method == "HEAD" else asked.method
        if method not in pages:
            told = f"{_allow(pages)} only"
            headers = {"Allow": _allow(pages)}
            raise No(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", told, headers=headers)
        if pattern != "openapi.json":
            self.admission.admit(deed, pattern)
        may_stay = partial(self.admission.may_stay, asked, by_cookie=deed.by_cookie)
        call = Call(self.desk, asked, self._turn, pattern, deed, may_stay)
        return pages[method](call, *arguments)

    async def _told(self, reply: Reply, deed: Deed) -> Answer | Feed:
        """What comes of *reply*, told of before it is sent."""
        answer = await _come(reply)
        by, peer = await apireading.in_thread(deed.by), deed.asked.peer
        if not isinstance(answer, Answer) or answer.status < HTTPStatus.BAD_REQUEST:
            self.authority.audit.done(by, deed.told, peer)
        else:
            self.authority.audit.refused(by, deed.told, code_of(answer), peer)
        return answer

    def _open(self, call: Call) -> Answer:
        """A session for whoever has a token."""
        if call.asked.uid is not None or call.by_cookie:
            return nothing()
        return nothing(self.admission.open(call.deed))

    def _close(self, call: Call) -> Answer:
        return nothing(self.admission.close(call.asked))


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


async def _come(reply: Reply) -> Answer | Feed:
    match reply:
        case Work(make=make):
            made: Answer = await apireading.in_thread(make)
            return made
        case Awaited(coming=coming):
            return await coming
    return reply


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
