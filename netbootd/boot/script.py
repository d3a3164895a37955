"""
The text iPXE gets: a machine's script, the first script, and refusals a person can read.

iPXE throws away the body of any answer that is not a success and shows its user only a number, so
everything said to it is a script; *status* is what any other client gets instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from netbootd import answers
from netbootd.boot.client import Client
from netbootd.boot.decision import Hold, Refusal, circles, identify, next_step, what_comes_after
from netbootd.errors import RenderError
from netbootd.mac import MAC
from netbootd.record.standing import FRESH, Standing
from netbootd.registry import overlays, scripts
from netbootd.registry.facts import facts_of
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.rendering import told_of
from netbootd.targets.base import Facts, Target
from netbootd.targets.menu import LOCAL, Menu
from netbootd.targets.notice import Notice

_MEND = "mend it, then press a key to try again, or wait for the next boot device"
_AGAIN = "press a key to try again, or wait for the next boot device"
_ADD = "add it, then press a key to try again, or wait for the next boot device"


_RELEASE = "'netbootd release {mac}' lets it boot again; or wait for the next boot device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is remembered of the machine that asks, the time, and the *token* of a new attempt."""

    standing: Standing = FRESH
    now: float = 0.0
    token: str = ""


NO_PAST = Past()


@dataclass(frozen=True, slots=True)
class BootScript:
    """
    *says* is the script's meaning in a few words, *detail* what only the log shall know.  *boots*:
    it really boots *machine*, which is an attempt; *armed*: it is the one that was armed.
    *holds* is why the machine is to be held from now on.

    *status* is the HTTP status for a client that is not iPXE: 200, 404 for a machine nobody knows,
    500 where the target is broken.
    """

    text: str
    says: str
    status: int = 200
    machine: Machine | None = None
    detail: str = ""
    boots: bool = False
    armed: bool = False
    holds: str = ""

    @property
    def logged(self) -> str:
        """What the log says of it."""
        return f"{self.says} ({self.detail})" if self.detail else self.says


def boot_script(
    client: Client,
    registry: Registry,
    base: str,
    past: Past = NO_PAST,
    choice: str = "",
) -> BootScript:
    """
    The script of *client*'s machine; *base* is our address as this client reaches us.

    *past* is what is remembered of the machine, *choice* what its menu sends back.
    """
    assert client.mac is not None, "a script is asked for by MAC"
    decision = next_step(client, identify(client, registry), registry, past.standing, past.now)
    machine = decision.machine
    facts = facts_of(client.mac, machine, registry, base, client.address, past.token)
    if isinstance(decision.step, Refusal) or machine is None:
        reason = f"{client.mac} is not in the configuration"
        return BootScript(_notice(registry, facts, reason, _ADD), reason, 404, machine)
    if isinstance(decision.step, Hold):
        return _held(decision.step.reason, client.mac, machine, registry, facts, past)
    if choice:
        done = () if decision.armed else past.standing.completed
        picked = _picked(machine.target, choice, registry, done)
        if picked is None:
            reason = f"{machine.title} offers no choice {choice!r:.20}"
            return BootScript(_notice(registry, facts, reason, _AGAIN), reason, 404, machine)
        machine = machine.booting(picked)
        if not decision.armed and (circle := circles(picked, registry, past.standing, past.now)):
            return _held(circle, client.mac, machine, registry, facts, past)
        facts = facts_of(client.mac, machine, registry, base, client.address, past.token)
    return _of(machine, registry, facts, armed=decision.armed)


def _of(machine: Machine, registry: Registry, facts: Facts, *, armed: bool) -> BootScript:
    """The script of *machine*'s target, or the reason why there is none."""
    try:
        text = machine.target.script(facts)
    except Exception as problem:  # a template is the operator's text and may do anything
        empty = isinstance(problem, RenderError)  # of a placeholder; jinja2 has errors of its own
        what = "an argument cannot be made" if empty else "its template has an error"
        detail = told_of(machine.target.template.name, problem)
        cause = re.sub(r"^\S*/", "", detail)  # the folder is nobody's business but the log's
        reason = f"{machine.title} cannot boot: {what}: {cause}"
        return BootScript(_notice(registry, facts, reason, _MEND), reason, 500, machine, detail)
    if isinstance(machine.target, Notice):
        return BootScript(text, machine.target.reason, 500, machine)
    if trouble := (
        answers.trouble(registry, machine.target, facts, text)
        or overlays.trouble(registry, machine, facts, text)
        or scripts.trouble(registry, machine, facts, text)
    ):
        reason = f"{machine.title} cannot boot: {trouble}"
        return BootScript(_notice(registry, facts, reason, _MEND), reason, 500, machine)
    # A menu boots nothing yet: what is chosen is the attempt, and the boot that was armed.
    boots = not isinstance(machine.target, Menu)
    return BootScript(text, machine.title, 200, machine, boots=boots, armed=armed)


def _held(
    reason: str, mac: MAC, machine: Machine, registry: Registry, facts: Facts, past: Past
) -> BootScript:
    """The script that says why *machine* boots nothing; a hold that is new is to be remembered."""
    told = f"{mac} is held: {reason}"
    new = "" if past.standing.held or past.standing.unread else reason
    advice = _MEND if past.standing.unread else _RELEASE.format(mac=mac)
    notice = _notice(registry, facts, told, advice)
    return BootScript(notice, told, 200, machine, holds=new)


def _picked(
    target: Target, choice: str, registry: Registry, done: Collection[str]
) -> Target | None:
    """
    What a machine's own menu calls *choice*; None for what it never offered.

    A once-target in *done* that the menu takes by itself is followed by what comes after it: nobody
    may be there to stop it.  Somebody who picks another line means it.
    """
    if not isinstance(target, Menu) or (picked := target.chosen(choice)) is None:
        return None
    found = registry.disk if picked.target == LOCAL else registry.targets.get(picked.target)
    if found and found.common.once and found.title in done and target.takes_by_itself(picked):
        return what_comes_after(found, registry, done)
    return found


def first_script(registry: Registry, base: str) -> BootScript:
    """What ``/`` answers: get an address, then chain to the machine's own script."""
    server = registry.first_server or registry.boot_server or base
    return BootScript(registry.first_template.render(base=server), "first contact")


def fault_script(client_mac: MAC, registry: Registry, base: str) -> BootScript:
    """What a node is told when we failed: no internals, and a way to try again."""
    facts = facts_of(client_mac, None, registry, base)
    reason = "the boot server has a fault; its log says more"
    return BootScript(_notice(registry, facts, reason, _MEND), reason, 500)


def _notice(registry: Registry, facts: Facts, reason: str, advice: str) -> str:
    return Notice("", registry.notice_template, reason, advice).script(facts)
