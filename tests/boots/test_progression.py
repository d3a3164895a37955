"""What is new about a boot: each stage, each end and each outcome is told once."""

from __future__ import annotations

from dataclasses import replace

from netbootd.boots.boot import Boot, Outcome, Stage, Step
from netbootd.boots.progression import Progression

START = 1000.0


def step(stage, at, seconds=1.0, **more):
    return Step(stage=stage, at=at, until=at + seconds, **more)


def boot(*steps, began=START, **more):
    last = max((one.until for one in steps), default=began)
    return Boot(number=7, key="a", began=began, last=last, steps=steps, **more)


DISCOVER, KERNEL = step(Stage.DISCOVER, START), step(Stage.KERNEL, START + 5)


def test_a_stage_is_told_once_however_often_the_boot_changes():
    progression = Progression(START)
    first = progression.news(boot(DISCOVER))
    again = progression.news(boot(replace(DISCOVER, times=2)))
    later = progression.news(boot(DISCOVER, KERNEL))
    assert (first.begun, again.begun, later.begun) == (True, False, False)
    assert [first.reached, again.reached] == [(Stage.DISCOVER,), ()]
    assert later.reached == (Stage.KERNEL,)


def test_a_step_ends_when_the_next_begins():
    progression = Progression(START)
    assert progression.news(boot(DISCOVER)).ended == ()
    assert progression.news(boot(DISCOVER, KERNEL)).ended == (DISCOVER,)
    assert progression.news(boot(DISCOVER, KERNEL)).ended == ()


def test_a_step_that_is_under_way_ends_later():
    progression = Progression(START)
    initrd = step(Stage.INITRD, START + 6)
    assert progression.news(boot(replace(KERNEL, open=True), initrd)).ended == ()
    assert progression.news(boot(KERNEL, initrd)).ended == (KERNEL,)


def test_the_end_of_the_boot_ends_all_and_is_told_once():
    progression = Progression(START)
    done = boot(DISCOVER, KERNEL, outcome=Outcome.DONE)
    first, second = progression.news(done), progression.news(done)
    assert (first.ended, first.outcome) == ((DISCOVER, KERNEL), Outcome.DONE)
    assert (second.ended, second.outcome) == ((), Outcome.OPEN)


def test_a_boot_that_was_overdue_may_still_be_done():
    progression = Progression(START)
    assert progression.news(boot(DISCOVER, outcome=Outcome.OVERDUE)).outcome is Outcome.OVERDUE
    assert progression.news(boot(DISCOVER, outcome=Outcome.DONE)).outcome is Outcome.DONE


def test_what_was_before_is_no_news():
    progression = Progression(START + 3)
    news = progression.news(boot(DISCOVER, KERNEL, outcome=Outcome.DONE))
    assert not news.begun
    assert (news.reached, news.ended) == ((Stage.KERNEL,), (KERNEL,))


def test_only_so_many_boots_are_remembered(monkeypatch):
    monkeypatch.setattr("netbootd.boots.progression._MOST_KNOWN", 2)
    progression = Progression(START)
    for number in (1, 2, 1, 3):
        progression.news(replace(boot(DISCOVER), number=number))
    assert not progression.news(replace(boot(DISCOVER), number=1)).begun  # 2 was silent longest
    assert progression.news(replace(boot(DISCOVER), number=2)).begun
