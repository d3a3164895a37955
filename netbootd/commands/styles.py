"""``netbootd styles``: how firmware is told of its boot file, and what was learned of that."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netbootd.commands.words import Commands, command, print_json, with_config, with_json

if TYPE_CHECKING:
    from netbootd.record.styles import Worked

_MORE = """\
Firmware differs in which offer of a proxy it follows.  Where nothing follows an offer, the next one
is told in another style, and what worked is remembered for all machines of the same maker (the
first half of the MAC), architecture (option 93) and firmware (option 60).  The setting
proxydhcp.style and the key reply_style of a machine, group or subnet choose a style for good.

examples:
  netbootd styles
  netbootd styles --json                {"styles": [{"maker", "arch", "style", "times", ...}]}
  netbootd styles --forget 00:25:90
  netbootd styles --forget all

exit status: 0 done, 1 nothing is remembered by that name, 2 the configuration cannot be used.
"""

_HEADINGS = ("maker", "arch", "firmware", "style", "first", "times", "last machine", "when")


def add(commands: Commands) -> None:
    text = "Show in which style each kind of firmware is told of its boot file."
    parser = command(commands, "styles", _styles, text, _MORE)
    with_config(parser)
    with_json(parser, "the table as one JSON object; times are Unix seconds")
    parser.add_argument(
        "--forget",
        metavar="KEY",
        help="begin anew with what the table shows by that beginning, or with the word all",
    )


def _styles(arguments: argparse.Namespace) -> int:
    from netbootd import orders  # noqa: PLC0415  Jinja2

    if arguments.forget is not None:
        told = orders.forget_styles(arguments.config, arguments.forget)
        print_json({"told": told}) if arguments.json else print(told)
        return 0
    learned = orders.learned_styles(arguments.config)
    if arguments.json:
        print_json({"styles": [_as_dict(key, one) for key, one in sorted(learned.items())]})
        return 0
    print(table(learned) if learned else "nothing was learned yet: all begin with the usual style")
    return 0


def table(learned: Mapping[str, Worked]) -> str:
    """What was learned, a line for each kind of firmware, all columns as wide as they need."""
    rows = [_HEADINGS, *(_row(key, one) for key, one in sorted(learned.items()))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _as_dict(key: str, worked: Worked) -> dict[str, Any]:
    """A kind of firmware and what it follows; *arch* is null where it does not say its own."""
    maker, arch, firmware = _kind(key)
    return {
        "maker": maker,
        "arch": int(arch) if arch.isdecimal() else None,
        "firmware": firmware,
        "style": worked.style,
        "first": worked.first,
        "times": worked.times,
        "machine": worked.mac,
        "when": worked.when,
    }


def _kind(key: str) -> list[str]:
    """Maker, architecture and firmware, empty where a key has no more words."""
    return ([*key.split(" ", 2), "", ""])[:3]


def _row(key: str, worked: Worked) -> tuple[str, ...]:
    from datetime import datetime  # noqa: PLC0415

    from netbootd.printable import printable  # noqa: PLC0415

    vendor, arch, rom = _kind(key)
    when = datetime.fromtimestamp(worked.when).strftime("%Y-%m-%d %H:%M")
    texts = vendor, arch, rom, worked.style, worked.first, str(worked.times), worked.mac, when
    return tuple(printable(text) or "-" for text in texts)
