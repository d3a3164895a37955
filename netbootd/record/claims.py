"""
Who may have a secret, once: the judgement of a claim, as values in and out.

A claim is a request that shows a token.  What it needs, in this order::

    a token of the machine's last boot     else No: anybody can ask with a wrong one
    within the window                      else No: the token is worth nothing any more
    the machine is not held                else No: one alarm is enough
    not yet given as often as it may be    else Alarm: it was given, and here is another who asks
    the machine's own card at its address  else Alarm: somebody else has the token;
                                           at an address of the machine's own Contested
    a boot that was armed                  else No
    nobody is getting it just now          else Later: one at a time has it

An Alarm takes a token that only the machine's own boot script had, so that no stranger can raise
one to freeze a machine.  Whoever forges ARP for the machine's address needs none: then the machine
itself asks, with its token, and another card seems to.  Somebody who has the token and took the
address looks the same.  Neither gets anything, and as long as nothing was given nothing is lost: so
this is refused and told, and the machine may ask again.  A transfer that broke off is no second
claim: until the whole has arrived, the machine's own card may ask again, within bounds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from netbootd.mac import MAC
from netbootd.record.standing import Attempt, Given, Standing, with_attempt

#: How the reason begins for which a machine is held after an Alarm.
SECOND = "its secret has a second claimant"
#: How often a transfer may be begun: installers try five to ten times.
MOST_BEGUN = 20


@dataclass(frozen=True, slots=True)
class Claim:
    """
    Somebody asks for *what*, from the address *peer* where the kernel sees *card*; *why* is why it
    sees none.  It showed the token of the boot *attempt*, None for no token that is good.
    *under_way*: an answer with it was on its way already when this was asked.
    """

    what: str
    attempt: Attempt | None
    peer: str
    card: MAC | None
    why: str = ""
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """
    Which *cards* are the machine's; how many seconds after its boot script a secret is given
    (*window*), and *times* how often its reader fetches it.  *armed*: only to boots that were.
    *address* is the machine's in the configuration, None where it has none there.
    """

    cards: Collection[MAC]
    window: float
    times: int = 1
    armed: bool = True
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Give:
    """Yes; *standing* is to be on disk before the first byte leaves."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class No:
    """Not to this one, or not now; nothing is changed by it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: whoever is right may ask again in a moment."""

    reason: str


@dataclass(frozen=True, slots=True)
class Contested(Later):
    """As Later, and the operator is to know: another card is at the machine's address."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A second claimant: the token is in two hands, and the machine is to be held."""

    reason: str


#: What may come of a claim.
Verdict = Give | No | Later | Alarm


def judge(standing: Standing, claim: Claim, rules: Rules, now: float) -> Verdict:
    """Whether *claim* on a secret of the machine with *standing* is good *now* (Unix seconds)."""
    attempt = claim.attempt
    if attempt is None:
        return No("it is secret, and the token of the machine's boot is missing or wrong")
    if standing.latest is None or attempt.number != standing.latest.number:
        return No("it is secret, and the token is that of an earlier boot")
    if abs(now - attempt.began) > rules.window:  # a clock may have been set back
        return No(f"it is secret, and given within {rules.window:.0f} s of the boot script")
    if standing.held:
        return No(f"it is secret, and the machine is held: {standing.held}")
    given = of(attempt, claim.what)
    if given is not None and given.whole >= rules.times and not _overtaken(claim, given):
        return Alarm(
            f"{claim.what} was asked for by {claim.peer} ({claim.card or claim.why}),"
            f" {now - given.at:.0f} s after it was given to {given.peer}"
        )
    if claim.card not in rules.cards:
        return _of_another_card(claim, attempt, rules)
    if rules.armed and not attempt.order:
        return No("it is secret, and this boot was not armed with 'netbootd next'")
    if claim.under_way:
        return Later("it is secret, given once, and on its way already")
    if given is not None and given.begun >= MOST_BEGUN:
        return No(f"it is secret, and was begun {given.begun} times without ever arriving")
    return Give(begun(standing, attempt, claim, now))


def _overtaken(claim: Claim, given: Given) -> bool:
    """The same card and address asked twice at once, and had the first answer meanwhile."""
    return claim.under_way and (str(claim.card), claim.peer) == (given.mac, given.peer)


def _of_another_card(claim: Claim, attempt: Attempt, rules: Rules) -> Contested | Alarm:
    seen = f"is {claim.card}" if claim.card else claim.why
    told = f"{claim.what} was asked for with its token by {claim.peer}, and {seen}"
    if claim.peer not in (attempt.peer, rules.address):
        return Alarm(told)
    own = " or ".join(map(str, rules.cards))
    return Contested(f"{told}, where {own} should be: its address is forged or taken")


def of(attempt: Attempt, what: str) -> Given | None:
    """What is known of the secret *what* in *attempt*."""
    return next((one for one in attempt.given if one.what == what), None)


def begun(standing: Standing, attempt: Attempt, claim: Claim, now: float) -> Standing:
    """The secret leaves for whoever claims it."""
    before = of(attempt, claim.what)
    given = Given(
        what=claim.what,
        mac=str(claim.card or ""),
        peer=claim.peer,
        at=now,
        begun=before.begun + 1 if before else 1,
        whole=before.whole if before else 0,
    )
    return _noted(standing, attempt, given)


def arrived(standing: Standing, number: int, what: str) -> Standing:
    """All of *what* has arrived, in the attempt with *number*."""
    attempt = next((one for one in standing.attempts if one.number == number), None)
    given = of(attempt, what) if attempt else None
    if attempt is None or given is None:
        return standing
    return _noted(standing, attempt, replace(given, whole=given.whole + 1))


def _noted(standing: Standing, attempt: Attempt, given: Given) -> Standing:
    others = (one for one in attempt.given if one.what != given.what)
    return with_attempt(standing, replace(attempt, given=(*others, given)))
