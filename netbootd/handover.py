"""
The folders of a daemon that root has started and that becomes a plain user (``privilege``): those
that it writes are handed to that user, of those that it reads it is found out what keeps it out.

Handed over is what is root's, and of what netbootd makes what is ``nobody``'s: so it was run before
the host had a user for it.  A process of nobody may have put something there, and gains nothing by
that: whoever owns a file can let everybody read and write it, and the daemon would use it as well;
no setting of ours asks for the owner of what we make.  With what else lies there it may be
otherwise (a secret's file must be root's or the daemon's), so that stays nobody's.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path, PurePath

from netbootd import heldfolder, privilege
from netbootd.config import Config
from netbootd.custody import barrier, named
from netbootd.dropins.reading import FOLDER
from netbootd.errors import NetbootdError
from netbootd.printable import printable
from netbootd.privilege import User, acting_as

_FOLDER_MODE, _READ_BY_ALL = 0o750, 0o755
#: Folders that are everybody's: none of them is handed to a user.
_SHARED = {
    "/",
    *(f"/{name}" for name in ("bin", "boot", "dev", "etc", "home", "lib", "media", "mnt", "opt")),
    *(f"/{name}" for name in ("proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var")),
    *(f"/var/{name}" for name in ("cache", "lib", "local", "log", "opt", "spool", "tmp")),
}
_SHARE = {"/boot", "/etc", "/home", "/usr", "/usr/local"}  # all that lies directly in them
_ANY = re.compile(r"(?s:.*)")
#: What we make in the state folder, what libraries do, and what a disk has from the beginning.
_BOOKS = re.compile(r"(?:record|boots|leases)\.sqlite")
_OF_STATE = re.compile(
    r"(?:record|boots|leases)\.sqlite.*|record\.lost|api\.sock|(?:\.new-)?(?:api\.token|duid)"
    r"|pace\.(?:json|new)|logs|vms|shipping|\.cache|\.config|lost\+found"
)
_LOGS = re.compile(r"netbootd-\d{8}T\d{6}\..*\.jsonl.*")
_OF_LOGS = re.compile(rf"{_LOGS.pattern}|index\.sqlite.*|lost\+found")
_DROP_INS = re.compile(r"[^.].*\.json|\.netbootd-.*")  # and what an import is to make of them
_NAMED = 3  # of what is in a folder
#: Files of the file root and the like that are looked at: where these may be read, more are, too.
_LOOKED_AT = 1000
#: What Python, its libraries and hooks read of the system where reading is confined: nothing of
#: /etc with secrets, and no home.
_SYSTEM = (
    *(Path("/", name) for name in ("bin", "sbin", "lib", "lib32", "lib64", "opt", "usr")),
    *(Path("/", name) for name in ("dev", "proc", "run", "sys")),
    *(
        Path("/etc", name)
        for name in (
            *("alternatives", "ca-certificates", "gai.conf", "group", "host.conf", "hosts"),
            *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "machine-id"),
            *("nsswitch.conf", "os-release", "passwd", "pki/tls", "protocols", "resolv.conf"),
            *("services", "ssl/certs", "ssl/openssl.cnf", "timezone"),
        )
    ),
)


# -- written ---------------------------------------------------------------------------------------


class NotOurs(NetbootdError):
    """A folder cannot be handed over; the text says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class _Written:
    """
    A *folder* that the daemon writes, for *file* alone where that is set.

    *ours* is how what we make in it is called, *proof* what nobody else has: there the operator may
    keep more.  Of its files those are handed over that *given* matches, and not *deep* is none of
    its folders.  Without one that is *needed* nothing is served.
    """

    folder: Path
    ours: re.Pattern[str]
    proof: re.Pattern[str] | None = None
    file: Path | None = None
    mode: int = _FOLDER_MODE
    given: re.Pattern[str] = _ANY
    deep: bool = True
    needed: bool = True

    def others(self, names: Iterable[str]) -> list[str]:
        """What is somebody else's, of the *names* in it."""
        if self.proof and any(map(self.proof.fullmatch, names)):
            return []
        return sorted(name for name in names if not self.ours.fullmatch(name))

    def makes(self, *steps: str) -> bool:
        """Whether what is at *steps* below it is ours by its name; without them it is itself."""
        return not steps or self.ours.fullmatch(steps[0]) is not None


