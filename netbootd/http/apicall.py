"""
One call of the API: what is asked and of whom, and its answers in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from netbootd.api import values
from netbootd.api.desk import Desk
from netbootd.api.no import No, wrong
from netbootd.api.values import Picture
from netbootd.http.deed import Deed
from netbootd.http.resource import NO_STORE, Answer, Asked
from netbootd.mac import MAC
from netbootd.registry.machine import Machine

JSON = "application/json"
_DIGITS = len(str(1 << 62))
#: For every answer: no browser keeps it, takes it for a page, or hands it to a foreign one (Content
#: Security Policy Level 3; Fetch Standard, "Cross-Origin-Resource-Policy").
STRICT = {
    **NO_STORE,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
_HEADERS = {"Content-Type": JSON, **STRICT}


@dataclass(frozen=True, slots=True)
class Call:
    """
    What is *asked*, below ``/api/v1``; *page* is the path with ``{…}`` for what varies.

    *deed* is what will be told of it, if it changes something.  *may_stay*: whether who asks still
    may, which is for answers that go on.  *turn* (a DeferredLock) is whose turn it is to write.
    """

    desk: Desk
    asked: Asked
    turn: Any
    page: str
    deed: Deed
    may_stay: Callable[[], bool] = lambda: True

    @property
    def by_cookie(self) -> bool:
        """Whether a browser asks, in its session."""
        return self.deed.by_cookie

    @property
    def content_type(self) -> str:
        """What the body is said to be, without parameters; empty where nobody says."""
        return self.asked.headers.get("content-type", "").partition(";")[0].strip().lower()

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """The query's whole number *name*; raises No."""
        text = self.asked.query.get(name, "")
        if not text:
            return default
        digits = len(text) <= _DIGITS and text.isascii() and text.isdecimal()
        if not digits or not low <= int(text) <= high:
            raise wrong(f'"{name}" must be a whole number from {low} to {high}, not {text!r:.40}')
        return int(text)

    def flag(self, name: str) -> bool:
        """Whether the query says yes to *name*."""
        return self.asked.query.get(name, "").lower() in ("1", "true", "yes", "on")


def told(
    value: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Answer:
    """*value* as JSON."""
    return _answer(text_of(value), status, headers)


def told_list(head: Mapping[str, Any], name: str, items: Iterable[Any]) -> Answer:
    """
    *head* with the member *name* beside it, an array of many *items*.

    Each is written by itself: the interpreter lets no other thread in while it writes one value.
    """
    opening = text_of(head)[:-1]
    comma = ", " if head else ""
    body = f'{opening}{comma}"{name}": [{", ".join(map(text_of, items))}]}}'
    return _answer(body, HTTPStatus.OK, None)


def nothing(headers: Mapping[str, str] | None = None) -> Answer:
    """It is done, and there is nothing to say."""
    return Answer(HTTPStatus.NO_CONTENT, {**STRICT, **(headers or {})})


def refusal(no: No) -> Answer:
    """The "no" as JSON."""
    error = {
        "code": no.code,
        "message": no.text,
        "findings": [one.as_dict() for one in no.findings],
    }
    return told({"error": error}, no.status, no.headers)


def code_of(answer: Answer) -> str:
    """The code in a "no" of ours, else its status."""
    try:
        return str(
            json.loads(answer.body if isinstance(answer.body, bytes) else b"")["error"]["code"]
        )
    except (ValueError, LookupError, TypeError):
        return str(int(answer.status))


def text_of(value: Any) -> str:
    """*value* in JSON, which has neither NaN nor halves of surrogate pairs."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, default=str)


def _answer(body: str, status: HTTPStatus, headers: Mapping[str, str] | None) -> Answer:
    return Answer(status, {**_HEADERS, **(headers or {})}, (body + "\n").encode("ascii"))


def machine_of(who: str, picture: Picture) -> Machine:
    """The machine that an address of the API names; raises No."""
    try:
        return values.find(who, picture)
    except values.Nobody as problem:
        raise No(HTTPStatus.NOT_FOUND, "no-such-machine", str(problem)) from None


def key_of(who: str, picture: Picture) -> str:
    """What its boots and lines are kept under; a MAC has some even where nobody listed it."""
    mac = MAC.maybe(who)
    if mac is not None and picture.machine(mac) is None:
        return str(mac)
    return machine_of(who, picture).key
