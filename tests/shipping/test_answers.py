"""What answers mean, as a table."""

from __future__ import annotations

import json

import pytest

from netbootd.logbook.files import Place
from netbootd.shipping.answers import of_bulk
from netbootd.shipping.items import Item, Outcome

NOW = 1_000_000_000.0  # 9 September 2001, 01:46:40
ITEMS = [Item(Place("f", n), n, b"{}", f"id-{n}", "logs-a-b") for n in (1, 2, 3)]


def bulk(*statuses, kind="x_exception"):
    items = [
        {
            "create": {
                "status": one,
                **({"error": {"type": kind, "reason": "r"}} if one > 299 else {}),
            }
        }
        for one in statuses
    ]
    return json.dumps({"errors": max(statuses) > 299, "items": items}).encode()


def judged(body=b"", status=200, **headers):
    return of_bulk(status, headers, body, ITEMS, NOW)


def test_all_were_stored():
    assert judged(bulk(201, 200, 201)) == Outcome((), ())


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        *[(one, "done") for one in (200, 201, 409)],
        *[(one, "again") for one in (-1, 0, 100, 408, 429, 500, 502, 503, 504)],
        *[(one, "grave") for one in (401, 403, 404)],
        *[(one, "aside") for one in (400, 405, 413, 422)],
    ],
    ids=str,
)
def test_each_item_has_its_own_fate(status, fate):
    outcome = judged(bulk(201, status, 201))
    assert list(outcome.again) == ([ITEMS[1]] if fate in ("again", "grave") else [])
    assert [one.item for one in outcome.aside] == ([ITEMS[1]] if fate == "aside" else [])
    assert outcome.grave == (fate == "grave")
    assert bool(outcome.problem) == (fate in ("again", "grave"))


def test_a_name_that_no_stream_can_have_is_no_fault_of_the_document():
    outcome = judged(bulk(201, 400, 201, kind="invalid_index_name_exception"))
    assert (outcome.again, outcome.aside, outcome.grave) == ((ITEMS[1],), (), True)


@pytest.mark.parametrize(
    ("status", "busy", "halve"),
    [
        (413, False, True),
        *[(one, True, False) for one in (408, 429, 500, 502, 503, 504)],
        *[(one, False, False) for one in (301, 400, 401, 403, 404, 405)],
    ],
    ids=str,
)
def test_a_whole_request_may_fail(status, busy, halve):
    outcome = judged(b"<html>", status)
    assert outcome.again == ITEMS
    assert outcome.halve is halve
    assert outcome.grave is (not busy and not halve)


def test_the_reason_is_told_and_harmless():
    body = json.dumps(
        {"error": {"type": "a", "reason": "\x1b[31mred\n", "caused_by": {"reason": "c"}}}
    )
    problem = judged(body.encode(), 403).problem
    assert problem.startswith("it answers 403, a: \\x1b[31mred\\n (c)")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("999999999", 3600.0),
        ("Sun, 09 Sep 2001 01:47:40 GMT", 60.0),
        ("Sun, 09 Sep 2001 01:45:40 GMT", 0.0),
        ("Sun, 09 Sep 2001 01:47:40 -0000", 60.0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("\u0663", None),
    ],
)
def test_it_says_how_long_to_wait(value, seconds):
    assert judged(b"", 503, **{"retry-after": value}).wait == seconds


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'"x"', b'{"errors":false}', b"\xff", b"1"], ids=repr
)
def test_rubbish_confirms_nothing(body):
    outcome = judged(body)
    assert (outcome.again, outcome.grave) == (ITEMS, True)


@pytest.mark.parametrize(
    "entry", [7, None, [], {}, {"create": 7}, {"create": {}}, {"create": {"status": "x"}}], ids=repr
)
def test_rubbish_for_an_item_confirms_nothing(entry):
    body = json.dumps({"errors": True, "items": [entry] * 3}).encode()
    assert judged(body).again == ITEMS


def test_answers_for_other_documents_confirm_nothing():
    assert judged(bulk(201, 201)).again == ITEMS
