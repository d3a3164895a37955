"""``netbootd machines``: list them, add, change and remove them, and see who is not among them."""

from __future__ import annotations

import argparse

from netbootd.commands import machinechange
from netbootd.commands.daemon import STATUSES, reach, with_daemon
from netbootd.commands.words import Commands, command, print_json

_MORE = f"""\
Without a word more, it lists them.  What is added or changed stands in machines.d beside the
configuration, a file for each machine, checked as a reload would, and in force at once.

examples:
  netbootd machines
  netbootd machines list --state stuck
  netbootd machines add 00:25:90:27:db:b4 --group rack1
  netbootd machines add --unknown --group rack1
  netbootd machines set 00:25:90:27:db:b4 hostname=node7 vars.disk=/dev/sda
  netbootd machines remove 00:25:90:27:db:b4
  netbootd machines import rack1.csv --dry-run
  netbootd machines unknown

{STATUSES}"""

_STATES = ("unknown", "booting", "stuck", "up", "failed", "overdue", "held", "disabled")

_LIST_MORE = f"""\
examples:
  netbootd machines list
  netbootd machines list --group rack1 --state failed
  netbootd machines list 00:25:90 --json

{STATUSES}"""

_UNKNOWN_MORE = f"""\
examples:
  netbootd machines unknown
  netbootd machines add --unknown --group rack1      (the latest of them, or one to choose)

{STATUSES}"""


def add(commands: Commands) -> None:
    """The command, and those below it."""
    text = "List the machines and how they are; add, change and remove them."
    parser = command(commands, "machines", _list, text, _MORE)
    with_daemon(parser)
    parser.set_defaults(state="", group="", words="", names=False)
    below = parser.add_subparsers(
        title="what to do", metavar="WHAT", parser_class=machinechange.Intermixed
    )
    _add_list(below)
    machinechange.add(below)
    _add_unknown(below)


def _add_list(below: Commands) -> None:
    parser = command(below, "list", _list, "List the machines, and how they are.", _LIST_MORE)
    with_daemon(parser, below=True)
    parser.add_argument("words", nargs="?", default="", metavar="TEXT", help="in name, MAC, target")
    parser.add_argument("--state", choices=_STATES, default="", help="only those")
    parser.add_argument("--group", default="", metavar="NAME", help="only its members")
    parser.add_argument("--names", action="store_true", help="their names alone, one a line")


def _list(arguments: argparse.Namespace) -> int:
    from netbootd.terminal.machines import show_machines  # noqa: PLC0415
    from netbootd.terminal.paper import Paper, plain  # noqa: PLC0415

    query = {"state": arguments.state, "group": arguments.group, "q": arguments.words}
    found = reach(arguments).get("machines", **{key: word for key, word in query.items() if word})
    if arguments.json:
        print_json(found)
    elif arguments.names:
        for machine in found["machines"]:
            for name in dict.fromkeys((machine["key"], *machine["macs"], machine["hostname"])):
                if name:
                    print(plain(name))
    else:
        show_machines(Paper(), found["machines"], found["now"])
    return 0


def _add_unknown(below: Commands) -> None:
    text = "List who asked to boot and is not in the configuration."
    parser = command(below, "unknown", _unknown, text, _UNKNOWN_MORE)
    with_daemon(parser, below=True)


def _unknown(arguments: argparse.Namespace) -> int:
    from netbootd.terminal.machines import show_unknown  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    found = reach(arguments).get("unknown")
    if arguments.json:
        print_json(found)
        return 0
    strangers = machinechange.latest_first(found["machines"])
    if not strangers:
        print("nobody asked who is not listed, since netbootd was started")
        return 0
    show_unknown(Paper(), strangers, found["now"])
    return 0
