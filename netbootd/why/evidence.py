"""
What is known when somebody asks why a machine does not boot, as frozen values.

Nothing here is read from a wire or a clock: ``gather`` puts it together, ``diagnose`` judges
it.  Whatever is unknown is empty, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netbootd.boots.boot import Boot
from netbootd.events.progress import Progress
from netbootd.record.standing import FRESH, Standing
from netbootd.registry.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """
    What the machine should boot: *title* is ``type/name``, *kind* its type.

    *files* are the paths below our file root that its script fetches, *elsewhere* the URLs on other
    servers, *names* the hosts among all of them that iPXE has to ask DNS for.  *kernel* and
    *initrds* are those of them that are such, *answer* the answer file, each as it is written, and
    empty where there is none.  *up_within* is the time in seconds that it has to report, 0 for any.

    *calls_back*: what is booted can report.  *expected*: there is a reason to wait for its report,
    as a limit is set, or it has reported before.  *asks_dhcp*: its kernel asks for an address.
    *broken* is why it cannot be booted at all, empty where it can.
    """

    title: str = ""
    kind: str = ""
    files: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    kernel: str = ""
    initrds: tuple[str, ...] = ()
    answer: str = ""
    is_install: bool = False
    calls_back: bool = True
    expected: bool = False
    asks_dhcp: bool = True
    up_within: float = 0.0
    broken: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderFacts:
    """
    The loader that was offered last: its *name*, and what its own bytes say, as in LoaderFile.

    *family* is the architecture it is for, empty where it does not say; *there*: we have it.
    """

    name: str = ""
    there: bool = False
    family: str = ""
    signed: bool = False
    signers: tuple[str, ...] = ()
    cut: bool = False
    is_efi: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """
    How the others fare: *followed* is how many machines on the same interface have followed an
    offer of ours within the last day, *alike* how many of these have the same architecture.
    """

    followed: int = 0
    alike: int = 0


class Held(NamedTuple):
    """The *address* of ours that a machine has, *since* when (Unix seconds)."""

    address: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    *key* is the machine's, or a MAC that is not listed; *name* what its admin calls it.  *machine*
    is its entry, None for none; *known*: it is listed by itself, and did not get a default.
    *enabled*: its entry is not switched off.  *groups* are those that there are, for any machine.

    *boots* are its last ones, newest first; *standing* is what is remembered beyond them.
    *console* are the last lines that it sent, with their times, oldest first.

    *refused* are the findings that kept the newest configuration from being taken, empty where it
    is in force; *in_refused* is whether the files of that one name this machine, None where nobody
    has looked.  *generation* is that of the registry in force.

    *transfers* are those of its cards that are under way.

    *lease* is what it has of us now, None for nothing; *leases* is how many anybody has.

    *heard* tells for each interface when any DHCP client was last heard there.  *near* is a MAC
    that differs from this one by a slip of the pen: one that is listed and was never seen, where
    this one is not listed, or one that asks and is not listed, where this one never did.

    *short* tells of files of its target that end too early, *unfit* of those that are something
    else, both by their paths; *there* are all that can be read now.
    """

    key: str
    name: str = ""
    macs: tuple[str, ...] = ()
    machine: Machine | None = None
    known: bool = False
    enabled: bool = True
    groups: tuple[str, ...] = ()
    standing: Standing = FRESH
    boots: tuple[Boot, ...] = ()
    target: TargetFacts = field(default_factory=TargetFacts)
    loader: LoaderFacts = field(default_factory=LoaderFacts)
    company: Company = field(default_factory=Company)
    console: tuple[tuple[float, str], ...] = ()
    refused: tuple[str, ...] = ()
    in_refused: bool | None = None
    transfers: tuple[Progress, ...] = ()
    lease: Held | None = None
    leases: int = 0
    generation: int = 0
    heard: Mapping[str, float] = field(default_factory=dict)
    near: str = ""
    short: Mapping[str, str] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    there: frozenset[str] = frozenset()
    now: float = 0.0

    @property
    def called(self) -> str:
        """The machine as sentences call it."""
        return self.name or self.key
