"""
Word of changed configuration files.

inotify is the doorbell, stat(2) is the truth.  What is watched are folders: an editor that renames
a new file over the old one leaves a watch on the file itself with the old one.  Which folders, is
found by following each path through its symbolic links; every link on the way counts, so that
Kubernetes' swap of ``..data`` is heard as well as a changed target.  A path that does not exist is
awaited in the nearest folder that does.

    quiet ── rings ──► settling ── 0.2 s of silence, or 0.6 s in all ──► told if changed ──► quiet
                         ▲ │
                         └─┘ rings again

What rings: an event that names a watched file *is* a change (the time of a file is too coarse to
tell two quick writes apart); all others, a folder deleted or a mode changed, only lead to a look at
what stat says.  A new regular file does not ring until it is closed: it would be read half written.

Of a folder only the names in it count.  Whoever read a file there gives its path as well, and the
others may be anything: were their content to count, a log of ours beside the configuration would
make each reload the cause of the next.

Twisted's INotify serves, with two things to know.  It hangs up when any watched folder is deleted;
then, and whenever the folders are others than before, a new one is made.  And it does not hear that
events were lost (IN_Q_OVERFLOW), nor does inotify hear what happens on the server of a network file
system: hence a look now and then without any event.  If the kernel grants no watch, that look is
taken every second instead.

Sources: inotify(7), path_resolution(7), twisted.internet.inotify.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import inotify
from twisted.internet.inotify import INotifyError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.filepath import FilePath

log = Logger(namespace="netbootd")

_DELAY_S = 0.2
_LONGEST_S = 0.6  # a change is in force a second after the file is closed; loading has the rest
_LOOK_S = 30.0
_POLL_S = 1.0  # without inotify
_MOST_LINKS = 40  # path_resolution(7): more in one path are ELOOP

_FOLDER_GONE = inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF | inotify.IN_UNMOUNT
_EVENTS = (
    inotify.IN_CLOSE_WRITE
    | inotify.IN_MOVED
    | inotify.IN_CREATE
    | inotify.IN_DELETE
    | inotify.IN_ATTRIB
    | _FOLDER_GONE
)

#: What stat says of a path and, for a folder, the names in it; None where there is nothing.
State = tuple[Any, ...] | None


class Watcher:
    """
    Calls *on_change* once after the files of *paths*, or the names in its folders, have changed.

    *delay* in seconds is how long events must have ceased; never waits more than 0.6 s for that.
    Paths may be missing, or be links.  In a folder, hidden names and those of editors do not count.
    """

    def __init__(
        self,
        reactor: Any,
        paths: Iterable[Path],
        on_change: Callable[[], None],
        delay: float = _DELAY_S,
    ) -> None:
        self._reactor = reactor
        self._on_change = on_change
        self._delay = min(delay, _LONGEST_S)
        self._paths = _absolute(paths)
        self._spots: dict[str, _Spot] = {}
        self._bell: inotify.INotify | None = None
        self._polling = False
        self._timer: Any = None
        self._rang_first = 0.0
        self._certain = False
        self._ours: dict[str, State] = {}
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._arm()
        self._seen = _states(self._paths)

    def update(self, paths: Iterable[Path]) -> None:
        """
        Watch *paths* from now on.

        Of those that were watched before, a change that has not been told yet still will be.
        """
        self._paths = _absolute(paths)
        self._arm()
        now = _states(self._paths)
        self._seen = {path: self._seen.get(path, now[path]) for path in self._paths}
        if now != self._seen:
            self._ring(certain=False)

    def about_to_read(self, written: Iterable[Path] = ()) -> None:
        """
        All that has changed up to now is going to be read, so it need not be told.

        *written* are files that we have just written ourselves: of these events may still come.
        """
        self._ours = {str(path): _state(str(path)) for path in _absolute(written)}
        self._certain = False
        self._seen = _states(self._paths)

    def close(self) -> None:
        """Call nobody any more; twice does no harm."""
        self._hang_up()
        if self._looking.running:
            self._looking.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the truth -----------------------------------------------------------------------------

    def _look(self) -> None:
        """Take what stat says as an event, if it is news."""
        if _states(self._paths) != self._seen:
            self._ring(certain=False)

    def _ring(self, *, certain: bool) -> None:
        """Something happened; *certain* if it is a change whatever stat says."""
        self._certain |= certain
        now = self._reactor.seconds()
        if self._timer is None:
            self._rang_first = now
            self._timer = self._reactor.callLater(self._delay, self._settled)
        else:
            self._timer.reset(max(0, min(self._delay, self._rang_first + _LONGEST_S - now)))

    def _settled(self) -> None:
        self._timer = None
        certain, self._certain = self._certain, False
        self._arm()  # before looking, so that nothing falls between
        before, self._seen = self._seen, _states(self._paths)
        if not certain and before == self._seen:
            return
        try:
            self._on_change()
        except Exception:  # the next change must still be told
            log.failure("a change of the configuration could not be passed on")

    # -- the doorbell --------------------------------------------------------------------------

    def _arm(self) -> None:
        """Listen in the folders that count now; where that is refused, look every second."""
        spots = _spots(self._paths)
        if self._bell is None or self._bell.disconnected or spots.keys() != self._spots.keys():
            self._hang_up()
            self._bell = self._listening(spots)
        self._spots = spots
        interval = _LOOK_S if self._bell else _POLL_S
        if not self._looking.running or self._looking.interval != interval:
            self._look_every(interval)

    def _look_every(self, interval: float) -> None:
        if self._looking.running:
            self._looking.stop()
        self._looking.start(interval, now=False)

    def _listening(self, spots: dict[str, _Spot]) -> inotify.INotify | None:
        bell = None
        try:
            bell = inotify.INotify(self._reactor)
            for folder in spots:
                heard = partial(self._heard, bell, folder)
                bell.watch(FilePath(os.fsencode(folder)), _EVENTS, callbacks=[heard])
        except INotifyError as problem:
            if bell is not None:
                bell.loseConnection()
            self._say_polling(problem)
            return None
        bell.startReading()
        self._polling = False
        return bell

    def _say_polling(self, problem: INotifyError) -> None:
        if not self._polling:
            log.warn(
                "cannot watch the configuration by inotify, looking every second instead:"
                " {problem}; if it is the host's limits, raise fs.inotify.max_user_watches or"
                " fs.inotify.max_user_instances",
                problem=problem,
            )
        self._polling = True

    def _hang_up(self) -> None:
        if self._bell is not None:
            self._bell.loseConnection()
            self._bell = None

    def _heard(
        self, bell: inotify.INotify, folder: str, _: object, path: FilePath[bytes], mask: int
    ) -> None:
        """An event in *folder*, or of the folder itself."""
        if bell is not self._bell:
            return
        if mask & _FOLDER_GONE:
            self._spots = {}  # whatever has that path next must be watched anew
            self._ring(certain=False)
            return
        name = os.fsdecode(path.basename())
        spot = self._spots.get(folder)
        if spot is not None and spot.matters(name) and not _is_half_written(path, mask):
            certain = name in spot.names and not mask & inotify.IN_ATTRIB
            self._ring(certain=certain and not self._is_ours(os.path.join(folder, name)))

    def _is_ours(self, path: str) -> bool:
        """Whether *path* is as we left it ourselves."""
        return path in self._ours and _state(path) == self._ours[path]


def _is_half_written(path: FilePath[bytes], mask: int) -> bool:
    """A regular file of one name that was just created: the end of its writing will ring."""
    if not mask & inotify.IN_CREATE:
        return False
    try:
        status = os.lstat(path.path)
    except OSError:  # gone again, which rings too
        return True
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


# --- where to listen -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Spot:
    """What counts in one folder: some *names* or, if *whole*, all but what editors leave."""

    names: set[str] = field(default_factory=set)
    whole: bool = False

    def matters(self, name: str) -> bool:
        return name in self.names or (self.whole and not _is_by_product(name))


def _is_by_product(name: str) -> bool:
    """
    Whether editors and package managers make such files beside the real one.

    Hidden ones (vim's ``.x.swp``), backups, Emacs' ``#x#``, vim's probe ``4913``, and dpkg's.
    """
    return (
        name.startswith((".", "#"))
        or name.endswith(("~", ".swp", ".tmp", ".bak", ".orig"))
        or ".dpkg-" in name
        or name == "4913"
    )


def _absolute(paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.abspath(path) for path in paths))


def _spots(paths: Iterable[str]) -> dict[str, _Spot]:
    """The folders to listen in, and what counts there."""
    spots: dict[str, _Spot] = {}
    folders: dict[str, str] = {}  # each that was walked to, and where that leads
    for path in paths:
        folder, name = os.path.split(path)
        real = folders.get(folder)
        mode = 0 if real is None else _mode(os.path.join(real, name))
        if real is None or stat.S_ISLNK(mode):
            for spot, hop in _hops(path):
                spots.setdefault(spot, _Spot()).names.add(hop)
            mode = _mode(os.path.realpath(path))
            if os.path.isdir(folder):
                folders[folder] = os.path.realpath(folder)
        else:  # thousands of files have the same way before them
            spots.setdefault(real, _Spot()).names.add(name)
        if stat.S_ISDIR(mode):
            spots.setdefault(os.path.realpath(path), _Spot()).whole = True
    return spots


def _mode(path: str) -> int:
    """What *path* is itself, 0 for nothing."""
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _hops(path: str) -> Iterator[tuple[str, str]]:
    """
    Every folder and name in it by whose change *path* may come to mean something else.

    That is each link on the way, the end, and the first thing that is missing (path_resolution(7)).
    """
    here, ahead, links = "/", path.split("/")[::-1], 0
    while ahead and links < _MOST_LINKS:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            here = os.path.dirname(here)
            continue
        there = os.path.join(here, part)
        target = _link(there)
        if target is not None:
            links += 1
            ahead += target.split("/")[::-1]
        if target is not None or not ahead or not os.path.lexists(there):
            yield here, part
        if target is None:
            if not os.path.lexists(there):
                return
            here = there
        elif target.startswith("/"):
            here = "/"


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


# --- what stat says ------------------------------------------------------------------------------


def _states(paths: Iterable[str]) -> dict[str, State]:
    return {path: _state(path) for path in paths}


def _state(path: str) -> State:
    """Enough to tell one version of a file, or one set of names, from the next."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    identity = (status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        return *identity, *_names(path)
    return *identity, status.st_size, status.st_mtime_ns


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not _is_by_product(name))
    except OSError:  # gone, or not ours to read
        return []
