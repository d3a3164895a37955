"""``netbootd vms``: VM descriptions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netbootd.commands.words import (
    Commands,
    command,
    print_findings,
    print_json,
    with_config,
    with_json,
)
from netbootd.errors import Level

if TYPE_CHECKING:
    from netbootd.descriptions import Served


_VMS_MORE = """\
examples:
  netbootd vms list
  netbootd vms list --json                       {"vms": [{"key", "machines", "source", ...}]}
  netbootd vms check vms/*.json                  what would vmadm say to these files?
  netbootd vms check --json vms/*.json           {"refused", "files": [{"file", "remarks"}]}
  netbootd vms show web01 | vmadm create         by key, uuid or alias; byte for byte

exit status: 0 all well, 1 vmadm would refuse a file or there is no such description,
2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "List, check and show VM descriptions."
    parser = command(commands, "vms", _vms_list, text, _VMS_MORE)
    inner = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    lists = command(inner, "list", _vms_list, "All that are served, and by whom they are run.", "")
    with_config(lists)
    with_json(lists, "the list as one JSON object")
    checks = command(inner, "check", _vms_check, "What vmadm would say to files.", "")
    with_json(checks, "what is wrong as one JSON object")
    checks.add_argument("files", nargs="+", type=Path, metavar="FILE")
    shows = command(inner, "show", _vms_show, "One description, byte for byte.", "")
    with_config(shows)
    shows.add_argument("key", metavar="KEY", help="its key, its uuid or its alias")


def _vms_list(arguments: argparse.Namespace) -> int:
    served = _served(arguments.config)
    if arguments.json:
        print_json(served.as_dict())
        return 0
    for line in served.lines():
        print(line)
    return 0


def _vms_check(arguments: argparse.Namespace) -> int:
    from netbootd.descriptions import check  # noqa: PLC0415

    reports = [check(file) for file in arguments.files]
    refused = any(report.refused for report in reports)
    if arguments.json:
        print_json({"refused": refused, "files": [report.as_dict() for report in reports]})
    else:
        print("\n".join(line for report in reports for line in report.lines))
    return 1 if refused else 0


def _vms_show(arguments: argparse.Namespace) -> int:
    vm = _served(arguments.config).find(arguments.key)
    sys.stdout.buffer.write(vm.text)
    return 0


def _served(config: Path) -> Served:
    from netbootd.descriptions import Served  # noqa: PLC0415
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2

    served = Served(load(config))
    print_findings(served.findings, Level.WARNING)
    return served
