"""
The table of a run, for a terminal and for the manual.

``.venv/bin/python -m tests.bench.report FILE`` prints what ``make bench ARGS='--json FILE'`` wrote as
reStructuredText: the goals alone, or with ``--all`` every figure.  With ``--write`` it puts them into
the manual, and the main ones into the README, where the run had all of those.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MANUAL, README = ROOT / "docs" / "performance.rst", ROOT / "README.rst"
#: Comments of reStructuredText, between which figures stand in a page.
BEGIN, END = ".. Figures of a run:", ".. End of the figures."
#: What the README has: load, case, figure, peer.
IN_SHORT = (
    ("storm", "500 nodes", "wall, s", "dnsmasq + nginx"),
    ("storm", "500 nodes", "server CPU, ms/node", "dnsmasq + nginx"),
    ("storm", "2,000 nodes", "wall, s", "dnsmasq + nginx"),
    ("dhcp", "offers, 10,000 machines", "answers/s", "dnsmasq"),
    ("tftp", "74 KB, 16 clients, blksize 1468, lock step", "MB/s", "dnsmasq"),
    ("tftp", "174 KB, 16 clients, blksize 1428, windowsize 4", "MB/s", "dnsmasq"),
    ("tftp", "64 MiB, 4 clients, blksize 1468, windowsize 16", "MB/s", "atftpd"),
    ("tftp", "174 KB, 16 clients, blksize 1428, windowsize 4, 1 % lost", "MB/s", "atftpd"),
    ("http", "a connection for each", "scripts/s", "nginx"),
    ("images", "64 clients", "GB/s", "nginx"),
)

HEADS = ("figure", "netbootd", "peer", "", "ratio", "rounds", "goal", "")


def number(value: float | None) -> str:
    """Three digits that count, and no more; a dash where there is none."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """What the table says of one row (of the JSON)."""
    times, theirs = row["ratio"] or {}, row["peer_value"] or {}
    spread = times if row["peer"] else row["netbootd"]
    ends = (spread.get("min"), spread.get("max"))
    verdict = {True: "met", False: "MISSED", None: "not measured" if row["goal"] else ""}
    return (
        row["figure"],
        number(row["netbootd"]["median"]),
        row["peer"] or "",
        number(theirs.get("median")) if row["peer"] else "",
        number(times.get("median")) if row["peer"] else "",
        "" if None in ends else f"{number(ends[0])} – {number(ends[1])}",
        row["goal"] or "",
        verdict[row["met"]],
    )


def text(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Lines for a terminal: each case with its figures below it."""
    for (load, case), of_case in groupby(rows, key=lambda row: (row["load"], row["case"])):
        yield f"\n{load}: {case}"
        found = list(of_case)
        lines = [cells(row) for row in found]
        widths = [max(map(len, column)) for column in zip(HEADS, *lines, strict=True)]
        for line in (HEADS, *lines):
            yield "  " + "  ".join(map(_padded, range(len(HEADS)), line, widths)).rstrip()
        for problem in dict.fromkeys(filter(None, (_problem(row) for row in found))):
            yield f"  {problem}"


def _padded(column: int, cell: str, width: int) -> str:
    """Words to the left, numbers to the right."""
    return cell.ljust(width) if column in (0, 2, 7) else cell.rjust(width)


def _problem(row: dict[str, Any]) -> str:
    return f"{row['peer'] or 'netbootd'}: {row['problem']}" if row["problem"] else ""


def doubted(run: dict[str, Any]) -> list[str]:
    """What the figures are to be taken with."""
    shares: dict[tuple[str, str], list[float]] = {}
    for case in run["cases"]:
        for doubt in case["doubts"]:
            shares.setdefault((case["load"], doubt["what"]), []).append(doubt["share"])
    return [
        *run["warnings"],
        *(
            f"{load}: up to {max(some):.0%} of a processor was {what} ({len(some)} times)"
            for (load, what), some in shares.items()
        ),
    ]


