"""
One boot of one machine, from its first DISCOVER to the report that it is up, as values.

A boot has *steps*, which are what should happen, in the order of time, and *notes*, which are what
was seen beside: other servers, refusals, transfers that broke.  Times are Unix seconds.  Everything
can be written as JSON and read again; unknown members are left out, so that an older netbootd reads
what a newer one wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self


class Stage(StrEnum):
    """How far a boot has come, in the order of the way."""

    DISCOVER = "discover"  # firmware asks for a boot file
    OFFER = "offer"  # and we name one
    BOOT_SERVER = "4011"  # it asks the boot server, and gets its ACK
    LOADER = "loader"  # it fetches it, by TFTP or HTTP
    IPXE_DISCOVER = "ipxe-discover"  # the loader asks for an address of its own
    IPXE_OFFER = "ipxe-offer"  # and we name its script
    SCRIPT = "script"  # the boot script, or another loader's configuration, went out
    KERNEL = "kernel"
    INITRD = "initrd"
    SYSTEM = "system"  # the booted system's own DHCP client asks: its kernel and driver work
    ANSWER_FILE = "answer-file"  # preseed, kickstart, autoinstall …
    FILES = "files"  # whatever else it fetches: packages, squashfs, device trees; one step for all
    NODE_SCRIPT = "node-script"
    DONE = "done"
    FAILED = "failed"

    rank: int
    """Its place on the way, from 0."""


for _rank, _stage in enumerate(Stage):
    _stage.rank = _rank


class Outcome(StrEnum):
    """How a boot ended."""

    OPEN = ""  # it goes on, or nobody knows better
    DONE = "done"
    FAILED = "failed"
    OVERDUE = "overdue"  # the time its target gives it to report is over
    AGAIN = "again"  # the machine began anew before it was done


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One stage of a boot.  The same thing again (a DISCOVER repeated, another range of a file) is
    the same step: *times* counts, *at* is its beginning and *until* its last sign.

    *path* is the file or URL; *size* the bytes wanted, 0 where unknown, and *sent* those that went.
    *open*: it is under way.  *trouble* is why it did not go well, empty where it did.  *peer* is
    the client's address, *mac* the card it used, *generation* the registry that answered.  *note*
    is a word for people: the reply style, the target, the vendor class.
    """

    stage: Stage
    at: float
    until: float
    times: int = 1
    path: str = ""
    size: int = 0
    sent: int = 0
    open: bool = False
    trouble: str = ""
    mac: str = ""
    peer: str = ""
    interface: str = ""
    protocol: str = ""
    generation: int = 0
    note: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.until - self.at)


class Code(StrEnum):
    """What a note is about."""

    UNSERVED = "unserved"  # a packet that got no answer; data: reason code
    NOT_NETBOOT = "not-netboot"  # a DHCP client that is none of PXE; data: vendor_class
    REQUESTED = "requested"  # it takes an address; data: server, address
    OVERHEARD = "overheard"  # another server's reply; data: message, server, address, file …
    LEASE_OFFERED = "lease-offered"  # an address of ours; data: address
    LEASED = "leased"  # it has one; data: address, seconds, how, netboot
    NAKED = "naked"  # it may not have the one it wants; data: address, reason
    NO_ADDRESS = "no-address"  # we have none for it; data: reason, code, subnet
    ADDRESS_IN_USE = "address-in-use"  # somebody else uses it; data: address, by
    FOREIGN_SERVER = "foreign-server"  # another one gives addresses, too; data: server, address
    REFUSED = "refused"  # 404, 403, TFTP ERROR; data: protocol, path, status
    BROKEN = "broken"  # a transfer that did not complete; data: protocol, path, size, sent, end …
    RESTYLED = "restyled"  # an offer was not followed; data: before, style
    WARNED = "warned"  # what may go wrong with what was offered
    LOOPED = "looped"
    SILENT = "silent"  # data: seconds
    HELD = "held"
    REPORTED = "reported"  # what the node said; data: status, output
    CONSOLE = "console"  # a console line that tells of trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that was seen, *times* alike between *at* and *until*; *data* are its facts."""

    code: Code
    at: float
    until: float
    text: str
    times: int = 1
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """
    *number* is its own for ever; *key* the machine's (``Machine.key``, or a MAC that is not
    listed); *macs* the cards that took part, in order.  *last* is the time of its last sign.
    *memory* is the machine's main memory in MiB, 0 where nobody said.
    """

    number: int
    key: str
    macs: tuple[str, ...] = ()
    uuid: str = ""
    arch: str = ""
    target: str = ""
    peer: str = ""
    memory: int = 0
    began: float
    last: float
    generation: int = 0
    outcome: Outcome = Outcome.OPEN
    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def reached(self) -> Stage | None:
        """The furthest stage, failure aside; None for a boot of notes alone."""
        stages = [step.stage for step in self.steps if step.stage is not Stage.FAILED]
        return max(stages, key=lambda stage: stage.rank, default=None)

    def step(self, stage: Stage) -> Step | None:
        """The last step of *stage*."""
        return next((step for step in reversed(self.steps) if step.stage is stage), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; ``reached`` and ``seconds`` among them for readers."""
        plain = {name: getattr(self, name) for name in _BOOT_NAMES}
        plain["macs"] = list(self.macs)
        plain["reached"] = self.reached
        plain["seconds"] = max(0.0, self.last - self.began)
        plain["steps"] = [
            {**{name: getattr(step, name) for name in _STEP_NAMES}, "seconds": step.seconds}
            for step in self.steps
        ]
        plain["notes"] = [
            {**{name: getattr(note, name) for name in _NOTE_NAMES}, "data": dict(note.data)}
            for note in self.notes
        ]
        return plain

    @classmethod
    def of_dict(cls, plain: Mapping[str, Any]) -> Self:
        """
        Undo as_dict.

        Raises KeyError, TypeError or ValueError for what is no boot.
        """
        own = _known(cls, plain)
        own["steps"] = tuple(
            Step(**{**_known(Step, step), "stage": Stage(step["stage"])}) for step in plain["steps"]
        )
        own["notes"] = tuple(
            Note(**{**_known(Note, note), "code": Code(note["code"])}) for note in plain["notes"]
        )
        own["macs"] = tuple(plain.get("macs", ()))
        own["outcome"] = Outcome(plain.get("outcome", ""))
        return cls(**own)

    def with_step(self, index: int, step: Step) -> Self:
        """The same boot with its step number *index* (from 0) replaced."""
        return replace(self, steps=(*self.steps[:index], step, *self.steps[index + 1 :]))


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


#: Looked up once: hundreds of boots are written each second.
_BOOT_NAMES, _STEP_NAMES, _NOTE_NAMES = _names(Boot), _names(Step), _names(Note)


def _known(kind: Any, plain: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in plain.items() if name in names}
