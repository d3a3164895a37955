"""
A client-supplied path becomes bytes, or a refusal.  Containment lives here and nowhere else.

Two kinds of bytes are served.  *Programs* (loaders and what they load next) are held in memory
under the names that were found when the configuration was loaded (``programs``).  *Files* are
everything below the file root, opened for each request, except templates (``.j2``): what they
render to is served, by whoever renders, their text never is.

The path is what the client wrote, after its protocol's own decoding (percent signs are decoded by
HTTP only, and once).  Backslashes count as slashes (Windows loaders), runs of slashes as one
(PXELINUX), a leading slash is dropped.  Symbolic links may be followed as long as they stay below
the root; the check is made on the file that was opened, so a link changed at that moment gains
nothing.  A hard link cannot be told from the file itself; Linux lets nobody make one to what is not
his (fs.protected_hardlinks, proc_sys_fs(5)).

A file is sent as it was when it was opened.  Whoever replaces or removes it changes its name only,
and it goes on to its end; one that is written to, or cut, raises Changed after the next bytes that
are read: everything before was the file as it was.  Times tell: since Linux 6.13 a change after a
look at them gives other ones, before that one within the same tick of the kernel's clock (1 to 10
ms) may not.  What they do not tell at all is said in docs/security.rst.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from netbootd import urls
from netbootd.errors import Changed, Forbidden, NotFound, Shortened
from netbootd.pieces import Pieces
from netbootd.programs import Program
from netbootd.rendering import SUFFIX

_LONGEST_PATH = 1024
_MOST_KEPT = 1024  # paths taken apart: whole racks ask for the same
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME = 255  # NAME_MAX of every Linux file system
_ABSENT = {errno.ENOENT, errno.ENOTDIR}
#: Not for us to open, whenever we try: no right to it, a loop of links, a socket, too long a name.
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG}


#: What tells a program or the state of a file from all others.
Stamp = tuple[int | str, ...]


class Content:
    """
    The bytes of one answer: *size* in bytes, an *etag* that changes whenever they do.

    Either *held* (bytes in memory) or an open file *fd*; ``read`` serves both.  The owner closes.
    Without an *etag* one is made: of the file's status, or of all the bytes held.  *stamp* tells
    what many ask for: a file by its status, a program by its *etag*; None where it is made for one.
    *where* on the disk a file was when it was opened.
    """

    __slots__ = ("_etag", "_status", "fd", "held", "modified", "name", "size", "stamp", "where")

    def __init__(
        self,
        name: str,
        *,
        held: bytes | Pieces | None = None,
        fd: int = -1,
        status: os.stat_result | None = None,
        etag: str = "",
        where: str = "",
    ) -> None:
        self.name = name
        self.where = where
        self.held = held
        self.fd = fd
        self.stamp: Stamp | None = None
        self._status = status
        if status is not None:
            self.stamp = _stamp(status)
            self.size = status.st_size
            self.modified = int(status.st_mtime)
            self._etag = etag or "-".join(f"{part:x}" for part in self.stamp[1:])
        else:
            assert held is not None
            self.size = len(held)
            self.modified = 0
            self._etag = etag
            if etag:
                self.stamp = (etag,)

    @property
    def etag(self) -> str:
        """Of all bytes held only when somebody asks: an overlay of 16 MiB would take 30 ms."""
        if not self._etag and self.held is not None:
            self._etag = _digest(self.held)
        return self._etag

    def read(self, offset: int, count: int) -> bytes:
        """Up to *count* bytes from *offset*, fewer at the end; raises Changed."""
        if self.held is not None:
            return self.held[offset : offset + count]
        data = os.pread(self.fd, count, offset)
        self.confirm()
        return data

    def view(self, offset: int, count: int) -> memoryview:
        """As ``read``, of what is held; nothing is copied, and more may follow where it ends."""
        if isinstance(self.held, Pieces):
            return self.held.view(offset, count)
        return memoryview(self.held or b"")[offset : offset + count]

    def read_into(self, rooms: Sequence[memoryview], offset: int) -> int:
        """
        Fill *rooms*, one behind the other, from *offset* of a file on; how many bytes it had.

        Raises Changed.
        """
        count = os.preadv(self.fd, rooms, offset)
        self.confirm()
        return count

    def confirm(self) -> None:
        """Whoever has read of a file has read what was opened; raises Changed."""
        before = self._status
        if before is None:
            return
        now = os.fstat(self.fd)
        if now.st_ctime_ns == before.st_ctime_ns and _bytes_of(now) == _bytes_of(before):
            return
        if now.st_size < before.st_size:
            raise Shortened("the file has become shorter")
        if _bytes_of(now) != _bytes_of(before):
            raise Changed("the file was written to while it was sent")
        where = _where(self.fd)
        if _owned(now) == _owned(before) and where == self.where:
            raise Changed("the file was written to while it was sent, and its time set back")
        self._status, self.where = now, where  # another name or owner, or no name any more

    def settled(self, before: float) -> bool:
        """Whether nothing has changed it since *before*, in seconds since 1970."""
        if self.fd < 0:
            return True
        status = os.fstat(self.fd)
        return _stamp(status) == self.stamp and max(status.st_mtime, status.st_ctime) < before

    def close(self) -> None:
        """Give the file back; twice does no harm."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _digest(held: bytes | Pieces) -> str:
    digest = hashlib.sha256()
    for piece in (held,) if isinstance(held, bytes) else held:
        digest.update(piece)
    return digest.hexdigest()[:32]


