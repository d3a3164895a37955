"""What the commands have in common: how one is added, and the words that they take."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import TextIO, TypeAlias

from netbootd.config import DEFAULT_FILE
from netbootd.errors import Finding, Level
from netbootd.mac import MAC

#: Saves --config with every command, where the file is not at its usual place.
VARIABLE = "NETBOOTD_CONFIG"

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str, more: str
) -> argparse.ArgumentParser:
    """*text* is one sentence; *more* stands below the options: examples, and the exit status."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text[0].lower() + text[1:].rstrip("."),
        description=text,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    return parser


def with_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``."""
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get(VARIABLE) or DEFAULT_FILE),
        metavar="FILE",
        help=f"the configuration (default: what {VARIABLE} says, else {DEFAULT_FILE})",
    )


def a_mac(text: str) -> MAC:
    """A MAC in any spelling."""
    try:
        return MAC.parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def a_machine(text: str) -> MAC | str:
    """A MAC in any spelling, or the name of an entry that has no MAC for its key."""
    return MAC.maybe(text) or text


def a_mac_or_default(text: str) -> MAC | None:
    """A MAC, or None for the word default."""
    return None if text == "default" else a_mac(text)


def an_arch(text: str) -> int:
    """A value of DHCP option 93."""
    if not (text.isascii() and text.isdecimal()) or int(text[:6]) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is no architecture: a number from 0 to 65535")
    return int(text)


def an_address(text: str) -> str:
    """An IPv4 address; empty stays empty, which argparse asks of the default."""
    try:
        return text and str(IPv4Address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 address") from None


def with_address(parser: argparse.ArgumentParser) -> None:
    """Add ``--address``, of which ``--from`` is another name."""
    parser.add_argument(
        *("--address", "--from"),
        type=an_address,
        default="",
        metavar="IP",
        help="where the machine asks from, which says its subnet (default: its ip, if it has one)",
    )


def print_findings(findings: Sequence[Finding], least: Level, to: TextIO | None = None) -> None:
    """Those that are at least so bad, to standard error if nowhere else is said."""
    for finding in findings:
        if finding.level >= least:
            print(finding, file=to or sys.stderr)


def complain(problem: object) -> None:
    """What is wrong, on standard error."""
    print(f"netbootd: {problem}", file=sys.stderr)
