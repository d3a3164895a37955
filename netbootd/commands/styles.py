"""``netbootd styles``: how firmware is told of its boot file, and what was learned of that."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from netbootd.commands.words import Commands, command, with_config

if TYPE_CHECKING:
    from netbootd.record.styles import Worked

_MORE = """\
Firmware differs in which offer of a proxy it follows.  Where nothing follows an offer, the next one
is told in another style, and what worked is remembered for all machines of the same maker (the
first half of the MAC), architecture (option 93) and firmware (option 60).  The setting
proxydhcp.style and the key reply_style of a machine, group or subnet choose a style for good.

examples:
  netbootd styles
  netbootd styles --forget 00:25:90
  netbootd styles --forget all

exit status: 0 done, 1 nothing is remembered by that name, 2 the configuration cannot be used.
"""

_HEADINGS = ("maker", "arch", "firmware", "style", "first", "times", "last machine", "when")


def add(commands: Commands) -> None:
    text = "Show in which style each kind of firmware is told of its boot file."
    parser = command(commands, "styles", _styles, text, _MORE)
    with_config(parser)
    parser.add_argument(
        "--forget",
        metavar="KEY",
        help="begin anew with what the table shows by that beginning, or with the word all",
    )


def _styles(arguments: argparse.Namespace) -> int:
    from netbootd import orders  # noqa: PLC0415  Jinja2

    if arguments.forget is not None:
        print(orders.forget_styles(arguments.config, arguments.forget))
        return 0
    learned = orders.learned_styles(arguments.config)
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


def _row(key: str, worked: Worked) -> tuple[str, ...]:
    from datetime import datetime  # noqa: PLC0415

    from netbootd.printable import printable  # noqa: PLC0415

    vendor, arch, rom = ([*key.split(" ", 2), "", ""])[:3]
    when = datetime.fromtimestamp(worked.when).strftime("%Y-%m-%d %H:%M")
    texts = vendor, arch, rom, worked.style, worked.first, str(worked.times), worked.mac, when
    return tuple(printable(text) or "-" for text in texts)
