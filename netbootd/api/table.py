"""
A table of machines: CSV as spreadsheets and inventories write it (RFC 4180), or a JSON array.

The first row names the columns: ``mac`` (or ``key`` for machines without one), then keys of an
entry, with dots for what is inside another (``vars.rack``).  An empty cell says that the machine
has no such key; columns that are not there are left as they are.  Separators may be commas,
semicolons or tabs; a byte-order mark is Excel's.

What a cell means: ``true`` and ``false``, whole numbers, and arrays or objects in JSON are that;
all else is text, and so is everything in columns whose values are names: a serial number of digits
only stays as it is written.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from netbootd.api import body
from netbootd.api.entry import IDENTIFYING, keyed
from netbootd.api.no import No, wrong
from netbootd.errors import Finding, Level, Place
from netbootd.mac import MAC

_BOM = "\ufeff"
_SEPARATORS = ",;\t"
_MOST_ROWS = 20_000
_MOST_FAULTS = 50
_MOST_COLUMNS = 500
#: Columns that hold names and numbers as they are printed, whatever these look like.
_TEXT = frozenset(
    {
        *(
            "mac",
            "key",
            "uuid",
            "serial",
            "asset",
            "client_id",
            "ip",
            "hostname",
            "domain",
            "label",
        ),
        *("type", "name", "target", "group", "boot_server", "boot_args", "kernel", "initrd"),
        *("sanboot", "after", "reply_style", "root_password", "password", "timezone"),
    }
)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,14})")


class Row(NamedTuple):
    """One machine: its *key*, what is said of it (None: taken away), and the *line* it is from."""

    key: str
    keys: Mapping[str, Any]
    line: int


def of_csv(raw: bytes) -> list[Row]:
    """The rows of *raw*; raises No with a finding, row and column, for each that is wrong."""
    text = _text(raw)
    lines = csv.reader(io.StringIO(text, newline=""), _dialect(text), strict=True)
    try:
        return _rows(lines)
    except csv.Error as problem:
        told = f"the table is no CSV: {problem} in line {lines.line_num}"
        raise wrong(told, "no-csv") from None


def of_json(raw: bytes) -> list[Row]:
    """The same from an array of objects."""
    value = body.parse(raw)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise wrong("the body must be a JSON array of objects, one for each machine", "no-array")
    faults = _Faults()
    rows: list[Row] = []
    for number, one in enumerate(value, 1):
        try:
            rows.append(Row(*keyed(one), number))
        except ValueError as problem:
            faults.add(str(problem), number)
    return _once_each(rows, faults)


class _Faults:
    """What is wrong in the table, at most so much that somebody may read it."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def add(self, text: str, line: int, column: int = 0) -> None:
        if len(self.found) < _MOST_FAULTS:
            place = Place("the table", line, column)
            self.found.append(Finding(Level.ERROR, "table", text, place))

    def check(self) -> None:
        """Raise No if there are any."""
        if self.found:
            first = self.found[0]
            at = f", column {first.place.column}" if first.place.column else ""
            told = f"nothing was changed: row {first.place.line}{at}: {first.text}"
            raise No(HTTPStatus.UNPROCESSABLE_ENTITY, "table-invalid", told, self.found)


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].count(b"\n") + 1
        told = f"the table is not UTF-8: byte 0x{raw[problem.start]:02x} in line {line}"
        raise wrong(told, "not-utf-8") from None
    if "\0" in text:
        raise wrong("the table holds a NUL byte", "no-csv")
    if not text.strip():
        raise wrong("the table is empty; a row with the names of the columns expected", "no-body")
    return text


def _dialect(text: str) -> type[csv.Dialect]:
    """By the row of names, in which no separator stands in a name."""
    first = next((line for line in re.split(r"[\r\n]", text) if line.strip()), "")

    class Found(csv.excel):
        delimiter = max(_SEPARATORS, key=first.count)

    return Found


def _rows(lines: Any) -> list[Row]:
    header: list[str] | None = None
    faults = _Faults()
    rows: list[Row] = []
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _header(cells, faults)
            faults.check()
        elif len(rows) >= _MOST_ROWS:
            raise wrong(f"more than {_MOST_ROWS} machines in one table", "too-long")
        elif row := _row(header, cells, lines.line_num, faults):
            rows.append(row)
    return _once_each(rows, faults)


def _header(cells: list[str], faults: _Faults) -> list[str]:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    lower = [name.lower() for name in names]
    for column, name in enumerate(names, 1):
        if not name or not all(name.split(".")):
            faults.add(f"a column needs a name, not {name!r:.40}", 1, column)
        elif name in names[: column - 1]:
            faults.add(f'"{name:.40}" names two columns', 1, column)
    if IDENTIFYING.isdisjoint(lower):
        faults.add('no column "mac"; the first row must name the columns', 1)
    if len(names) > _MOST_COLUMNS:
        faults.add(f"more than {_MOST_COLUMNS} columns", 1)
    return [low if low in IDENTIFYING else name for name, low in zip(names, lower, strict=True)]


def _row(header: list[str], cells: list[str], line: int, faults: _Faults) -> Row | None:
    if any(cell.strip() for cell in cells[len(header) :]):
        faults.add(
            f"{len(cells)} cells, and {len(header)} columns have names", line, len(header) + 1
        )
        return None
    cells += [""] * (len(header) - len(cells))
    keys: dict[str, Any] = {}
    for column, (name, cell) in enumerate(zip(header, cells, strict=False), 1):
        try:
            _lay_in(keys, name.split("."), _meaning(name, cell.strip()))
        except ValueError as problem:
            faults.add(str(problem), line, column)
    own = {key: one for key, one in keys.items() if one is not None or key not in IDENTIFYING}
    try:
        return Row(*keyed(own), line)
    except ValueError as problem:
        faults.add(str(problem), line, header.index("mac" if "mac" in header else "key") + 1)
        return None


def _lay_in(keys: dict[str, Any], steps: list[str], value: Any) -> None:
    for step in steps[:-1]:
        if keys.get(step) is None:
            keys[step] = {}
        keys = keys[step]
        if not isinstance(keys, dict):
            raise ValueError(f'"{step}" is a value of its own and cannot hold "{steps[-1]}"')
    if isinstance(keys.get(steps[-1]), dict) and value is not None:
        raise ValueError(f'"{steps[-1]}" holds other columns and cannot be a value of its own')
    keys.setdefault(steps[-1], value)


def _meaning(name: str, cell: str) -> Any:
    """The value of a cell; None for an empty one.  Raises ValueError."""
    if not cell:
        return None
    if name.rpartition(".")[2] in _TEXT:
        return cell
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    if _INTEGER.fullmatch(cell):
        return int(cell)
    if cell[0] in "[{":
        try:
            return body.parse(cell.encode("utf-8"))
        except No as problem:
            raise ValueError(f'"{name}": {problem.text.replace("the body", "the cell")}') from None
    return cell


def _once_each(rows: list[Row], faults: _Faults) -> list[Row]:
    seen: dict[Any, int] = {}
    for row in rows:
        who = MAC.maybe(row.key) or row.key
        if who in seen:
            faults.add(f"{row.key} stands in row {seen[who]} already", row.line)
        seen.setdefault(who, row.line)
    faults.check()
    if not rows:
        raise wrong("the table has no machines", "no-body")
    return rows
