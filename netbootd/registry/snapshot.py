"""
The registry: a photograph of everything the operator wants.  It never changes.

A reload makes a complete new one, with the next *generation*; whoever reads takes one snapshot at
the start of a request and carries it along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from typing import Any

from netbootd.addressing import Serving
from netbootd.config import Config
from netbootd.content import Library
from netbootd.errors import Finding
from netbootd.mac import MAC
from netbootd.overlay.tree import Tree
from netbootd.printable import counted
from netbootd.programs import Program
from netbootd.registry import marks, wildcards
from netbootd.registry.machine import Machine
from netbootd.registry.programs import Chosen
from netbootd.registry.roll import Roll, Same, not_in_roll
from netbootd.registry.subnets import ELSEWHERE, Subnet, Subnets
from netbootd.rendering import BrokenText, TextTemplate
from netbootd.scripts.script import Fragment
from netbootd.secretvalues import NO_SECRETS, Secrets
from netbootd.targets.base import Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.unhurried import unhurried
from netbootd.vms.vm import Vms

_MAC_SIZE = 6  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """
    Machines by MAC, targets by ``type/name``, the names of all *groups*, the daemon's settings and
    the files it serves.

    *marked* has machines by ``uuid``, ``serial`` and ``asset``, each in the one spelling of
    ``marks.normal``; *wildcards* those that stand for a beginning of MACs, its digits the key;
    *named* the machines whose key is a name.

    *pis* has machines by the last eight digits of their ``serial``, where that is one that a
    Raspberry Pi can have.

    *subnets* are the networks of which something is said; *chosen* is what the word ``loader``
    says, wherever it stands.

    *reserved* has the machines whose ``ip`` is an address of IPv4, by that, *reserved6* those whose
    ``ip6`` is one of IPv6; *addresses* all that say an ``ip``, by its text.

    *called* has the machines by the host names that one alone has, in lower case; *labels* whose
    those first labels are that this does not tell (``hostnames.owners``).

    *dialects* are the templates of what loaders other than iPXE read, by the names of their files.

    *disk* is what boots a machine's own disk.  *boot_server* is the base URL the file gives for
    everything (``boot_servers.default``), None where it leaves that to us; *first_server* the one
    that ``/`` chains to, which is the default machine's own where that has one.  *extras* are the
    sections that only templates know, *variables* the section ``vars``, *answers* the templates of
    the file root by the paths that they answer, *overlays* what is laid over the root of machines,
    *documents* the files that were read, *watched* the paths whose change may mean a new registry.

    *fragments* are the pieces of node scripts by name, *script_lists* the names that the section
    ``scripts`` gives, by the type of target, or ``*`` for all.

    *secrets* are the values for the stand-ins among all this; they are for a machine that asks.

    *secret_files* are the paths below the file root that nobody gets but by a claim; *seals*:
    anything at all is secret.

    *vms* are the VM descriptions of the configuration; *vm_users* tells for each name that machines
    call one by, which machines those are (``Machine.key``).
    """

    config: Config
    library: Library
    first_template: ScriptTemplate
    notice_template: ScriptTemplate
    waiting_template: ScriptTemplate
    disk: Target
    dialects: Mapping[str, ScriptTemplate] = field(default_factory=dict)
    machines: Mapping[MAC, Machine] = field(default_factory=dict)
    marked: Mapping[str, Mapping[str, Machine]] = field(default_factory=dict)
    wildcards: Mapping[str, Machine] = field(default_factory=dict)
    pis: Mapping[str, Machine] = field(default_factory=dict)
    named: Mapping[str, Machine] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    addresses: Mapping[str, Machine] = field(default_factory=dict)
    reserved: Mapping[IPv4Address, Machine] = field(default_factory=dict)
    reserved6: Mapping[IPv6Address, Machine] = field(default_factory=dict)
    default: Machine | None = None
    called: Mapping[str, Machine] = field(default_factory=dict)
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    subnets: Subnets = field(default_factory=Subnets)
    boot_server: str | None = None
    first_server: str | None = None
    servers: Mapping[str, str] = field(default_factory=dict)
    chosen: tuple[Chosen, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, TextTemplate | BrokenText] = field(default_factory=dict)
    overlays: Mapping[str, Tree] = field(default_factory=dict)
    fragments: Mapping[str, Fragment] = field(default_factory=dict)
    script_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: Secrets = NO_SECRETS
    vms: Vms = field(default_factory=Vms)
    vm_users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secret_files: frozenset[str] = frozenset()
    seals: bool = False
    findings: tuple[Finding, ...] = ()
    documents: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    generation: int = 1

    def machine(self, mac: MAC, address: str = "") -> Machine | None:
        """
        The entry of *mac*, else that of a wildcard, or the default of where *address* is, made its
        own, else None.
        """
        found = self.machines.get(mac)
        return found or self.wildcard(mac) or self.stranger(mac, self.subnets.of(address))

    @property
    def cardless(self) -> tuple[Machine, ...]:
        """The machines that are listed without a MAC."""
        return tuple(machine for machine in not_in_roll(self.named).values() if not machine.macs)

    def by_key(self, key: str, mac: MAC, address: str = "") -> Machine | None:
        """The machine that is remembered under *key*, as it asks with *mac* from *address*."""
        card = mac if key == str(mac) else MAC.maybe(key) or mac
        found = self.named.get(key) or self.machines.get(card)
        return found.for_card(mac) if found else self.machine(mac, address)

    def by_mark(self, mark: str, text: str, remote_id: str = "") -> Machine | None:
        """
        The machine whose *mark*, one of ``marks.MARKS``, is *text* in any spelling.

        What a Raspberry Pi says for a UUID holds its serial number, by which it may be listed.  A
        ``circuit_id`` is looked for with the *remote_id* that came with it, then alone.
        """
        known = self.marked.get(mark)
        if known and mark == "circuit_id" and remote_id:
            at_port = known.get(marks.port(text, remote_id))
            return at_port or known.get(marks.normal(mark, text))
        found = known.get(marks.normal(mark, text)) if known and text else None
        if found is None and mark == "uuid" and self.pis and marks.normal(mark, text):
            serials = marks.pi_serials(text)
            return next((self.pis[one] for one in serials if one in self.pis), None)
        return found

    def lists(self, card: bytes) -> bool:
        """Whether the *card* of these bytes is a listed machine's, by its MAC or a wildcard."""
        if card in self.machines:
            return True
        if not self.wildcards or len(card) != _MAC_SIZE:
            return False
        return self.wildcard(MAC(card)) is not None

    def wildcard(self, mac: MAC) -> Machine | None:
        """The wildcard with the longest beginning of *mac*, made its own."""
        found = wildcards.longest(self.wildcards, mac)
        return found.for_card(mac) if found else None

    def stranger(self, mac: MAC, subnet: Subnet = ELSEWHERE) -> Machine | None:
        """The default of *subnet*, else that of all, as *mac* gets it."""
        default = subnet.default or self.default
        return default.for_stranger(mac) if default else None

    @property
    def listed(self) -> int:
        """How many machines the file names; a wildcard is one."""
        return len(self.machines) + len(self.cardless) + len(self.wildcards)

    @property
    def known(self) -> Iterator[Machine]:
        """Every machine that the file names: each card of each, those without, the wildcards."""
        yield from self.machines.values()
        yield from self.cardless
        yield from self.wildcards.values()

    def variables_of(self, machine: Machine, subnet: Subnet = ELSEWHERE) -> dict[str, Any]:
        """
        What the configuration says of it: its own keys over its target's, over those of the
        *subnet* it is in, over ``vars``.
        """
        own = {**machine.target.common.variables, **machine.variables}
        return {**self.variables, **subnet.variables, **own}

    def serving(self, subnet: Subnet, interface: str) -> Serving:
        """
        What DHCP does for who is in *subnet* and was heard on *interface*: an interface that is off
        is off; else the subnet says it, else the interface, else the setting.
        """
        dhcp = self.config.dhcp
        of_interface = dhcp.interfaces.get(interface, dhcp.mode)
        if dhcp.interfaces.get(interface) is Serving.OFF:
            return Serving.OFF
        return subnet.addressing.serving or of_interface

    def serves(
        self,
        interface: str,
        addresses: Iterable[IPv4Interface],
        everywhere: Iterable[IPv4Interface] = (),
    ) -> bool:
        """
        Whether somebody heard on *interface*, which has *addresses*, may get an address from us.

        Subnets that hold none of *everywhere*, the addresses of all our interfaces, are behind a
        relay, and that may speak to any of them.
        """
        nets = [self.subnets.of(str(one.ip)) for one in addresses] or [ELSEWHERE]
        if any(self.serving(net, interface) is Serving.SERVER for net in nets):
            return True
        near = {self.subnets.of(str(one.ip)).name for one in everywhere}
        far = (net for net in self.subnets if net.name not in near)
        return any(self.serving(net, interface) is Serving.SERVER for net in far)

    def by_address(self, address: str) -> Machine | None:
        """The machine whose ``ip`` is *address*, None if there is none."""
        return self.addresses.get(address)


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What a swap did to the machines; ``default`` counts as one of them.

    *subnets* are those that came, went or say something else; *settings*: whether what counts for
    all did (section ``netbootd``, the boot servers, ``vars``).  *loaders* has a line for each boot
    program whose bytes are others than before.
    """

    added: int
    removed: int
    changed: int
    subnets: int = 0
    settings: bool = False
    loaders: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f"{self.added} added, {self.removed} removed, {self.changed} changed"
        if self.loaders:
            told += f", {counted(len(self.loaders), 'loader')} changed"
        if self.subnets:
            told += f", {counted(self.subnets, 'subnet')} changed"
        return f"{told}, settings changed" if self.settings else told


def changes(old: Registry, new: Registry) -> Changes:
    """
    Compare what each machine would boot and know, before and after.

    For 100,000 machines this is the work of a second, and not one for the reactor's thread.
    """
    same = Comparison()
    told = [same.cards(old.machines, new.machines), same.entries(_others(old), _others(new))]
    added, removed, changed = map(sum, zip(*told, strict=True))
    return Changes(
        added=added,
        removed=removed,
        changed=changed,
        subnets=_differing_subnets(old.subnets, new.subnets),
        settings=_for_all(old) != _for_all(new),
        loaders=tuple(_differing_loaders(old.library.programs, new.library.programs)),
    )


def _differing_loaders(old: Mapping[str, Program], new: Mapping[str, Program]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None and after is not None:
            yield f"loader {after.path} is new, SHA-256 {after.sha256}"
        elif before is not None and after is None:
            yield f"loader {before.path} is gone, SHA-256 {before.sha256}"
        elif before and after and before.sha256 != after.sha256:
            yield f"loader {after.path} changed: SHA-256 was {before.sha256}, is {after.sha256}"


def _differing_subnets(old: Subnets, new: Subnets) -> int:
    """How many are not in both as they are; their defaults are machines."""
    before, after = ({one.name: replace(one, default=None) for one in nets} for nets in (old, new))
    names = before.keys() | after.keys()
    return sum(before.get(name) != after.get(name) for name in names)


def _for_all(registry: Registry) -> tuple[object, ...]:
    """What is said of no machine and no subnet alone."""
    return (
        registry.config,
        registry.boot_server,
        registry.servers,
        registry.variables,
        registry.secrets,
    )


class Comparison:
    """Most machines share a few targets: each pair of those is looked at once."""

    def __init__(self) -> None:
        self._targets: dict[tuple[int, int], bool] = {}

    def machines(self, one: Machine, other: Machine) -> bool:
        """Whether two entries of one MAC mean the same."""
        own = replace(one, target=other.target, known=other.known)
        return own == other and self._same(one.target, other.target)

    def entries(
        self, before: Mapping[Any, Machine], after: Mapping[Any, Machine]
    ) -> tuple[int, int, int]:
        """How many came, went, and mean something else."""
        kept = sum(key in after for key in before)
        changed = sum(
            not self.machines(before[key], machine)
            for key, machine in unhurried(after.items())
            if key in before
        )
        return len(after) - kept, len(before) - kept, changed

    def cards(
        self, before: Mapping[MAC, Machine], after: Mapping[MAC, Machine]
    ) -> tuple[int, int, int]:
        """As ``entries``; two rolls are compared row by row, without making machines of most."""
        if not (isinstance(before, Roll) and isinstance(after, Roll)):
            return self.entries(before, after)
        kinds = Same(before, after)
        kept = changed = 0
        for mac in unhurried(before):
            if mac in after:
                kept += 1
                differs = before.differs(mac, after, kinds)
                if differs is None:
                    differs = not self.machines(before.made(mac), after.made(mac))
                changed += differs
        return len(after) - kept, len(before) - kept, changed

    def _same(self, one: Target, other: Target) -> bool:
        pair = id(one), id(other)
        if pair not in self._targets:
            self._targets[pair] = one == other
        return self._targets[pair]


def _others(registry: Registry) -> dict[str | None, Machine]:
    """Those that are found by no card."""
    entries: dict[str | None, Machine] = {}
    if registry.default is not None:
        entries[None] = registry.default
    entries |= {machine.named: machine for machine in registry.cardless}
    entries |= {f"{prefix}*": machine for prefix, machine in registry.wildcards.items()}
    entries |= {net.name: net.default for net in registry.subnets if net.default}
    return entries
