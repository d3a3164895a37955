"""
``netbootd explain --json``: what explain.py tells a person, as values for programs.

Both ask the same: neither knows a rule of its own.
"""

from __future__ import annotations

from typing import Any

from netbootd import explain, otherloaders, subject
from netbootd.boot.client import Stage
from netbootd.boot.decision import identify, looks, refusal, subnet_of
from netbootd.errors import Place
from netbootd.explain import Case
from netbootd.registry import marks
from netbootd.registry.expected import expected
from netbootd.registry.machine import Machine


def facts(case: Case) -> dict[str, Any]:
    """The whole story of one client; null stands for what there is none of, or nobody knows."""
    machine = identify(case.client, case.registry)
    because, booted, boots = explain.outcome(case)
    refused = refusal(case.client, machine, case.registry)
    dhcp = expected(machine, case.client.link, case.registry)
    return {
        **_client(case),
        "boots": boots,
        "target": booted if boots else None,
        "says": "" if boots else booted,
        "because": because,
        "rules": _rules(case),
        "subnet": _subnet(case),
        "dhcp": dhcp.as_dict() if dhcp else None,
        "known_only": explain.known_only(case.client, case.registry),
        "refused": str(refused) if refused else None,
        "entry": _entry(case, machine) if machine else None,
        "firmware": None if case.client.stage is Stage.IPXE else _firmware(case, machine),
    }


def _client(case: Case) -> dict[str, Any]:
    client = case.client
    said = {mark: getattr(client, mark) for mark in marks.MARKS if getattr(client, mark)}
    return {
        "machine": str(client.mac),
        "stands_for": subject.remark(client, case.registry),
        "stage": client.stage.value,
        "arch": {"number": client.arch.number, "name": str(client.arch)} if client.arch else None,
        "marks": {
            mark: {"said": text, "usable": bool(marks.normal(mark, text))}
            for mark, text in said.items()
        },
    }


def _rules(case: Case) -> list[dict[str, Any]]:
    """Each rule by which an entry is looked for; the first that finds one *wins*."""
    rules = list(looks(case.client, case.registry))
    winner = next((look for look in rules if look.found), None)
    return [
        {
            "by": look.by,
            "said": look.said,
            "found": {"key": look.found.written, **_place(look.found.place)}
            if look.found
            else None,
            "wins": look is winner,
        }
        for look in rules
    ]


def _subnet(case: Case) -> dict[str, Any] | None:
    """Where it asks from, as far as that is known; *name* is null where no subnet holds it."""
    link = case.client.link
    if not link:
        return None
    subnet = subnet_of(case.client, case.registry)
    return {
        "address": link,
        "name": subnet.name if subnet.network else None,
        "boot_server": subnet.boot_server or None,
    }


def _entry(case: Case, machine: Machine) -> dict[str, Any]:
    """What its entry says, with what is remembered under its *key*."""
    standing, armed = case.standing, case.standing.armed
    return {
        "key": machine.key,
        "groups": machine.groups,
        "held": standing.held,
        "armed": {
            "target": armed.target,
            "times": armed.times,
            "until": armed.until,
            "valid": armed.valid(case.now),
        }
        if armed
        else None,
        "completed": standing.completed,
        "inherits": [*case.origins.chain(machine.title)] or [machine.title],
        "values": [
            {
                "key": origin.key,
                "value": origin.value,
                "by": origin.by,
                **_place(origin.place),
                "counts": origin.counts,
            }
            for origin in case.origins.of(machine, subnet_of(case.client, case.registry))
        ],
    }


def _firmware(case: Case, machine: Machine | None) -> dict[str, Any]:
    """What it loads, what stands behind a shim or GRUB, and how it is told of its boot file."""
    alone = otherloaders.reads_alone(case.client.arch)
    way = explain.told(case, machine)
    because = case.first.because
    programs = {} if alone else explain.programs(case, machine)
    return {
        "reads_alone": alone[1] if alone else None,
        "loaders": [
            {"name": name, "path": str(path) if path else None} for name, path in programs.items()
        ],
        "because": because[-1] if because and not alone else None,
        "secure_boot": [] if alone else _secure(case, machine),
        "style": {
            "name": way.style,
            "why": way.why,
            "then": way.then,
            "learned": [
                {"style": worked.style, "machine": worked.mac, "firmware": key}
                for key, worked in way.learned.items()
            ],
        }
        if way
        else None,
    }


def _secure(case: Case, machine: Machine | None) -> list[str]:
    """What is to be said of what comes behind a shim or GRUB."""
    if machine is None or case.client.arch is None:
        return []
    return [text for _, text in explain.secure(case.client.arch, machine, case.registry)]


def _place(place: Place) -> dict[str, Any]:
    return {"file": place.file, "line": place.line, "column": place.column}
