"""What the commands over the running daemon's API have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netbootd.commands.words import with_config

if TYPE_CHECKING:
    from netbootd.apiclient import Api, Refused

#: For the help of every such command.
STATUSES = """\
exit status: 0 done, 1 not: no daemon answers, this user may not, or it said no (and says why),
2 the command line is wrong.
"""


def with_daemon(
    parser: argparse.ArgumentParser, *, as_json: bool = True, below: bool = False
) -> None:
    """
    Add what says which daemon is asked, and unless it has nothing to tell, ``--json``.

    *below*: the command above has the same, and what was said there counts unless it is said again.
    """
    unsaid: dict[str, Any] = {"default": argparse.SUPPRESS} if below else {}
    with_config(parser, **unsaid)
    parser.add_argument(
        "--url",
        **unsaid,
        help="ask over HTTP, such as http://192.168.1.250:3000 (default: the daemon's Unix socket)",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        **unsaid,
        metavar="FILE",
        help="a file with the API token for HTTP, as 'netbootd token new' printed it",
    )
    if as_json:
        parser.add_argument(
            "--json", action="store_true", **unsaid, help="what the daemon says, as JSON"
        )


def with_name(parser: argparse.ArgumentParser) -> None:
    """Add the machine that it is about, as the daemon knows it."""
    parser.add_argument(
        "machine", type=a_name, metavar="MAC", help="in any spelling, a key, or a host name"
    )


def a_name(text: str) -> str:
    """Whom the daemon shall look for; what looks like a MAC must be one."""
    from netbootd.macslips import pointed  # noqa: PLC0415

    if looks_like_mac(text) and (told := pointed(text)):
        raise argparse.ArgumentTypeError(told)
    if not text.strip() or not text.isprintable():
        told = f"{text!r:.60} is no name of a machine: a MAC, a key or a host name"
        raise argparse.ArgumentTypeError(told)
    return text


def a_mac(text: str) -> str:
    """A MAC that a card may have, in its usual spelling."""
    from netbootd.mac import MAC  # noqa: PLC0415
    from netbootd.macslips import pointed  # noqa: PLC0415

    if told := pointed(text):
        raise argparse.ArgumentTypeError(told)
    return str(MAC.parse(text))


def looks_like_mac(text: str) -> bool:
    """Whether somebody meant a MAC: six parts, or twelve letters and digits with separators."""
    return text.count(":") >= 4 or (text.count("-") == 5 and len(text) == 17)


def reach(arguments: argparse.Namespace) -> Api:
    """The daemon that the command line names."""
    from netbootd.apiclient import connect  # noqa: PLC0415

    return connect(arguments.config, arguments.url, arguments.token_file)


def told_no(problem: Refused) -> None:
    """The findings that stand behind a no, on standard error."""
    from netbootd.terminal.machines import show_findings  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    show_findings(Paper(sys.stderr), problem.findings)


def named(machine: Mapping[str, Any]) -> str:
    """What a machine is called in a sentence."""
    from netbootd.printable import printable  # noqa: PLC0415

    name = printable(str(machine.get("hostname") or ""))
    key = printable(str(machine.get("key", "")))
    return f"{key} ({name})" if name and name != key else key
