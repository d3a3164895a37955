"""
A configuration is read, and the boot of a machine of each kind rehearsed; a large one by another
process.

100,000 machines take seconds to read and leave three times the room behind that they need.  In a
thread of the daemon that would be seconds in which every packet waits for its turn at the
interpreter's lock.  So files of more than ``_LARGE_BYTES`` are read by a process of their own, of
low priority, which hands over what came of it (``registry.crossing``) and ends.  Where that fails
for whatever reason, they are read here: slower, with the same outcome.  But not by a daemon that
serves where the process was killed: whoever has no memory for the one has none for the other.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from netbootd.check import rehearse
from netbootd.dropins.reading import FOLDER, NOTHING_PENDING, Pending
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.registry import crossing
from netbootd.registry.load import load
from netbootd.registry.snapshot import Registry

log = logging.getLogger(__name__)

#: Of all files: 5,000 machines or so, half a second's work.
_LARGE_BYTES = 1_000_000
_NICE = 10  # who boots comes first
#: Seconds after which the other process is ended: a folder that hangs must not keep us from reading
#: anew, nor from stopping.  100,000 machines take ten.
_PATIENCE_S = 600.0
_DYING_S = 1.0  # from the end of its answer to its own
# Before anything is imported; as ordinary work, whatever the daemon is: a real-time one would wait.
_PROGRAM = f"""\
import contextlib, os, sys
with contextlib.suppress(OSError):  # a sandbox forbids it
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
with contextlib.suppress(OSError):
    os.nice({_NICE})
sys.path[:] = {{path!r}}
from netbootd import rehearsal
rehearsal.read_for_another()
"""


class Rehearsal:
    """
    Reads *file* whenever it is called, with what is then pending, and with what a rehearsal of
    every machine's boot found as well; raises ConfigErrors.  For threads: it may take seconds.

    *served* are the documents of the configuration that is served meanwhile, none at the start.
    """

    def __init__(
        self, file: Path, only_interfaces: tuple[str, ...] = (), served: Sequence[str] = ()
    ) -> None:
        self._file = file
        self._only_interfaces = only_interfaces
        self._documents = served
        self._serves = bool(served)
        self._readers: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def __call__(self, pending: Pending = NOTHING_PENDING) -> Registry:
        """A complete new registry."""
        registry = self._read(pending)
        self._documents = registry.documents
        return registry

    def stop(self) -> None:
        """End what is read at this moment, with ConfigErrors; and whatever is to be read later."""
        with self._lock:
            self._stopped = True
            for reader in self._readers:
                reader.kill()

    def _read(self, pending: Pending) -> Registry:
        if _size(self._file, self._documents) > _LARGE_BYTES:
            try:
                return self._read_by_another(pending)
            except ConfigErrors:
                raise
            except Exception:  # no room for a process, a file that changes meanwhile, a bug of ours
                log.warning(
                    "no process can read the configuration for us; reading it here", exc_info=True
                )
        return rehearsed_here(self._file, self._only_interfaces, pending)

    def _read_by_another(self, pending: Pending) -> Registry:
        """Raises ConfigErrors as reading does, and anything else where it came to nothing."""
        program = [sys.executable, "-c", _PROGRAM.format(path=sys.path)]
        with subprocess.Popen(  # noqa: S603  ourselves
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as reader:
            late = threading.Timer(_PATIENCE_S, reader.kill)
            late.start()
            try:
                self._begins(reader)
                return _asked(reader, (self._file, self._only_interfaces, dict(pending)))
            except ConfigErrors:
                raise
            except Exception:
                if self._serves and (killed := _killed(reader)):
                    raise self._refusal(killed) from None
                raise
            finally:
                late.cancel()
                late.join()  # whoever gives up root's rights does so for one thread
                with self._lock:
                    self._readers.discard(reader)
                reader.kill()  # it has ended, or nobody needs it

    def _begins(self, reader: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._readers.add(reader)
            if self._stopped:
                reader.kill()

    def _refusal(self, number: int) -> ConfigErrors:
        if self._stopped:
            why = "netbootd stops"
        else:
            why = (
                f"it was ended by signal {number}: there is no memory for it, or it took longer "
                f"than {_PATIENCE_S / 60:.0f} min"
            )
        told = f"the process that reads the configuration came to no end: {why}"
        finding = Finding(Level.RELOAD, "reader-ended", told, Place(str(self._file)))
        return ConfigErrors([finding], [str(self._file)])


def rehearsed(
    file: Path, only_interfaces: tuple[str, ...] = (), pending: Pending = NOTHING_PENDING
) -> Registry:
    """*file* read once, where nothing is served yet; raises ConfigErrors."""
    return Rehearsal(file, only_interfaces)(pending)


def rehearsed_here(
    file: Path, only_interfaces: tuple[str, ...] = (), pending: Pending = NOTHING_PENDING
) -> Registry:
    """The same in this process, whatever the size."""
    registry = load(file, only_interfaces, pending)
    return replace(registry, findings=(*registry.findings, *rehearse(registry)))


def _size(file: Path, documents: Iterable[str]) -> int:
    """Bytes of *file*, its drop-ins, and what else was read last, such as what it includes."""
    paths = {str(file), *documents}
    with contextlib.suppress(OSError):
        paths |= {str(path) for path in (file.parent / FOLDER).iterdir()}
    total = 0
    for path in paths:
        with contextlib.suppress(OSError):
            total += Path(path).stat().st_size
    return total


def _asked(
    reader: subprocess.Popen[bytes], question: tuple[Path, tuple[str, ...], Pending]
) -> Registry:
    """What *reader* answers; raises ConfigErrors."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    with reader.stdin as asking:
        pickle.dump(question, asking)
    return _taken(cast(BinaryIO, reader.stdout), question[0].parent)


def _killed(reader: subprocess.Popen[bytes]) -> int:
    """The signal that has ended *reader*, 0 for none."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        reader.wait(_DYING_S)
    return max(0, -(reader.returncode or 0))


def _taken(answer: BinaryIO, folder: Path) -> Registry:
    refused = pickle.load(answer)  # noqa: S301  by our own program
    if refused is not None:
        raise ConfigErrors(*refused)
    return crossing.take(answer, folder)


def read_for_another() -> None:
    """The other process: from standard input what to read, to standard output what came of it."""
    gc.disable()  # it does not live long enough
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever prints does not disturb
        file, only_interfaces, pending = pickle.load(sys.stdin.buffer)  # noqa: S301  by the daemon
        try:
            registry = rehearsed_here(file, only_interfaces, pending)
        except ConfigErrors as problem:
            pickle.dump((problem.findings, problem.files), answer)
        else:
            pickle.dump(None, answer)
            crossing.give(registry, answer)
        answer.flush()
        os._exit(0)  # nobody waits for 100,000 machines to be put away
