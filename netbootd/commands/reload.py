"""``netbootd reload``: have the daemon read its configuration again, and hear what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from netbootd.commands.daemon import reach, told_no, with_daemon
from netbootd.commands.words import Commands, command, complain, print_json

_MORE = """\
The daemon sees most edits by itself; this one waits for the end, and says what changed and which
errors stand: each costs a machine or a target, while all others are served.

examples:
  netbootd reload
  netbootd reload --json

exit status: 0 the new configuration is in force, whatever errors stand in it, 1 it is not: the
daemon keeps the one before and says why, or no daemon answers, or this user may not; 2 the command
line is wrong.
"""


def add(commands: Commands) -> None:
    text = "Have the running daemon read its configuration again, and wait for the end."
    parser = command(commands, "reload", _reload, text, _MORE)
    with_daemon(parser)


def _reload(arguments: argparse.Namespace) -> int:
    from netbootd.apiclient import Refused  # noqa: PLC0415

    try:
        done = reach(arguments).send("POST", "reload")
    except Refused as problem:
        if arguments.json:
            error = {"code": problem.code, "message": str(problem)}
            print_json({"error": {**error, "findings": list(problem.findings)}})
        if arguments.json or not problem.findings:
            raise
        told_no(problem)
        complain("reload refused: the daemon keeps the configuration that it has")
        return 1
    if arguments.json:
        print_json(done)
    else:
        _say(done)
    return 0


def _say(done: Mapping[str, Any]) -> None:
    """What changed, and below it what is wrong all the same."""
    from netbootd.printable import counted, printable  # noqa: PLC0415
    from netbootd.terminal.machines import show_findings  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    changes = printable(str(done.get("changes") or "nothing changed"), 2000)
    print(f"reloaded: {changes}; generation {done['generation']}")
    errors, findings = done.get("errors", 0), done.get("findings", ())
    if errors:
        print(f"{counted(errors, 'error')} {'stands' if errors == 1 else 'stand'}:", flush=True)
        show_findings(Paper(), findings)
    if errors > len(findings):
        print(f"and {errors - len(findings)} more; netbootd check shows all")
