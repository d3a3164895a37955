"""
The body of a request as values: JSON (RFC 8259), nothing beyond it, and nothing that could not be
written into a configuration again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NoReturn

from netbootd.api.no import No, wrong

#: Objects and arrays inside each other; a machine's entry has three or four.
MAX_DEPTH = 32


def parse(raw: bytes) -> Any:
    """
    The value of *raw*; raises No, with line and column, for what is no JSON, names a member twice,
    or holds what JSON cannot: NaN, numbers without end, halves of surrogate pairs.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise wrong(f"the body is not UTF-8: byte {problem.start} is wrong", "not-utf-8") from None
    if not text.strip():
        raise wrong("the body is empty; JSON expected", "no-body")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_number
        )
    except json.JSONDecodeError as problem:
        told = (
            f"the body is no JSON: {problem.msg} in line {problem.lineno}, column {problem.colno}"
        )
        raise wrong(told, "no-json") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as problem:  # an integer of thousands of digits
        raise wrong(f"the body has a number that is too long: {problem}", "no-json") from None
    _must_be_writable(value)
    return value


def parse_object(raw: bytes) -> dict[str, Any]:
    """Likewise, where an object is wanted."""
    value = parse(raw)
    if not isinstance(value, dict):
        raise wrong("the body must be a JSON object", "no-object")
    return value


def _object(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in members:
        if key in found:
            raise wrong(f'"{key:.100}" stands twice in one object', "duplicate-key")
        found[key] = value
    return found


def _no_number(word: str) -> NoReturn:
    raise wrong(f"JSON has no {word}", "no-json")


def _number(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise wrong(f"{word:.40} is beyond all numbers", "no-json")
    return number


def _must_be_writable(value: Any) -> None:
    """Raise No for what is too deep, or has no UTF-8."""
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, dict):
            waiting += ((item, depth + 1) for item in (*one.keys(), *one.values()))
        elif isinstance(one, list):
            waiting += ((item, depth + 1) for item in one)
        elif isinstance(one, str) and not one.isascii():
            _must_be_unicode(one)
        if depth > MAX_DEPTH and isinstance(one, dict | list):
            raise _too_deep()


def _must_be_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise wrong("a string holds half of a surrogate pair", "no-json") from None


def _too_deep() -> No:
    told = f"nested deeper than {MAX_DEPTH} levels"
    return No(HTTPStatus.BAD_REQUEST, "too-deep", told)
