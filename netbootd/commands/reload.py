"""``netbootd reload``: have the daemon read its configuration again, and hear what came of it."""

from __future__ import annotations

import argparse

from netbootd.commands.daemon import reach, told_no, with_daemon
from netbootd.commands.words import Commands, command, print_json

_MORE = """\
The daemon sees most edits by itself; this one waits for the end and says what changed.

examples:
  netbootd reload
  netbootd reload --json

exit status: 0 the new configuration is in force, 1 it is not: the daemon keeps the one before and
says why, or no daemon answers, or this user may not; 2 the command line is wrong.
"""


def add(commands: Commands) -> None:
    text = "Have the running daemon read its configuration again, and wait for the end."
    parser = command(commands, "reload", _reload, text, _MORE)
    with_daemon(parser)


def _reload(arguments: argparse.Namespace) -> int:
    from netbootd.apiclient import Refused  # noqa: PLC0415
    from netbootd.printable import printable  # noqa: PLC0415

    try:
        done = reach(arguments).send("POST", "reload")
    except Refused as problem:
        if arguments.json:
            error = {"code": problem.code, "message": str(problem)}
            print_json({"error": {**error, "findings": list(problem.findings)}})
        else:
            told_no(problem)
        raise
    if arguments.json:
        print_json(done)
    else:
        changes = printable(str(done.get("changes") or "nothing changed"), 2000)
        print(f"reloaded: {changes}; generation {done['generation']}")
    return 0
