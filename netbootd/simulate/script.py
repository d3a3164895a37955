"""
Reads an iPXE script as iPXE does: line by line, ``&&``, ``||``, labels, and settings in ``${…}``.

Only the commands that boot scripts of ours use are carried out; another one is taken as done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from netbootd.errors import NetbootdError
from netbootd.mac import MAC

_SETTING = re.compile(r"\$\{([^}]*)\}")
_MOST_LINES = 1000  # a script that goes round in a circle ends here


class ScriptFault(NetbootdError):
    """The script is none, or goes nowhere."""


class Ending(Enum):
    """How a script ends."""

    BOOT = "boot"
    CHAIN = "chain"
    DISK = "disk"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Outcome:
    """*url* where the script goes on elsewhere, *status* of its exit."""

    ending: Ending
    url: str = ""
    status: int = 0


class Ended(Exception):
    """Leaves the lines of a script."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def settings_of(mac: MAC, platform: str, cpu: str, address: str) -> dict[str, str]:
    """The settings our scripts use."""
    return {
        "mac": str(mac),
        "mac:hexhyp": mac.dashed,
        "mac:hexraw": mac.raw,
        "ip": address,
        "platform": platform,
        "buildarch": cpu,
    }


class Player:
    """*fetch* takes a command's name and a URL and tells whether it came; *say* shows an echo."""

    def __init__(
        self,
        settings: Mapping[str, str],
        fetch: Callable[[str, str], bool],
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._say = say
        self._kernel = False

    def play(self, text: str) -> Outcome:
        """Carry *text* out to its end; raises ScriptFault."""
        if not text.startswith("#!ipxe"):
            raise ScriptFault("it does not begin with #!ipxe, so iPXE would not run it")
        lines = text.splitlines()
        labels = {line[1:].strip(): number for number, line in enumerate(lines) if line[:1] == ":"}
        at = 1
        try:
            for _ in range(_MOST_LINES):
                if at >= len(lines):
                    return Outcome(Ending.EXIT)
                label = self._line(lines[at])
                at = at + 1 if label is None else self._target(labels, label)
        except Ended as end:
            return end.outcome
        raise ScriptFault(f"it is still running after {_MOST_LINES} lines")

    @staticmethod
    def _target(labels: Mapping[str, int], label: str) -> int:
        if label not in labels:
            raise ScriptFault(f"goto {label}: there is no such label")
        return labels[label]

    def _line(self, line: str) -> str | None:
        """Carry one line out; returns the label that a goto in it names."""
        if line.startswith((":", "#")):
            return None
        good = True
        for operator, words in _commands(line):
            if (operator == "&&" and not good) or (operator == "||" and good):
                continue
            if not words:
                good = True
            elif words[0] == "goto":
                return words[1]
            else:
                good = self._command([self._expand(word) for word in words])
        if not good:
            raise Ended(Outcome(Ending.EXIT, status=1))
        return None

    def _expand(self, word: str) -> str:
        return _SETTING.sub(lambda match: self._settings.get(match[1].rpartition("/")[2], ""), word)

    def _command(self, words: list[str]) -> bool:
        name, rest = words[0], words[1:]
        match name:
            case "echo":
                self._say(" ".join(rest))
            case "iseq":
                return rest[0] == rest[1] if len(rest) == 2 else False
            case "isset":
                return bool(rest and rest[0])
            case "prompt":
                return False  # nobody is at the keyboard
            case "kernel" | "initrd" | "module":
                good = self._fetch(name, _url(rest))
                self._kernel = self._kernel or (good and name == "kernel")
                return good
            case "chain" | "exit" | "boot" | "sanboot":
                return self._end(name, rest)
        return True

    def _end(self, name: str, rest: list[str]) -> bool:
        match name:
            case "chain":
                raise Ended(Outcome(Ending.CHAIN, _url(rest)))
            case "exit":
                raise Ended(Outcome(Ending.EXIT, status=int(rest[0]) if rest else 0))
            case "boot" if self._kernel:
                raise Ended(Outcome(Ending.BOOT))
            case "sanboot" if "--drive" in rest:
                raise Ended(Outcome(Ending.DISK))
            case "sanboot" if self._fetch(name, _url(rest)):
                raise Ended(Outcome(Ending.BOOT))
        return False


def _commands(line: str) -> list[tuple[str, list[str]]]:
    """``a && b || c`` as pairs of the operator in front and the words."""
    commands: list[tuple[str, list[str]]] = [("", [])]
    for word in line.split():
        if word in ("&&", "||"):
            commands.append((word, []))
        elif word.startswith("#"):
            break
        else:
            commands[-1][1].append(word)
    return commands


def _url(words: list[str]) -> str:
    """The first word that is neither an option nor an option's value."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in ("--name", "-n", "--timeout", "-t"):
            skip = True
        elif not word.startswith("-"):
            return word
    return ""
