"""
Reads an iPXE script as iPXE does: line by line, ``&&``, ``||``, labels, and settings in ``${…}``.

Only the commands that boot scripts of ours use are carried out; another one is taken as done.

A script that leaves iPXE (``exit 1``) may mean it: the machine's own disk is the firmware's next
boot device.  Or it has failed, and leaves since nothing else is left to do.  iPXE knows no
difference, so this is ours: it is meant where the script says ``exit`` itself, has tried nothing
(no kernel, no image), and did not jump (``goto``) past something that it could have loaded.
``exit 0`` is never meant: some firmware takes success for the end of all booting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from netbootd.errors import NetbootdError
from netbootd.mac import MAC
from netbootd.registry.marks import UNMARKED, Marks

_SETTING = re.compile(r"\$\{([^}]*)\}")
_LOADING = frozenset({"kernel", "initrd", "module", "imgfetch", "chain"})
_VALUED = frozenset({"--name", "-n", "--timeout", "-t"})
_VALUED_BY_SANBOOT = frozenset(
    {"--drive", "-d", "--filename", "-f", "--extra", "-e", "--label", "-l", "--uuid", "-u"}
)
_MOST_LINES = 1000  # a script that goes round in a circle ends here


class ScriptFault(NetbootdError):
    """The script is none, or goes nowhere."""


class Ending(Enum):
    """How a script ends."""

    BOOT = "boot"
    IMAGE = "image"
    CHAIN = "chain"
    DISK = "disk"
    EXIT = "exit"  # meant: the next boot device is what the script wants
    GAVE_UP = "gave up"


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


def settings_of(
    mac: MAC, platform: str, cpu: str, address: str, marks: Marks = UNMARKED
) -> dict[str, str]:
    """The settings our scripts use."""
    return {
        "mac": str(mac),
        "mac:hexhyp": mac.dashed,
        "mac:hexraw": mac.raw,
        "ip": address,
        "platform": platform,
        "buildarch": cpu,
        "uuid": marks.uuid,
        "serial:uristring": quote(marks.serial),
        "asset:uristring": quote(marks.asset),
        "memsize": "",
    }


class Player:
    """*fetch* takes a command's name and a URL and tells whether it came; *say* shows an echo."""

    def __init__(
        self,
        settings: Mapping[str, str],
        fetch: Callable[[str, str], bool],
        say: Callable[[str], None],
    ) -> None:
        self._settings = dict(settings)
        self._fetch = fetch
        self._say = say
        self._kernel = False
        self._tried = False
        self._jumped = False
        self._loads = False

    def play(self, text: str) -> Outcome:
        """Carry *text* out to its end; raises ScriptFault."""
        if not text.startswith("#!ipxe"):
            raise ScriptFault("it does not begin with #!ipxe, so iPXE would not run it")
        lines = text.splitlines()
        self._loads = any(_is_loading(words) for line in lines for _, words in _commands(line))
        labels = {line[1:].strip(): number for number, line in enumerate(lines) if line[:1] == ":"}
        at = 1
        try:
            for _ in range(_MOST_LINES):
                if at >= len(lines):
                    return Outcome(Ending.GAVE_UP)
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
                self._jumped = True
                return self._expand(" ".join(words[1:]))
            else:
                good = self._command([self._expand(word) for word in words])
        if not good:
            raise Ended(Outcome(Ending.GAVE_UP, status=1))
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
            case "set":
                self._settings[rest[0]] = " ".join(rest[1:])
            case "choose":
                return self._choose(rest)
            case "kernel" | "initrd" | "module" | "imgfetch":
                good = self._load(name, rest)
                self._kernel = self._kernel or (good and name == "kernel")
                return good
            case "boot":
                return self._boot(rest)
            case "sanboot":
                return self._sanboot(rest)
            case "chain":
                raise Ended(Outcome(Ending.CHAIN, _url(rest)))
            case "exit":
                raise Ended(self._left(rest))
        return True

    def _choose(self, rest: list[str]) -> bool:
        """Nobody chooses, so the default is taken when the time is over."""
        if "--default" not in rest or len(rest) < 3:
            return False
        self._settings[rest[-1]] = rest[rest.index("--default") + 1]
        return True

    def _load(self, name: str, rest: list[str]) -> bool:
        self._tried = True
        return self._fetch(name, _url(rest))

    def _boot(self, rest: list[str]) -> bool:
        """What was loaded, or what it names itself."""
        self._tried = True
        if self._load("kernel", rest) if _url(rest) else self._kernel:
            raise Ended(Outcome(Ending.BOOT))
        return False

    def _sanboot(self, rest: list[str]) -> bool:
        """The local disk with that number, or an image from elsewhere."""
        if "--drive" in rest and not _url(rest, _VALUED_BY_SANBOOT):
            raise Ended(Outcome(Ending.DISK))
        self._tried = True
        if self._fetch("sanboot", _url(rest, _VALUED_BY_SANBOOT)):
            raise Ended(Outcome(Ending.IMAGE))
        return False

    def _left(self, rest: list[str]) -> Outcome:
        """Leaving on purpose or for want of anything better; the module's text has the rule."""
        status = int(rest[0]) if rest and rest[0].isdecimal() else len(rest)
        meant = status and not self._tried and not (self._jumped and self._loads)
        return Outcome(Ending.EXIT if meant else Ending.GAVE_UP, status=status)


def _is_loading(words: list[str]) -> bool:
    """Whether a command brings something from the network."""
    if words[:1] == ["sanboot"]:
        return bool(_url(words[1:], _VALUED_BY_SANBOOT))
    return bool(words) and words[0] in _LOADING


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


def _url(words: list[str], valued: frozenset[str] = _VALUED) -> str:
    """The first word that is neither an option nor the value of one in *valued*."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in valued:
            skip = True
        elif not word.startswith("-"):
            return word
    return ""
