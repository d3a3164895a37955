"""``netbootd pace``: who waits for its turn in a boot storm."""

from __future__ import annotations

import argparse
from functools import partial

from netbootd.commands import machinechange
from netbootd.commands.daemon import STATUSES, a_name, named, reach, with_daemon
from netbootd.commands.words import Commands, command, complain, print_json

_MORE = f"""\
With the setting "pace" machines load one after another in a boot storm.  Without a word more, it
lists those that wait.  While the setting is off it says so, with exit status 1; with --json
"enabled" is false then, and the exit status 0.

examples:
  netbootd pace
  netbootd pace go node7
  netbootd pace go all
  netbootd pace pause

{STATUSES}"""


def add(commands: Commands) -> None:
    """The command, and those below it."""
    text = "Show who waits for its turn in a boot storm, and change that."
    parser = command(commands, "pace", _list, text, _MORE)
    with_daemon(parser)
    below = parser.add_subparsers(
        title="what to do", metavar="[WHAT]", parser_class=machinechange.Intermixed
    )
    go = command(below, "go", _go, "Let a machine load that waits for its turn.", STATUSES)
    with_daemon(go, below=True)
    go.add_argument(
        "machine", type=a_name, metavar="MAC", help="in any spelling, a name, or the word all"
    )
    for word, paused, text in (
        ("pause", True, "Let nobody's turn come any more."),
        ("resume", False, "Let turns come again."),
    ):
        done = partial(_pause, paused=paused)
        with_daemon(command(below, word, done, text, STATUSES), below=True)


def _list(arguments: argparse.Namespace) -> int:
    from netbootd.boot.pace import OFF  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415
    from netbootd.terminal.places import show_places  # noqa: PLC0415

    found = reach(arguments).get("pace")
    if arguments.json:
        print_json(found)
    elif not found["enabled"]:
        complain(OFF)
        return 1
    else:
        show_places(Paper(), found)
    return 0


def _go(arguments: argparse.Namespace) -> int:
    api, who = reach(arguments), arguments.machine
    if who == "all":
        done = api.send("POST", "pace", "go")
        told = f"{done['count']} that wait need not any more"
    else:
        done = api.send("POST", "machines", who, "go")
        told = f"{named(done)} need not wait for its turn"
    print_json(done) if arguments.json else print(told)
    return 0


def _pause(arguments: argparse.Namespace, *, paused: bool) -> int:
    done = reach(arguments).send("PUT", "pace", body={"paused": paused})
    told = "nobody's turn comes until: netbootd pace resume" if paused else "turns come again"
    print_json(done) if arguments.json else print(told)
    return 0
