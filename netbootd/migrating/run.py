"""
``netbootd import FILE`` of another DHCP server's configuration: a drop-in to standard output, and
what there is to say of it to standard error.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from netbootd.check import tried
from netbootd.dropins.reading import FOLDER
from netbootd.errors import ConfigErrors, Finding, Level, MediaError
from netbootd.importing import proposal
from netbootd.importing.plan import slug
from netbootd.migrating.dropin import Made, Page, Wanted, page_of
from netbootd.migrating.files import Files
from netbootd.migrating.recognise import Reader
from netbootd.printable import counted, printable
from netbootd.registry.load import load
from netbootd.registry.snapshot import Registry

#: Findings after which one entry less is tried, and the most of them.
_REFUSING, _MOST_TRIES = Level.TARGET, 200
_MOST_TOLD = 5
#: What check says of pools until their subnets serve, which the drop-in itself tells.
_EXPECTED = "pools-unused"
#: A configuration for who has none yet: every machine boots its own disk.
_BARE = {
    "targets": {"localboot": {"disk": {}}},
    "machines": {"default": {"type": "localboot", "name": "disk"}},
}


@dataclass(frozen=True, slots=True)
class Wish:
    """The command line; *name* is that of the drop-in, None for the file's own."""

    file: Path
    config: Path
    wanted: Wanted
    name: str | None = None
    write: bool = False


def run(wish: Wish, reader: Reader) -> int:
    """Import; the exit status.  Raises MediaError, ConfigErrors and OSError."""
    registry = _registry(wish)
    if wish.wanted.group and registry and wish.wanted.group not in registry.groups:
        raise MediaError(f"the configuration has no group {printable(wish.wanted.group)!r}")
    found = reader(wish.file, Files(wish.file.parent))
    made = Made(found, registry, wish.wanted)
    page, findings = _accepted(made, wish)
    print(page.text, end="")
    findings = [one for one in findings if one.code != _EXPECTED]
    for finding in findings[:_MOST_TOLD]:
        _say(f"{finding.level.word}: {finding.code}: {finding.text}")
    if len(findings) > _MOST_TOLD:
        _say(f"{len(findings) - _MOST_TOLD} more; netbootd check tells them all")
    _say(_summary(made, wish))
    return _kept(made, page, wish)


def _registry(wish: Wish) -> Registry | None:
    """The present configuration; None where there is none and nothing is to be written beside."""
    if not wish.write and not wish.config.exists():
        _say(f"{wish.config} does not exist: nothing is compared with it")
        return None
    return load(wish.config)


def _drop_in(wish: Wish) -> Path:
    name = wish.name or slug(wish.file.stem if wish.file.suffix else wish.file.name)
    return wish.config.parent / FOLDER / f"{name}.json"


# -- what check says -------------------------------------------------------------------------------


def _accepted(made: Made, wish: Wish) -> tuple[Page, list[Finding]]:
    """
    The page, without what ``check`` would refuse, and what it has to say of the rest.

    Raises ConfigErrors where the configuration itself is in the way.
    """
    for _ in range(_MOST_TRIES):
        page = page_of(made, wish.file.name)
        findings = _findings(page, wish)
        refused = [one for one in findings if one.level >= _REFUSING]
        if not _take_out(made, page, refused):
            if refused:
                raise ConfigErrors(refused)
            return page, [one for one in findings if one.level >= Level.WARNING]
    raise MediaError(f"{wish.file}: too much of it is refused; netbootd check tells what")


def _take_out(made: Made, page: Page, refused: list[Finding]) -> bool:
    """Leave out each entry, or key of one, that was refused; whether there was any."""
    gone = set()
    for one in refused:
        owner = page.owners[one.place.line - 1] if 0 < one.place.line <= len(page.owners) else None
        if owner is None:
            continue
        entry, key = owner
        key = key or one.path.rpartition(".")[2]
        if (entry, key) not in gone and entry in made.entries:
            gone.add((entry, key))
            made.without(entry, key, one.text)
    return bool(gone)


def _findings(page: Page, wish: Wish) -> list[Finding]:
    """What loading says of the drop-in, and what keeps its machines from booting."""
    with tempfile.TemporaryDirectory(prefix="netbootd-import-") as folder:
        config = wish.config
        if not config.exists():
            config = Path(folder) / "netbootd.json"
            config.write_text(json.dumps(_BARE), "utf-8")
        file = config.parent / FOLDER / _drop_in(wish).name
        while file.exists():
            file = file.with_name(f"{file.stem}-new.json")
        try:
            registry = load(config, pending={file: page.text.encode()})
        except ConfigErrors as problem:
            return [one for one in problem.findings if one.place.file == str(file)] or _all(problem)
    cards = [one for one in registry.machines.values() if one.place.file == str(file)]
    found = [one for one in registry.findings if one.place.file == str(file)]
    found += [one for one in tried(cards[:1], registry) if one.place.file == str(file)]
    return found


def _all(problem: ConfigErrors) -> list[Finding]:
    raise problem


# -- what is told ----------------------------------------------------------------------------------


def _summary(made: Made, wish: Wish) -> str:
    parts = [counted(len(made.machines), "machine"), counted(len(made.subnets), "subnet")]
    if made.found.holders and not made.found.hosts:
        parts.append(f"{counted(len(made.found.holders), 'lease')} as comments")
    if made.same:
        parts.append(f"{made.same} listed already")
    if made.found.left:
        told = "1 thing" if len(made.found.left) == 1 else f"{len(made.found.left)} things"
        parts.append(f"{told} not taken over, which the comments name with the reason")
    return f"{wish.file.name}: {made.found.title}; {', '.join(parts)}"


def _kept(made: Made, page: Page, wish: Wish) -> int:
    """Write the drop-in where that was asked for; the exit status."""
    file = _drop_in(wish)
    if not wish.write:
        _say(f"this was only printed; --write puts it into {file}")
        return 0
    if not made.entries:
        _say("there is nothing new to write")
        return 0
    if not proposal.write(page.text, file):
        _say(f"{file} is there already, and stays as it is; another --name writes beside it")
        return 1
    _say(f"written to {file}")
    return 0


def _say(text: str) -> None:
    print(f"netbootd: {printable(text, 2000)}", file=sys.stderr)
