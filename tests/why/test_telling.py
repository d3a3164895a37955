"""A diagnosis as it is read on a terminal."""

from __future__ import annotations

from netbootd.why.diagnosis import Cause, Diagnosis, State
from netbootd.why.telling import lines, short

ESCAPE = "\x1b[2J"


def test_nothing_that_came_from_outside_reaches_a_terminal_as_it_is():
    cause = Cause(code="x", sentence=ESCAPE, confidence=1, because=(ESCAPE,), advice=ESCAPE)
    told = Diagnosis(machine=ESCAPE, missing=ESCAPE, state=State.STUCK, causes=(cause,))
    for line in (*lines(told), short(told)):
        assert line.isprintable()


def test_no_line_is_wider_than_the_terminal():
    cause = Cause(code="x", sentence="a word " * 40, confidence=1, because=("a word " * 40,))
    told = Diagnosis(machine="n1", missing="a word " * 40, state=State.STUCK, causes=(cause,))
    assert max(map(len, lines(told, 60))) <= 60
