"""``netbootd token``: what lets programs use the API over HTTP."""

from __future__ import annotations

import argparse
import sys

from netbootd.commands import machinechange
from netbootd.commands.daemon import STATUSES, reach, with_daemon
from netbootd.commands.words import Commands, command, complain, print_json

_MORE = f"""\
Without a word more, it lists the names of the tokens that count.  Each change of them is in force
at once, and ends all sessions of browsers.  It goes over the daemon's Unix socket and no other way.

examples:
  netbootd token
  (umask 077; sudo netbootd token new ops > ops.token)
  curl -H "Authorization: Bearer $(cat ops.token)" http://192.168.1.250:3000/api/v1/status
  sudo netbootd token remove ops

{STATUSES}"""
_NEW_MORE = f"""\
The daemon keeps a digest of it alone: who loses it makes another, and the old one of that name
counts no more.  The name stands in the lines of the audit.  Where the setting "api_token" names a
file, that is not the daemon's to write: the line to put there is printed on standard error.

{STATUSES}"""
_NAME = "whose it is: letters, digits, dots, hyphens, underscores"


def add(commands: Commands) -> None:
    """The command, and those below it."""
    text = "List the API tokens, make one, or take one back."
    parser = command(commands, "token", _list, text, _MORE)
    with_daemon(parser)
    below = parser.add_subparsers(
        title="what to do", metavar="[WHAT]", parser_class=machinechange.Intermixed
    )
    new = command(below, "new", _new, "Make a token, and print it this once.", _NEW_MORE)
    remove = command(below, "remove", _remove, "Let a token count no more.", STATUSES)
    for one in (new, remove):
        with_daemon(one, below=True)
    new.add_argument("name", nargs="?", default="admin", metavar="NAME", help=f"{_NAME} (admin)")
    remove.add_argument("name", metavar="NAME", help=_NAME)


def _list(arguments: argparse.Namespace) -> int:
    found = reach(arguments).get("tokens")
    if arguments.json:
        print_json(found)
    elif found["tokens"]:
        print("\n".join(map(str, found["tokens"])))
    else:
        complain("there is no API token; 'netbootd token new' makes one")
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from netbootd import apidoors, apitoken  # noqa: PLC0415

    if theirs := apidoors.settings_of(arguments.config).api_token:
        if not apitoken.is_name(arguments.name):
            complain(apitoken.NAME_RULE)
            return 1
        made = {"name": arguments.name, "token": apitoken.new()}
        line = apitoken.Tokens().having(made["name"], made["token"]).lines().strip()
        complain(f"put this line into {theirs}, then run 'netbootd reload':\n{line}")
    else:
        made = reach(arguments).send("POST", "tokens", body={"name": arguments.name})
    print_json(made) if arguments.json else print(made["token"])
    if sys.stdout.isatty():
        complain("it is not shown again; whoever has it can change everything")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    reach(arguments).send("DELETE", "tokens", arguments.name)
    if arguments.json:
        print_json({"name": arguments.name})
    else:
        print(f"{arguments.name} counts no more")
    return 0
