"""
The heart: who is this, and what does it get next?

``identify`` and ``next_step`` are asked by every protocol, so that a refusal is the same in DHCP,
TFTP and HTTP.  Both are pure: registry generation, client and history in, decision out, with its
reasons.

What is remembered of the machine (``record``) comes in as its Standing: one that is held boots
nothing, an armed boot goes before its own target, and a once-target that is done is followed by
what comes after it.

A machine the file does not name gets the default of its subnet, else ``machines.default``.  Without
a default it gets nothing, and so it does where the file says ``known_only``.  In a subnet that is
not ``enabled`` nobody gets anything.  A machine whose entry is switched off is known: it
boots its own disk and never the default.

An iPXE that lists what it can do (option 175), and cannot do what its target needs, is replaced by
ours: once, or it would be fed its own loader for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from netbootd import features, loaders
from netbootd.boot import loader
from netbootd.boot.client import Client, Stage
from netbootd.features import Feature
from netbootd.record.standing import FRESH, Standing
from netbootd.registry.facts import server_of
from netbootd.registry.machine import Machine
from netbootd.registry.marks import MARKS
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet
from netbootd.targets import vlan
from netbootd.targets.base import Target


@dataclass(frozen=True, slots=True)
class Loader:
    """A boot program by name, as found in the library."""

    name: str


@dataclass(frozen=True, slots=True)
class Script:
    """The boot script of the machine's target."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A script that says *reason*: the machine boots nothing until an operator releases it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    Nothing, and why: *reason* is for the operator, *code* for programs: ``unknown``, ``subnet``,
    ``no-loader`` …  *missing*: for want of a file on this server.
    """

    reason: str
    missing: bool = False
    code: str = ""

    def __str__(self) -> str:
        return self.reason


Step = Loader | Script | Hold | Refusal


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What *machine*, with the target that counts now, gets next, and *because* of which rules.

    *armed*: what it boots is the boot that was armed for it.  *warning* is what will probably go
    wrong all the same, empty for nothing.
    """

    step: Step
    machine: Machine | None
    because: tuple[str, ...] = ()
    armed: bool = False
    warning: str = ""


def identify(client: Client, registry: Registry) -> Machine | None:
    """
    The entry for *client*: by its MAC, its UUID, client identifier, serial number or asset tag, by
    a wildcard, else the default made its own; by its address only where there is no MAC.
    """
    mac = client.mac
    if mac is not None and (found := registry.machines.get(mac)) is not None:
        return found
    if mac is not None and not any(registry.marked.values()) and not registry.wildcards:
        return registry.stranger(mac, subnet_of(client, registry))
    return next((look.found for look in looks(client, registry, idle=False) if look.found), None)


@dataclass(frozen=True, slots=True)
class Look:
    """A rule by which an entry is looked for: *by* what, what is *said* of it, what was *found*."""

    by: str
    said: str
    found: Machine | None


def looks(client: Client, registry: Registry, *, idle: bool = True) -> Iterator[Look]:
    """The rules in the order in which they count; those of which nothing is said where *idle*."""
    mac = client.mac
    if mac is None:
        yield from _marked(client, registry, idle)
        yield Look("address", client.address, registry.by_address(client.address))
        return
    yield Look("mac", str(mac), registry.machines.get(mac))
    yield from _marked(client, registry, idle)
    yield Look("wildcard", str(mac), registry.wildcard(mac))
    yield Look("default", "", registry.stranger(mac, subnet_of(client, registry)))


def _marked(client: Client, registry: Registry, idle: bool) -> Iterator[Look]:
    for mark in MARKS:
        said: str = getattr(client, mark)
        if not said and not idle:
            continue
        found = registry.by_mark(mark, said, client.remote_id)
        yield Look(mark, said, found.for_card(client.mac) if found and client.mac else found)


def subnet_of(client: Client, registry: Registry) -> Subnet:
    """What is said of the network that *client* is in."""
    return registry.subnets.of(client.link)


def secure_server(client: Client, registry: Registry) -> str:
    """
    The boot server where that is one of HTTPS and *client* does not say that it cannot have that:
    the script is what all the rest depends on.  Else empty.
    """
    server = server_of(registry, "", client.link)
    able = client.features is None or Feature.HTTPS in client.features
    return server if able and server.startswith("https:") else ""


def refusal(client: Client, machine: Machine | None, registry: Registry) -> Refusal | None:
    """
    Why *client*, for which *machine* was found, gets nothing at all, or None: it is served.

    What its subnet says of ``known_only`` counts over the setting.
    """
    subnet = subnet_of(client, registry)
    if not subnet.served:
        return Refusal(f"in subnet {subnet.name}, where nobody is served", code="subnet")
    if machine is None and (subnet.default or registry.default):
        return _unknown("without a MAC it cannot have the default")
    if machine is None:
        return _unknown("there is no machines.default")
    if machine.known:
        return None
    if subnet.known_only:
        return _unknown(f"known_only is set for subnet {subnet.name}")
    if subnet.known_only is None and registry.config.known_only:
        return _unknown("known_only is set")
    return None


def _unknown(why: str) -> Refusal:
    return Refusal(f"not in the configuration, and {why}", code="unknown")


