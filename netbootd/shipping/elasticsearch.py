"""
Elasticsearch: one bulk request for many lines.

Lines go to data streams, which take ``create`` alone.  Each has an ``_id`` of its own, so that what
is sent again after an answer was lost is refused with 409 and not stored twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from netbootd.shipping import answers
from netbootd.shipping.items import Item, Outcome
from netbootd.shipping.web import Address, BadSetting, NoAnswer, Web, authorization

_PATH = "/_bulk"
_TYPE = "application/x-ndjson"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Elasticsearch:
    """
    The cluster that *urls* lead to; where one does not answer, the next is tried.

    *credentials* and *ca* are files, as ``ship`` in the configuration has them; they are read when
    they are needed, so that a new key is found without a reload.
    """

    name = "elasticsearch"

    def __init__(self, urls: Sequence[str], credentials: Path | None, ca: Path | None) -> None:
        self._addresses = [Address.parse(url) for url in urls]
        self._turn = 0
        self._credentials = credentials
        self._ca = ca
        self._web: Web | None = None
        self._authorization: str | None = None

    @property
    def where(self) -> str:
        """Its addresses, for people."""
        return ", ".join(address.url for address in self._addresses)

    @property
    def _address(self) -> Address:
        return self._addresses[self._turn % len(self._addresses)]

    def send(self, items: Sequence[Item]) -> Outcome:
        """All of *items* in one request, to each address in turn until one answers well."""
        outcome = Outcome(items)
        for _ in self._addresses:
            outcome = self._send(items)
            if not (outcome.problem and len(outcome.again) == len(items)):
                break
            self._turn += 1
        return outcome

    def _send(self, items: Sequence[Item]) -> Outcome:
        try:
            headers = self._headers()
            web = self._web = self._web or Web(self._ca)
            reply = web.post(self._address, _PATH, headers, _body(items))
        except BadSetting as problem:
            return Outcome(items, problem=str(problem), grave=True)
        except NoAnswer as problem:
            self.close()  # a certificate may be another by the next time
            return Outcome(items, problem=str(problem))
        if reply.status in (401, 403):
            self._authorization = None
        return answers.of_bulk(reply.status, reply.headers, reply.body, items, time.time())

    def _headers(self) -> dict[str, str]:
        if self._authorization is None:
            self._authorization = authorization(self._credentials)
        given = {"Authorization": self._authorization} if self._authorization else {}
        return {"Content-Type": _TYPE, "Accept": "application/json", **given}

    def close(self) -> None:
        """End its connections."""
        if self._web is not None:
            self._web.close()
        self._web = None


def _body(items: Sequence[Item]) -> bytes:
    """Pairs of lines, action and document; the last one ends with a newline as well."""
    lines = []
    for item in items:
        action = {"create": {"_index": item.stream, "_id": item.identity}}
        lines += [_encode(action).encode(), item.raw]
    return b"\n".join([*lines, b""])
