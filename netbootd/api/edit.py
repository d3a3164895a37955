"""
Machines are changed: the entry of each becomes a drop-in of its own, checked before it is written
as a reload would check it.

What is written by hand is never touched.  A machine whose entry stands in such a file gets a
drop-in that counts over it, and has its own entry again when that goes.  A drop-in of ours that
somebody has changed by hand into more than one entry is theirs from then on.

Nothing here knows HTTP; all of it takes the disk's time, and belongs in a thread.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from netbootd.api import batch
from netbootd.api.altered import altered
from netbootd.api.dropin import Author, Change, file_name, text_of
from netbootd.api.entry import patched
from netbootd.api.no import No
from netbootd.api.secrecy import secrets_in
from netbootd.dropins.reading import FOLDER, MANAGED, NOTHING_PENDING, Pending, bytes_of
from netbootd.dropins.sections import MACHINES
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.mac import MAC
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import Object, decode

#: Machines of a table that are tried, each by itself; with more it would be a test of patience.
_MOST_TRIED = 200
#: Machines of a table that the audit tells of, one by one.
_MOST_TOLD = 10
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS}


class Written(NamedTuple):
    """An entry as it stands in a file, None where it is not there any more."""

    value: dict[str, Any] | None
    place: Place
    managed: bool


@dataclass(frozen=True, slots=True)
class Done:
    """
    What came of changes: what they mean now, what there is to say about them, and for the audit
    what was *altered*, a line for each of the first.
    """

    registry: Registry
    files: tuple[Path, ...]
    remarks: tuple[Finding, ...] = ()
    altered: tuple[str, ...] = ()


def key_of(machine: Machine) -> str:
    """What an entry of *machine* has for its key."""
    return machine.named or str(machine.macs[0] if machine.macs else machine.mac)


@dataclass(slots=True)
class _Files:
    """Files as they are read for one change, each once."""

    tops: dict[str, Object | None] = field(default_factory=dict)

    def top(self, file: str) -> Object | None:
        """The document of *file*, None where there is none that could be read."""
        if file not in self.tops:
            try:
                value = decode(bytes_of(Path(file)), file).value
            except (OSError, ConfigErrors):
                value = None
            self.tops[file] = value if isinstance(value, Object) else None
        return self.tops[file]


class Editor:
    """
    Changes the machines of the configuration *main*.

    *load* reads it as a reload does, with what is pending; it raises ConfigErrors.  A reload tries
    one machine of each kind; *tried* says what is wrong with just those that are changed.
    """

    def __init__(
        self,
        main: Path,
        load: Callable[[Pending], Registry],
        tried: Callable[[list[Machine], Registry], tuple[Finding, ...]],
    ) -> None:
        self._main = main
        self._load = load
        self._tried = tried
        self.folder = main.parent / FOLDER

    def written(self, machine: Machine, files: _Files | None = None) -> Written:
        """What stands in the file about *machine*, which may have the entry of many."""
        place = machine.place
        top = (files or _Files()).top(place.file)
        section = top.get(MACHINES) if top is not None else None
        value = section.get(machine.written) if isinstance(section, Object) else None
        plain = json.loads(json.dumps(value)) if isinstance(value, Object) else None
        if plain is not None and machine.macs and not machine.named and _is_off(machine.written):
            plain = {**plain, "enabled": False}  # its key says so, and ours will not
        return Written(plain, place, self._is_managed(place.file))

    def _is_managed(self, file: str) -> bool:
        path = Path(file)
        return path.parent == self.folder and path.name.startswith(MANAGED)

    # -- changes -------------------------------------------------------------------------------

    def add(self, key: str, entry: Mapping[str, Any], before: Registry, author: Author) -> Done:
        """A machine that is not listed yet."""
        if found := _listed(key, before):
            told = f"{key} is listed at {found.place}; change it there, or by PATCH (machines set)"
            raise No(HTTPStatus.CONFLICT, "listed-already", told)
        return self._make([Change(key, entry)], before, author)

    def put(
        self, machine: Machine, entry: Mapping[str, Any], before: Registry, author: Author
    ) -> Done:
        """The whole entry of *machine*."""
        change = Change(key_of(machine), entry, self._by_hand(self.written(machine)))
        return self._make([change], before, author)

    def patch(
        self, machine: Machine, keys: Mapping[str, Any], before: Registry, author: Author
    ) -> Done:
        """Some keys of its entry; None takes one away (RFC 7396)."""
        written = self._must_stand(machine, _Files())
        entry = patched(written.value, keys)
        change = Change(key_of(machine), entry, self._by_hand(written))
        return self._make([change], before, author)

    def delete(self, machine: Machine, before: Registry, author: Author) -> Done:
        """Our entry of *machine* goes; raises No for one that is written by hand."""
        if not self._is_managed(machine.place.file):
            told = (
                f"{key_of(machine)} is written by hand, at {machine.place}: remove it there, or "
                f'switch it off with "enabled": false'
            )
            raise No(HTTPStatus.CONFLICT, "hand-written", told)
        key, stands = key_of(machine), Path(machine.place.file)
        if stands != self.folder / file_name(key):
            told = (
                f"{key} stands at {machine.place}, a file that was renamed by hand; remove it there"
            )
            raise No(HTTPStatus.CONFLICT, "changed-by-hand", told)
        return self._make([Change(key, None)], before, author)

    def plan(
        self, rows: Iterable[tuple[str, Mapping[str, Any]]], before: Registry
    ) -> tuple[list[Change], int, int]:
        """
        What has to be written for *rows*, each a key and its keys, as for patch; how many machines
        of these are new, and how many are as they should be already.
        """
        files, found = _Files(), list[Change]()
        added = unchanged = 0
        told_of: dict[str, str] = {}
        for key, keys in rows:
            machine = _listed(key, before)
            if machine is None:
                added += 1
                found.append(Change(key, patched({}, keys)))
                continue
            if (other := told_of.setdefault(key_of(machine), key)) != key:
                told = f"{other} and {key} are cards of one machine; give it one row"
                raise No(HTTPStatus.UNPROCESSABLE_ENTITY, "table-invalid", told)
            written = self._must_stand(machine, files)
            entry = patched(written.value, keys)
            if entry == written.value:
                unchanged += 1
            else:
                found.append(Change(key_of(machine), entry, self._by_hand(written)))
        return found, added, unchanged

    def check(self, changes: Iterable[Change], before: Registry, author: Author) -> Done:
        """What *changes* would mean, with nothing written; raises No as if they were."""
        return self._make(list(changes), before, author, dry=True)

    def make(self, changes: Iterable[Change], before: Registry, author: Author) -> Done:
        """All of *changes*, or none."""
        return self._make(list(changes), before, author)

    def finish(self) -> int:
        """What a batch left undone when the daemon died in it; how many files it had."""
        return batch.finish(self.folder)

    def _by_hand(self, written: Written) -> Place | None:
        return None if written.managed else written.place

    def _must_stand(self, machine: Machine, files: _Files) -> Written:
        written = self.written(machine, files)
        if written.value is None:
            told = (
                f"{key_of(machine)} stands no more at {machine.place}, or that file cannot be read"
                f" now; reload first"
            )
            raise No(HTTPStatus.CONFLICT, "changed-meanwhile", told)
        return written

    # -- how they are made ---------------------------------------------------------------------

    def _make(
        self, changes: list[Change], before: Registry, author: Author, *, dry: bool = False
    ) -> Done:
        files = {self.folder / file_name(change.key): change for change in changes}
        stamps = {file.name: batch.stamp(file) for file in files}
        for file, change in files.items():
            self._must_be_ours(file, change)
        self._must_bring_no_secret(changes, before)
        pending = {
            file: None if change.entry is None else text_of(change, author)
            for file, change in files.items()
        }
        registry = self._checked(pending, before)
        self._must_boot(changes, registry, before)
        for file, change in files.items():
            _must_count(registry, change, file)
        told = tuple(self._altered(changes[:_MOST_TOLD], before))
        if not dry and pending:
            self._write(pending, stamps)
        return Done(registry, tuple(files), tuple(_remarks(registry, files, before)), told)

    def _must_bring_no_secret(self, changes: Iterable[Change], before: Registry) -> None:
        files = _Files()
        for change in changes:
            named = set(secrets_in(change.entry))
            if named and (machine := _listed(change.key, before)):
                named -= set(secrets_in(self.written(machine, files).value))
            if named:
                told = (
                    f"{change.key}: {min(named):.200} is read with the daemon's rights: only who "
                    f"may write the configuration may name it, so put it into a file by hand"
                )
                raise No(HTTPStatus.FORBIDDEN, "secret-by-hand", told)

    def _altered(self, changes: Iterable[Change], before: Registry) -> Iterator[str]:
        files = _Files()
        for change in changes:
            machine = _listed(change.key, before)
            stood = self.written(machine, files).value if machine else None
            yield altered(change.key, stood, change.entry)

    def _must_be_ours(self, file: Path, change: Change) -> None:
        """Whether *file* holds what we once wrote: its machine, and nothing else."""
        try:
            raw = bytes_of(file)
        except FileNotFoundError:
            return
        except OSError as problem:
            told = f"{file} cannot be read: {problem.strerror}"
            raise No(HTTPStatus.CONFLICT, "changed-by-hand", told) from None
        try:
            top = decode(raw, str(file)).value
        except ConfigErrors as problem:
            told = f"{file} was changed by hand and cannot be read now; mend or remove it"
            raise No(HTTPStatus.CONFLICT, "changed-by-hand", told, problem.findings) from None
        section = top.get(MACHINES) if isinstance(top, Object) and len(top) == 1 else None
        keys = list(section) if isinstance(section, Object) else []
        if len(keys) != 1 or _who(keys[0]) != _who(change.key):
            told = (
                f"{file} was changed by hand and holds more than the entry of {change.key}: move "
                f"what is yours to a file of another name, or change it there"
            )
            raise No(HTTPStatus.CONFLICT, "changed-by-hand", told)

    def _checked(self, pending: Pending, before: Registry) -> Registry:
        """The registry with what is *pending*; raises No for an error that was not there before."""
        registry, found = self._loaded(pending)
        known = {_identity(one) for one in before.findings}
        grave = [one for one in found if one.level >= Level.TARGET]
        fresh = [one for one in grave if _identity(one) not in known]
        if registry is not None and not fresh:
            return registry
        on_disk = {_identity(one) for one in self._loaded(NOTHING_PENDING)[1]}
        if fresh := [one for one in grave if _identity(one) not in on_disk]:
            told = f"nothing was changed: {fresh[0].text}"
            raise No(HTTPStatus.UNPROCESSABLE_ENTITY, "refused", told, fresh)
        if registry is None:
            broken = [one for one in grave if one.level >= Level.RELOAD]
            told = f"nothing was changed: the configuration cannot be used now: {broken[0]}"
            raise No(HTTPStatus.CONFLICT, "configuration-broken", told, broken)
        return registry

    def _must_boot(self, changes: list[Change], registry: Registry, before: Registry) -> None:
        """Raise No for an error that none but the changed machines have, and had not before."""
        keys = [change.key for change in changes if change.entry is not None][:_MOST_TRIED]
        found = self._tried([one for key in keys if (one := _listed(key, registry))], registry)
        if not any(one.level >= Level.TARGET for one in found):
            return
        found_before = self._tried([one for key in keys if (one := _listed(key, before))], before)
        known = {_identity(one) for one in (*found_before, *before.findings, *registry.findings)}
        grave = (one for one in found if one.level >= Level.TARGET)
        fresh = [one for one in grave if _identity(one) not in known]
        if fresh:
            told = f"nothing was changed: {fresh[0].text}"
            raise No(HTTPStatus.UNPROCESSABLE_ENTITY, "refused", told, fresh)

    def _loaded(self, pending: Pending) -> tuple[Registry | None, tuple[Finding, ...]]:
        """As a reload would see it; None where it would keep what it has."""
        try:
            registry = self._load(pending)
        except ConfigErrors as problem:
            return None, problem.findings
        usable = all(one.level < Level.RELOAD for one in registry.findings)
        return registry if usable else None, registry.findings

    def _write(self, pending: Pending, stamps: Mapping[str, batch.Stamp]) -> None:
        files = {file.name: content for file, content in pending.items()}
        try:
            self.folder.mkdir(exist_ok=True)
            batch.write(self.folder, files, self._mode(), stamps)
        except batch.Changed as name:
            told = f"{self.folder / str(name)} was changed by hand meanwhile; ask again"
            raise No(HTTPStatus.CONFLICT, "changed-meanwhile", told) from None
        except OSError as problem:
            raise self._unwritable(problem) from None

    def _mode(self) -> int:
        """As the configuration itself may be read; who may not read that shall not read ours."""
        try:
            return self._main.stat().st_mode & 0o044 | 0o600
        except OSError:
            return 0o600

    def _unwritable(self, problem: OSError) -> No:
        why = f"nothing was changed: {self.folder}: {problem.strerror or problem}"
        if problem.errno in _NO_ROOM:
            return No(HTTPStatus.INSUFFICIENT_STORAGE, "disk-full", why)
        if problem.errno not in _NOT_OURS:
            return No(HTTPStatus.INTERNAL_SERVER_ERROR, "not-written", why)
        advice = (
            f"; as root: install -d -g netbootd -m 2775 {self.folder}, and where systemd runs "
            f"netbootd its unit needs ReadWritePaths=-{self.folder}"
        )
        return No(HTTPStatus.SERVICE_UNAVAILABLE, "not-writable", why + advice)


def _listed(key: str, registry: Registry) -> Machine | None:
    """The machine with an entry of its own that *key* is a card or the name of."""
    mac = MAC.maybe(key)
    return registry.machines.get(mac) if mac else registry.named.get(key)


def _must_count(registry: Registry, change: Change, file: Path) -> None:
    """Raise No if another entry counts over what was written."""
    machine = _listed(change.key, registry)
    if change.entry is None or machine is None or Path(machine.place.file) == file:
        return
    told = f"nothing was changed: the entry at {machine.place} would count over it; change it there"
    raise No(HTTPStatus.CONFLICT, "overridden", told)


def _remarks(registry: Registry, files: Iterable[Path], before: Registry) -> Iterator[Finding]:
    """What is said of the *files*, and what is new elsewhere."""
    names = {str(file) for file in files}
    known = {_identity(one) for one in before.findings}
    for one in registry.findings:
        is_new = one.level > Level.NOTE and _identity(one) not in known
        if one.level >= Level.NOTE and (one.place.file in names or is_new):
            yield one


def _is_off(key: str) -> bool:
    """Whether an entry is switched off by one character more than its MAC has."""
    return MAC.maybe(key) is None and MAC.maybe(key.strip()[:-1]) is not None


def _who(key: str) -> MAC | str:
    return MAC.maybe(key) or key.strip()


def _identity(one: Finding) -> tuple[str, str, str]:
    """The same finding, wherever it stands after an edit."""
    return one.code, one.path, one.text
