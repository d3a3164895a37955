"""
The text a loader gets: a machine's script, the first script, and refusals a person can read.

It is iPXE's unless somebody asks in another loader's language; what is decided is the same for all,
and a dialect only writes it down.

iPXE throws away the body of any answer that is not a success and shows its user only a number, so
everything said to it is a script; *status* is what any other client gets instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from netbootd import answers, urls
from netbootd.boot.client import Client
from netbootd.boot.decision import (
    Decision,
    Hold,
    Refusal,
    Script,
    circles,
    identify,
    next_step,
    refusal,
    subnet_of,
    what_comes_after,
)
from netbootd.boot.kept import Kept
from netbootd.dialects.dialect import Dialect, Unfit
from netbootd.dialects.ipxe import Ipxe
from netbootd.errors import RenderError
from netbootd.mac import MAC
from netbootd.record.standing import FRESH, Standing
from netbootd.registry import overlays, scripts, secrecy
from netbootd.registry.facts import STRANGER, facts_of, logs_of
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.rendering import told_of
from netbootd.targets import logs
from netbootd.targets.base import Facts, Target
from netbootd.targets.menu import LOCAL, Menu
from netbootd.targets.notice import Notice

_MEND = "mend it, then {again}, or wait for the next boot device"
_AGAIN = "{again}, or wait for the next boot device"
_ADD = "add it, then {again}, or wait for the next boot device"


_RELEASE = "'netbootd release {mac}' lets it boot again; or wait for the next boot device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """
    What is remembered of the machine that asks, the time, and the *token* of a new attempt.

    *machine* is whose it is, so that nobody has to look again; None where that was not looked for.

    For what is secret: *proof* is the token that opens it, *unproven* why it is not for whoever
    asks, and *unarmed* why it is not for this boot.
    """

    standing: Standing = FRESH
    now: float = 0.0
    token: str = ""
    machine: Machine | None = None
    proof: str = ""
    unproven: str = ""
    unarmed: str = ""


NO_PAST = Past()


@dataclass(frozen=True, slots=True)
class BootScript:
    """
    *says* is the script's meaning in a few words, *detail* what only the log shall know.  *boots*:
    it really boots *machine*, which is an attempt; *armed*: it is the one that was armed.
    *holds* is why the machine is to be held from now on.

    *status* is the HTTP status for a client that is not iPXE: 200, 404 for a machine nobody knows,
    403 where nobody is served, 500 where the target is broken.

    *code* is its meaning for programs, empty where it boots; else ``first`` (first contact),
    ``menu``, ``held``, ``unknown``, ``subnet``, ``secret`` or ``broken``, the last five for a
    notice that says why nothing is booted.
    """

    text: str
    says: str
    status: int = 200
    machine: Machine | None = None
    detail: str = ""
    boots: bool = False
    armed: bool = False
    holds: str = ""
    code: str = ""

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
    dialect: Dialect | None = None,
    kept: Kept | None = None,
) -> BootScript:
    """
    The script of *client*'s machine; *base* is our address as this client reaches us.

    *past* is what is remembered of the machine, *choice* what its menu sends back.  *dialect* is
    the language of the loader that asks, None for iPXE's; of that *kept* may have the text.
    """
    assert client.mac is not None, "a script is asked for by MAC"
    found = past.machine or identify(client, registry)
    decision = next_step(client, found, registry, past.standing, past.now)
    machine = decision.machine
    sealed = machine is not None and secrecy.is_sealed(machine, registry)
    if kept is not None and machine is not None and not (choice or dialect or sealed):
        text = _kept(kept, client, decision, registry, base, past.token)
        if text is not None:
            return _booting(text, machine, armed=decision.armed)
    dialect = dialect or Ipxe(registry.notice_template)
    facts = _facts(client, machine, registry, base, past)
    if not subnet_of(client, registry).served:
        return _unserved(client, registry, facts, dialect)
    if isinstance(decision.step, Refusal) or machine is None:
        reason = f"{client.mac} is not in the configuration"
        notice = _notice(dialect, facts, reason, _ADD)
        return BootScript(notice, reason, 404, machine, code="unknown")
    if isinstance(decision.step, Hold):
        return _held(decision.step.reason, client.mac, machine, dialect, facts, past)
    if choice:
        done = () if decision.armed else past.standing.completed
        picked = _picked(machine.target, choice, registry, done)
        if picked is None:
            reason = f"{machine.title} offers no choice {choice!r:.20}"
            notice = _notice(dialect, facts, reason, _AGAIN)
            return BootScript(notice, reason, 404, machine, code="broken")
        machine = machine.booting(picked)
        if not decision.armed and (circle := circles(picked, registry, past.standing, past.now)):
            return _held(circle, client.mac, machine, dialect, facts, past)
        facts = _facts(client, machine, registry, base, past)
    if secrecy.is_sealed(machine, registry):
        if reason := _closed(machine, past):
            notice = _notice(dialect, replace(facts, token=""), reason, _AGAIN)
            return BootScript(notice, reason, 403, machine, code="secret")
        facts = replace(facts, token=past.proof or past.token)
    return _of(machine, registry, facts, dialect, armed=decision.armed)


def _closed(machine: Machine, past: Past) -> str:
    """Why what is secret of *machine* keeps its script from going out; empty where nothing does."""
    what = f"{machine.title} has secrets for {machine.mac} alone"
    if past.unproven:
        return f"{what}, and {past.unproven}"
    if past.unarmed and secrecy.boots_by_secrets(machine):
        return f"{what}, and {past.unarmed}"
    return ""


def _facts(
    client: Client, machine: Machine | None, registry: Registry, base: str, past: Past
) -> Facts:
    assert client.mac is not None
    address, token = client.address, past.token
    return facts_of(client.mac, machine, registry, base, address, token, asks=client.asks)


def _of(
    machine: Machine, registry: Registry, facts: Facts, dialect: Dialect, *, armed: bool
) -> BootScript:
    """The script of *machine*'s target, or the reason why there is none."""
    if isinstance(machine.target, Notice):
        return _broken(machine.target.reason, machine, dialect, facts)
    try:
        said = dialect.script(machine.target, facts)
    except Exception as problem:  # a template is the operator's text and may do anything
        empty = isinstance(problem, RenderError)  # of a placeholder; jinja2 has errors of its own
        what = "an argument cannot be made" if empty else "its template has an error"
        detail = str(problem) if empty else told_of(machine.target.template.name, problem)
        detail = str(facts.secrets.silence(RenderError(detail)))
        cause = re.sub(r"^\S*/", "", detail)  # the folder is nobody's business but the log's
        reason = f"{machine.title} cannot boot: {what}: {cause}"
        return _broken(reason, machine, dialect, facts, detail)
    if isinstance(said, Unfit):
        notice = _notice(dialect, facts, said.reason, _AGAIN)
        return BootScript(notice, said.reason, 500, machine, code="broken")
    if trouble := (
        answers.trouble(registry, machine.target, facts, said.mentions)
        or overlays.trouble(registry, machine, facts, said.mentions)
        or scripts.trouble(registry, machine, facts, said.mentions)
    ):
        trouble = str(facts.secrets.silence(RenderError(trouble)))
        return _broken(f"{machine.title} cannot boot: {trouble}", machine, dialect, facts)
    return _booting(said.text, machine, armed=armed)


