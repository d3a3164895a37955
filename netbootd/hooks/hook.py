"""One hook that is to be run, or runs."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class Hook:
    """
    *what* is a command or a URL, *body* the JSON that it gets; a command gets *variables* as well.

    *about* is the machine, or the address of a lease: of one thing, hooks are told in order.
    """

    kind: str
    who: str
    about: str
    what: tuple[str, ...]
    body: bytes
    variables: Mapping[str, str]
    timeout: float
    group: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def title(self) -> str:
        """As the log calls it; a URL may hold a password or a token, which are not for the log."""
        if is_url(self.what[0]):
            parts = urlsplit(self.what[0])
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return self.what[0]

    def end(self) -> None:
        """Kill the command with all its group, if it runs."""
        with self.lock:
            if self.group:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.group, signal.SIGKILL)


def is_url(word: str) -> bool:
    """Whether a hook is an address to call rather than a program."""
    return _URL.match(word) is not None
