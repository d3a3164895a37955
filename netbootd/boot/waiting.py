"""
The script of a machine that waits for its turn in a storm: who has to wait, and what it is told.

Only what loads a lot from us has to: never a machine's own disk, a menu, a notice or a machine that
is held; nor an update or a memory test, which is small and somebody's order.  What we know nothing
of, as an iPXE script of the admin's own, waits.  Only iPXE can: other loaders get their
configuration at once, and what they load counts among the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlencode

from netbootd.boot.client import Client
from netbootd.boot.pace import GO, Turn
from netbootd.boot.script import BootScript
from netbootd.registry.facts import facts_of
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Target
from netbootd.targets.biosupdate import MemDisk
from netbootd.targets.chain import Chain
from netbootd.targets.localboot import LocalBoot
from netbootd.targets.ownscript import OwnScript

#: What a script's code is, and its meaning for the log and the record of boots: always the same, so
#: that a boot has one step of it.
CODE, SAYS = "waits", "waits for its turn"
_SMALL = (MemDisk, Chain, LocalBoot)
#: The queries that a machine's script is asked with, and their longest.
_ASKED_WITH = ("choice", "uuid", "serial", "asset", "memsize")
_LONGEST = 128
_SLEEP_S = 1.0  # in the script itself, beside its pause
_PROMPT_S = 0.5  # for somebody at the console, who presses Ctrl-B twice


class Pacer(Protocol):
    """Whoever knows the queue."""

    def turn(self, peer: str, machine: Machine) -> Turn:
        """Whether *peer*, as *machine* with the target that it boots now, may load."""


def turn_of(peer: str, script: BootScript, registry: Registry, pacer: Pacer) -> Turn:
    """Whether *peer*, which asked for *script*, may have it, or waits."""
    if not script.boots or script.machine is None or not loads(script.machine.target, registry):
        return GO
    return pacer.turn(peer, script.machine)


def loads(target: Target, registry: Registry) -> bool:
    """Whether *target* makes its machine load so much from us that there is a queue for it."""
    if isinstance(target, _SMALL):
        return False
    ours = f"{registry.boot_server}/" if registry.boot_server else "/"
    return isinstance(target, OwnScript) or any(
        one.startswith(("/", ours)) for one in target.fetched
    )


def waiting_script(
    client: Client,
    script: BootScript,
    turn: Turn,
    registry: Registry,
    base: str,
    query: Mapping[str, str],
) -> BootScript:
    """
    What *client* gets instead of *script*, as *turn* says; it asks again with the same *query*.
    """
    assert client.mac is not None
    facts = facts_of(client.mac, script.machine, registry, base, client.address)
    said = {name: query[name][:_LONGEST] for name in _ASKED_WITH if query.get(name)}
    name = facts.variables.get("hostname")
    text = registry.waiting_template.render(
        **{
            **facts.names(),
            "called": f"{name} ({client.mac})" if isinstance(name, str) and name else client.mac,
            "place": turn.told,
            "why": turn.why or "so that those who load are up sooner",
            "pause_ms": round(max(_PROMPT_S, turn.again - _SLEEP_S) * 1000),
            "query": f"?{urlencode(said)}" if said else "",
        }
    )
    return BootScript(text, SAYS, 200, script.machine, code=CODE)
