"""
``netbootd next`` and ``release``: orders for the daemon.

They go over its socket where it runs, and are left in its state folder where it does not.
"""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING, Any

from netbootd.commands.daemon import a_name, named, reach, with_daemon
from netbootd.commands.words import (
    Commands,
    a_machine,
    command,
    complain,
    print_json,
)

if TYPE_CHECKING:
    from netbootd.apiclient import Api


def add(commands: Commands) -> None:
    """Both of them."""
    add_next(commands)
    add_release(commands)


_NEXT_MORE = """\
The machine boots that target at its next boot, and afterwards what the configuration says.  Where
netbootd does not run, it takes the order at its next start.  Without a target it boots its own, for
which what is secret of it is given once (see docs/installs.rst).

examples:
  netbootd next 00:25:90:27:db:b4 biosupdate/jr0
  netbootd next 00:25:90:27:db:b4 install/debian12 --until +2h
  netbootd next 00:25:90:27:db:b4
  netbootd next 00:25:90:27:db:b4 --cancel

exit status: 0 armed, 1 not (no such target or machine, or this user may not), 2 the configuration
cannot be used.
"""


def add_next(commands: Commands) -> None:
    text = "Arm one boot of another target, or of its own."
    parser = command(commands, "next", _next, text, _NEXT_MORE)
    with_daemon(parser)
    parser.add_argument("machine", type=a_name, metavar="MAC", help="in any spelling, or a name")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "target", nargs="?", metavar="TYPE/NAME", help="as in the configuration; default: its own"
    )
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
    api = _daemon(arguments)
    if api is None:
        return _next_later(arguments)
    path = ("machines", arguments.machine, "next")
    if arguments.cancel:
        armed = api.get(*path[:2]).get("armed")
        machine = api.send("DELETE", *path) if armed else None
        told = "nothing is armed any more" if armed else "nothing is armed"
        _tell(arguments, machine, f"{arguments.machine}: {told}")
        return 0
    times, until = arguments.times, arguments.until
    body = {"times": times, "until": until}
    if arguments.target:
        body["target"] = arguments.target
    machine = api.send("PUT", *path, body=body)
    target = machine["armed"]["target"]
    often = "" if times == 1 else f", {times} times"
    before = f", before {datetime.fromtimestamp(until):%Y-%m-%d %H:%M}" if until else ""
    _tell(arguments, machine, f"{named(machine)} boots {target} next{often}{before}")
    return 0


def _next_later(arguments: argparse.Namespace) -> int:
    """Without a daemon: by its state folder."""
    from netbootd import orders  # noqa: PLC0415  Jinja2

    config, who = arguments.config, a_machine(arguments.machine)
    if arguments.cancel:
        _tell(arguments, None, orders.cancel(config, who))
    else:
        told = orders.arm(config, who, arguments.target, arguments.times, arguments.until)
        _tell(arguments, None, told)
    return 0


def _daemon(arguments: argparse.Namespace) -> Api | None:
    """The daemon, None where none runs and nobody named one."""
    from netbootd.apidoors import NoDaemon  # noqa: PLC0415

    api = reach(arguments)
    if arguments.url or arguments.token_file:
        return api
    try:
        api.get("groups")
    except NoDaemon:
        return None
    return api


def _tell(arguments: argparse.Namespace, machine: Any, told: str) -> None:
    """What was done; for programs how the machine is now, or the words where nobody can say."""
    if arguments.json:
        print_json(machine if machine is not None else {"told": told})
    else:
        print(told)


_RELEASE_MORE = """\
A machine is held when it fetched its loader again and again, began one installation again and again
without ever finishing, or a secret of it had a second claimant: 'netbootd status' lists them.
One that waits since the record was lost (the log says so) is released as well.

examples:
  netbootd release 00:25:90:27:db:b4
  netbootd release all

exit status: 0 released, 1 not (no such machine, or this user may not), 2 the configuration cannot
be used.
"""


_NOT_HELD = "is not held; if it waited since the record was lost, it may boot now"


def add_release(commands: Commands) -> None:
    text = "Let a machine that is held boot again."
    parser = command(commands, "release", _release, text, _RELEASE_MORE)
    with_daemon(parser)
    parser.add_argument(
        "machine", type=a_name, metavar="MAC", help="in any spelling, a name, or the word all"
    )


def _release(arguments: argparse.Namespace) -> int:
    api, who = _daemon(arguments), arguments.machine
    if api is None:
        from netbootd import orders  # noqa: PLC0415  Jinja2

        everybody = who == "all"
        told = orders.release(arguments.config, None if everybody else a_machine(who))
        _tell(arguments, None, told)
        return 0
    if who == "all":
        return _release_all(arguments, api)
    before = api.get("machines", who)
    machine = api.send("POST", "machines", who, "release")
    told = "may boot again" if before.get("held") else _NOT_HELD
    _tell(arguments, machine, f"{named(machine)} {told}")
    return 0


def _release_all(arguments: argparse.Namespace, api: Api) -> int:
    """Each that is held; one that is gone by now holds up no other."""
    from netbootd.apiclient import Refused  # noqa: PLC0415

    released, failed = [], 0
    for machine in api.get("machines")["machines"]:
        if not machine.get("held"):
            continue
        try:
            released.append(api.send("POST", "machines", machine["key"], "release"))
        except Refused as problem:
            complain(problem)
            failed = 1
    told = ", ".join(named(machine) for machine in released) or "nobody"
    _tell(arguments, released, f"may boot again: {told}")
    return failed
