"""How a walk is told: numbered steps, their details, and how it ended."""

from __future__ import annotations

from collections.abc import Callable

from netbootd import loaderfile, secureboot
from netbootd.errors import NetbootdError
from netbootd.secureboot import Kept
from netbootd.simulate.network import File


class Failed(NetbootdError):
    """The boot ends here; the text says why."""


class Telling:
    """*say* takes a line.  Each of the four endings tells whether the machine boots."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.line = say
        self._number = 0
        self._bytes = 0
        self._files = 0
        self._unchecked: list[str] = []

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

    def leave_unchecked(self, what: str) -> None:
        """A fact that only the machine itself can know; the walk goes on."""
        self.detail("not checked", f"could not be checked: {what}")
        self._unchecked.append(what)

    def leave_unsigned(self, name: str, head: bytes) -> None:
        """
        A kernel that was loaded behind a shim, by its first bytes.  Nobody takes a shim but for
        Secure Boot; whether that is on, only the machine knows.
        """
        table = loaderfile.certificate_table(head)
        if table is None or not table[1]:
            kernel = Kept(name.rpartition("/")[2], signed=None if table is None else False)
            told = secureboot.told_of_kernel(kernel)
            self.leave_unchecked(f"whether Secure Boot is on: {told}")

    def success(self, ending: str, seconds: float) -> bool:
        """It boots, as far as all of it could be checked."""
        if self._unchecked:
            return self.unchecked()
        self.line("")
        self.line(f"{ending}  {self._files} files, {self._bytes:,} bytes, {seconds:.2f} s.")
        return True

    def failure(self, reason: str) -> bool:
        """It does not."""
        self.line("")
        self.line(f"FAILED at step {self._number}: {reason}")
        return False

    def unfollowed(self, reason: str) -> bool:
        """Nobody can tell what comes now."""
        self.line("")
        self.line(f"NOT SIMULATED from here on, step {self._number}: {reason}")
        return False

    def unchecked(self, *more: str) -> bool:
        """Nobody can tell from here, so it counts as one that does not."""
        self.line("")
        names = ", ".join(dict.fromkeys((*self._unchecked, *more)))
        self.line(f"All is well but for what could not be checked: {names}")
        return False
