"""
The commands.  A command that only reads the configuration imports no Twisted and no scapy, so that
it answers at once; ``run`` and ``simulate`` import what they need when they are asked for.

Exit status: 0 all well; 1 something is not (a finding about one target, a boot that would fail);
2 the configuration or the command line cannot be used; 130 ended by Ctrl-C, as shells have it.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from netbootd import __version__
from netbootd.commands.words import VARIABLE, Parser, complain, print_findings
from netbootd.errors import ConfigErrors, Level, NetbootdError
from netbootd.usual import DEFAULT_FILE

#: Objects that may be made before the collector looks at them.  A command is over sooner, and would
#: spend a tenth of its time on looking at what it imports; ``run`` has rules of its own.
_YOUNG = 100_000
_INTERRUPTED = 128 + 2  # SIGINT

#: The modules of ``netbootd.commands``, and the commands that each adds, in the order of the help.
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run",),
    "opener": ("opener",),
    "check": ("check",),
    "show": ("show",),
    "script": ("script",),
    "overlay": ("overlay",),
    "explain": ("explain",),
    "diff": ("diff",),
    "doctor": ("doctor",),
    "simulate": ("simulate",),
    "replay": ("replay",),
    "order": ("next", "release"),
    "importing": ("import",),
    "vms": ("vms",),
    "firmware": ("firmware",),
    "styles": ("styles",),
    "status": ("status",),
    "machines": ("machines",),
    "leases": ("leases",),
    "pace": ("pace",),
    "boots": ("timeline", "why"),
    "logs": ("logs",),
    "watch": ("watch",),
    "reload": ("reload",),
    "ui": ("ui",),
    "token": ("token",),
    "completion": ("completion",),
}

_DESCRIPTION = """\
One network boot daemon: DHCP (whole or proxy), TFTP, HTTP and boot scripts from one JSON file.

  netbootd check FILE         is this configuration right?
  netbootd run                serve it
  netbootd show MAC           what would this machine get, and why?
  netbootd script MAC         what would it run when it is up?
  netbootd overlay list MAC   what is laid over its root?
  netbootd explain MAC        why, with every rule that was looked at
  netbootd diff OLD NEW       which machines would another configuration change?
  netbootd simulate MAC       walk through a boot of it, step by step
  netbootd replay FILE.pcap   what would we have answered to a capture?
  netbootd next MAC TARGET    boot that machine once into something else
  netbootd release MAC        let a machine boot again that went in a circle
  netbootd import FILE        a new system from a medium, or another DHCP server's machines
  netbootd vms list           VM descriptions: list, check, show
  netbootd firmware           boot programs: which are there, and which are not?
  netbootd styles             how is firmware told of its boot file?
  netbootd status             how is the running daemon?
  netbootd machines           which are there, and how are they?  add, set, remove, import
  netbootd leases             who has which address?  release ends a lease
  netbootd pace               who waits for its turn in a boot storm?  go, pause, resume
  netbootd timeline MAC       its latest boot, step by step
  netbootd why MAC            why does it not boot?
  netbootd logs MAC           what did it log?  -f goes on with what comes
  netbootd watch              all of them live, with progress
  netbootd reload             read the configuration again, and hear what came of it
  netbootd ui                 the address of the web page
  netbootd token              who may use the API over HTTP?  new, remove
  netbootd completion SHELL   for bash and zsh
  netbootd opener PORT        for its unit: opens ports for a daemon without rights
  netbootd doctor INTERFACE   what would a booting machine meet in this network?
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the entry point of the ``netbootd`` program, which has no *argv* to give."""
    if argv is None:
        gc.set_threshold(_YOUNG)
        atexit.register(gc.freeze)  # or Python walks all there is once more before it ends
    if sys.stdout is None:  # the shell has closed it: netbootd >&-
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  to the end
    try:
        return _run_and_flush(argv)
    except KeyboardInterrupt:
        _give_up_output()
        return _INTERRUPTED
    except ConfigErrors as problem:
        print_findings(problem.findings, Level.WARNING)
        complain("the configuration cannot be used")
        if any(finding.place.file == str(DEFAULT_FILE) for finding in problem.findings):
            complain(f"another one: --config FILE, or {VARIABLE}=FILE in the environment")
        return 2
    except NetbootdError as problem:
        complain(problem)
    except BrokenPipeError:
        _give_up_output()  # the reader has gone; nothing is left to say
    except OSError as problem:
        _give_up_output()
        complain(problem)
    return 1


def _run_and_flush(argv: Sequence[str] | None) -> int:
    """A full disk is found here, --help included, and not at exit where nobody can answer it."""
    try:
        words = sys.argv[1:] if argv is None else argv
        arguments = _parser(words[0] if words else "").parse_args(words)
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    finally:
        sys.stdout.flush()


def _give_up_output() -> None:
    """What is still held for standard output goes nowhere, or Python would try it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(named: str = "") -> argparse.ArgumentParser:
    """For the command that is *named*, or all: who asks for one need not wait for the others."""
    parser = Parser(
        prog="netbootd",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The annotated manual of the configuration is etc/netbootd.json.",
    )
    parser.add_argument("--version", action="version", version=f"netbootd {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    alone = [module for module, names in COMMANDS.items() if named in names]
    wanted = COMMANDS if alone in ([], ["completion"]) else alone  # which tells of all others
    for module in wanted:
        importlib.import_module(f"netbootd.commands.{module}").add(commands)
    parser.set_defaults(whole=parser)
    return parser
