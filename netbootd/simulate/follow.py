"""
What loaders that are not iPXE have in common: a configuration leads to another one, to the
machine's own disk, or to a kernel, which is fetched with all that goes with it.

Of a configuration only as much is understood as ours have in them.  In an admin's own there may be
anything: what is not understood is said, and ends the walk without a verdict.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from netbootd.arch import Arch
from netbootd.errors import NetbootdError
from netbootd.simulate import formats
from netbootd.simulate.network import File, Network, Unchecked, Unreachable
from netbootd.simulate.telling import Failed, Telling

_MOST_CONFIGS = 5
_PCS = ("i386", "x86_64")


class NotFollowed(NetbootdError):
    """From here on nobody knows what would happen; the text says why."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file is: by *protocol* (``tftp``, ``http``) at *server*, the *path* as asked."""

    protocol: str
    server: str
    path: str

    def __str__(self) -> str:
        return f"{self.protocol}://{self.server}/{self.path.removeprefix('/')}"


@dataclass(frozen=True, slots=True)
class Loads:
    """A kernel and what goes with it."""

    kernel: Location
    initrds: tuple[Location, ...] = ()
    trees: tuple[Location, ...] = ()
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Leads:
    """Another configuration."""

    to: Location


@dataclass(frozen=True, slots=True)
class Leaves:
    """It boots nothing from here, and is to; *how* it ends."""

    how: str


Plan = Loads | Leads | Leaves


class Loader(ABC):
    """A loader on *arch*; *secure*: it was loaded by a shim."""

    name: ClassVar[str]
    #: The options that it asks for by TFTP.
    tftp: ClassVar[Mapping[str, str]]
    #: What it calls itself over HTTP.
    agent: ClassVar[str]

    def __init__(
        self, network: Network, arch: Arch, tell: Telling, *, secure: bool = False
    ) -> None:
        self.network = network
        self.arch = arch
        self.tell = tell
        self._secure = secure

    @abstractmethod
    def plan(self, text: str, at: Location) -> Plan:
        """What the configuration *text*, which is *at* some place, says; raises NotFollowed."""

    def fetch(self, at: Location) -> File:
        """The file *at* some place."""
        match at.protocol:
            case "tftp":
                return self.network.tftp(at.server, at.path, self.tftp)
            case "http":
                return self.network.http(str(at), self.agent)
        raise Unchecked(f"{at} (only {self.name} itself can fetch that)")

    def follow(self, at: Location, file: File | None = None) -> str:
        """Go on from the configuration *at* some place, which may be a *file* already; the end."""
        for _ in range(_MOST_CONFIGS):
            if file is None:
                self.tell.step(f"{self.name}: configuration {at}")
                file = self.fetch(at)
            self.tell.file(file)
            text = file.head.decode(errors="replace")
            self.tell.script(text)
            match self.plan(text, at):
                case Leads(to):
                    at, file = to, None
                case Leaves(how):
                    return how
                case Loads() as loads:
                    return self.start(loads)
        raise Failed(f"more than {_MOST_CONFIGS} configurations, each leading to the next")

    def start(self, loads: Loads) -> str:
        """Fetch all of it, and look at it; how it ends."""
        if kernel := self._part("kernel", loads.kernel):
            self.tell.detail("format", self.check_kernel(kernel.head))
            if self._secure:
                self.tell.leave_unsigned(str(loads.kernel), kernel.head)
        self.tell.detail("arguments", loads.arguments or "none")
        for initrd in loads.initrds:
            if (file := self._part("initrd", initrd)) and not file.size:
                self.tell.detail("look here", "it is empty, which the kernel will mind")
        for tree in loads.trees:
            self._part("device tree", tree)
        return "The kernel starts."

    def check_kernel(self, head: bytes) -> str:
        """
        What the kernel that begins with *head* is; raises WrongFormat.

        Not every loader for UEFI goes by its EFI stub: kernels of the other width may start, too.
        """
        try:
            return formats.kernel_for(head, self.arch, self.name)
        except formats.WrongFormat as problem:
            if not (self.arch.efi and self.arch.cpu in _PCS and formats.is_linux(head)):
                raise
            self.tell.leave_unchecked(f"whether {self.name} starts it all the same: {problem}")
            return "a Linux kernel, or memdisk (bzImage)"

    def _part(self, what: str, at: Location) -> File | None:
        self.tell.step(f"{self.name}: {what} {at}")
        try:
            file = self.fetch(at)
        except Unchecked as problem:
            self.tell.leave_unchecked(str(problem))
            return None
        except Unreachable as problem:
            raise Failed(f"{what} {at}: {problem}") from None
        self.tell.file(file)
        return file
