"""``netbootd next`` and ``release``: orders for the daemon."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from netbootd.commands.words import (
    Commands,
    a_machine,
    command,
    with_config,
)
from netbootd.mac import MAC

if TYPE_CHECKING:
    pass


def add(commands: Commands) -> None:
    """Both of them."""
    add_next(commands)
    add_release(commands)


_NEXT_MORE = """\
The machine boots that target at its next boot, and afterwards what the configuration says.

examples:
  netbootd next 00:25:90:27:db:b4 biosupdate/jr0
  netbootd next 00:25:90:27:db:b4 install/debian12 --until +2h
  netbootd next 00:25:90:27:db:b4 --cancel

exit status: 0 armed, 1 not (no such target), 2 the configuration cannot be used.
"""


def add_next(commands: Commands) -> None:
    text = "Arm one boot of another target."
    parser = command(commands, "next", _next, text, _NEXT_MORE)
    with_config(parser)
    parser.add_argument("machine", type=a_machine, metavar="MAC", help="in any spelling, or a name")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("target", nargs="?", metavar="TYPE/NAME", help="as in the configuration")
    what.add_argument("--cancel", action="store_true", help="take back what is armed")
    parser.add_argument(
        "--times", type=_times, default=1, metavar="N", help="so many boots (default: 1)"
    )
    parser.add_argument(
        "--until",
        type=_until,
        default=0.0,
        metavar="WHEN",
        help="and not after: +90m, +2h, +1d, or a time such as 2026-12-31T18:00",
    )


def _times(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:4]) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def _until(text: str) -> float:
    from netbootd.orders import moment  # noqa: PLC0415

    try:
        return moment(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _next(arguments: argparse.Namespace) -> int:
    from netbootd import orders  # noqa: PLC0415  Jinja2

    config, who = arguments.config, arguments.machine
    if arguments.cancel:
        print(orders.cancel(config, who))
    else:
        print(orders.arm(config, who, arguments.target, arguments.times, arguments.until))
    return 0


_RELEASE_MORE = """\
A machine is held when it fetched its loader again and again, or began one installation again and
again without ever finishing: 'netbootd status' lists them.

examples:
  netbootd release 00:25:90:27:db:b4
  netbootd release all

exit status: 0 released, 1 not, 2 the configuration cannot be used.
"""


def add_release(commands: Commands) -> None:
    text = "Let a machine that is held boot again."
    parser = command(commands, "release", _release, text, _RELEASE_MORE)
    with_config(parser)
    parser.add_argument(
        "machine",
        type=_a_machine_or_all,
        metavar="MAC",
        help="in any spelling, a name, or the word all",
    )


def _a_machine_or_all(text: str) -> MAC | str | None:
    return None if text == "all" else a_machine(text)


def _release(arguments: argparse.Namespace) -> int:
    from netbootd import orders  # noqa: PLC0415  Jinja2

    print(orders.release(arguments.config, arguments.machine))
    return 0
