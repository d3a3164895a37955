"""``netbootd machines add``, ``set``, ``remove`` and ``import``: what changes the configuration."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netbootd.commands.daemon import (
    STATUSES,
    a_mac,
    named,
    reach,
    told_no,
    with_daemon,
    with_name,
)
from netbootd.commands.words import Commands, Parser, command, complain, print_json
from netbootd.printable import printable

if TYPE_CHECKING:
    from netbootd.apiclient import Api

_KEYS = """\
KEY=VALUE is a key of the entry as in the configuration; dots lead into it (vars.disk=/dev/sda).  A
value that is JSON is taken as such: 12, true, null (which removes the key), "12" for text.
"""

_ADD_MORE = f"""\
{_KEYS}
examples:
  netbootd machines add 00:25:90:27:db:b4 --group rack1
  netbootd machines add 00:25:90:27:db:b4 --target nfs/debian12 hostname=node7 ip=192.168.1.7
  netbootd machines add --unknown --group rack1

{STATUSES}"""

_SET_MORE = f"""\
{_KEYS}
examples:
  netbootd machines set 00:25:90:27:db:b4 --target install/debian12
  netbootd machines set node7 --group rack2 hostname=null
  netbootd machines set node7 vars.disk=/dev/nvme0n1 enabled=false

{STATUSES}"""

_REMOVE_MORE = f"""\
What stands in a file that you wrote is not touched: you are told the file and the line, and where a
command or the web page had changed it, it is as written there again.

examples:
  netbootd machines remove 00:25:90:27:db:b4

{STATUSES}"""

_IMPORT_MORE = f"""\
The first line names the columns: mac, then keys of the entry; dots lead into it.  All of it is
checked before anything is written, and either all machines are taken or none.

  mac,type,name,hostname,vars.disk
  00:25:90:27:db:b4,nfs,debian12,node7,/dev/sda

examples:
  netbootd machines import rack1.csv --dry-run
  netbootd machines import rack1.csv
  cut -d, -f1-4 all.csv | netbootd machines import -

{STATUSES}"""


class Intermixed(Parser):
    """Takes KEY=VALUE behind options as well, which argparse does not by itself."""

    _is_inside = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Options first, then what is left; both by the usual way."""
        if self._is_inside:
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False


def add(below: Commands) -> None:
    """All four."""
    _add_add(below)
    _add_set(below)
    parser = command(below, "remove", _remove, "Take a machine off the list.", _REMOVE_MORE)
    with_daemon(parser, below=True)
    with_name(parser)
    _add_import(below)


def _with_entry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE", help="of its entry")
    parser.add_argument(
        "--group", action="append", default=[], metavar="NAME", help="it is in; may stand again"
    )
    parser.add_argument("--target", type=_a_target, metavar="TYPE/NAME", help="what it boots")


