"""
What is remembered of one machine beyond the configuration, as values, and how it changes.

Every function takes a Standing and gives the next one; times are Unix seconds (they outlive this
process).  Nothing here knows a protocol or a disk.

::

    script served            begins      a new Attempt; an armed boot is used up by one
    a file fetched by it     fetches     the attempt is a real boot, not somebody's look at the text
    /done, /failed, served   reports     the attempt is over; a once-target that is done stays done
    netbootd next, release   arms, released
    too many in a row        holds
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

#: Attempts remembered of each machine: as many tokens are good, so that somebody who looks at the
#: script while a node installs does not shut it out.
MOST_ATTEMPTS = 8
#: Characters of a node's report that are kept, its last ones.
MOST_OUTPUT = 64 << 10


class Outcome(StrEnum):
    """How a boot attempt ended, as far as the node says."""

    OPEN = ""
    DONE = "done"
    FAILED = "failed"
    OVERDUE = "overdue"  # nothing was heard within the time that its target gives it


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """
    A secret that was begun to be given: *what* it is, to which card and address, when; how often it
    was *begun* there, and how often all of it arrived (*whole*).
    """

    what: str
    mac: str
    peer: str
    at: float
    begun: int = 1
    whole: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    One boot script that was served: its *number*, what it booted, since when, to which card and
    address.  *order* is the number of the order that armed it, 0 for none; *fetched*: a file was
    asked for after it.  *ended* is when the outcome was told.  *given* are the secrets that it got.
    """

    number: int
    target: str
    began: float
    mac: str = ""
    peer: str = ""
    order: int = 0
    fetched: bool = False
    outcome: Outcome = Outcome.OPEN
    ended: float = 0.0
    given: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """
    *times* boots of *target* (``type/name``), before *until* where that is not 0.

    *order* is the number by which one arming is told from the next.
    """

    target: str
    order: int = 1
    times: int = 1
    until: float = 0.0

    def valid(self, now: float) -> bool:
        """Whether it still counts."""
        return self.times > 0 and (not self.until or now < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    *attempts* oldest first; *completed* are the once-targets that are done; *held* is why the
    machine boots nothing, empty if it is not held; *output* the end of the last report's text.
    *unread* is why more may be on a disk that could not be read; it is never written there.
    """

    attempts: tuple[Attempt, ...] = ()
    armed: Armed | None = None
    completed: tuple[str, ...] = ()
    held: str = ""
    output: str = ""
    unread: str = ""

    @property
    def latest(self) -> Attempt | None:
        """The last boot attempt, None before the first."""
        return self.attempts[-1] if self.attempts else None

    @property
    def state(self) -> str:
        """``held``, ``booting``, ``up``, ``failed``, ``overdue``; nothing before the first boot."""
        if self.held:
            return "held"
        if self.latest is None:
            return ""
        outcome = self.latest.outcome
        return {Outcome.OPEN: "booting", Outcome.DONE: "up"}.get(outcome, outcome.value)

    @property
    def matters(self) -> bool:
        """Whether more is known than that it has booted."""
        return bool(self.armed or self.completed or self.held)

    def unfinished(self, target: str, since: float) -> int:
        """How many real boots of *target* in a row, the last ones, ended in silence or failure."""
        count = 0
        for attempt in reversed(self.attempts):
            if attempt.target != target or attempt.outcome is Outcome.DONE or attempt.began < since:
                break
            count += attempt.fetched
        return count

    def of_peer(self, peer: str) -> Attempt | None:
        """The last attempt that *peer* made."""
        for one in reversed(self.attempts):
            if one.peer == peer:
                return one
        return None


FRESH = Standing()


def begins(
    standing: Standing, target: str, *, armed: bool, mac: str, peer: str, now: float
) -> Standing:
    """A boot script for *target* goes out; *armed* says that an armed boot is used for it."""
    before, left = standing.attempts, standing.armed
    number = before[-1].number + 1 if before else 1
    order = left.order if left is not None and armed else 0
    attempt = Attempt(number=number, target=target, began=now, mac=mac, peer=peer, order=order)
    if left is not None and armed:
        left = replace(left, times=left.times - 1)
    if left is not None and not left.valid(now):
        left = None
    return Standing(  # replace() takes twice as long, and this is for each boot of a storm
        attempts=_kept((*before, attempt)),
        armed=left,
        completed=standing.completed,
        held=standing.held,
        output=standing.output,
        unread=standing.unread,
    )


def _kept(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """
    The last ones; one that fetched something outlives those that did not, since a node that
    installs must not be forgotten for all who look at its script meanwhile.
    """
    if len(attempts) <= MOST_ATTEMPTS:
        return attempts
    idle = next((one for one in attempts[:-1] if not one.fetched), attempts[0])
    return tuple(one for one in attempts if one is not idle)


def fetches(standing: Standing, peer: str) -> Standing:
    """A file went to *peer*: its last attempt is a real boot."""
    attempt = standing.of_peer(peer)
    if attempt is None or attempt.fetched:
        return standing
    return with_attempt(standing, replace(attempt, fetched=True))


def reports(
    standing: Standing,
    attempt: Attempt,
    outcome: Outcome,
    *,
    once: bool,
    now: float,
    output: str = "",
) -> Standing:
    """
    *attempt* is over.  *once*: its target is not to be booted again when this went well; then what
    is left of the order that armed it is used up as well.
    """
    ended = replace(attempt, outcome=outcome, ended=now)
    standing = replace(with_attempt(standing, ended), output=output[-MOST_OUTPUT:])
    if outcome is not Outcome.DONE:
        return standing
    if once and standing.armed is not None and standing.armed.order == attempt.order:
        standing = replace(standing, armed=None)
    if once and attempt.target not in standing.completed:
        standing = replace(standing, completed=(*standing.completed, attempt.target))
    return standing


def arms(standing: Standing, armed: Armed | None) -> Standing:
    """The next boot is *armed*; None takes it back.  What is to be done again is not done."""
    if armed is None:
        return replace(standing, armed=None)
    left = tuple(title for title in standing.completed if title != armed.target)
    return replace(standing, armed=armed, completed=left)


def holds(standing: Standing, reason: str) -> Standing:
    """The machine boots nothing until it is released."""
    return replace(standing, held=reason)


def released(standing: Standing) -> Standing:
    """
    Free to boot its target: no hold, and what was counted towards one is forgotten.

    The attempts stay good for their tokens, and what is completed stays so: to release a machine
    must not install it again.
    """
    attempts = tuple(replace(attempt, fetched=False) for attempt in standing.attempts)
    return replace(standing, held="", attempts=attempts)


def with_attempt(standing: Standing, changed: Attempt) -> Standing:
    """*changed* in the place of the attempt that has its number."""

    def each() -> Iterator[Attempt]:
        for attempt in standing.attempts:
            yield changed if attempt.number == changed.number else attempt

    return replace(standing, attempts=tuple(each()))
