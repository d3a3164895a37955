"""
Network namespaces for tests: made, entered and removed here.  Needs root and ``ip`` (iproute2).

A socket belongs to the namespace its thread was in when it was made, so a test makes its sockets
inside and uses them from outside.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_CLONE_NEWNET = 0x40000000
_PATIENCE_S = 10.0
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = count()

USABLE = os.geteuid() == 0 and shutil.which("ip") is not None


def ip(*words: str, namespace: str | None = None) -> str:
    where = ["-n", namespace] if namespace else []
    command = ["ip", *where, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def unique(word: str) -> str:
    """A name of at most 15 characters, as interfaces need, that no other test run uses."""
    return f"{word}{os.getpid()}x{next(_numbers)}"[-15:]


class Namespace:
    """A namespace of its own; ``cable`` connects it with another."""

    def __init__(self) -> None:
        self.name = unique("nbd")
        ip("netns", "add", self.name)
        self.run("link", "set", "lo", "up")

    def run(self, *words: str) -> str:
        """``ip`` with *words*, in here."""
        return ip(*words, namespace=self.name)

    def command(self, *words: str) -> list[str]:
        """What runs *words* in here."""
        return ["ip", "netns", "exec", self.name, *words]

    def add(self, interface: str, *addresses: str) -> None:
        """Bring *interface* up with *addresses*."""
        for address in addresses:
            self.run("address", "add", address, "dev", interface)

    def until_up(self, interface: str) -> None:
        """
        Wait until the kernel has seen that the cable of *interface* is in: it does so behind our
        back (net/core/link_watch.c), and whatever is sent before is lost without an error.
        """
        until = time.monotonic() + _PATIENCE_S
        while " state UP " not in self.run("-o", "link", "show", interface):
            assert time.monotonic() < until, f"{interface} does not come up"
            time.sleep(0.01)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread lives in here meanwhile."""
        with open("/proc/self/ns/net") as home, open(f"/run/netns/{self.name}") as here:
            _enter(here.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def remove(self) -> None:
        """Gone, with all its interfaces."""
        ip("netns", "delete", self.name)


def cable(one: Namespace, one_end: str, other: Namespace, other_end: str) -> None:
    """A pair of Ethernet interfaces, both up."""
    pair = unique("a"), unique("b")
    ip("link", "add", pair[0], "type", "veth", "peer", "name", pair[1])
    for end, space, name in zip(pair, (one, other), (one_end, other_end), strict=True):
        ip("link", "set", end, "netns", space.name)
        space.run("link", "set", end, "name", name)
        space.run("link", "set", name, "up")


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
