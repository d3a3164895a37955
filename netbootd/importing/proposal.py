"""
The target that a medium makes possible, as text to read, change and keep.

It is a proposal: a file of its own for ``machines.d``, with the choices that nobody can make for
the admin as comments.  Nothing that is there already is ever written over, and a target that the
configuration has under that name stays the one that counts.
"""

from __future__ import annotations

import json
import os
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

from netbootd.check import check
from netbootd.dropins.reading import FOLDER
from netbootd.errors import Finding, Level
from netbootd.importing.plan import Plan
from netbootd.printable import printable
from netbootd.privilege import ROOT

_WIDTH = 98
#: Stands for the machines that will boot it (RFC 7042, documentation).
_EXAMPLE = "00:00:5e:00:53:01"


def text_of(plan: Plan, medium: Path) -> str:
    """The proposal for *plan* as a drop-in; *medium* is named in its first line."""
    return "\n".join(_lines(plan, medium)) + "\n"


def findings_of(plan: Plan, text: str, files: Path, *, copied: bool) -> list[Finding]:
    """
    What ``netbootd check`` says of *text* with a machine that boots it.

    *files* is the file root; not *copied*: the files are still missing there, which is no finding.
    """
    main = {
        # Root's, since the folder is: the daemon's user, whom it would keep out, never comes there.
        "netbootd": {"files": str(files.absolute()), "user": ROOT},
        "machines": {_EXAMPLE: {"type": plan.type, "name": plan.name}},
    }
    with tempfile.TemporaryDirectory(prefix="netbootd-import-") as made:
        folder = Path(made)
        (folder / FOLDER).mkdir()
        drop_in = folder / FOLDER / "proposal.json"
        drop_in.write_text(text, "utf-8")
        (folder / "main.json").write_text(json.dumps(main), "utf-8")
        found = check(folder / "main.json").findings
    return [
        finding
        for finding in found
        if (finding.level >= Level.TARGET or finding.place.file == str(drop_in))
        and finding.level >= Level.WARNING
        and (copied or finding.code != "file-missing")
    ]


def write(text: str, file: Path) -> bool:
    """Make *file* of *text*, at once and whole; False where there is one already, which stays."""
    file.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".", encoding="utf-8") as made:
        made.write(text)
        made.flush()
        os.fchmod(made.fileno(), 0o644)
        os.fsync(made.fileno())
        try:
            os.link(made.name, file)
        except FileExistsError:
            return False
    return True


def _lines(plan: Plan, medium: Path) -> Iterator[str]:
    yield from _comment(f'Proposed by "netbootd import" from {printable(medium.name)}:')
    yield from _comment(f"{printable(plan.title)}.")
    for note in plan.notes:
        yield from _comment(note)
    yield "{"
    yield '   "targets" : {'
    yield f"      {_json(plan.type)} : {{"
    yield f"         {_json(plan.name)} : {{"
    for line in plan.lines:
        if isinstance(line, str):
            yield from _comment(line, "            ")
        else:
            yield f"            {_json(line[0])} : {_json(line[1])},"
    yield from ("         },", "      },", "   },", "")
    entry = f'"type" : {_json(plan.type)}, "name" : {_json(plan.name)}'
    yield "   # Who boots it:"
    yield f'   # "machines" : {{ "{_EXAMPLE}" : {{ {entry} }} }},'
    yield "}"


def _comment(text: str, indent: str = "") -> list[str]:
    start = f"{indent}# "
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
