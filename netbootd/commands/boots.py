"""``netbootd timeline`` and ``why``: what a machine's boots were like."""

from __future__ import annotations

import argparse
import time

from netbootd.commands.daemon import (
    STATUSES,
    reach,
    with_daemon,
    with_name,
)
from netbootd.commands.words import Commands, command, complain, print_json

_TIMELINE_MORE = f"""\
examples:
  netbootd timeline 00:25:90:27:db:b4            (its latest boot)
  netbootd timeline 00:25:90:27:db:b4 --list     (its last boots, a line each)
  netbootd timeline node7 --boot 4711

{STATUSES}"""

_WHY_MORE = """\
Says how far the machine came, which packet should have come next, the likely causes with their
reasons, and what to do.  The number before a cause, such as (88 %), is how far what was seen speaks
for it: 100 would be proof.  Each is judged alone, so they need not add up to 100; the likeliest is
the first.

examples:
  netbootd why 00:25:90:27:db:b4
  netbootd why node7 --json

exit status: 0 nothing is wrong with it, 1 something is, or no daemon could say, 2 the command line
is wrong.
"""


def add(commands: Commands) -> None:
    """Both of them."""
    text = "Show a machine's boot step by step, with times, bytes and troubles."
    parser = command(commands, "timeline", _timeline, text, _TIMELINE_MORE)
    with_daemon(parser)
    with_name(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--boot", type=_a_number, metavar="N", help="that one, not the latest")
    what.add_argument("--list", action="store_true", help="its last boots")
    parser.add_argument(
        "--limit", type=_a_number, default=20, metavar="N", help="of --list (default: 20)"
    )
    parser = command(commands, "why", _why, "Say why a machine does not boot.", _WHY_MORE)
    with_daemon(parser)
    with_name(parser)


def _a_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= len(text) <= 18 or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def _timeline(arguments: argparse.Namespace) -> int:
    from netbootd.terminal.boots import show_boots, show_timeline  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    api, who = reach(arguments), arguments.machine
    if arguments.list:
        found = api.get("machines", who, "boots", limit=arguments.limit)
    elif arguments.boot:
        found = {"boot": api.get("boots", str(arguments.boot))}
    else:
        found = api.get("machines", who, "timeline")
    if arguments.json:
        print_json(found)
    elif arguments.list and found["boots"]:
        show_boots(Paper(), found["boots"], time.time())
    elif not arguments.list and found["boot"]:
        show_timeline(Paper(), found["boot"], time.time())
    else:
        complain(f"{who} has never booted, as far as is known")
        return 1
    return 0


def _why(arguments: argparse.Namespace) -> int:
    said = reach(arguments).get("machines", arguments.machine, "why")

    from netbootd.terminal.boots import diagnosis_of, is_wrong, show_why  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    diagnosis = diagnosis_of(said)
    if arguments.json:
        print_json(said)
    else:
        show_why(Paper(), diagnosis)
    return 1 if is_wrong(diagnosis) else 0
