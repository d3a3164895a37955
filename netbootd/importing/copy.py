"""
Chosen files of a medium become one new folder, whole or not at all.

They are written into a hidden folder beside it, which takes its name at the very end; a full disk,
an interrupt or a medium that lies about a size removes that again.  Only files and folders are
made, never a link, so nothing that is written can lead elsewhere.  What a killed run has left
behind, the next one that imports into the same parent folder clears away.

A folder that is there already is never changed: it is compared byte by byte.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from netbootd.errors import MediaError
from netbootd.importing.progress import Progress, sized
from netbootd.importing.sources import BLOCK, Source, read_blocks
from netbootd.printable import counted

_FOLDER_MODE, _FILE_MODE = 0o755, 0o644  # whatever the medium or the umask: the daemon reads them
_MOST_NAMED = 5
_WORKSHOP = ".{}.importing"  # of a folder's name


@dataclass(frozen=True, slots=True)
class Item:
    """
    One file to be made: *path* below the folder, *size* in bytes.

    Its bytes are those of the medium's entry *number*; else the SHA-1 in hex of the item *digest*
    (https://www.rfc-editor.org/rfc/rfc3174); else the medium itself.
    """

    path: str
    size: int
    number: int | None = None
    digest: str = ""


def copy(
    source: Source, items: Sequence[Item], folder: Path, progress: Progress, remedy: str
) -> bool:
    """
    Make *folder* of *items*; False where it was there already, with these very files.

    Raises MediaError where it is there with others, for which *remedy* is told, where there is no
    room, and where the medium cannot be read.
    """
    if os.path.lexists(folder):
        _must_be_the_same(source, items, folder, progress, remedy)
        return False
    _must_have_room(sum(item.size for item in items), folder)
    try:
        with _workshop(folder) as workshop:
            for item, blocks in _contents(source, items, workshop):
                _write(workshop / item.path, item, blocks, progress)
    except OSError as problem:
        named = problem.filename or folder
        raise MediaError(f"{named}: {problem.strerror}; nothing was left behind") from None
    return True


# -- what is to be written -------------------------------------------------------------------------


def _contents(
    source: Source, items: Sequence[Item], folder: Path
) -> Iterator[tuple[Item, Iterator[bytes]]]:
    """
    Each item with its bytes, in the medium's own order, so that it is read from front to back.

    Then come those that are made of files of *folder*: what stands twice, and digests.
    """
    first: dict[int, Item] = {}
    later: list[Item] = []
    for item in items:
        if item.number is None or first.setdefault(item.number, item) is not item:
            later.append(item)
    yield from _from_medium(source, first)
    for item in sorted(later, key=lambda one: bool(one.digest)):
        if item.digest:
            yield item, iter([_sha1(folder / item.digest)])
        else:
            original = None if item.number is None else folder / first[item.number].path
            yield item, read_blocks(original or source.file.resolve())


def _from_medium(source: Source, wanted: dict[int, Item]) -> Iterator[tuple[Item, Iterator[bytes]]]:
    waiting = set(wanted)
    if not waiting:
        return
    with closing(source.entries()) as entries:
        for number, entry in enumerate(entries):
            if number in waiting:
                yield wanted[number], entry.blocks()
                waiting.remove(number)
                if not waiting:
                    return
    raise MediaError(f"{source.file} has changed while it was read")


def _sha1(file: Path) -> bytes:
    digest = hashlib.sha1(usedforsecurity=False)
    for block in read_blocks(file):
        digest.update(block)
    return digest.hexdigest().encode()


# -- writing ---------------------------------------------------------------------------------------


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A folder beside *folder* that takes its place at the end, or goes, whatever happens."""
    parents = _made_parents(folder.parent)
    workshop = folder.with_name(_WORKSHOP.format(folder.name))
    try:
        _clear_away(folder.parent)
        with _locked(workshop):
            try:
                _empty(workshop)
                yield workshop
                os.sync()  # a power cut must not leave the name and not the bytes
                workshop.rename(folder)
            except BaseException:
                shutil.rmtree(workshop, ignore_errors=True)
                raise
    except BaseException:
        _remove_empty(parents)
        raise


@contextmanager
def _locked(workshop: Path) -> Iterator[None]:
    """One import at a time works in *workshop*; a lock of a run that was killed is gone with it."""
    workshop.mkdir(exist_ok=True)
    try:
        with _held(workshop) as descriptor:
            os.fchmod(descriptor, _FOLDER_MODE)
            yield
    except BlockingIOError:
        raise MediaError(f"another import is writing {workshop}") from None


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """*folder*, locked, by its descriptor; raises BlockingIOError where another import is in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def _clear_away(parent: Path) -> None:
    """Remove what killed runs have left in *parent*, and nothing that another is writing."""
    for left in parent.glob(_WORKSHOP.format("*")):
        with suppress(OSError), _held(left):  # no folder, or not ours to remove
            shutil.rmtree(left)


def _empty(folder: Path) -> None:
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def _made_parents(folder: Path) -> list[Path]:
    """Make *folder* and those above it that are missing; the new ones, the deepest first."""
    made: list[Path] = []
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir()
        missing.chmod(_FOLDER_MODE)
        made.insert(0, missing)
    return made


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return  # somebody else uses it by now


def _write(path: Path, item: Item, blocks: Iterator[bytes], progress: Progress) -> None:
    try:
        _make_folders(path.parent)
        opened = path.open("xb")
    except (FileExistsError, NotADirectoryError):
        raise MediaError(f"{item.path} is a file and a folder at once on the medium") from None
    with opened:
        os.fchmod(opened.fileno(), _FILE_MODE)
        for block in _exactly(item, blocks):
            opened.write(block)
            progress.add(len(block))


def _make_folders(folder: Path) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir()
        folder.chmod(_FOLDER_MODE)


def _exactly(item: Item, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """*blocks* as long as they are within the item's size; raises MediaError at any other size."""
    left = item.size
    for block in blocks:
        left -= len(block)
        if left < 0:
            break
        yield block
    if left:
        told = "more" if left < 0 else f"{item.size - left}"
        raise MediaError(f"{item.path}: the medium says {item.size} bytes, and has {told}")


def _must_have_room(size: int, folder: Path) -> None:
    there = next(one for one in folder.parents if one.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        raise MediaError(
            f"{there} has {sized(free)} free, and {sized(size)} are needed; nothing was copied"
        )


# -- comparing -------------------------------------------------------------------------------------


def _must_be_the_same(
    source: Source, items: Sequence[Item], folder: Path, progress: Progress, remedy: str
) -> None:
    other = [item.path for item in items if not _is_file_of_size(folder / item.path, item.size)]
    if not other:
        for item, blocks in _contents(source, items, folder):
            if not _same(folder / item.path, item, blocks, progress):
                other.append(item.path)
    if other:
        named = ", ".join(other[:_MOST_NAMED]) + (", …" if len(other) > _MOST_NAMED else "")
        raise MediaError(
            f"{folder} is there already, and {counted(len(other), 'file')} in it not as on the "
            f"medium: {named}; nothing was changed.  {remedy}"
        )


def _is_file_of_size(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError as problem:
        if problem.errno != errno.ENAMETOOLONG:
            raise
        return False


def _same(path: Path, item: Item, blocks: Iterator[bytes], progress: Progress) -> bool:
    with path.open("rb", buffering=BLOCK) as opened:
        for block in _exactly(item, blocks):
            if opened.read(len(block)) != block:
                return False
            progress.add(len(block))
        return not opened.read(1)