def next_step(
    client: Client,
    machine: Machine | None,
    registry: Registry,
    standing: Standing = FRESH,
    now: float = 0.0,
    *,
    replaced: bool = False,
) -> Decision:
    """
    What *client* gets next, at *now* (Unix seconds); see the module's text for the rules.

    *replaced*: its iPXE is ours, or it was given ours a moment ago.
    """
    refused = refusal(client, machine, registry)
    if machine is None or refused is not None:
        return _refuse(machine, refused or Refusal(""))
    because = (why_this_machine(machine),)
    if client.stage is not Stage.IPXE:  # a held machine too: only iPXE can show why it is held
        target = boots_now(machine, registry, standing, now)[0]
        return _loader(client, machine.booting(target), registry, because)
    decision = _script(machine, registry, standing, now, because)
    return _able(client, decision, registry, replaced=replaced)


def _script(
    machine: Machine, registry: Registry, standing: Standing, now: float, because: tuple[str, ...]
) -> Decision:
    if standing.held:
        return Decision(Hold(standing.held), machine, (*because, f"held: {standing.held}"))
    target, armed, why = boots_now(machine, registry, standing, now)
    because = (*because, *why)
    if not armed and (reason := circles(target, registry, standing, now)):
        return Decision(Hold(reason), machine.booting(target), (*because, reason))
    if standing.unread and target.common.once:
        reason = f"it may be done already: {standing.unread}"
        return Decision(Hold(reason), machine.booting(target), (*because, reason))
    asked = "iPXE asks, so it gets the script"
    return Decision(Script(), machine.booting(target), (*because, asked), armed)


def _able(client: Client, decision: Decision, registry: Registry, *, replaced: bool) -> Decision:
    """The *decision*, but ours first where the client's own iPXE lacks what its target needs."""
    machine = decision.machine
    if machine is None or not isinstance(decision.step, Script) or client.features is None:
        return decision
    needed = machine.target.features(client.arch.platform if client.arch else "")
    needed |= _for_its_network(client, machine, registry)
    if not (lacking := needed - client.features):
        return decision
    lacks = f"its iPXE has no {features.told(lacking)}, which {machine.title} needs"
    if replaced:
        return replace(decision, warning=f"{lacks}, and it is ours, or was replaced already")
    found = loader.find(client.arch, machine, registry, subnet_of(client, registry))
    if not {found.name, found.name.rpartition("/")[2]} & loaders.IPXE:  # a shim may be of GRUB
        return replace(decision, warning=f"{lacks}, and there is no iPXE to replace it")
    because = (*decision.because, f"{lacks}: it gets ours first", found.why)
    return Decision(Loader(found.name), machine, because)


def _for_its_network(client: Client, machine: Machine, registry: Registry) -> frozenset[Feature]:
    """
    What an iPXE needs to fetch the target's files from where our paths lead, and to change over to
    the VLAN of *machine*, where its script does that.
    """
    variables = registry.variables_of(machine, subnet_of(client, registry))
    ours = any(location.startswith("/") for location in machine.target.fetched)
    needed = features.of_urls((server_of(registry, "", client.link),)) if ours else frozenset()
    if vlan.entered(machine.target.template.source, variables):
        needed |= {Feature.VLAN}
    return needed


def boots_now(
    machine: Machine, registry: Registry, standing: Standing, now: float
) -> tuple[Target, bool, tuple[str, ...]]:
    """The target that counts, whether it is the armed one, and why it is not the machine's own."""
    why: tuple[str, ...] = ()
    if standing.armed is not None and standing.armed.valid(now):
        armed = registry.targets.get(standing.armed.target)
        if standing.armed.target == machine.title:
            armed = machine.target  # with what the machine replaces in it
        if armed is not None:
            return armed, True, (f"{armed.title} was armed for its next boot",)
        why = (f"{standing.armed.target} was armed, and is not in the configuration any more",)
    own = machine.target
    if own.common.once and own.title in standing.completed:
        after = what_comes_after(own, registry, standing.completed)
        return after, False, (*why, f"{own.title} is done, so {after.title} comes after it")
    return own, False, why


def what_comes_after(done: Target, registry: Registry, completed: Collection[str]) -> Target:
    """What *done* leaves a machine to boot: the first that is not itself done, else its disk."""
    seen = {done.title}
    after = registry.targets.get(done.common.after, registry.disk)
    while after.common.once and after.title in completed:
        if after.title in seen:
            return registry.disk
        seen.add(after.title)
        after = registry.targets.get(after.common.after, registry.disk)
    return after


def circles(target: Target, registry: Registry, standing: Standing, now: float) -> str:
    """Why the machine goes in a circle with *target*, empty if it does not."""
    guard = registry.config.guard
    if not (target.common.once and guard.enabled and guard.installs):
        return ""
    times = standing.unfinished(target.title, now - guard.installs_within)
    if 0 < guard.installs <= times:
        return f"{target.title} was begun {times} times and never finished"
    return ""


def _loader(
    client: Client, machine: Machine, registry: Registry, because: tuple[str, ...]
) -> Decision:
    found = loader.find(client.arch, machine, registry, subnet_of(client, registry))
    if not found.name:
        refused = Refusal(found.why, missing=found.missing, code=found.code)
        return _refuse(machine, refused, because)
    return Decision(Loader(found.name), machine, (*because, found.why))


def why_this_machine(machine: Machine) -> str:
    """The first reason of each decision for *machine*."""
    if not machine.known:
        whose = machine.written if "subnet" in machine.written else "machines.default"
        return f"not in the configuration, so {whose}: {machine.title}"
    return f"{machine.place}: {machine.title}"


def _refuse(machine: Machine | None, refused: Refusal, because: tuple[str, ...] = ()) -> Decision:
    return Decision(refused, machine, (*because, refused.reason))
