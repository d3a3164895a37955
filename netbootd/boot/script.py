"""
The text iPXE gets: a machine's script, the first script, and refusals a person can read.

iPXE throws away the body of any answer that is not a success and shows its user only a number, so
everything said to it is a script; *status* is what any other client gets instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from netbootd import urls
from netbootd.boot.client import Client
from netbootd.boot.decision import Refusal, identify, next_step
from netbootd.mac import MAC
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Facts
from netbootd.targets.notice import Notice

_MEND = "mend it, then press a key to try again, or wait for the next boot device"
_ADD = "add it, then press a key to try again, or wait for the next boot device"


@dataclass(frozen=True, slots=True)
class BootScript:
    """
    *says* is the script's meaning in a few words, *detail* what only the log shall know.

    *status* is the HTTP status for a client that is not iPXE: 200, 404 for a machine nobody knows,
    500 where the target is broken.
    """

    text: str
    says: str
    status: int = 200
    machine: Machine | None = None
    detail: str = ""

    @property
    def logged(self) -> str:
        """What the log says of it."""
        return f"{self.says} ({self.detail})" if self.detail else self.says


def boot_script(client: Client, registry: Registry, base: str) -> BootScript:
    """The script of *client*'s machine; *base* is our address as this client reaches us."""
    assert client.mac is not None, "a script is asked for by MAC"
    machine = identify(client, registry)
    decision = next_step(client, machine, registry)
    facts = facts_of(client.mac, machine, registry, base)
    if isinstance(decision.step, Refusal) or machine is None:
        reason = f"{client.mac} is not in the configuration"
        return BootScript(_notice(registry, facts, reason, _ADD), reason, 404, machine)
    try:
        text = machine.target.script(facts)
    except Exception as problem:  # a template is the operator's text and may do anything
        reason = f"{machine.title} cannot boot: its template has an error"
        detail = f"{machine.target.template.name}: {problem}"
        return BootScript(_notice(registry, facts, reason, _MEND), reason, 500, machine, detail)
    if isinstance(machine.target, Notice):
        return BootScript(text, machine.target.reason, 500, machine)
    return BootScript(text, machine.title, 200, machine)


def first_script(registry: Registry, base: str) -> BootScript:
    """What ``/`` answers: get an address, then chain to the machine's own script."""
    server = registry.first_server or registry.boot_server or base
    return BootScript(registry.first_template.render(base=server), "first contact")


def fault_script(client_mac: MAC, registry: Registry, base: str) -> BootScript:
    """What a node is told when we failed: no internals, and a way to try again."""
    facts = facts_of(client_mac, None, registry, base)
    reason = "the boot server has a fault; its log says more"
    return BootScript(_notice(registry, facts, reason, _MEND), reason, 500)


def facts_of(
    mac: MAC,
    machine: Machine | None,
    registry: Registry,
    base: str,
    peer: str = "",
    token: str = "",
) -> Facts:
    """What anything made for *mac* may know; *machine* with the target that it boots now."""
    server = registry.boot_server or base
    return Facts(
        mac=mac,
        base=server,
        retry=urls.script_url(server, "${netX/mac:hexhyp}"),
        target=machine.title if machine else "",
        variables=registry.variables_of(machine) if machine else {},
        extras=registry.extras,
        peer=peer,
        token=token,
    )


def _notice(registry: Registry, facts: Facts, reason: str, advice: str) -> str:
    return Notice("", registry.notice_template, reason, advice).script(facts)