def hand_over(config: Config, file: Path, user: User) -> tuple[list[Path], list[str]]:
    """
    Give *user* what the daemon writes: the folders where that was another's, and what is wrong with
    others.

    *file* is the configuration, with its machines.d.  Raises NotOurs where a folder is somebody
    else's, as when its name is misspelt; then nothing must be served.
    """
    os.setgroups([])  # of root's groups nothing is needed any more
    changed: list[Path] = []
    troubles: list[str] = []
    for one in _written(config, file):
        try:
            if _give_folder(one, user, troubles.append):
                changed.append(one.folder)
        except NotOurs as problem:
            if one.needed:
                raise
            troubles.append(str(problem))
        except OSError as problem:
            troubles.append(f"{one.folder} cannot be handed to {user.name}: {problem.strerror}")
    return changed, troubles


def _written(config: Config, file: Path) -> Iterator[_Written]:
    yield _Written(config.state, _OF_STATE, _BOOKS)
    yield _Written(config.log_folder, _OF_LOGS if config.logs.folder else _ANY, _LOGS)
    drop_ins = file.parent / FOLDER
    if drop_ins.exists() or os.access(file.parent, os.W_OK):  # a medium is read-only for root, too
        given = _Written(drop_ins, _ANY, mode=_READ_BY_ALL, given=_DROP_INS)
        yield replace(given, deep=False, needed=False)
    for one, needed in ((config.dhcp.hosts, True), (config.api_socket, False)):
        if one is not None and one.parent not in (config.state, config.log_folder):
            name = re.escape(one.name)
            ours = re.compile(rf"{name}|\.{name}-\w+|lost\+found")  # one is not complete yet
            yield _Written(one.parent, ours, file=one, mode=_READ_BY_ALL, needed=needed)


def _give_folder(one: _Written, user: User, tell: Callable[[str], None]) -> bool:
    """
    Hand over *one* folder, made where it is missing, with what is in it; False for nothing.

    A file with a second name stays whose it is, since that may lie anywhere; and no link is
    followed but root's own on the way there.
    """
    if why := _shared(one.folder, Path(os.path.realpath(one.folder))):
        return _leave(one, user, why)  # and do not make it
    try:
        descriptor = heldfolder.opened(one.folder, one.mode)
    except heldfolder.ForeignLink as problem:
        told = f"{problem}, and what is root's there stays so: name that folder itself instead"
        return _leave(one, user, f"{told} of {one.folder}, or remove the link")
    try:
        if why := _shared(one.folder, heldfolder.path_of(descriptor)):
            return _leave(one, user, why)
        if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
            return False  # nothing can be given there, and whoever writes tells that
        if os.fstat(descriptor).st_mode & stat.S_ISVTX:
            return _leave(one, user, _not_alone(one.folder), descriptor)
        if others := one.others(os.listdir(descriptor)):
            return _leave(one, user, _anothers(one, user, others), descriptor)
        given = _give_all(one, descriptor, user)
        if one.needed and (told := _of_another(one, descriptor, user)):
            tell(told)
        return given
    finally:
        os.close(descriptor)


def _leave(one: _Written, user: User, why: str, opened: int | None = None) -> bool:
    """
    It stays whose it is, which will do if *user* may write there; NotOurs if not.  Where it is
    *opened*, what keeps others from the way there may be open to the daemon.
    """
    if _may_write("." if opened is not None else one.folder, user, opened):
        return False
    raise NotOurs(why)


def _may_write(path: str | Path, user: User, opened: int | None) -> bool:
    with acting_as(user.uid, user.gid):
        return os.access(path, os.W_OK | os.X_OK, dir_fd=opened, effective_ids=True)


def _of_another(one: _Written, folder: int, user: User) -> str:
    """What to type where the daemon was another user before, whom we cannot know; empty else."""
    owner = os.fstat(folder).st_uid
    if owner in (0, user.uid) or _may_write(".", user, folder):
        return ""
    line = f"chown -R {user.name} {shlex.quote(str(one.folder))}"
    return f"{one.folder} belongs to {named(owner)}, and {user.name} cannot write there: {line}"


def _shared(folder: Path, real: Path) -> str:
    """Why *folder*, which is really called *real*, cannot be for us alone; empty where it can."""
    shared = str(real) in _SHARED or (str(real.parent) in _SHARE and real.name != FOLDER)
    return _not_alone(folder) if shared else ""


def _not_alone(folder: Path) -> str:
    return f"{folder} is not netbootd's alone, and stays root's: name one below it"


