"""``netbootd watch``: the machines live, on a terminal or as lines."""

from __future__ import annotations

import argparse
import json
import os
import queue
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from netbootd.commands.daemon import reach, with_daemon
from netbootd.commands.words import Commands, command, complain

if TYPE_CHECKING:
    from netbootd.apiclient import Api
    from netbootd.terminal.fleet import Fleet

_MORE = """\
What is wrong stands first, then what is on its way, with a bar for each file.  Where it is not a
terminal, each change is a line; with --json each event is one, as the daemon says it.

keys: q or Ctrl-C quits.

examples:
  netbootd watch
  netbootd watch --url http://192.168.1.250:3000 --token-file token
  netbootd watch | tee boots.txt

exit status: 0 watched until it was ended, 1 no daemon answers, or this user may not,
2 the command line is wrong.
"""

_TOPICS = "machines,transfers,status"
_AGAIN_S = 1.0
_DRAW_S = 0.25
_SECOND_S = 1.0
_MOST_WAITING = 20_000

Event = tuple[str, Any]


def add(commands: Commands) -> None:
    text = "Watch machines boot, live, with progress."
    parser = command(commands, "watch", _watch, text, _MORE)
    with_daemon(parser)


def _watch(arguments: argparse.Namespace) -> int:
    api = reach(arguments)
    first = api.get("machines")["machines"]  # who may not, or asks nobody, is told at once
    heard: queue.Queue[Event] = queue.Queue(_MOST_WAITING)
    heard.put(("list", first))
    threading.Thread(target=_listen, args=(api, heard), daemon=True).start()
    try:
        if arguments.json:
            _as_json(heard)
        elif _is_screen():
            _on_screen(heard)
        else:
            _in_lines(heard)
    except KeyboardInterrupt:
        pass
    return 0


def _is_screen() -> bool:
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    return sys.stdin.isatty() and sys.stdout.isatty() and not dumb


def _listen(api: Api, heard: queue.Queue[Event]) -> None:
    """In a thread of its own: everything that happens into *heard*, over restarts of the daemon."""
    from netbootd.errors import NetbootdError  # noqa: PLC0415

    while True:
        try:
            for name, value in api.events(_TOPICS):
                if name == "open":
                    heard.put(("status", api.get("status")))
                elif name:
                    heard.put((name, value))
                if name in ("open", "reload"):  # what was said meanwhile, or is not listed any more
                    heard.put(("list", api.get("machines")["machines"]))
            told = "netbootd is away"
        except NetbootdError as problem:
            told = str(problem)
        heard.put(("away", told))
        time.sleep(_AGAIN_S)


# -- lines -----------------------------------------------------------------------------------------


def _as_json(heard: queue.Queue[Event]) -> None:
    while True:
        name, value = heard.get()
        if name not in ("away", "list"):
            print(json.dumps({"event": name, "data": value}), flush=True)


def _in_lines(heard: queue.Queue[Event]) -> None:
    from netbootd.terminal.fleet import Fleet, line  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    fleet, paper = Fleet(), Paper()
    is_told = False
    while True:
        name, value = heard.get()
        if name == "away" and not fleet.away:
            complain(value)
        if name == "status" and not is_told:  # the stream is open: nothing is missed from here on
            print(f"netbootd: watching {len(fleet.machines)} machines", file=sys.stderr)
            is_told = True
        for machine in fleet.hear(name, value):
            paper.line(*line(machine, time.time()))
        paper.flush()


# -- the screen ------------------------------------------------------------------------------------


def _on_screen(heard: queue.Queue[Event]) -> None:
    from netbootd.terminal.fleet import Fleet  # noqa: PLC0415
    from netbootd.terminal.screen import Screen  # noqa: PLC0415

    fleet = Fleet()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with _keys():
        screen = Screen()
        try:
            drawn = 0.0
            while not _quits():
                is_news = _take(heard, fleet)
                if is_news or time.monotonic() - drawn >= _SECOND_S:
                    screen.draw(fleet, time.time())
                    drawn = time.monotonic()
        finally:
            screen.close()


def _take(heard: queue.Queue[Event], fleet: Fleet) -> bool:
    """All that has been heard by now; whether there was anything."""
    is_news = False
    while True:
        try:
            fleet.hear(*heard.get_nowait())
        except queue.Empty:
            return is_news
        is_news = True


@contextmanager
def _keys() -> Iterator[None]:
    """Each key by itself, and none of them shown; Ctrl-C stays what it is."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _quits() -> bool:
    """Wait a little; whether q was pressed meanwhile, or the terminal has gone."""
    try:
        ready, _, _ = select.select([sys.stdin], [], [], _DRAW_S)
    except InterruptedError:  # a window that changes its size
        return False
    if not ready:
        return False
    pressed = os.read(sys.stdin.fileno(), 64)
    return not pressed or b"q" in pressed.lower() or b"\x04" in pressed