def _where(fd: int) -> str:
    """Where the open file *fd* stands now; with " (deleted)" behind it where it does no more."""
    return os.readlink(f"/proc/self/fd/{fd}")


def _bytes_of(status: os.stat_result) -> tuple[int, ...]:
    """What changes when the bytes do."""
    return status.st_size, status.st_mtime_ns


def _owned(status: os.stat_result) -> tuple[int, ...]:
    """What may change without the bytes; the number of names falls when one is replaced."""
    return status.st_nlink, status.st_mode, status.st_uid, status.st_gid


def _stamp(status: os.stat_result) -> Stamp:
    """A file that was written, or moved to another name, has another."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@lru_cache(maxsize=_MOST_KEPT)
def parts_of(path: str) -> tuple[str, ...]:
    """
    The clean parts of a client's path; raises Forbidden for one that no honest client sends.

    An empty path has no parts.  ``.`` is dropped, ``..`` refused wherever it stands.
    """
    if len(path) > _LONGEST_PATH:
        raise Forbidden(f"path of {len(path)} characters")
    if _CONTROL.search(path):
        raise Forbidden(f"control character in {path!r}")
    parts = tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))
    if ".." in parts:
        raise Forbidden(f"{path!r} leaves the root")
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts):
        raise Forbidden("file name of more than 255 bytes")
    return parts


def of_program(program: Program) -> Content:
    """A boot program, which is held in memory."""
    return Content(program.name, held=program.data, etag=program.sha256[:32])


@dataclass(frozen=True, slots=True)
class Closed:
    """*files*, and whatever *begins* so, are never served; both are real paths of the disk."""

    files: frozenset[str] = frozenset()
    begins: tuple[str, ...] = ()

    def __contains__(self, real: str) -> bool:
        return real in self.files or real.startswith(self.begins)


@dataclass(frozen=True, slots=True)
class Library:
    """
    All that can be fetched: the programs by name, and everything below *root* but what is *closed*.
    """

    root: Path
    programs: Mapping[str, Program] = field(default_factory=dict)
    closed: Closed = Closed()
    real_root: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "real_root", os.path.realpath(self.root))

    def lookup(self, path: str) -> Content:
        """
        Open what *path* names.

        Raises NotFound where there is nothing but perhaps a template, Forbidden for a path that
        leaves the root, for anything but a regular file, and for one we may not read.  An OSError
        that says nothing about the path (no descriptor left, EIO, ESTALE) passes: another time it
        may go well.
        """
        parts = parts_of(path)
        if not parts:
            raise NotFound("the empty path")
        if program := self.program("/".join(parts)):
            return of_program(program)
        if self.refuses("/".join(parts)):
            raise Forbidden(f"{'/'.join(parts)!r} is not what SHA256SUMS lists")
        return self._open("/".join(parts))

    def program_at(self, path: str) -> Program | None:
        """The program that ``lookup`` would find, None for a file; raises Forbidden."""
        return self.program("/".join(parts_of(path)))

    def template(self, path: str) -> Content:
        """Open the template that *path* names, to render it; raises what ``lookup`` raises."""
        return self._open("/".join(parts_of(path)), templates=True)

    def renders(self, path: str) -> bool:
        """Whether there is a template for *path*."""
        try:
            self.template(path + SUFFIX).close()
        except (NotFound, Forbidden, OSError):
            return False
        return True

    def holds(self, path: str) -> bool:
        """Whether *path* of the disk, links followed, lies below the root."""
        return self._is_inside(os.path.realpath(path))

    def program(self, name: str) -> Program | None:
        """The loader of that name or alias: no look at the disk."""
        found = self.programs.get(urls.ALIASES.get(name, name))
        return None if found is None or found.altered else found

    def refuses(self, name: str) -> bool:
        """Whether there is a loader of that name or alias, and it is not the one it is to be."""
        found = self.programs.get(urls.ALIASES.get(name, name))
        return found is not None and found.altered

    def followed(self, path: str) -> str:
        """What *path* is called below the root with links followed, without a template's ending."""
        try:
            real = self._real(path)[0]
        except (OSError, ValueError):  # too long, a NUL: no file has such a name
            return path
        return real.removeprefix(self.real_root.rstrip("/") + "/").removesuffix(SUFFIX)

    def where(self, path: str) -> Path:
        """Where below the root *path* would stand, for messages."""
        return self.root.joinpath(*parts_of(path))

    def _open(self, relative: str, *, templates: bool = False) -> Content:
        try:
            real, mode = self._real(relative)
        except OSError as problem:  # of realpath, where a link has become something else meanwhile
            if problem.errno == errno.EINVAL:
                raise NotFound(relative) from None
            raise _refusal(problem, relative) from None
        self._must_be_inside(real, relative)
        if real.endswith(SUFFIX) and not templates:
            raise NotFound(relative)
        try:
            # A device may act when it is opened: a tape rewinds, a watchdog begins to count.
            if not stat.S_ISREG(mode or os.lstat(real).st_mode):
                raise Forbidden(f"{relative!r} is not a regular file")
            # Not blocking: a FIFO put there now must not hold up the reactor.
            fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as problem:
            raise _refusal(problem, relative) from None
        try:
            where = _where(fd)
            self._must_be_inside(where, relative)
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise Forbidden(f"{relative!r} is not a regular file")
        except BaseException:
            os.close(fd)
            raise
        return Content(relative, fd=fd, status=status, where=where)

    def _real(self, relative: str) -> tuple[str, int]:
        """
        Where *relative* leads, and the mode of that, 0 where nobody has looked.

        The root is real, so without a link below it that is plain.
        """
        path, mode = self.real_root.rstrip("/"), 0
        for part in relative.split("/"):
            path = f"{path}/{part}"
            try:
                mode = os.lstat(path).st_mode
            except OSError:  # not there, say; realpath knows
                mode = 0
            if not mode or stat.S_ISLNK(mode):
                return os.path.realpath(os.path.join(self.real_root, relative)), 0
        return path, mode

    def _must_be_inside(self, real: str, asked: str) -> None:
        if not self._is_inside(real):
            raise Forbidden(f"{asked!r} leads out of the root")
        if real in self.closed:
            raise Forbidden(f"{asked!r} is of netbootd's own configuration, state or secrets")

    def _is_inside(self, real: str) -> bool:
        return real.startswith(self.real_root.rstrip("/") + "/")


def _refusal(problem: OSError, path: str) -> NotFound | Forbidden | OSError:
    if problem.errno in _ABSENT:
        return NotFound(path)
    if problem.errno in _NOT_OURS:
        return Forbidden(f"{path!r}: {problem.strerror}")
    return problem
