"""How a walk is told: numbered steps, their details, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netbootd.errors import NetbootdError
from netbootd.simulate.network import File


class Failed(NetbootdError):
    """The boot ends here; the text says why."""


class Telling:
    """*say* takes a line.  Each of the three endings tells whether the machine boots."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.line = say
        self._number = 0
        self._bytes = 0
        self._files = 0

    def step(self, title: str, *text: str) -> None:
        """What the client does now, and why."""
        self._number += 1
        self.line("")
        self.line(f"{self._number:2}  {title}")
        for line in text:
            self.line(f"      {line}")

    def detail(self, name: str, value: object) -> None:
        """A fact of the step."""
        self.line(f"        {name:<15} {value}")

    def file(self, file: File) -> None:
        """A file that came."""
        self._files += 1
        self._bytes += file.size
        self.detail("size", f"{file.size:,} bytes in {file.seconds * 1000:.1f} ms ({file.how})")
        self.detail("SHA-256", file.sha256)

    def success(self, ending: str, seconds: float) -> bool:
        """It boots."""
        self.line("")
        self.line(f"{ending}  {self._files} files, {self._bytes:,} bytes, {seconds:.2f} s.")
        return True

    def failure(self, reason: str) -> bool:
        """It does not."""
        self.line("")
        self.line(f"FAILED at step {self._number}: {reason}")
        return False

    def unchecked(self, what: Sequence[str]) -> bool:
        """Nobody can tell from here, so it counts as one that does not."""
        self.line("")
        names = ", ".join(dict.fromkeys(what))
        self.line(f"All is well but for what could not be checked: {names}")
        return False