def _a_target(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    if not (kind and slash and name):
        raise argparse.ArgumentTypeError(f"{text!r} is no target: a type and a name, nfs/debian12")
    return kind, name


# -- add -------------------------------------------------------------------------------------------


def _add_add(below: Commands) -> None:
    parser = command(below, "add", _add, "Add a machine.", _ADD_MORE)
    with_daemon(parser, below=True)
    parser.add_argument("mac", nargs="?", metavar="MAC", help="in any spelling")
    _with_entry(parser)
    parser.add_argument(
        "--unknown", action="store_true", help="one that asked and is not listed, not a MAC"
    )
    parser.set_defaults(parser=parser)


def _add(arguments: argparse.Namespace) -> int:
    parser: argparse.ArgumentParser = arguments.parser
    keys: list[str] = arguments.keys
    if arguments.unknown and arguments.mac:
        keys, arguments.mac = [arguments.mac, *keys], None  # argparse took the first for a MAC
    entry = _entry(parser, arguments, keys)
    api = reach(arguments)
    if arguments.unknown:
        mac = _stranger(api)
        if mac is None:
            return 1
    elif arguments.mac is None:
        parser.error("a MAC, or --unknown")
    else:
        try:
            mac = a_mac(arguments.mac)
        except argparse.ArgumentTypeError as problem:
            parser.error(f"argument MAC: {problem}")
    return _change(arguments, api, "POST", ("machines",), {"mac": mac, **entry}, "is added")


def _entry(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, keys: Iterable[str]
) -> dict[str, Any]:
    """The keys of an entry that the command line names."""
    entry: dict[str, Any] = {}
    if groups := arguments.group:
        entry["groups" if len(groups) > 1 else "group"] = groups if len(groups) > 1 else groups[0]
    if arguments.target:
        entry["type"], entry["name"] = arguments.target
    for word in keys:
        name, equals, value = word.partition("=")
        if not (name and equals):
            parser.error(f"{word!r} is no KEY=VALUE")
        _put(parser, entry, name, _value(value))
    return entry


def _put(parser: argparse.ArgumentParser, entry: dict[str, Any], name: str, value: Any) -> None:
    *folders, last = name.split(".")
    for folder in folders:
        inner = entry.setdefault(folder, {})
        if not isinstance(inner, dict):
            parser.error(f"{name!r} leads into {folder!r}, which has a value of its own")
        entry = inner
    if not last or "" in folders:
        parser.error(f"{name!r} is no key: a dot stands between two")
    entry[last] = value


def _value(text: str) -> Any:
    """*text* as JSON where it is any, else as it stands."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # Python reads more than JSON has
    except (ValueError, RecursionError):
        return text
    return value


def _stranger(api: Api) -> str | None:
    """Whom to add of those who asked: the only one, or who is chosen; None for nobody."""
    from netbootd.terminal.machines import show_unknown  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    found = api.get("unknown")
    strangers = latest_first(found["machines"])
    if not strangers:
        complain("nobody asked who is not listed, since netbootd was started")
        return None
    if len(strangers) == 1:
        return str(strangers[0]["mac"])
    show_unknown(Paper(sys.stderr), strangers[:_SHOWN], found["now"])
    if not sys.stdin.isatty():
        complain(f"{len(strangers)} are not listed: name the MAC of one")
        return None
    return _chosen(strangers[:_SHOWN])


_SHOWN = 20


def latest_first(strangers: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """In the order in which an admin looks for the machine that was switched on just now."""
    return sorted(strangers, key=lambda one: -one["last"])


def _chosen(strangers: Sequence[Mapping[str, Any]]) -> str | None:
    print(f"which one, 1 to {len(strangers)}, or nothing for none? [1 is the latest] ", end="",
          file=sys.stderr, flush=True)  # fmt: skip
    answer = sys.stdin.readline().strip()
    if not answer:
        return None
    if not (answer.isascii() and answer.isdecimal()) or not 1 <= int(answer) <= len(strangers):
        complain(f"{answer!r} is none of them")
        return None
    return str(strangers[int(answer) - 1]["mac"])


# -- set and remove --------------------------------------------------------------------------------


def _add_set(below: Commands) -> None:
    parser = command(below, "set", _set, "Change keys of a machine's entry.", _SET_MORE)
    with_daemon(parser, below=True)
    with_name(parser)
    _with_entry(parser)
    parser.set_defaults(parser=parser)


def _set(arguments: argparse.Namespace) -> int:
    entry = _entry(arguments.parser, arguments, arguments.keys)
    if not entry:
        arguments.parser.error("nothing to change: KEY=VALUE, --group or --target")
    path = ("machines", arguments.machine)
    return _change(arguments, reach(arguments), "PATCH", path, entry, "is changed")


def _remove(arguments: argparse.Namespace) -> int:
    from netbootd.apiclient import Refused  # noqa: PLC0415

    api = reach(arguments)
    path = "machines", str(api.get("machines", arguments.machine)["key"])
    _send(api, "DELETE", path, None)
    try:
        left = api.get(*path)
    except Refused:  # as it should be
        left = None
    if left is not None and not left.get("known"):
        left = None  # it is one of those that are not listed
    if arguments.json:
        print_json(left)
    elif left is None:
        print(f"{path[1]} is removed")
    else:
        place = f"{printable(left['file'])}:{left['line']}"
        print(f"{named(left)} is as it is written by hand again, at {place}")
    return 0


def _change(
    arguments: argparse.Namespace,
    api: Api,
    method: str,
    path: tuple[str, ...],
    body: Mapping[str, Any],
    done: str,
) -> int:
    """Send a change, and tell what the machine is now."""
    machine = _send(api, method, path, body)
    if arguments.json:
        print_json(machine)
    else:
        groups = ", ".join(machine.get("groups") or ())
        of = f", of {groups}" if groups else ""
        print(f"{named(machine)} {done}: boots {machine.get('target') or 'nothing'}{of}")
    return 0


def _send(api: Api, method: str, path: tuple[str, ...], body: Mapping[str, Any] | None) -> Any:
    """What the daemon says to a change; the findings behind a no are told."""
    from netbootd.apiclient import Refused  # noqa: PLC0415

    try:
        return api.send(method, *path, body=body)
    except Refused as problem:
        told_no(problem)
        raise


# -- import ----------------------------------------------------------------------------------------


def _add_import(below: Commands) -> None:
    text = "Add and change many machines from a table (CSV)."
    parser = command(below, "import", _import, text, _IMPORT_MORE)
    with_daemon(parser, below=True)
    parser.add_argument("file", metavar="FILE.csv", help="UTF-8; - for standard input")
    parser.add_argument("--dry-run", action="store_true", help="say what would come of it")


def _import(arguments: argparse.Namespace) -> int:
    from netbootd.apiclient import Refused  # noqa: PLC0415
    from netbootd.terminal.machines import show_findings  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    api = reach(arguments)
    try:
        table = _read(arguments.file)
    except OSError as problem:
        complain(f"{arguments.file}: {problem.strerror}")
        return 1
    query = {"dry_run": 1} if arguments.dry_run else {}
    try:
        done = api.ask("POST", ("machines", "import"), query, table, "text/csv; charset=utf-8")
    except Refused as problem:
        told_no(problem)
        raise
    if arguments.json:
        print_json(done)
        return 0
    show_findings(Paper(sys.stderr), done.get("findings", ()))
    would = "would be " if arguments.dry_run else ""
    print(f"{done['added']} {would}added, {done['changed']} {would}changed, "
          f"{done['unchanged']} as they were")  # fmt: skip
    wrong = any(one["level"].endswith("error") for one in done.get("findings", ()))
    return 1 if wrong else 0


def _read(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
