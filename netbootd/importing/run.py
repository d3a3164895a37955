"""
``netbootd import``: what is on this medium, its files into the file root, a target to boot it.

The proposal goes to standard output and all else to standard error, so that it can be redirected.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netbootd.dropins.reading import FOLDER
from netbootd.errors import ConfigErrors, Finding, Level, MediaError
from netbootd.importing import proposal
from netbootd.importing.copy import copy
from netbootd.importing.families import recognise
from netbootd.importing.plan import Plan
from netbootd.importing.progress import Progress, sized
from netbootd.importing.sources import Source, open_source
from netbootd.importing.tree import Tree, survey
from netbootd.printable import counted
from netbootd.registry.load import load
from netbootd.registry.snapshot import Registry

_MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """The command line: None stands for what was not given."""

    medium: Path
    config: Path
    name: str | None = None
    type: str | None = None
    files: Path | None = None
    dry_run: bool = False
    write: bool = False


def run(wish: Wish) -> int:
    """Import *wish*'s medium; the exit status.  Raises MediaError, ConfigErrors and OSError."""
    registry = _registry(wish)
    files = wish.files or (registry.config.files if registry else Path())
    source, tree = _surveyed(wish.medium)
    plan = recognise(source, tree, wish.name, wish.type)
    folder = files / plan.folder
    _say(
        f"{wish.medium.name}: {plan.title}; {counted(len(plan.items), 'file')}, {sized(plan.size)}"
    )
    _tell_skipped(tree)
    text = proposal.text_of(plan, wish.medium)
    copying = not wish.dry_run and not _forbids(
        proposal.findings_of(plan, text, files, copied=False)
    )
    if copying:
        _copy(source, plan, folder)
    elif wish.dry_run:
        print("\n".join(_listed(plan, folder)))
    print(text, end="")
    findings = proposal.findings_of(plan, text, files, copied=copying)
    for finding in findings:
        _say(f"{finding.level.word}: {finding.code}: {finding.text}")
    if _forbids(findings):
        _say("this target would not boot as it is" + ("" if copying else "; nothing was copied"))
        return 1
    for note in plan.notes:
        _say(note)
    _say(_kept(plan, wish, text, registry))
    return 0


def _forbids(findings: list[Finding]) -> bool:
    return any(finding.level >= Level.TARGET for finding in findings)


def _copy(source: Source, plan: Plan, folder: Path) -> None:
    progress = Progress(plan.size, sys.stderr)
    try:
        new = copy(source, plan.items, folder, progress, plan.remedy)
    finally:
        progress.close()
    _say(f"copied to {folder}" if new else f"{folder} has these very files: nothing changed")


def _surveyed(medium: Path) -> tuple[Source, Tree]:
    try:
        source = open_source(medium)
        return source, survey(source)
    except OSError as problem:
        raise MediaError(f"{problem.filename or medium}: {problem.strerror}") from None


def _registry(wish: Wish) -> Registry | None:
    """The configuration; one that cannot be used is none, where nothing is wanted of it."""
    try:
        return load(wish.config)
    except ConfigErrors:
        if wish.files is None or wish.write:
            raise
        return None


def _kept(plan: Plan, wish: Wish, text: str, registry: Registry | None) -> str:
    """Write the proposal where that was asked for; what to tell of it."""
    title = f"{plan.type}/{plan.name}"
    file = wish.config.parent / FOLDER / f"{plan.name}.json"
    if registry is not None and title in registry.targets:
        return f"the configuration has {title} already, and keeps it"
    if wish.dry_run:
        return "nothing was changed"
    if not wish.write:
        return f"this proposal was only printed; --write puts it into {file}"
    if not proposal.write(text, file):
        return f"{file} is there already, and stays as it is"
    return f"written to {file}; machines that name {title} boot it"


def _listed(plan: Plan, folder: Path) -> Iterator[str]:
    """The files as comments, so that what is printed is still a proposal."""
    yield f"# Would be copied to {folder}:"
    for item in plan.items:
        yield f"# {sized(item.size):>12}  {item.path}"


def _tell_skipped(tree: Tree) -> None:
    for path, reason in tree.skipped[:_MOST_TOLD]:
        _say(f"left out: {path}: {reason}")
    if len(tree.skipped) > _MOST_TOLD:
        _say(f"left out: {len(tree.skipped) - _MOST_TOLD} more")


def _say(text: str) -> None:
    print(f"netbootd: {text}", file=sys.stderr)
