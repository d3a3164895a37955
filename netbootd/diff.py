"""
``netbootd diff``: what each machine would be given by one configuration and by another.

Compared is what a node gets to see: boot script, node script, the files of its overlays and its
answer files, each rendered for it.  A value that a machine has in both, such as its name, is no
difference between machines: two thousand nodes that are moved to another kernel are one change.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from netbootd import answers, dhcpoptions
from netbootd.boot import loader
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify, refusal
from netbootd.boot.script import Past, boot_script
from netbootd.errors import RenderError
from netbootd.mac import MAC
from netbootd.overlay import initrd
from netbootd.printable import counted
from netbootd.registry import overlays, scripts
from netbootd.registry.expected import Expected, expected
from netbootd.registry.facts import facts_of, own_address
from netbootd.registry.machine import Machine
from netbootd.registry.marks import MARKS, Marks
from netbootd.registry.programs import FIRSTS
from netbootd.registry.snapshot import Comparison, Registry
from netbootd.registry.subnets import Subnet
from netbootd.rendering import BrokenText, TextTemplate
from netbootd.targets.base import Facts

#: The file of a folder.
FILE = "netbootd.json"
#: Stand for what is known only at boot; the MAC is locally administered, no card has it.
_STRANGER = MAC.parse("02:00:00:00:00:00")
_ITS_ADDRESS = "its-address"
_BASE = "http://boot-server:3000"
_TOKEN = "token-of-this-boot"  # noqa: S105
#: Variables that tell machines apart.
_OWN = ("hostname", "ip", "label", *MARKS)
_MOST_NAMED = 8
_STARTS = 3  # lines around a change, as diff -u has them

Parts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """
    What is different for *machines*: *before* and *after* are what they boot, *parts* the unified
    diff of each thing that they are given, by its name.
    """

    machines: tuple[str, ...]
    before: str
    after: str
    parts: Parts


def configuration(path: Path) -> Path:
    """The main file that *path*, a file or a folder, means."""
    return path / FILE if path.is_dir() else path


def diff(old: Registry, new: Registry) -> list[Change]:
    """The changes, that of the most machines first."""
    found: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[str]] = {}
    same = _Sameness(old, new)
    for name, client in _clients(old, new):
        one, other = identify(client, old), identify(client, new)
        if same.machines(one, other):
            continue
        before, after = _title(client, one, old), _title(client, other, new)
        parts = _parts(client, one, other, old, new)
        if parts or before != after:
            found.setdefault((before, after, tuple(parts.items())), []).append(name)
    changes = [
        Change(tuple(names), before, after, dict(parts))
        for (before, after, parts), names in found.items()
    ]
    return sorted(changes, key=lambda change: -len(change.machines))


# -- who is compared -------------------------------------------------------------------------------


def _clients(old: Registry, new: Registry) -> Iterator[tuple[str, Client]]:
    """
    Every machine that one of them names, and one that neither does, as it would ask; of these one
    more from each subnet.
    """
    for mac in {**old.machines, **new.machines}:
        known = old.machines.get(mac) or new.machines[mac]
        yield str(mac), _client(mac, known)
    by_name = {machine.named: machine for one in (old, new) for machine in one.cardless}
    for name, machine in by_name.items():
        yield name, _client(_unlisted(_STRANGER.raw, old, new), machine)
    for prefix, machine in {**old.wildcards, **new.wildcards}.items():
        yield machine.written.strip(), _client(_unlisted(prefix, old, new), None)
    stranger = _client(_unlisted(_STRANGER.raw, old, new), None)
    yield "default", stranger
    for subnet in {net.name: net for one in (old, new) for net in one.subnets}.values():
        yield f"default in {subnet.name}", replace(stranger, address=subnet.first)


def _unlisted(prefix: str, old: Registry, new: Registry) -> MAC:
    """The first MAC from *prefix* and zeros on that has no entry of its own."""
    numbers = count(int(prefix.ljust(12, "0"), 16))
    macs = (MAC(number.to_bytes(6, "big")) for number in numbers)
    return next(mac for mac in macs if mac not in old.machines and mac not in new.machines)


def _client(mac: MAC, machine: Machine | None) -> Client:
    """A client that says all that *machine* is known by."""
    written = machine.variables if machine else {}
    said = {mark: text for mark in MARKS if isinstance(text := written.get(mark), str)}
    address = (own_address(machine) if machine else "") or _ITS_ADDRESS
    return Client(stage=Stage.IPXE, mac=mac, address=address).marked(Marks.of(said, relayed=True))


class _Sameness:
    """Machines that are equal in registries which have the rest in common need no rendering."""

    def __init__(self, old: Registry, new: Registry) -> None:
        self._same = Comparison()
        self._all = _around(old) == _around(new)

    def machines(self, one: Machine | None, other: Machine | None) -> bool:
        """Whether both would be given the same for sure."""
        if one is None or other is None:
            return self._all and one is other
        return self._all and one.known == other.known and self._same.machines(one, other)


def _around(registry: Registry) -> tuple[object, ...]:
    """All that goes into what a machine is given, beside its entry and its target."""
    return (
        registry.config.known_only,
        registry.config.dhcp,
        registry.config.loader,
        frozenset(registry.library.programs),
        registry.boot_server,
        registry.subnets,
        registry.variables,
        registry.extras,
        registry.notice_template,
        registry.answers,
        registry.overlays,
        registry.fragments,
        registry.script_lists,
    )


# -- what it is given ------------------------------------------------------------------------------


def _title(client: Client, machine: Machine | None, registry: Registry) -> str:
    if machine is None or refusal(client, machine, registry):
        return "nothing"
    return machine.title


def _parts(
    client: Client, one: Machine | None, other: Machine | None, old: Registry, new: Registry
) -> dict[str, str]:
    """The unified diff of each thing that differs."""
    common = _in_common(client, one, other)
    before = {name: common(text) for name, text in _given(client, one, old).items()}
    after = {name: common(text) for name, text in _given(client, other, new).items()}
    names = dict.fromkeys((*before, *after))
    differing = [name for name in names if before.get(name, "") != after.get(name, "")]
    return {name: _unified(name, before.get(name, ""), after.get(name, "")) for name in differing}


def _in_common(client: Client, one: Machine | None, other: Machine | None) -> Callable[[str], str]:
    """A function that replaces what this machine alone is called, before as after, by its name."""
    assert client.mac is not None
    mac = client.mac
    called = {str(mac): "<mac>", mac.dashed: "<mac>", mac.raw: "<mac>"}
    for name in _OWN if one and other else ():
        value = one.variables.get(name) if one else None
        if isinstance(value, str) and value and other and other.variables.get(name) == value:
            called.setdefault(value, f"<{name}>")
    longest_first = sorted(map(re.escape, called), key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(longest_first)})(?![\w-])")
    return lambda text: pattern.sub(lambda match: called[match[0]], text)


def _unified(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"old {name}", f"new {name}", "", "", _STARTS, ""
    )
    return "".join(f"{line}\n" for line in lines)


def _given(client: Client, machine: Machine | None, registry: Registry) -> dict[str, str]:
    """The texts that a machine gets, by what they are."""
    base = registry.boot_server or _BASE
    subnet = registry.subnets.of(client.link)
    script = boot_script(client, registry, base, Past(token=_TOKEN)).text
    given = {"boot script": script, "subnet": _described(subnet)}
    if dhcp := expected(machine, client.link, registry):
        given["address"] = _leased(dhcp)
    if machine is None or refusal(client, machine, registry) or client.mac is None:
        return given
    facts = facts_of(client.mac, machine, registry, base, client.address, _TOKEN)
    given["loaders"] = _loaders(machine, registry, subnet)
    given["node script"] = _made(lambda: scripts.build(machine, facts, registry))
    given |= _overlaid(machine, facts, registry)
    for path in answers.named_by(machine.target, script, registry.answers):
        given[path] = _rendered(registry.answers[path], facts)
    return given


def _loaders(machine: Machine, registry: Registry, subnet: Subnet) -> str:
    """What its firmware would load, of whatever architecture it is."""
    found = {str(row): loader.find(row, machine, registry, subnet).name for row in FIRSTS}
    return "".join(f"{row}: {name}\n" for row, name in found.items() if name)


def _leased(dhcp: Expected) -> str:
    """What DHCP does for it, line by line; places are no difference."""
    lines = [f"dhcp {dhcp.mode.value}"]
    lines += [f"address {dhcp.address}"] if dhcp.address else []
    lines += [f"pool {pool.text}" for pool in dhcp.pools]
    lines += [f"lease {dhcp.times.text}"] if dhcp.times else []
    lines += [
        f"option {dhcpoptions.name_of(code)} {dhcpoptions.as_text(code, data)}"
        for code, data in sorted(dhcp.options.items())
    ]
    return "".join(f"{line}\n" for line in lines)


def _described(subnet: Subnet) -> str:
    """What a subnet says that its machines' firmware is given, and no script shows."""
    choice = {"": subnet.loader.usual, **subnet.loader.by_family}
    told = [f"loader {family} {word}" for family, word in choice.items() if word]
    told += [f"reply_style {subnet.reply_style}"] if subnet.reply_style else []
    told += [f"mtu {subnet.mtu}"] if subnet.mtu else []
    return "".join(f"{line}\n" for line in told)


