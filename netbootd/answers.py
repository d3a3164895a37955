"""
Answer files of unattended installs: templates (``.j2``) below the file root, one text per machine.

They are found and compiled when the configuration is loaded; a request reads no template.  One that
a target makes its machines ask for is rendered right then, for one machine of each kind, so that a
name that a machine lacks is known before an installer waits for a person at its console.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from netbootd import nocloud, urls
from netbootd.content import Library
from netbootd.errors import Finding, Forbidden, Level, NotFound, Place, RenderError
from netbootd.mac import MAC
from netbootd.registry import secrecy
from netbootd.registry.facts import ITS_ADDRESS, STRANGER, everybody, for_a_look, looks
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import path_of
from netbootd.rendering import SUFFIX, BrokenText, TextTemplate, compile_together, told_at
from netbootd.targets.base import Facts, Target

#: The folder of the file root that is for answer files.
FOLDER = "install"
_MOST_ENTRIES = 200_000  # looked at below the file root: a second, if the disk is quick
_MOST_TEMPLATES = 2000  # of which a thousand are compiled in a second
_MOST_BYTES = 1 << 20  # of one template
_MOST_FOLDERS = 500  # watched for new templates


_URL = re.compile(r"https?://[^/\s;]+/([^\s;?#]*)", re.IGNORECASE)
#: Where iPXE, or we when the script is made, fill in the machine's name.
_SETTING = re.compile(r"\$\{[^}]*\}|__[a-z]+__")
_A_TOKEN = "0" * 32  # for that of a boot: a script with __token__ in it cannot be made without
_UNDEFINED = re.compile(r"'([^']+)' is undefined")

Report = Callable[[Finding], None]
Text = TextTemplate | BrokenText


class Found(NamedTuple):
    """*templates* by the path that they answer, and the files and folders to *watch*."""

    templates: dict[str, Text]
    watch: tuple[str, ...]


# -- finding them ----------------------------------------------------------------------------------


def survey(library: Library, report: Report) -> Found:
    """All templates below the file root, compiled; what is wrong with them is for ``remarks``."""
    texts: dict[str, str] = {}
    broken: dict[str, BrokenText] = {}
    walk = _Walk(library)
    for path in islice(walk.templates(), _MOST_TEMPLATES):
        text = _read(library, path)
        if isinstance(text, BrokenText):
            broken[path] = text
        else:
            texts[path] = text
    if walk.cut_short or len(texts) + len(broken) == _MOST_TEMPLATES:
        told = (
            f"more than {_MOST_ENTRIES} entries or {_MOST_TEMPLATES} templates: what is beyond was"
            f" not looked at; those below {FOLDER}/ come first"
        )
        report(Finding(Level.NOTE, "files-many", told, Place(str(library.root))))
    made = {**compile_together(texts), **broken}
    folders = dict.fromkeys([*walk.folders, *(os.path.dirname(path) for path in made)])
    return Found(
        {path.removesuffix(SUFFIX): made[path] for path in sorted(made)},
        tuple(str(library.root / path) for path in (*folders, *sorted(made))),
    )


class _Walk:
    """One walk below the file root; *folders* are those where new templates are to be expected."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._left = _MOST_ENTRIES
        self.cut_short = False
        self.folders: list[str] = [FOLDER]

    def templates(self) -> Iterator[str]:
        """Paths below the root, those of FOLDER first; links that leave the root do not count."""
        ahead: deque[tuple[str, tuple[str, ...]]] = deque([("", (self._library.real_root,))])
        while ahead:
            folder, above = ahead.popleft()
            for entry in self._entries(folder):
                if entry.is_file(follow_symlinks=False) and not entry.name.endswith(SUFFIX):
                    continue  # as most are
                path = f"{folder}/{entry.name}" if folder else entry.name
                if real := self._real_folder(entry, above):
                    foremost = path.partition("/")[0] == FOLDER
                    (ahead.appendleft if foremost else ahead.append)((path, (*above, real)))
                    if foremost and len(self.folders) < _MOST_FOLDERS and path != FOLDER:
                        self.folders.append(path)
                elif entry.name.endswith(SUFFIX) and self._is_file(entry):
                    yield path

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        if self._left <= 0:
            return []
        try:
            with os.scandir(os.path.join(self._library.real_root, folder)) as entries:
                found = [entry for _, entry in zip(range(self._left + 1), entries, strict=False)]
        except OSError:  # not there, or not ours to read: nothing in it could be served
            return []
        self.cut_short |= len(found) > self._left
        self._left -= len(found)
        return found

    def _real_folder(self, entry: os.DirEntry[str], above: tuple[str, ...]) -> str | None:
        """Where the folder *entry* really is; None for a file, a way out and a way in circles."""
        if entry.name.startswith("."):  # such as the snapshots of a file server
            return None
        try:
            if not entry.is_dir():
                return None
            if not entry.is_symlink():
                return f"{above[-1]}/{entry.name}"
        except OSError:
            return None
        real = os.path.realpath(entry.path)
        return real if self._library.holds(real) and real not in above else None

    def _is_file(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_file() and (not entry.is_symlink() or self._library.holds(entry.path))
        except OSError:
            return False


def _read(library: Library, path: str) -> str | BrokenText:
    """The text of a template, or why there is none to be had."""
    try:
        content = library.template(path)
        try:
            if content.size > _MOST_BYTES:
                return BrokenText(path, f"{path}: is larger than {_MOST_BYTES} bytes")
            return content.read(0, content.size).decode("utf-8-sig")
        finally:
            content.close()
    except UnicodeDecodeError:
        return BrokenText(path, f"{path}: is not UTF-8")
    except (NotFound, Forbidden, OSError) as problem:
        return BrokenText(path, f"{path}: cannot be read: {problem}", passing=True)


# -- whose they are --------------------------------------------------------------------------------


def named_by(target: Target, script: str, templates: Container[str]) -> tuple[str, ...]:
    """Which of *templates* a target makes its machines ask for: ``answer``, URLs in *script*."""
    answer = str(getattr(target, "answer", "")).strip("/").removesuffix(SUFFIX)
    named = [answer, *_seed(answer)]
    for path in _URL.findall(script):
        named += _meant(path)
    return tuple(name for name in dict.fromkeys(named) if name in templates)


def asks_for(path: str, machine: Machine, registry: Registry) -> bool:
    """Whether *machine* is made to ask for the file *path*, by whatever name."""
    named = (
        *secrecy.named_by(machine.target),
        secrecy.read_by_loader(machine.target),
        *_Used(registry).by(machine),
    )
    wanted = set(secrecy.names_of(path, registry))
    return any(not wanted.isdisjoint(secrecy.names_of(one, registry)) for one in named if one)


def _meant(path: str) -> list[str]:
    """The files that a URL's path stands for, without the machine that it names."""
    path, _ = urls.without_token(path)
    parts = unquote(_SETTING.sub("", path)).split("/")
    plain = "/".join(part for part in parts if part not in ("", ".") and not MAC.maybe(part))
    return _seed(plain) if path.endswith("/") else [plain]


def _seed(folder: str) -> list[str]:
    """What cloud-init asks for in a folder."""
    return [f"{folder}/{name}" for name in nocloud.FILES]


def trouble(registry: Registry, target: Target, facts: Facts, script: str) -> str | None:
    """Why a file that *script* of *target* makes its machine ask for cannot be made, or None."""
    if not registry.answers:
        return None
    names = replace(facts, peer=facts.peer or ITS_ADDRESS).names()
    for name in named_by(target, script, registry.answers):
        try:
            registry.answers[name].render(names)
        except RenderError as problem:
            return f"its answer file has an error: {problem}"
    return None


def secret_files(registry: Registry) -> frozenset[str]:
    """What secret targets and machines name, by itself or in their scripts."""
    used = _Used(registry)
    machines = [one for one in everybody(registry) if one.secret]
    machines += [
        Machine(STRANGER, target, Place(""))
        for target in registry.targets.values()
        if target.common.secret
    ]
    found = {path for one in machines for path in (*secrecy.named_by(one.target), *used.by(one))}
    found -= {secrecy.read_by_loader(one.target) for one in machines}
    return frozenset(found | _other_names(found, registry))


def _other_names(files: Collection[str], registry: Registry) -> set[str]:
    """What *files* are called too, by links: where these lead, and by which targets name them."""
    found = {name for path in files for name in secrecy.names_of(path, registry)}
    named = {path for target in registry.targets.values() for path in secrecy.named_by(target)}
    return found | {
        path for path in named if not found.isdisjoint(secrecy.names_of(path, registry))
    }


# -- whether they are right ------------------------------------------------------------------------


def remarks(registry: Registry) -> Iterator[Finding]:
    """What is wrong with the templates, by one machine of each kind; what nobody could render."""
    if not registry.answers:
        return
    used = _Used(registry)
    yield from faults(registry, used.kinds())
    yield from _broken(registry, used)
    yield from _undefined(registry, used)
    for name in registry.answers:
        if os.path.lexists(registry.library.root / name):
            told = f"{name} is there as well, and is what is served"
            place = Place(str(registry.library.root / f"{name}{SUFFIX}"))
            yield Finding(used.level(name, Level.WARNING), "template-unused", told, place)


def _broken(registry: Registry, used: _Used) -> Iterator[Finding]:
    """Those that do not compile; one reason may break many, and is said once."""
    levels: dict[str, Level] = {}
    for name, one in registry.answers.items():
        if isinstance(one, BrokenText):
            level = Level.WARNING if one.passing else used.level(name, Level.RELOAD)
            levels[one.reason] = max(level, levels.get(one.reason, level))
    for reason, level in levels.items():
        place, told = told_at(RenderError(reason), registry.library.root)
        yield Finding(level, "template-error", told, place)


class _Used:
    """Which templates each target names, looked at once per target."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._named: dict[int, tuple[str, ...]] = {}
        self.names: set[str] = set()

    def by(self, machine: Machine) -> tuple[str, ...]:
        """The templates that *machine* will ask for."""
        found = self._named.get(id(machine.target))
        if found is None:
            script = self._script(machine)
            found = named_by(machine.target, script, self._registry.answers)
            if script:  # another of its machines may have what this one lacks
                self._named[id(machine.target)] = found
            self.names.update(found)
        return found

    def level(self, name: str, level: Level) -> Level:
        """*level*; a note where *name* is none of the folder for it, and nobody is sent there."""
        ours = name in self.names or name.startswith(f"{FOLDER}/")
        return level if ours else Level.NOTE  # a tree for nodes may hold anybody's templates

    def _script(self, machine: Machine) -> str:
        for facts in looks(machine, self._registry, _A_TOKEN):
            with contextlib.suppress(Exception):  # a script that fails is found and told elsewhere
                return machine.target.script(facts)
        return ""

    def kinds(self) -> list[Machine]:
        """One machine for each target with templates and each set of variables."""
        found: dict[tuple[int, frozenset[str]], Machine] = {}
        for machine in everybody(self._registry):
            if self.by(machine):
                kind = id(machine.target), frozenset(self._registry.variables_of(machine))
                found.setdefault(kind, machine)
        return list(found.values())


@dataclass(slots=True)
class _Fault:
    """One thing that is wrong, and the machines that meet it: the first, and how many."""

    level: Level
    code: str
    first: Machine
    count: int = 1

    def finding(self, registry: Registry, place: Place, told: str) -> Finding:
        """In words, with the remedy."""
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        remedy = ""
        if match := _UNDEFINED.fullmatch(told):
            remedy = (
                f'; give "{match[1]}" to the machine, its target or "vars",'
                f' or write {{{{ {match[1]}|default("…") }}}}'
            )
        listed = self.first.mac in registry.machines
        name = str(self.first.mac) if listed else self.first.written or "default"
        title, path = f"{name} ({self.first.title})", path_of("machines", name)
        return Finding(self.level, self.code, f"{title}{more}: {told}{remedy}", place, path)


def faults(registry: Registry, machines: Iterable[Machine]) -> list[Finding]:
    """What comes up when the templates of *machines* are rendered; each fault once."""
    used = _Used(registry)
    root = registry.library.root
    found: dict[tuple[Place, str], _Fault] = {}
    for machine in machines:
        for name in used.by(machine):
            template = registry.answers[name]
            if isinstance(template, BrokenText):  # which was said when it was found
                continue
            for level, code, place, told in _rendered(template, name, machine, registry):
                at = replace(place, file=str(root / place.file))
                if fault := found.get((at, told)):
                    fault.count += 1
                else:
                    found[at, told] = _Fault(level, code, machine)
    return [fault.finding(registry, *where) for where, fault in found.items()]


def _rendered(
    template: TextTemplate, name: str, machine: Machine, registry: Registry
) -> Iterator[tuple[Level, str, Place, str]]:
    """Level, code, place and text of each thing that is wrong with one machine's file."""
    try:
        text = template.render(for_a_look(machine, registry).names())
    except RenderError as problem:
        yield Level.RELOAD, "template-error", *told_at(problem)
        return
    if name.rpartition("/")[2] == nocloud.USER_DATA:
        for doubt in nocloud.doubts(text):
            yield Level.WARNING, "user-data", Place(template.name), doubt


def _undefined(registry: Registry, used: _Used) -> Iterator[Finding]:
    """Names that no machine has, in templates that no machine's target names."""
    parts = {part for one in registry.answers.values() for part in getattr(one, "builds_on", ())}
    known: set[str] | None = None
    for name, template in registry.answers.items():
        alone = name not in used.names and template.name not in parts
        if not alone or not isinstance(template, TextTemplate):
            continue
        if known is None:
            known = all_names(registry)
        for wanted in sorted(template.wants() - known):
            told = f'nothing defines "{wanted}": no machine, target, "vars" or section has it'
            place = _first_mention(template, wanted, registry)
            level = used.level(name, Level.WARNING)
            yield Finding(level, "template-name-unknown", told, place)


def all_names(registry: Registry) -> set[str]:
    """Every name that a template could know for some machine."""
    stranger = Facts(mac=STRANGER, base="", retry="", extras=registry.extras, peer=ITS_ADDRESS)
    known = {*stranger.names(), *registry.variables}
    for target in registry.targets.values():
        known |= target.common.variables.keys()
    known.update(*(subnet.variables for subnet in registry.subnets))
    for machine in everybody(registry):
        known |= registry.variables_of(machine).keys()
    return known


def _first_mention(template: TextTemplate, name: str, registry: Registry) -> Place:
    file = str(registry.library.root / template.name)
    word = re.compile(rf"\b{re.escape(name)}\b")
    own = template.source.partition("\0")[0]
    lines = (number for number, line in enumerate(own.split("\n"), 1) if word.search(line))
    line = next(lines, 0)
    return Place(file, line, min(line, 1))


def template_for(answers: Mapping[str, Text], path: str) -> Text | None:
    """What answers a request for *path*, which may be the template's own name."""
    return answers.get(path.removesuffix(SUFFIX))
