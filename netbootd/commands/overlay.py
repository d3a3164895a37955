"""``netbootd overlay``: a machine's extra initrd, by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netbootd.commands.words import (
    Commands,
    command,
    complain,
    print_json,
    the_client,
    with_config,
    with_json,
    with_machine,
)

if TYPE_CHECKING:
    pass


_OVERLAY_MORE = """\
The daemon serves it as /overlay/MAC.cpio.  Here the name "boot-server" stands for its own address.

examples:
  netbootd overlay list 00:25:90:27:db:b4
  netbootd overlay list --json 00:25:90:27:db:b4      {"overlays", "files": [{"path", "mode", ...}]}
  netbootd overlay build 00:25:90:27:db:b4 -o node.cpio
  netbootd overlay build 00:25:90:27:db:b4 | cpio -tv

exit status: 0 all well, 1 there is no such machine or its overlay has an error,
2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "A machine's extra initrd, and the overlays it is made of."
    parser = command(commands, "overlay", _overlay_list, text, _OVERLAY_MORE)
    inner = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    lists = command(inner, "list", _overlay_list, "What is laid over its root, and by whom.", "")
    builds = command(inner, "build", _overlay_build, "The archive, as its kernel gets it.", "")
    with_json(lists, "the list as one JSON object")
    for part in (lists, builds):
        with_config(part)
        with_machine(part)
    builds.add_argument(
        "-o", dest="output", type=Path, metavar="FILE", help="where it goes, not standard output"
    )


def _overlay_list(arguments: argparse.Namespace) -> int:
    from netbootd.overlaying import laid  # noqa: PLC0415
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2

    registry = load(arguments.config)
    found = laid(registry, the_client(arguments, registry, aside=True))
    if arguments.json:
        print_json(found.as_dict())
    else:
        print(found.as_text(), end="")
    return 0


def _overlay_build(arguments: argparse.Namespace) -> int:
    from netbootd.overlaying import built  # noqa: PLC0415
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2

    registry = load(arguments.config)
    archive = built(registry, the_client(arguments, registry, aside=True))
    if arguments.output:
        arguments.output.write_bytes(archive)
    elif sys.stdout.isatty():
        complain("an archive is nothing for a terminal; give it -o FILE")
        return 1
    else:
        sys.stdout.buffer.write(archive)
    return 0
