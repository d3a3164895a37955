"""``netbootd check``: everything that is wrong with configuration files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from netbootd.commands.words import (
    VARIABLE,
    Commands,
    command,
    print_findings,
    print_json,
    usual_config,
)
from netbootd.errors import Finding, Level
from netbootd.usual import DEFAULT_FILE

_CHECK_MORE = """\
Renders the script of every machine, so that what would fail at boot fails here.  Files that are not
there, such as a kernel, are warnings, since they may come later: who asks before they do gets a
404.  'netbootd simulate' fetches what one machine would, and fails without it.

examples:
  netbootd check /etc/netbootd/netbootd.json
  netbootd check --json --network etc/*.json

exit status: 0 nothing wrong (warnings at most, files that are missing among them), 1 a machine or
target cannot boot, 2 a file cannot be used, or would not be taken by a reload.
"""


def add(commands: Commands) -> None:
    text = "Say everything that is wrong with configuration files."
    parser = command(commands, "check", _check, text, _CHECK_MORE)
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help=f"a configuration (default: what {VARIABLE} says, else {DEFAULT_FILE})",
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="the same, as the other commands spell it",
    )
    parser.add_argument("--json", action="store_true", help="findings as a JSON array")
    parser.add_argument(
        "--network",
        action="store_true",
        help="ask the NFS servers that are named whether they answer",
    )
    parser.add_argument("--verbose", action="store_true", help="overridden entries as well")


def _check(arguments: argparse.Namespace) -> int:
    from netbootd.check import check  # noqa: PLC0415  Jinja2

    findings: list[Finding] = []
    summaries = []
    for file in [*arguments.files, *arguments.config] or [usual_config()]:
        report = check(file, network=arguments.network)
        findings += report.findings
        summaries.append(f"{file}: {report.summary}")
    least = Level.DEBUG if arguments.verbose else Level.NOTE
    if arguments.json:
        print_json([finding.as_dict() for finding in findings if finding.level >= least])
    else:
        print_findings(findings, least, sys.stdout)
        print("\n".join(summaries))
    worst = max((finding.level for finding in findings), default=Level.DEBUG)
    return {Level.TARGET: 1, Level.RELOAD: 2, Level.ERROR: 2}.get(worst, 0)
