"""A walk through a boot as values: what the client did, what came, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from netbootd.arch import Arch
from netbootd.mac import MAC
from netbootd.simulate.network import File


class Ending(StrEnum):
    """How a walk ended."""

    BOOTS = "boots"
    FAILED = "failed"
    NOT_SIMULATED = "not-simulated"  # from the last step on
    UNCHECKED = "unchecked"  # all is well but for what nobody could check from here


@dataclass(slots=True)
class Step:
    """
    What the client did: *text* says why, *details* are facts by name, *files* are what came by it,
    without their bytes; *script* is the configuration that it read, *console* what it showed.
    """

    title: str
    text: tuple[str, ...] = ()
    details: list[tuple[str, str]] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    script: str | None = None
    console: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For programs; details may have one name several times."""
        return {
            "title": self.title,
            "text": " ".join(self.text),
            "details": [{"name": name, "value": value} for name, value in self.details],
            "files": [
                {"size": one.size, "sha256": one.sha256, "seconds": one.seconds, "how": one.how}
                for one in self.files
            ],
            "script": self.script,
            "console": self.console,
        }


@dataclass(slots=True, kw_only=True)
class Walked:
    """
    A walk as values.  *machine* is whoever walks, *stands_for* what it stands for, empty for
    itself; *asked* is whom it asks.  *seconds* is what all of it took, *how* in words how it ended,
    *unchecked* what could not be checked on the way.
    """

    machine: MAC
    stands_for: str
    firmware: str
    arch: Arch
    asked: str
    steps: list[Step] = field(default_factory=list)
    ending: Ending = Ending.FAILED
    how: str = ""
    unchecked: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def boots(self) -> bool:
        """Whether the machine boots, as far as all of it could be checked."""
        return self.ending is Ending.BOOTS

    @property
    def files(self) -> Iterator[File]:
        """All that came."""
        return (file for step in self.steps for file in step.files)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "machine": str(self.machine),
            "stands_for": self.stands_for,
            "firmware": self.firmware,
            "arch": {"number": self.arch.number, "name": str(self.arch)},
            "asked": self.asked,
            "boots": self.boots,
            "ending": self.ending,
            "how": self.how,
            "unchecked": self.unchecked,
            "files": sum(1 for _ in self.files),
            "bytes": sum(file.size for file in self.files),
            "seconds": self.seconds,
            "steps": [step.as_dict() for step in self.steps],
        }
