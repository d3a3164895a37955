"""``netbootd diff``: two configurations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from netbootd.commands.words import (
    Commands,
    command,
)

if TYPE_CHECKING:
    pass


_DIFF_MORE = """\
Both are configuration files, or folders with a netbootd.json.  Machines with the same change are
told once.

examples:
  netbootd diff /etc/netbootd/netbootd.json new/netbootd.json
  netbootd diff --json old new

exit status: 0 every machine boots the same, 1 some do not, 2 a configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "Which machines would boot differently with another configuration, and how."
    parser = command(commands, "diff", _diff, text, _DIFF_MORE)
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument("--json", action="store_true", help="the changes as a JSON array")


def _diff(arguments: argparse.Namespace) -> int:
    from netbootd.diff import as_json, as_text, configuration, diff  # noqa: PLC0415  Jinja2
    from netbootd.registry.load import load  # noqa: PLC0415

    old, new = (load(configuration(path)) for path in (arguments.old, arguments.new))
    changes = diff(old, new)
    print(as_json(changes) if arguments.json else as_text(changes), end="")
    return 1 if changes else 0
