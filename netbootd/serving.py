"""
The process of the daemon: what is set for all of it before the first configuration is read, and its
exit status.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.logger import Logger

from netbootd import collecting, descent, journal, privilege
from netbootd.api import batch
from netbootd.daemon import Daemon
from netbootd.dropins.reading import FOLDER
from netbootd.registry.snapshot import Registry
from netbootd.rehearsal import rehearsed
from netbootd.statelock import Lock
from netbootd.systemd import Notifier

log = Logger(namespace="netbootd")

# A thread that reads a configuration of thousands lets the reactor in after so long; the usual 5 ms
# are felt by whoever asks for the next block.
_SWITCH_S = 0.001


def main(file: Path, only_interfaces: tuple[str, ...], *, verbose: bool) -> int:
    """
    Serve *file* until SIGTERM; *only_interfaces* replaces the setting.  Returns the exit status.

    Raises ConfigErrors when the configuration cannot be used at the start, and InUse where another
    daemon has the state folder.
    """
    # A clock that is set back, as on a host without a battery, must stop no timer.
    reactor: Any = global_reactor
    reactor.seconds = time.monotonic
    sys.setswitchinterval(_SWITCH_S)
    collecting.begin()
    lines = journal.begin(sys.stderr, os.environ, verbose=verbose)
    _finish_writing(file)
    _allow_many_files()
    lines.again = partial(reactor.callFromThread, reactor.callLater)
    notifier = Notifier(os.environ)
    lock = Lock()
    reactor.addSystemEventTrigger("before", "shutdown", lock.release)
    daemon = Daemon(
        reactor,
        file,
        only_interfaces,
        # No name for it here: it goes with the next reload.
        _read_and_descend(file, only_interfaces, lock),
        notifier,
        lines,
        verbose=verbose,
    )
    daemon.run()
    lines.finish()
    return daemon.exit_status


def _read_and_descend(file: Path, only_interfaces: tuple[str, ...], lock: Lock) -> Registry:
    """
    What *file* says; whoever may read it, we are nobody's root from here on, and have the *lock*.
    """
    registry = rehearsed(file, only_interfaces)
    state = registry.config.state
    if os.path.exists(state):  # what is another daemon's, which runs, must not be handed over
        lock.take(state)
    if privilege.is_root():
        with privilege.ending_with_parent():
            descent.descend(registry, file)
    lock.take(state)
    return registry


def _finish_writing(file: Path) -> None:
    """The drop-ins of an import that we died over: all of them."""
    try:
        if count := batch.finish(file.parent / FOLDER):
            log.warn("the end of an import was made up for: {count} drop-ins", count=count)
    except OSError as problem:
        log.warn("the end of an import cannot be made up for: {problem}", problem=str(problem))


def _allow_many_files() -> None:
    """Every connection and transfer is a descriptor: take all that the system grants."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may say no: then what we have
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
