"""
What all languages of loaders have in common.

A machine that never runs iPXE boots what its target says all the same: the target tells its plan,
and a dialect writes that down for one loader.  Which target that is, and whether there is one, is
decided before and elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from netbootd import urls
from netbootd.errors import RenderError
from netbootd.targets.base import Facts, Target

TFTP, HTTP = "tftp", "http"


@dataclass(frozen=True, slots=True)
class Way:
    """How a loader came to ask: by *protocol*, and at *server*, our address with its HTTP port."""

    protocol: str
    server: str


@dataclass(frozen=True, slots=True)
class Said:
    """A text for a loader; *mentions* are the URLs and arguments in it, in any spelling."""

    text: str
    mentions: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """This loader cannot boot the target, for a *reason* that a person at the console can read."""

    reason: str


class Dialect(ABC):
    """The language of one loader."""

    #: What somebody at the console does to try again.
    again: ClassVar[str]

    @abstractmethod
    def script(self, target: Target, facts: Facts) -> Said | Unfit:
        """
        What boots *target* on the machine of *facts*.

        Raises RenderError, and whatever a template of the operator's may raise.
        """

    @abstractmethod
    def notice(self, reason: str, advice: str, facts: Facts) -> str:
        """What says *reason* and *advice* to a person, and then leaves to the next boot device."""


def own_path(url: str, facts: Facts) -> str | None:
    """
    What stands in *url* behind our own address, None if it is another server's.

    Files get the machine's MAC in front, by which a request without any other identity is known.
    """
    if not url.startswith(f"{facts.base}/"):
        return None
    path = url.removeprefix(facts.base)
    named = path.startswith(urls.OVERLAYS)
    return path if named else f"/{facts.mac.dashed}{path}"


def tftp_path(path: str) -> str:
    """*path* of a URL as TFTP has it, where percent signs mean nothing."""
    plain = unquote(path)
    if not plain.isprintable() or " " in plain:
        raise RenderError(f"{path!r:.80} has a blank or a control character in it")
    return plain


def host_and_path(url: str) -> tuple[str, str]:
    """``("192.0.2.9:8080", "/k")`` of an HTTP URL; raises RenderError for any other."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise RenderError(f"{url:.80}: only http:// can be fetched from another server")
    host = parts.netloc.rpartition("@")[2]
    return host, parts.path + (f"?{parts.query}" if parts.query else "")
