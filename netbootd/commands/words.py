"""What the commands have in common: how one is added, and the words that they take."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeAlias

from netbootd.errors import Finding, Level
from netbootd.printable import printable
from netbootd.usual import DEFAULT_FILE

if TYPE_CHECKING:
    from netbootd.boot.client import Client
    from netbootd.mac import MAC
    from netbootd.registry.snapshot import Registry

#: Saves --config with every command, where the file is not at its usual place.
VARIABLE = "NETBOOTD_CONFIG"

#: argparse's words; later Pythons put no quotes around the choices.
_NO_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)", re.DOTALL)
_CHOICE = re.compile(r"[^\s',]+")
_LONGEST = 2000  # characters of a line that complains


class Parser(argparse.ArgumentParser):
    """Says what a word that is none of its choices was probably meant to be."""

    def error(self, message: str) -> NoReturn:
        """As ``argparse`` does."""
        from netbootd.nearest import did_you_mean  # noqa: PLC0415

        if found := _NO_CHOICE.search(message):
            message += did_you_mean(found[1], _CHOICE.findall(found[2]))
        super().error(message)


Commands: TypeAlias = "argparse._SubParsersAction[Any]"


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


def usual_config() -> Path:
    """The configuration that is meant where none is said."""
    return Path(os.environ.get(VARIABLE) or DEFAULT_FILE)


def with_config(parser: argparse.ArgumentParser, default: Path | str | None = None) -> None:
    """Add ``--config``; *default* for what it is unless it is said, None for the usual."""
    parser.add_argument(
        "--config",
        type=Path,
        default=default or usual_config(),
        metavar="FILE",
        help=f"the configuration (default: what {VARIABLE} says, else {DEFAULT_FILE})",
    )


def with_json(parser: argparse.ArgumentParser, told: str = "for programs") -> None:
    """Add ``--json``; *told* says what it is then."""
    parser.add_argument("--json", action="store_true", help=told)


def print_json(value: Any) -> None:
    """*value* for programs."""
    import json  # noqa: PLC0415

    json.dump(value, sys.stdout, indent=2)
    print()


def a_machine(text: str) -> MAC | str:
    """A MAC in any spelling, or a name: the key of an entry that has none, or a host name."""
    from netbootd.mac import MAC  # noqa: PLC0415

    return MAC.maybe(text) or text


def a_machine_or_default(text: str) -> MAC | str | None:
    """Like a_machine, or None for the word default."""
    return None if text == "default" else a_machine(text)


def an_arch(text: str) -> int:
    """A value of DHCP option 93."""
    if not (text.isascii() and text.isdecimal()) or int(text[:6]) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is no architecture: a number from 0 to 65535")
    return int(text)


def an_address(text: str) -> str:
    """An IPv4 address; empty stays empty, which argparse asks of the default."""
    from ipaddress import IPv4Address  # noqa: PLC0415

    try:
        return text and str(IPv4Address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 address") from None


def with_machine(parser: argparse.ArgumentParser, *, default: bool = False) -> None:
    """Add the machine that it is about; with *default* it may be anybody."""
    anybody = ", or the word default" if default else ""
    parser.add_argument(
        "machine",
        type=a_machine_or_default if default else a_machine,
        metavar="MAC",
        help=f"in any spelling, or the name that is an entry's key, or its host name{anybody}",
    )


def the_client(arguments: argparse.Namespace, registry: Registry, *, aside: bool = False) -> Client:
    """
    Whom with_machine was told; raises subject.Nobody.  *aside*: where a MAC stands in for one that
    nobody knows, that is said on standard error.
    """
    from netbootd import subject  # noqa: PLC0415  Jinja2

    client = subject.client_of(arguments.machine, registry)
    if aside and (remark := subject.remark(client, registry)):
        complain(f"{client.mac} {remark}")
    return client


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
    """What is wrong, on standard error; it may quote names from anywhere."""
    told = "\n".join(printable(line, _LONGEST) for line in str(problem).splitlines())
    print(f"netbootd: {told}", file=sys.stderr)
