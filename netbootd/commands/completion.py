"""``netbootd completion``: what a shell needs to complete our commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from netbootd.commands.daemon import reach, with_daemon
from netbootd.commands.words import Commands, command

_MORE = """\
The commands and their options come from netbootd itself; names of machines, targets and groups, and
addresses that are leased, from the running daemon, if this user may ask it.  MACs are completed
with hyphens, which mean the same: bash takes a colon for the end of a word.

examples:
  netbootd completion bash > /etc/bash_completion.d/netbootd
  netbootd completion zsh > "${fpath[1]}/_netbootd"
  netbootd completion machines

exit status: 0 printed, 1 no daemon answers (machines, targets, groups, leases),
2 the command line is wrong.
"""

_SHELLS = ("bash", "zsh")
_WORDS = ("machines", "targets", "groups", "leases")

_BASH = """\
_netbootd_words() { compgen -W "$(netbootd completion "$1" 2>/dev/null)" -- "$2"; }
_netbootd_machines() { _netbootd_words machines "$1"; }
_netbootd_targets() { _netbootd_words targets "$1"; }
_netbootd_groups() { _netbootd_words groups "$1"; }
_netbootd_leases() { _netbootd_words leases "$1"; }
"""
_ZSH = """\
_netbootd_words() { compadd -- ${(f)"$(netbootd completion "$1" 2>/dev/null)"}; }
_netbootd_machines() { _netbootd_words machines; }
_netbootd_targets() { _netbootd_words targets; }
_netbootd_groups() { _netbootd_words groups; }
_netbootd_leases() { _netbootd_words leases; }
"""
#: Which function completes an argument, by its name in the parser.
_BY_NAME = {
    "machine": "machines",
    "target": "targets",
    "group": "groups",
    "lease": "leases",
    "address": "leases",
}


def add(commands: Commands) -> None:
    text = "Print what bash or zsh needs to complete our commands."
    parser = command(commands, "completion", _completion, text, _MORE)
    with_daemon(parser, as_json=False)
    parser.add_argument("what", choices=(*_SHELLS, *_WORDS), metavar="bash|zsh", help="the shell")


def _completion(arguments: argparse.Namespace) -> int:
    if arguments.what in _WORDS:
        for word in dict.fromkeys(_words(arguments)):
            print(word)
        return 0
    import shtab  # noqa: PLC0415

    parser: argparse.ArgumentParser = arguments.whole
    _mark(parser)
    preamble = _BASH if arguments.what == "bash" else _ZSH
    print(shtab.complete(parser, arguments.what, preamble=preamble))
    return 0


def _mark(parser: argparse.ArgumentParser) -> None:
    """Say of each argument what it is completed with."""
    import shtab  # noqa: PLC0415

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _mark(below)
        elif kind := _BY_NAME.get(action.dest):
            if action.option_strings and kind == "leases":
                continue  # an --address of another command is no lease
            function = f"_netbootd_{kind}"
            action.complete = {"bash": function, "zsh": function}  # type: ignore[attr-defined]
        elif action.type is Path or action.dest in ("file", "files", "medium"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]


def _words(arguments: argparse.Namespace) -> Iterator[str]:
    """Only what a shell takes as one word: a name with blanks or quotes is typed by hand."""
    for word in _all_words(arguments):
        if (
            word
            and word.isascii()
            and word.isprintable()
            and not set(word) & set(" \t'\"\\$`;&|<>(){}*?")
        ):
            yield word


def _all_words(arguments: argparse.Namespace) -> Iterator[str]:
    found = reach(arguments).get(arguments.what)
    if arguments.what == "leases":
        yield "release"
        for lease in found["leases"]:
            yield lease["address"]
            yield lease["hostname"]
        return
    if arguments.what != "machines":
        yield from found[arguments.what]
        return
    for machine in found["machines"]:
        yield machine["hostname"]
        for name in (machine["key"], *machine["macs"]):
            yield name.replace(":", "-")
