"""What is remembered of a machine, and how it changes: values in, values out."""

from __future__ import annotations

import pytest

from netbootd.record.standing import (
    FRESH,
    MOST_ATTEMPTS,
    MOST_OUTPUT,
    Armed,
    Outcome,
    Standing,
    arms,
    begins,
    fetches,
    holds,
    released,
    reports,
)

NODE, HERE = "00:25:90:27:db:b4", "192.0.2.100"


def booted(standing=FRESH, target="install/a", *, now=1000.0, armed=False, fetched=True, peer=HERE):
    standing = begins(standing, target, armed=armed, mac=NODE, peer=peer, now=now)
    return fetches(standing, peer) if fetched else standing


def test_a_machine_that_never_booted_has_no_state():
    assert FRESH.state == ""
    assert FRESH.latest is None
    assert not FRESH.matters


def test_an_attempt_is_numbered_and_open():
    standing = booted(booted())
    assert [attempt.number for attempt in standing.attempts] == [1, 2]
    assert standing.state == "booting"


def test_only_the_last_attempts_are_kept_and_their_numbers_go_on():
    standing = FRESH
    for _ in range(MOST_ATTEMPTS + 5):
        standing = booted(standing)
    assert len(standing.attempts) == MOST_ATTEMPTS
    assert standing.latest.number == MOST_ATTEMPTS + 5


def test_an_armed_boot_is_used_up_by_boots_of_it_alone():
    standing = arms(FRESH, Armed(target="biosupdate/b", times=2))
    standing = booted(standing, "nfs/a")
    assert standing.armed.times == 2
    standing = booted(standing, "biosupdate/b", armed=True)
    assert standing.armed.times == 1
    standing = booted(standing, "biosupdate/b", armed=True)
    assert standing.armed is None


def test_an_armed_boot_ends_at_its_time():
    armed = Armed(target="biosupdate/b", times=2, until=2000.0)
    assert armed.valid(1999.0)
    assert not armed.valid(2000.0)
    assert booted(arms(FRESH, armed), "nfs/a", now=2500.0).armed is None


def test_a_report_of_success_completes_a_once_target_and_disarms_it():
    standing = arms(FRESH, Armed(target="install/a", times=5))
    standing = booted(standing, "install/a", armed=True)
    standing = reports(standing, standing.latest, Outcome.DONE, once=True, now=1100.0)
    assert standing.completed == ("install/a",)
    assert standing.armed is None
    assert standing.state == "up"
    assert standing.latest.ended == 1100.0


def test_a_report_of_failure_completes_nothing():
    standing = arms(FRESH, Armed(target="install/a", times=5))
    standing = booted(standing, "install/a", armed=True)
    standing = reports(standing, standing.latest, Outcome.FAILED, once=True, now=1.0, output="no")
    assert standing.completed == ()
    assert standing.armed.times == 4
    assert (standing.state, standing.output) == ("failed", "no")


def test_of_a_long_report_the_end_is_kept():
    standing = booted()
    text = "x" * MOST_OUTPUT + "the last words"
    standing = reports(standing, standing.latest, Outcome.FAILED, once=False, now=1.0, output=text)
    assert len(standing.output) == MOST_OUTPUT
    assert standing.output.endswith("the last words")


def test_what_is_not_once_is_never_completed():
    standing = booted(target="nfs/a")
    assert reports(standing, standing.latest, Outcome.DONE, once=False, now=1.0).completed == ()


def test_unfinished_boots_in_a_row():
    standing = booted(booted(booted()))
    assert standing.unfinished("install/a", 0.0) == 3
    assert standing.unfinished("install/b", 0.0) == 0


def test_a_look_at_the_script_is_no_unfinished_boot():
    standing = booted(booted(fetched=False))
    assert standing.unfinished("install/a", 0.0) == 1


@pytest.mark.parametrize("between", ["another target", "success"])
def test_a_row_is_broken_by(between):
    standing = booted()
    if between == "success":
        standing = reports(standing, standing.latest, Outcome.DONE, once=False, now=1.0)
    else:
        standing = booted(standing, "nfs/a")
    assert booted(standing).unfinished("install/a", 0.0) == 1


def test_old_boots_do_not_count():
    standing = booted(booted(now=1000.0), now=9000.0)
    assert standing.unfinished("install/a", 8000.0) == 1


def test_a_file_belongs_to_the_attempt_of_its_own_address():
    standing = booted(fetched=False)
    standing = booted(standing, fetched=False, peer="192.0.2.7")
    standing = fetches(standing, HERE)
    assert [attempt.fetched for attempt in standing.attempts] == [True, False]
    assert fetches(standing, "192.0.2.99") is standing


def test_release_forgets_the_row_and_not_what_is_done():
    standing = booted(booted(booted()))
    standing = holds(Standing(attempts=standing.attempts, completed=("install/x",)), "why")
    assert standing.state == "held"
    standing = released(standing)
    assert standing.held == ""
    assert standing.unfinished("install/a", 0.0) == 0
    assert standing.completed == ("install/x",)
    assert len(standing.attempts) == 3