def _anothers(one: _Written, user: User, others: list[str]) -> str:
    if one.file:
        return (
            f"{one.file} cannot be written by {user.name}: name a folder of its own for it, or let"
            f" {user.name} write to {one.folder}"
        )
    listed = ", ".join(map(printable, others[:_NAMED])) + (", …" if others[_NAMED:] else "")
    return (
        f"{one.folder} cannot be written by {user.name}, and is not handed over, for it holds what"
        f" netbootd does not make ({listed}): is the name right? One that is empty, or missing, is;"
        f" or let {user.name} write there, as with chown"
    )


def _give_all(one: _Written, folder: int, user: User) -> bool:
    nobody, given = privilege.last_resort(), 0
    before = {0, nobody.uid if nobody else 0} - {user.uid}
    for place, below, names, descriptor in os.fwalk(".", follow_symlinks=False, dir_fd=folder):
        steps = PurePath(place).parts
        given += _give(descriptor, user, before if one.makes(*steps) else {0})
        for name in filter(one.given.fullmatch, names):
            owners = before if one.makes(*steps, name) else {0}
            given += _give_file(name, descriptor, user, owners)
        if not one.deep:
            below.clear()
    return given > 0


def _give_file(name: str, folder: int, user: User, owners: set[int]) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError):  # a link, a socket, or one that has just gone
        descriptor = os.open(name, flags, dir_fd=folder)
        try:
            return _give(descriptor, user, owners)
        finally:
            os.close(descriptor)
    return False


def _give(descriptor: int, user: User, owners: set[int]) -> bool:
    status = os.fstat(descriptor)
    alone = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
    if status.st_uid not in owners or not alone:
        return False
    try:
        os.fchown(descriptor, user.uid, user.gid)
    except PermissionError:
        if status.st_uid == 0:
            raise
        return (
            False  # whoever is unknown to a user namespace looks like nobody (user_namespaces(7))
        )
    return True


# -- read ------------------------------------------------------------------------------------------


def read(config: Config, file: Path, watched: Iterable[str]) -> set[Path]:
    """
    What the daemon reads, as it is really called: files, and folders with all below them.

    *watched* is what the configuration *file* is made of.
    """
    named: set[Path | None] = {file.parent, *map(Path, watched), *_paths(config), *_hooks(config)}
    named -= {config.api_socket}  # is written, and may be an old one
    return {one.resolve() for one in named if one} | _program()


def system() -> set[Path]:
    """What else has to be readable for a program in Python."""
    return {path for path in _SYSTEM if path.exists()}


def beside(config: Config) -> set[Path]:
    """
    What a reload finds in the place of what is read now, where files are allowed and not names: the
    folder of a certificate, which is renewed by renaming, and what links among loaders lead to.
    """
    folders = {one.resolve().parent for one in config.tls.files}
    loaders = (one for folder in config.firmware if folder.is_dir() for one in folder.iterdir())
    linked = {one.resolve() for one in loaders if one.is_symlink()}
    return {one for one in folders | linked if str(one) not in _SHARED}


def kept_out(paths: Iterable[Path], file: Path, user: User) -> dict[Path, Path]:
    """Of *paths* those that *user* may not read, by what is in the way: itself, or a folder."""
    shallow = {*_program(), file.parent.resolve()}  # not all that lies there is read
    found: dict[Path, Path] = {}
    with acting_as(user.uid, user.gid):
        for path in sorted(paths):
            if closed := barrier(path) or (None if path in shallow else _closed_below(path)):
                found.setdefault(closed, path)
    return found


def _paths(config: object) -> Iterator[Path]:
    """The paths among all settings."""
    if isinstance(config, Path):
        yield config
    elif isinstance(config, tuple):
        for one in config:
            yield from _paths(one)
    elif is_dataclass(config):
        for field in fields(config):
            yield from _paths(getattr(config, field.name))


def _hooks(config: Config) -> Iterator[Path]:
    commands = config.hooks.commands
    return (Path(words[0]).parent for words in commands if words[0].startswith("/"))


def _program() -> set[Path]:
    """Ourselves: modules that are imported later."""
    places = (*sys.path, sys.prefix, sys.base_prefix, sys.executable)
    return {Path(one).resolve() for one in places if one} | {Path(__file__).resolve().parent}


def _closed_below(folder: Path) -> Path | None:
    looked_at = 0
    for place, folders, names in os.walk(folder):
        for wanted, below in ((os.R_OK | os.X_OK, folders), (os.R_OK, names)):
            for one in (Path(place, name) for name in below):
                if os.path.exists(one) and not os.access(one, wanted, effective_ids=True):
                    return one
        looked_at += len(names) + len(folders)
        if looked_at > _LOOKED_AT:
            return None
    return None
