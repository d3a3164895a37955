"""
What the answers of Elasticsearch and of Logstash's http input mean; pure.

Sources: Elasticsearch's reference of the bulk API (an ``items`` entry for each action, in order,
with a ``status`` of its own) and of data streams (``create`` alone; 409 where the ``_id`` is
there); Logstash's http input plugin (429 while its queue is full); RFC 9110, 10.2.3 (Retry-After).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from netbootd.printable import printable
from netbootd.shipping.items import Aside, Item, Outcome

_OK, _CONFLICT, _TOO_LARGE, _TOO_MANY = 200, 409, 413, 429
_BUSY = frozenset({408, _TOO_MANY})
#: Not about a document but about us, or about where it should go: it may be mended there.
_OURS = frozenset({401, 403, 404})
_STREAMS = frozenset({"invalid_index_name_exception", "index_not_found_exception"})
_LONGEST_REASON = 500
_LONGEST_WAIT = 3600.0


def of_bulk(
    status: int, headers: Mapping[str, str], body: bytes, items: Sequence[Item], now: float
) -> Outcome:
    """What a bulk request with a ``create`` for each of *items* came to; *now* in Unix seconds."""
    if status != _OK:
        return of_request(status, headers, body, items, now)
    try:
        answer = json.loads(body)
        results = [_result(entry) for entry in answer["items"]]
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return Outcome(items, problem="it does not answer as Elasticsearch does", grave=True)
    if len(results) != len(items):
        return Outcome(items, problem="it answers for other documents than it got", grave=True)
    return replace(_of_results(results, items), wait=_wait(headers, now))


def _result(entry: Mapping[str, Any]) -> tuple[int, str, str]:
    """The status of one action, its error's type, and that with its reason."""
    result = next(iter(entry.values()))
    error = result.get("error") or {}
    if not isinstance(error, dict):
        return int(result["status"]), "", printable(str(error), _LONGEST_REASON)
    kind = str(error.get("type", ""))
    return int(result["status"]), kind, _reason(error)


def _reason(error: Mapping[str, Any]) -> str:
    words = f"{error.get('type', '')}: {error.get('reason', '')}"
    cause = error.get("caused_by")
    if isinstance(cause, dict):
        words += f" ({cause.get('reason', '')})"
    return printable(words, _LONGEST_REASON)


def _of_results(results: Sequence[tuple[int, str, str]], items: Sequence[Item]) -> Outcome:
    again: list[Item] = []
    aside: list[Aside] = []
    problem, grave = "", False
    for item, (status, kind, reason) in zip(items, results, strict=True):
        if 200 <= status < 300 or status == _CONFLICT:
            continue
        if status in _OURS or kind in _STREAMS:
            again.append(item)
            problem, grave = f"it does not take {item.stream}: {status} {reason}", True
        elif status in _BUSY or status >= 500 or status < 200:
            again.append(item)
            problem = problem or f"it is busy: {status} {kind}"
        else:
            aside.append(Aside(item, f"{status} {reason}"))
    return Outcome(tuple(again), tuple(aside), problem, None, grave)


def of_request(
    status: int, headers: Mapping[str, str], body: bytes, items: Sequence[Item], now: float
) -> Outcome:
    """What a request came to whose answer is one for all of *items*."""
    if 200 <= status < 300:
        return Outcome()
    if status == _TOO_LARGE:
        return Outcome(items, halve=True)
    if status in _BUSY or status >= 500:
        return Outcome(items, problem=f"it is busy: {status}", wait=_wait(headers, now))
    said = _said(body)
    hints = {401: "; are the credentials right?", 403: "; are the credentials allowed to?"}
    problem = f"it answers {status}{f', {said}' if said else ''}{hints.get(status, '')}"
    return Outcome(items, problem=problem, grave=True)


def _said(body: bytes) -> str:
    """The reason in an error's body, where it is one of Elasticsearch's."""
    try:
        error = json.loads(body)["error"]
        return _reason(error) if isinstance(error, dict) else printable(str(error), 200)
    except (ValueError, KeyError, TypeError):
        return ""


def _wait(headers: Mapping[str, str], now: float) -> float | None:
    """Retry-After in seconds from now; a number or a date."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value), _LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max(0.0, (date - datetime.fromtimestamp(now, UTC)).total_seconds()), _LONGEST_WAIT)
