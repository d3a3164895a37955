"""``/done`` and ``/failed``: who is believed, what is kept, and that the same word counts once."""

from __future__ import annotations

import pytest

from netbootd.events.event import Reported

from .inmemory import MAC, Rig, responses

NODE = MAC


def post(rig: Rig, target: str, body: bytes, method: str = "POST"):
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    (response,) = responses(rig.raw(head.encode() + body), method)
    return response


def reports(rig):
    return [event for event in rig.events if isinstance(event, Reported)]


def latest(rig):
    return rig.live.record.of(NODE).latest


def token(rig):
    return rig.live.record.token(NODE, latest(rig))


def test_a_node_that_booted_from_here_is_believed(rig):
    rig.get(f"/{NODE}")
    response = rig.get(f"/done/{NODE}")
    assert (response.status, response.text) == (200, "done\n")
    assert latest(rig).outcome == "done"
    assert [(str(e.mac), e.outcome) for e in reports(rig)] == [(NODE, "done")]


def test_the_same_report_twice_is_one(rig):
    rig.get(f"/{NODE}")
    assert rig.get(f"/done/{NODE}").status == rig.get(f"/done/{NODE}").status == 200
    assert len(reports(rig)) == 1


def test_nobody_is_believed_who_did_not_boot(rig):
    assert rig.get(f"/done/{NODE}").status == 403
    assert reports(rig) == []


def test_the_token_of_the_boot_is_believed_from_everywhere(rig):
    rig.get(f"/{NODE}")
    assert rig.get(f"/done/{NODE}?token={token(rig)}").status == 200


@pytest.mark.parametrize("wrong", ["", "0" * 32, "%ff%fe", "x" * 4000])
def test_a_wrong_token_is_worse_than_none(rig, wrong):
    rig.get(f"/{NODE}")
    assert rig.get(f"/done/{NODE}?token={wrong}").status == 403
    assert latest(rig).outcome == ""


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        ("/done/{}", "done"),
        ("/done/{}?status=0", "done"),
        ("/done/{}?status=", "done"),
        ("/done/{}?status=1", "failed"),
        ("/done/{}?status=zero", "failed"),
        ("/failed/{}", "failed"),
        ("/failed/{}?status=0", "failed"),
    ],
)
def test_outcomes(rig, target, outcome):
    rig.get(f"/{NODE}")
    assert rig.get(target.format(NODE)).text == f"{outcome}\n"
    assert rig.live.record.of(NODE).state == {"done": "up", "failed": "failed"}[outcome]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_output_is_kept_and_its_last_line_is_told(rig, method):
    rig.get(f"/{NODE}")
    response = post(rig, f"/failed/{NODE}?status=7", b"one\ntwo \xff\x1b[2J\n", method)
    assert response.status == 200
    assert rig.live.record.of(NODE).output == "one\ntwo \ufffd\x1b[2J\n"
    assert str(reports(rig)[0]).endswith("a failure with status 7: two \ufffd\\x1b[2J")


def test_with_its_token_a_node_may_say_otherwise_later(rig):
    rig.get(f"/{NODE}")
    rig.get(f"/failed/{NODE}?token={token(rig)}")
    rig.get(f"/done/{NODE}?token={token(rig)}")
    assert [event.outcome for event in reports(rig)] == ["failed", "done"]


def test_without_it_the_first_word_counts(rig):
    rig.get(f"/{NODE}")
    assert rig.get(f"/done/{NODE}").status == rig.get(f"/failed/{NODE}").status == 200
    assert [event.outcome for event in reports(rig)] == ["done"]


def test_head_reports_nothing(rig):
    rig.get(f"/{NODE}")
    assert rig.ask("HEAD", f"/done/{NODE}").status == 200
    assert latest(rig).outcome == ""


@pytest.mark.parametrize("target", ["/done/", "/done/nobody", "/done/a/b", "/failed"])
def test_no_machine_no_report(rig, target):
    assert rig.get(target).status == 404


def test_other_methods_are_refused(rig):
    assert rig.ask("DELETE", f"/done/{NODE}").status == 405
    assert post(rig, f"/{NODE}", b"x").status == 405


def test_of_a_very_long_output_the_end_is_kept(rig):
    rig.get(f"/{NODE}")
    response = post(rig, f"/failed/{NODE}", b"x" * (3 << 20) + b"the last words")
    assert response.status == 200
    assert rig.live.record.of(NODE).output.endswith("xthe last words")
