"""How a walk is told: numbered steps, their details, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from netbootd import loaderfile, secureboot
from netbootd.errors import NetbootdError
from netbootd.secureboot import Kept
from netbootd.simulate.network import File
from netbootd.simulate.walked import Ending, Step, Walked


class Failed(NetbootdError):
    """The boot ends here; the text says why."""


class Telling:
    """What goes into *walked* is told as it happens: *say* takes a line."""

    def __init__(self, walked: Walked, say: Callable[[str], None]) -> None:
        self.walked = walked
        self._line = say

    def begin(self) -> None:
        """Who asks whom."""
        known = self.walked
        if known.stands_for:
            self._line(f"{known.machine} {known.stands_for}")
        self._line(f"{known.machine} as {known.firmware} ({known.arch}), asking {known.asked}")

    def step(self, title: str, *text: str) -> None:
        """What the client does now, and why."""
        self.walked.steps.append(Step(title, text))
        self._line("")
        self._line(f"{len(self.walked.steps):2}  {title}")
        for line in text:
            self._line(f"      {line}")

    def detail(self, name: str, value: object) -> None:
        """A fact of the step."""
        self.walked.steps[-1].details.append((name, str(value)))
        self._told(name, value)

    def _told(self, name: str, value: object) -> None:
        self._line(f"        {name:<15} {value}")

    def file(self, file: File) -> None:
        """A file that came."""
        self.walked.steps[-1].files.append(replace(file, head=b""))
        self._told("size", f"{file.size:,} bytes in {file.seconds * 1000:.1f} ms ({file.how})")
        self._told("SHA-256", file.sha256)

    def script(self, text: str) -> None:
        """The configuration that the client reads."""
        self.walked.steps[-1].script = text
        for line in text.splitlines():
            self._line(f"        | {line}")

    def console(self, text: str) -> None:
        """What a person in front of it would see."""
        self.walked.steps[-1].console.append(text)
        self._line(f"        on the console: {text}")

    def leave_unchecked(self, what: str) -> None:
        """A fact that only the machine itself can know; the walk goes on."""
        self._told("not checked", f"could not be checked: {what}")
        self.walked.unchecked.append(what)

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

    def success(self, how: str) -> None:
        """It boots, as far as all of it could be checked."""
        if self.walked.unchecked:
            self.unchecked()
            return
        files = list(self.walked.files)
        told = f"{len(files)} files, {sum(file.size for file in files):,} bytes"
        self._end(Ending.BOOTS, how, f"{how}  {told}, {self.walked.seconds:.2f} s.")

    def failure(self, reason: str) -> None:
        """It does not."""
        at = len(self.walked.steps)
        self._end(Ending.FAILED, reason, f"FAILED at step {at}: {reason}")

    def unfollowed(self, reason: str) -> None:
        """Nobody can tell what comes now."""
        told = f"NOT SIMULATED from here on, step {len(self.walked.steps)}: {reason}"
        self._end(Ending.NOT_SIMULATED, reason, told)

    def unchecked(self, *more: str) -> None:
        """Nobody can tell from here, so it counts as one that does not."""
        self.walked.unchecked = list(dict.fromkeys((*self.walked.unchecked, *more)))
        names = ", ".join(self.walked.unchecked)
        told = f"All is well but for what could not be checked: {names}"
        self._end(Ending.UNCHECKED, told, told)

    def _end(self, ending: Ending, how: str, told: str) -> None:
        self.walked.ending, self.walked.how = ending, how
        self._line("")
        self._line(told)
