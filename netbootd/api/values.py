"""
What the API says, as plain values of JSON: made of one photograph of everything, so that a thread
can make them while the daemon goes on.

Times are Unix seconds, durations seconds, sizes bytes; null is for what never was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from netbootd.boot.history import machine_of
from netbootd.boot.pace import Place
from netbootd.boots.boot import Boot, Outcome
from netbootd.errors import NetbootdError
from netbootd.events.progress import Progress
from netbootd.mac import MAC
from netbootd.nearest import did_you_mean
from netbootd.record.standing import FRESH, Standing
from netbootd.registry.machine import Machine
from netbootd.registry.sightings import Sightings
from netbootd.registry.snapshot import Registry
from netbootd.why.diagnosis import State
from netbootd.why.patience import is_off, state_of

#: How a boot that is over ended; while none of these, it may go on.
_OVER = frozenset({Outcome.DONE, Outcome.FAILED, Outcome.AGAIN})
_LONGEST_TROUBLE = 200


class Nobody(NetbootdError):
    """No machine is called so, or several are; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """
    Everything at the time *now*: what is wanted, what is remembered by machine key, each machine's
    latest boot, what cards have said of their machines (which may be read in any thread), and the
    *addresses* that cards and machines have of us, by MAC and by machine key; by that the *places*
    of those that wait for their turn to load.
    """

    registry: Registry
    standings: Mapping[str, Standing] = field(default_factory=dict)
    boots: Mapping[str, Boot] = field(default_factory=dict)
    sightings: Sightings = field(default_factory=Sightings)
    addresses: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    now: float = 0.0

    def machine(self, mac: MAC) -> Machine | None:
        """Whose card *mac* is, by all that is known of it; None for nobody's."""
        return self.registry.machines.get(mac) or machine_of(mac, self.registry, self.sightings)

    def machines(self) -> dict[str, Machine]:
        """Those that are listed by their keys, and behind them whoever booted without being so."""
        found = listed(self.registry)
        for key in dict.fromkeys((*self.boots, *self.standings)):
            if key not in found and (mac := MAC.maybe(key)) and (guest := self.machine(mac)):
                found.setdefault(guest.key, guest)
        return found


def listed(registry: Registry) -> dict[str, Machine]:
    """The machines that have entries of their own, by their keys, each with its first card."""
    found: dict[str, Machine] = {}
    for machine in (*registry.machines.values(), *registry.cardless):
        found.setdefault(machine.key, machine)
    return found


def find(who: str, picture: Picture) -> Machine:
    """
    The machine that *who* means: a MAC in any spelling, a key, or a host name that only one has.

    One that is not listed has the default entry, if there is one.  Raises Nobody.
    """
    if mac := MAC.maybe(who):
        if machine := picture.machine(mac):
            return machine
        raise Nobody(f"{mac} is not in the configuration, and there is no default")
    if machine := picture.registry.named.get(who.strip()):
        return machine
    machines = listed(picture.registry)
    same = [one for one in machines.values() if hostname(one) == who.strip()]
    if len(same) == 1:
        return same[0]
    if same:
        keys = ", ".join(one.key for one in same[:5])
        raise Nobody(f'"{who:.100}" is the host name of several machines: {keys}')
    names = [name for one in machines.values() if (name := hostname(one) or one.named)]
    hint = did_you_mean(who[:100], names)
    raise Nobody(f'"{who:.100}" is neither a MAC nor a key or host name of a machine{hint}')


def hostname(machine: Machine) -> str:
    """What its admin calls it, empty for nothing."""
    name = machine.variables.get("hostname")
    return name if isinstance(name, str) else ""


# -- machines --------------------------------------------------------------------------------------


def summary(machine: Machine, picture: Picture) -> dict[str, Any]:
    """A machine as a line of a list."""
    key = machine.key
    standing = picture.standings.get(key, FRESH)
    boot = picture.boots.get(key)
    state = state_of_key(key, machine, picture)
    return {
        "key": key,
        "macs": [str(mac) for mac in machine.macs or ((machine.mac,) if machine.mac else ())],
        "hostname": hostname(machine),
        "target": machine.title,
        "groups": list(machine.groups),
        "known": machine.known,
        "enabled": not is_off(machine),
        "state": state,
        **_boot(boot, state, picture.now),
        "held": standing.held,
        "armed": _armed(standing, picture.now),
        "address": _address(machine, standing, boot, picture.addresses),
        "trouble": _trouble(standing, boot, state),
        "waits": _waits(picture.places.get(key), picture),
    }


def _waits(place: Place | None, picture: Picture) -> dict[str, Any] | None:
    """Where it stands in the queue of a storm."""
    if place is None:
        return None
    return {
        "position": place.position,
        "waiting": len(picture.places),
        "seconds": place.seconds,
        "priority": place.priority,
    }


def state_of_key(key: str, machine: Machine | None, picture: Picture) -> State:
    """How the machine is that is remembered under *key*."""
    standing = picture.standings.get(key, FRESH)
    state = state_of(picture.boots.get(key), standing, machine, picture.now)
    # Until it asks again it is silent, and nothing is wrong.
    return State.BOOTING if state is State.STUCK and key in picture.places else state


