"""
iPXE's part of the walk: it fetches a script, does what it says, and looks at what comes.

A command that fails sends the script on as it would iPXE (``|| goto failed``); what only the
machine itself could try (https, iSCSI, NFS) counts as done and as unchecked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import urljoin, urlsplit

from netbootd.arch import Arch
from netbootd.errors import NetbootdError
from netbootd.simulate import formats
from netbootd.simulate.firmware import IPXE_TFTP
from netbootd.simulate.network import File, Network, Unchecked, Unreachable
from netbootd.simulate.script import Ending, Outcome, Player
from netbootd.simulate.telling import Failed, Telling

_AGENT = "iPXE/1.21.1"
_PLAIN_AGENT = "netbootd-simulate"
_MOST_CHAINS = 5
_TFTP_PORT = 69


class Ipxe:
    """One iPXE on *arch*; *secure*: it was loaded by a shim."""

    def __init__(
        self, network: Network, arch: Arch, tell: Telling, *, secure: bool = False
    ) -> None:
        self._secure = secure
        self._network = network
        self._arch = arch
        self._tell = tell
        self._fault = ""  # the first one: what followed was its consequence
        self._console = ""

    def run(self, url: str, settings: Mapping[str, str]) -> str:
        """
        Carry out one script after the other; how it all ends.

        Raises Failed, or what the network raises, where nothing starts.
        """
        for _ in range(_MOST_CHAINS):
            text = self._script(url)
            if text is None:
                return "The program starts."
            outcome = Player(settings, partial(self._fetch, url), self._echo).play(text)
            if outcome.ending in (Ending.EXIT, Ending.GAVE_UP):
                self._ask_why(url)
            if outcome.ending is not Ending.CHAIN:
                return self._ending(outcome)
            url = _absolute(url, outcome.url)
        raise Failed(f"more than {_MOST_CHAINS} scripts, each leading to the next")

    def _script(self, url: str) -> str | None:
        """The script there; None for a program, which iPXE starts instead."""
        self._tell.step(
            f"{_scheme(url)} GET of {url}", "iPXE fetches its script, and does what it says:"
        )
        file = self._get(url)
        self._tell.file(file)
        what = formats.kernel(file.head, self._arch)
        if not formats.is_script(file.head):
            self._tell.detail("format", what)
            return None
        text = file.head.decode(errors="replace")
        self._tell.script(text)
        return text

    def _ask_why(self, url: str) -> None:
        """iPXE gets a script whatever is wrong; the status behind it is for all others."""
        if _scheme(url) == "HTTP":
            self._network.look(url, _PLAIN_AGENT)

    def _fetch(self, script_url: str, command: str, location: str) -> bool:
        """Carry out one command of the script at *script_url*, to which *location* is relative."""
        url = _absolute(script_url, location)
        self._tell.step(f"iPXE: {command} {url}")
        try:
            file = self._get(url)
            self._tell.file(file)
            self._check(command, url, file)
        except Unchecked as problem:
            self._tell.leave_unchecked(str(problem))
        except NetbootdError as problem:
            self._tell.detail("failed", problem)
            self._fault = self._fault or f"{command} {url}: {problem}"
            return False
        return True

    def _get(self, url: str) -> File:
        try:
            parts = urlsplit(url)
            match parts.scheme:
                case "":
                    raise Unreachable("there is no URL")
                case "http":
                    return self._network.http(url, _AGENT)
                case "tftp" if parts.port in (None, _TFTP_PORT):
                    return self._network.tftp(parts.hostname or "", parts.path[1:], IPXE_TFTP)
        except ValueError as problem:
            raise Unreachable(f"this is no URL: {problem}") from None
        raise Unchecked(f"{url} (only iPXE itself can fetch that)")

    def _check(self, command: str, url: str, file: File) -> None:
        """Whether what came is what *command* needs."""
        if command == "kernel":
            self._tell.detail("format", formats.kernel(file.head, self._arch))
            if formats.is_script(file.head):
                raise Unchecked(f"{url} (a script in place of a kernel is not followed)")
            if self._secure:
                self._tell.leave_unsigned(url, file.head)
        elif command == "sanboot":
            self._tell.detail("format", formats.disk(file.head))
        elif not file.size:
            self._tell.detail(
                "look here", "it is empty, which iPXE does not mind but the kernel will"
            )

    def _echo(self, text: str) -> None:
        self._console = text
        self._tell.console(text)

    def _ending(self, outcome: Outcome) -> str:
        match outcome.ending:
            case Ending.BOOT:
                return "The kernel starts."
            case Ending.IMAGE:
                return "The disk image starts."
            case Ending.DISK:
                return "The first disk starts."
            case Ending.EXIT:
                return "iPXE leaves, and the firmware goes on with its next boot device."
        said = f"the script ends without booting; the console says last: {self._console or '-'}"
        raise Failed(f"{self._fault}; {said}" if self._fault else said)


def _absolute(base: str, location: str) -> str:
    """*location* as iPXE resolves it; nothing stays nothing, and nonsense nonsense."""
    try:
        return urljoin(base, location) if location else ""
    except ValueError:
        return location


def _scheme(url: str) -> str:
    return url.partition(":")[0].upper()
