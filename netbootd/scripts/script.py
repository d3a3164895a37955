"""
The program that a node runs when it is up, put together from fragments.

Each fragment is carried as a here-document and run on its own, in order: one that fails, or that
is no program at all, hurts no other.  Those without a ``#!`` line, or with that of ``sh``,
run under ``set -eu`` and may use ``put`` (see FRAME); others get the interpreter they name.
The whole ends with the status of the first that failed, so that whoever runs it knows.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from netbootd.printable import printable
from netbootd.rendering import BrokenText, TextTemplate
from netbootd.scripts import modules, mounts, network
from netbootd.targets.base import Facts

#: What stands before the first fragment.  POSIX sh as dash, bash, BusyBox and ksh93 know it.
FRAME = """\
umask 022
set -u
status=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP INT TERM

# put FILE [MODE]: standard input becomes FILE, where it is not that already.
# The variable changed is "yes" afterwards if any file of this fragment was written.
changed=no
put() {
    mkdir -p "$(dirname "$1")"
    cat >"$work/new"
    if [ -f "$1" ] && cmp -s "$work/new" "$1"; then return 0; fi
    # A new file in its place: half a file is never seen, and no link that waits there is followed.
    # Some are mounts, as in containers.
    _new=$(mktemp "$1.XXXXXX")
    cat "$work/new" >"$_new"
    chmod "${2:-644}" "$_new"
    mv -f "$_new" "$1" 2>/dev/null || { cat "$work/new" >"$1"; rm -f "$_new"; }
    changed=yes
    echo "netbootd: wrote $1"
}

# run NAME [INTERPRETER]...: one fragment, from standard input.
run() {
    name=$1
    shift
    cat >"$work/fragment"
    if [ $# = 0 ]; then
        (set -eu; . "$work/fragment") </dev/null
    else
        "$@" "$work/fragment" </dev/null
    fi
    ended=$?
    [ "$ended" != 0 ] || return 0
    echo "netbootd: $name failed with status $ended" >&2
    [ "$status" != 0 ] || status=$ended
}
"""
_SHELLS = ("/bin/sh", "/usr/bin/sh", "/usr/bin/env sh")


@dataclass(frozen=True, slots=True)
class Fragment:
    """
    A piece of program: *name* as lists say it, *file* where it stands.

    *text* is rendered for each machine where it is a template, else verbatim.
    """

    name: str
    file: str
    text: TextTemplate | BrokenText | str

    def render(self, names: Mapping[str, Any]) -> str:
        """Its text for one machine, ending in a line feed; raises RenderError."""
        made = self.text if isinstance(self.text, str) else self.text.render(names)
        made = made.replace("\r\n", "\n")
        return made if made.endswith("\n") else made + "\n"


class Piece(NamedTuple):
    """A fragment, and the *part* of the configuration that names it (``target nfs/Centos6``)."""

    part: str
    fragment: Fragment


def node_script(pieces: Sequence[Piece], facts: Facts) -> str:
    """
    A complete program for one machine; harmless where there are no *pieces*.

    Raises RenderError, which names file and line, where one of them cannot be rendered.
    """
    head = f"#!/bin/sh\n# What {facts.mac} runs when it is up; made by netbootd.\n"
    if not pieces:
        return head + "# Nothing to do.\nexit 0\n"
    bodies = [_body(piece, text) for piece, text in rendered(pieces, facts)]
    return "\n".join((head + FRAME, *bodies, 'exit "$status"\n'))


def rendered(pieces: Sequence[Piece], facts: Facts) -> list[tuple[Piece, str]]:
    """Each piece with its text for one machine; raises RenderError."""
    known = names(facts)
    return [(piece, piece.fragment.render(known)) for piece in pieces]


def names(facts: Facts) -> dict[str, Any]:
    """
    What fragments know: what every template does, and what our own ones call.

    ``network_plan()`` is a ``network.Plan``, ``module_options()`` a list of ``modules.Option``,
    ``mount_list()`` one of ``mounts.Mount``.
    """
    calls = {
        "network_plan": lambda: network.plan(facts),
        "module_options": lambda: modules.options(facts.variables.get("modules")),
        "mount_list": lambda: mounts.mounts(facts.variables.get("mounts", [])),
    }
    return {**facts.names(), **calls}


def _body(piece: Piece, text: str) -> str:
    name, file = piece.fragment.name, piece.fragment.file
    words = " ".join(map(shlex.quote, (name, *interpreter(text))))
    mark = _mark(text)
    said = printable(f"{piece.part}: {name} ({file})")
    return f"# --- {said}\nrun {words} <<'{mark}'\n{text}{mark}\n"


def interpreter(text: str) -> tuple[str, ...]:
    """The words of its ``#!`` line; none for what the shell that runs the whole can run itself."""
    first = text.partition("\n")[0]
    if not first.startswith("#!"):
        return ()
    named = " ".join(first[2:].split())
    # As the kernel does it: one argument at most, blanks and all (execve(2)).
    return () if named in _SHELLS else tuple(named.split(" ", 1))


def _mark(text: str) -> str:
    """A line that does not occur in *text*."""
    lines, mark = set(text.splitlines()), "END"
    while mark in lines:
        mark += "_"
    return mark