def _boot(boot: Boot | None, state: State, now: float) -> dict[str, Any]:
    """What its latest boot says; *since* is when the machine came to be as it is."""
    if boot is None:
        return {
            **dict.fromkeys(("since", "reached", "began", "last")),
            **{"boot": 0, "seconds": 0.0, "bytes_sent": 0, "bytes_size": 0, "outcome": ""},
        }
    goes_on = state in (State.BOOTING, State.STUCK) and boot.outcome not in _OVER
    return {
        "since": boot.began if state is State.BOOTING else boot.last,
        "reached": boot.reached,
        "boot": boot.number,
        "began": boot.began,
        "last": boot.last,
        "seconds": max(0.0, (now if goes_on else boot.last) - boot.began),
        "bytes_sent": sum(step.sent for step in boot.steps),
        "bytes_size": sum(step.size for step in boot.steps),
        "outcome": boot.outcome,
    }


def _armed(standing: Standing, now: float) -> dict[str, Any] | None:
    armed = standing.armed
    if armed is None or not armed.valid(now):
        return None
    return {"target": armed.target, "times": armed.times, "until": armed.until}


def _address(
    machine: Machine, standing: Standing, boot: Boot | None, leased: Mapping[str, str]
) -> str:
    """Where it is: as its entry says, else as we gave it, else where it was heard last."""
    written = machine.variables.get("ip")
    if isinstance(written, str) and written.strip():
        return written.strip()
    if leased:
        cards = machine.macs or ((machine.mac,) if machine.mac else ())
        for who in (machine.key, *map(str, cards)):
            if address := leased.get(who):
                return address
    heard = boot.peer if boot else ""
    return heard or (standing.latest.peer if standing.latest else "")


def _trouble(standing: Standing, boot: Boot | None, state: State) -> str:
    """What is wrong, as far as a glance tells; ``why`` knows more."""
    if standing.held:
        return standing.held[:_LONGEST_TROUBLE]
    if boot is None or state in (State.UP, State.DISABLED, State.UNKNOWN):
        return ""
    last = boot.steps[-1] if boot.steps else None
    if last is not None and last.trouble:
        return last.trouble[:_LONGEST_TROUBLE]
    if state is State.STUCK:
        return f"nothing came after {boot.reached or 'its first packet'}"
    return ""


def wanted(line: Mapping[str, Any], state: str, group: str, text: str) -> bool:
    """Whether a machine's summary fits what is asked for, each empty for anything."""
    if state and line["state"] != state:
        return False
    if group and group not in line["groups"]:
        return False
    if not text:
        return True
    words = (line["key"], line["hostname"], line["target"], line["address"], *line["macs"])
    mac = MAC.maybe(text)
    return any(text.lower() in word.lower() for word in words) or (
        mac is not None and str(mac) in line["macs"]
    )


# -- all of them -----------------------------------------------------------------------------------


def counts(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many machines are in each state; every state is there."""
    found = dict.fromkeys(map(str, State), 0)
    for line in lines:
        found[line["state"]] += 1
    return found


def stages(boots: Iterable[Boot]) -> dict[str, dict[str, float]]:
    """How long each stage took in *boots*: how many there were, the median and the slow ones."""
    seconds: dict[str, list[float]] = {}
    for boot in boots:
        for step in boot.steps:
            if not step.open:
                seconds.setdefault(step.stage, []).append(step.seconds)
    return {
        stage: {
            "count": len(values),
            **{f"p{part}": _percentile(sorted(values), part) for part in (50, 90, 99)},
        }
        for stage, values in seconds.items()
    }


def _percentile(in_order: list[float], part: int) -> float:
    """The nearest rank: a value that was measured, none in between."""
    return in_order[max(0, -(-len(in_order) * part // 100) - 1)]


def fleet(picture: Picture) -> dict[str, Any]:
    """How all machines are, how long the stages of their last boots took, and who is under way."""
    lines = [summary(machine, picture) for machine in picture.machines().values()]
    booting = [line for line in lines if line["state"] in (State.BOOTING, State.STUCK)]
    booting.sort(key=lambda line: -line["seconds"])
    return {
        "now": picture.now,
        "counts": counts(lines),
        "stages": stages(picture.boots.values()),
        "booting": booting,
    }


# -- the rest --------------------------------------------------------------------------------------


def part(transfer: Mapping[str, Any]) -> float:
    """How much of *transfer* has arrived, from 0 to 1."""
    return transfer["sent"] / transfer["size"] if transfer["size"] else 0.0


def transfers(running: Iterable[Progress], picture: Picture) -> Iterator[dict[str, Any]]:
    """What is on its way; the rate is the mean since it began."""
    for one in running:
        machine = picture.machine(one.mac) if one.mac else None
        yield {
            "protocol": one.protocol,
            "path": one.path,
            "mac": str(one.mac) if one.mac else None,
            "key": machine.key if machine else str(one.mac or ""),
            "peer": one.peer,
            "size": one.size,
            "sent": one.sent,
            "began": one.began,
            "rate": one.sent / max(picture.now - one.began, 0.001),
        }