def doubts(run: dict[str, Any]) -> Iterator[str]:
    """The end of the table in a terminal: what is doubtful, and how many goals are met."""
    if found := doubted(run):
        yield "\nDoubtful:"
        yield from (f"  {text}" for text in found)
    judged = [row["met"] for row in run["rows"] if row["goal"]]
    count = f"{judged.count(True)} goals met, {judged.count(False)} missed"
    yield f"\n{count}, {judged.count(None)} not measured"


def rst(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A simple table of reStructuredText: a row each, the case in its first column where it is new."""
    lines = []
    for (load, case), of_case in groupby(rows, key=lambda row: (row["load"], row["case"])):
        first = f"{load}: {case}"
        for row in of_case:
            lines.append((first or "..", *(cell or "\\" for cell in cells(row))))
            first = ""
    heads = ("load", "figure", "netbootd", "peer", "its", "ratio", "of the rounds", "goal", "met")
    yield from _table(heads, lines)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    yield from (rule, _line(heads, widths), rule)
    yield from (_line(line, widths) for line in lines)
    yield rule


def _line(line: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def in_short(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The rows that the README has, as a table."""
    lines = [
        (
            f"{row['load']}: {row['case']}",
            row["figure"],
            *cells(row)[1:5],
        )
        for load, case, figure, peer in IN_SHORT
        for row in rows
        if (row["load"], row["case"], row["figure"], row["peer"]) == (load, case, figure, peer)
    ]
    yield from _table(("load", "figure", "netbootd", "peer", "its", "ratio"), lines)


def written(page: str, lines: Sequence[str]) -> str:
    """*page* with *lines* in the place of what stands between its two marks; ValueError without."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"no place for figures between {BEGIN!r} and {END!r}")
    return "\n".join((before + begin, "", *lines, "", end + after))


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.report", description=__doc__)
    parser.add_argument("file", type=_run, help="what make bench ARGS='--json FILE' wrote")
    parser.add_argument("--all", action="store_true", help="every figure, and not the goals alone")
    parser.add_argument("--write", action="store_true", help="into docs/performance.rst and README")
    return parser


def _run(text: str) -> dict[str, Any]:
    try:
        run: dict[str, Any] = json.loads(Path(text).read_text())
        run["rows"], run["cases"], run["warnings"]
    except OSError as problem:
        raise argparse.ArgumentTypeError(f"cannot read {text}: {problem.strerror}") from None
    except (ValueError, KeyError, TypeError):
        told = f"{text} is not what make bench ARGS='--json FILE' writes"
        raise argparse.ArgumentTypeError(told) from None
    return run


def lacking(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the README has, and the run has not."""
    there = {(row["load"], row["case"], row["figure"], row["peer"]) for row in rows}
    return [f"{load}: {case}" for load, case, *rest in IN_SHORT if (load, case, *rest) not in there]


def main() -> int:
    given = arguments().parse_args()
    run = given.file
    if given.write and (absent := lacking(run["rows"])):
        print(f"not written, as it was not all measured: {'; '.join(absent)}", file=sys.stderr)
        return 1
    rows = [row for row in run["rows"] if row["goal"] or given.all]
    said = f"``{run['command']}`` at {run['netbootd']} on {run['host']}; {run['when']}, median of {run['rounds']}:"
    doubtful = "; ".join(doubted(run))
    taken_with = textwrap.wrap(f"Doubtful: {doubtful}." if doubtful else "", 100)
    disturbed = " (The machine was disturbed, as the manual tells.)" if doubtful else ""
    tables = {
        MANUAL: [*textwrap.wrap(said, 100), "", *rst(rows), "", *taken_with],
        README: [*textwrap.wrap(said[:-1] + "." + disturbed, 100), "", *in_short(run["rows"])],
    }
    for page, lines in tables.items():
        if given.write:
            page.write_text(written(page.read_text(), lines))
        elif page == MANUAL:
            print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