def _made(make: Callable[[], str]) -> str:
    """The text, or why there is none."""
    try:
        return make()
    except RenderError as problem:
        return f"cannot be made: {problem}\n"


def _overlaid(machine: Machine, facts: Facts, registry: Registry) -> dict[str, str]:
    """What its extra initrd says of it, the list of its overlays' files, and each rendered one."""
    given = {"overlays": ""}
    if facts.overlay:
        size = machine.target.overlay_size
        given["machine.json"] = initrd.description(facts)
        given["env"] = _made(lambda: initrd.environment(facts, size))
    for name in overlays.names_of(machine):
        tree = registry.overlays.get(name)
        if tree is None or tree.broken:
            given["overlays"] += f"{name}: {tree.broken if tree else 'there is no such overlay'}\n"
        for item in tree.items if tree else ():
            told = "rendered"
            if isinstance(item.content, bytes):
                told = hashlib.sha256(item.content).hexdigest()[:16]
            else:
                given[f"overlay {name}/{item.path}"] = _rendered(item.content, facts)
            given["overlays"] += f"{name}/{item.path} {item.mode:o} {told}\n"
    return given


def _rendered(template: TextTemplate | BrokenText, facts: Facts) -> str:
    return _made(lambda: template.render(facts.names()))


# -- how it is told --------------------------------------------------------------------------------


def as_text(changes: Sequence[Change]) -> str:
    """For a person: each change with its machines and the differences."""
    if not changes:
        return "every machine boots the same\n"
    return "\n".join("".join(_told(change)) for change in changes)


def _told(change: Change) -> Iterator[str]:
    moves = f"{change.before} -> {change.after}"
    if change.before == change.after:
        moves = f"{change.before}, as before, but not the same"
    yield f"{counted(len(change.machines), 'machine')}: {moves}\n"
    named = ", ".join(change.machines[:_MOST_NAMED])
    more = len(change.machines) - _MOST_NAMED
    yield f"  {named}{f' and {more} more' if more > 0 else ''}\n"
    yield from change.parts.values()


def as_json(changes: Sequence[Change]) -> str:
    """For a program: an array of the changes, with every machine."""
    told = [
        {
            "machines": change.machines,
            "before": change.before,
            "after": change.after,
            "diffs": change.parts,
        }
        for change in changes
    ]
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"