def _booting(text: str, machine: Machine, *, armed: bool) -> BootScript:
    # A menu boots nothing yet: what is chosen is the attempt, and the boot that was armed.
    boots = type(machine.target) is not Menu  # isinstance() asks the ABC
    code = "" if boots else "menu"
    return BootScript(text, machine.title, 200, machine, boots=boots, armed=armed, code=code)


def _kept(
    kept: Kept, client: Client, decision: Decision, registry: Registry, base: str, token: str
) -> str | None:
    """The text that *kept* has of what was decided; None where that is to be made anew."""
    machine = decision.machine
    if type(decision.step) is not Script or machine is None or type(machine.target) is Notice:
        return None
    text = kept.text(client, machine, subnet_of(client, registry), base, token)
    if text is None or not registry.answers:
        return text
    # An answer file that cannot be made keeps the script from going out.
    return None if answers.named_by(machine.target, text, registry.answers) else text


def _broken(
    reason: str, machine: Machine, dialect: Dialect, facts: Facts, detail: str = ""
) -> BootScript:
    notice = _notice(dialect, facts, reason, _MEND)
    return BootScript(notice, reason, 500, machine, detail, code="broken")


def _held(
    reason: str, mac: MAC, machine: Machine, dialect: Dialect, facts: Facts, past: Past
) -> BootScript:
    """The script that says why *machine* boots nothing; a hold that is new is to be remembered."""
    told = f"{mac} is held: {reason}"
    new = "" if past.standing.held or past.standing.unread else reason
    advice = _MEND if past.standing.unread else _RELEASE.replace("{mac}", str(mac))
    notice = _notice(dialect, facts, told, advice)
    return BootScript(notice, told, 200, machine, holds=new, code="held")


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


def _unserved(client: Client, registry: Registry, facts: Facts, dialect: Dialect) -> BootScript:
    """The script for a subnet where nobody is served."""
    reason = f"{client.mac} is {refusal(client, None, registry)}"
    return BootScript(_notice(dialect, facts, reason, _AGAIN), reason, 403, code="subnet")


def first_script(registry: Registry, base: str, peer: str = "") -> BootScript:
    """What ``/`` answers *peer*: get an address, then chain to the machine's own script."""
    subnet = registry.subnets.of(peer)
    server = subnet.boot_server or registry.first_server or registry.boot_server or base
    server = server if urls.reachable(server, peer) else base
    if not subnet.served:
        reason = f"nobody is served in subnet {subnet.name}"
        facts = facts_of(STRANGER, None, registry, base, peer)
        notice = _notice(Ipxe(registry.notice_template), facts, reason, _AGAIN)
        return BootScript(notice, reason, 403, code="subnet")
    sent = logs_of(registry, base)
    syslog = logs.ipxe_address(sent["log_host"], sent["log_port"]) if sent else ""
    text = registry.first_template.render(base=server, syslog_address=syslog)
    return BootScript(text, "first contact", code="first")


def fault_script(client_mac: MAC, registry: Registry, base: str, peer: str = "") -> BootScript:
    """What a node is told when we failed: no internals, and a way to try again."""
    facts = facts_of(client_mac, None, registry, base, peer)
    reason = "the boot server has a fault; its log says more"
    notice = _notice(Ipxe(registry.notice_template), facts, reason, _MEND)
    return BootScript(notice, reason, 500, code="broken")


def _notice(dialect: Dialect, facts: Facts, reason: str, advice: str) -> str:
    return dialect.notice(reason, advice.replace("{again}", dialect.again), facts)
