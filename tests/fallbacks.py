"""
Every fast path that something stands behind, and how to take it away.

``pytest --without NAME`` runs any tests so, with the daemons that they start; ``make fallbacks`` all
of them in turn, each over its ``folders``.  What each is, and when the system itself refuses it, is
in docs/performance.rst.  Tests of the fast path itself are marked ``fast_path(NAME)``.
"""

from __future__ import annotations

import errno
import io
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.forcing import (
    NAMES,
    asked_by,
    finds_nothing,
    is_not_entered,
    met,
    refuse,
    refuse_option,
    replace,
    when_imported,
)

_UDP_SEGMENT = socket.IPPROTO_UDP, 103
_FORCED_BUFFERS = (socket.SOL_SOCKET, 32), (socket.SOL_SOCKET, 33)
_ROUTE_MTU = (socket.IPPROTO_IP, 14), (socket.IPPROTO_IPV6, 24)
_DISCARD = 9

#: Real clients, against the whole daemon.
TFTP_CLIENTS = "tests/end_to_end/test_tftp_clients.py"
HTTP_CLIENTS = "tests/end_to_end/test_http_clients.py"
#: What nodes are given as a text.
SCRIPTS = (
    *("tests/targets", "tests/http/test_bootscript.py", "tests/http/test_node_script.py"),
    *("tests/http/test_answers.py", "tests/http/test_door.py"),
)


class Fallback(NamedTuple):
    """
    *force* takes a fast path away, and *instead* serves; the tests in *folders* say whether it
    does.

    *within*: it is only met where that one is there, and left out where all are taken away.
    """

    name: str
    instead: str
    folders: tuple[str, ...]
    force: Callable[[], None]
    within: str = ""


_table: list[Fallback] = []


def _fallback(
    name: str, instead: str, *folders: str, within: str = ""
) -> Callable[[Callable[[], None]], None]:
    def add(force: Callable[[], None]) -> None:
        _table.append(Fallback(name, instead, folders, force, within))

    return add


# -- TFTP --------------------------------------------------------------------------------------


@_fallback("trains", "a sendmsg for each block", "tests/tftp", TFTP_CLIENTS)
def _trains() -> None:
    refuse_option("trains", errno.ENOPROTOOPT, _UDP_SEGMENT)
    is_not_entered("trains", "netbootd.tftp.train:Line._send_segmented")


@_fallback(
    "cutting",
    "a sendmsg for each block, once it was refused",
    "tests/tftp",
    TFTP_CLIENTS,
    within="trains",
)
def _cutting() -> None:
    def cuts(_: Any, _buffers: Any, ancillary: Iterable[Any] = (), *__: Any) -> bool:
        return any(one[:2] == _UDP_SEGMENT for one in ancillary)

    refuse("cutting", socket.socket, "sendmsg", errno.EIO, cuts)


@_fallback(
    "moulds", "blocks are read, and put together with their headers", "tests/tftp", TFTP_CLIENTS
)
def _moulds() -> None:
    finds_nothing("moulds", "netbootd.tftp.ready:Streamed")
    is_not_entered("moulds", "netbootd.tftp.blocks:Mould.fill")


@_fallback("laid-out", "each transfer reads the file for itself", "tests/tftp", TFTP_CLIENTS)
def _laid_out() -> None:
    finds_nothing("laid-out", "netbootd.tftp.ready:Ready._whole")


@_fallback(
    "one-step", "an ACK goes through all steps", "tests/tftp", TFTP_CLIENTS, within="laid-out"
)
def _one_step() -> None:
    def make(_: Callable[..., Any]) -> Callable[..., Any]:
        def stepwise(transfer: Any, _whole: Any, now: float) -> Any:
            met("one-step")
            return transfer._window_arrived(now)

        return stepwise

    replace("netbootd.tftp.transfer:Transfer._next_window", make)


@_fallback("route-mtu", "blocks fit the interface", "tests/tftp", TFTP_CLIENTS)
def _route_mtu() -> None:
    refuse_option("route-mtu", errno.ENOTCONN, *_ROUTE_MTU, call="getsockopt")


@_fallback(
    "built", "an overlay is built for each request", "tests/tftp/test_built.py", "tests/overlay"
)
def _built() -> None:
    finds_nothing("built", "netbootd.tftp.built:_Overlay.is_of", False)


@_fallback(
    "buffers",
    "receive buffers of net.core.rmem_max bytes",
    "tests/tftp",
    TFTP_CLIENTS,
    "tests/dhcp/test_on_the_wire.py",
    "tests/dhcp/test_service.py",
)
def _buffers() -> None:
    refuse_option("buffers", errno.EPERM, *_FORCED_BUFFERS)


# -- HTTP --------------------------------------------------------------------------------------


@_fallback("visits", "every connection is a channel of Twisted's", "tests/http", HTTP_CLIENTS)
def _visits() -> None:
    finds_nothing("visits", "netbootd.http.simple:read")
    is_not_entered("visits", "netbootd.http.simple:head_of")


@_fallback(
    "lending", "Twisted sends the headers of a file", "tests/http", HTTP_CLIENTS, within="visits"
)
def _lending() -> None:
    def begins(_: Any, _data: Any, flags: int = 0) -> bool:
        return bool(flags & socket.MSG_MORE)

    refuse("lending", socket.socket, "send", errno.EAGAIN, begins)
    is_not_entered("lending", "netbootd.http.bodies:Bodies.lend")


@_fallback("whole-sends", "Twisted sends the rest", "tests/http", HTTP_CLIENTS, within="visits")
def _whole_sends() -> None:
    """A socket has room for half of what it is given."""
    real = socket.socket.send

    def send(connection: socket.socket, data: Any, flags: int = 0) -> int:
        if asked_by("netbootd.http.visitor"):
            met("whole-sends")
            data = data[: (len(data) + 1) // 2]
        return real(connection, data, flags)

    socket.socket.send = send  # type: ignore[method-assign, assignment]


@_fallback("sendfile", "bodies are read and written, 64 KiB at a time", "tests/http", HTTP_CLIENTS)
def _sendfile() -> None:
    refuse("sendfile", os, "sendfile", errno.EINVAL)


@_fallback("confirmed", "what the kernel took counts as arrived", "tests/http", HTTP_CLIENTS)
def _confirmed() -> None:
    import fcntl

    refuse("confirmed", fcntl, "ioctl", errno.ENOTTY, room="netbootd.http.body")


@_fallback(
    "priority", "reading is as urgent as answers", "tests/registry/test_roll.py", within="reader"
)
def _priority() -> None:
    for call in ("nice", "sched_setscheduler"):
        refuse("priority", os, call, errno.EPERM, room="")


# -- DHCP --------------------------------------------------------------------------------------


@_fallback("kept", "whoever asks again is answered anew", "tests/dhcp", "tests/boot")
def _kept() -> None:
    finds_nothing("kept", "netbootd.dhcp.kept:Keeping.find")


@_fallback("shapes", "each machine's answer is decided and encoded", "tests/dhcp", "tests/boot")
def _shapes() -> None:
    finds_nothing("shapes", "netbootd.dhcp.shapes:Shapes.find")


# -- scripts and texts -------------------------------------------------------------------------


@_fallback("texts", "each boot script is made anew", "tests/boot", *SCRIPTS, within="pieces")
def _texts() -> None:
    finds_nothing("texts", "netbootd.boot.kept:Kept.text")


@_fallback(
    "pieces",
    "Jinja2 renders each text",
    "tests/boot",
    *SCRIPTS,
    "tests/test_answers.py",
    "tests/scripts",
)
def _pieces() -> None:
    """No template is understood."""

    def change(precut: Any) -> None:
        def nobody_understands(*_: Any) -> Any:
            met("pieces")
            raise precut.Unfit

        precut._Uses = nobody_understands

    when_imported("netbootd.precut", change)
    is_not_entered("pieces", "netbootd.precut:Pieces._cut")


# -- configurations ----------------------------------------------------------------------------


@_fallback(
    "reader",
    "a configuration is read in a thread",
    "tests/registry/test_roll.py",
    "tests/end_to_end/test_daemon.py",
)
def _reader() -> None:
    """Every configuration is for another process, and there is no room for one."""

    def change(rehearsal: Any) -> None:
        rehearsal._LARGE_BYTES = 0
        refuse("reader", rehearsal.subprocess, "Popen", errno.EAGAIN, room=rehearsal.__name__)

    when_imported("netbootd.rehearsal", change)
    is_not_entered("reader", "netbootd.rehearsal:_taken")


@_fallback(
    "dicts",
    "machines are in a roll, however few",
    "tests/boot",
    *SCRIPTS,
    "tests/dhcp",
    "tests/registry",
    HTTP_CLIENTS,
)
def _dicts() -> None:
    """What was loaded crosses as from another process."""

    def make(load: Callable[..., Any]) -> Callable[..., Any]:
        def crossing_over(file: Path, *more: Any, **named: Any) -> Any:
            from netbootd.registry import crossing

            pipe = io.BytesIO()
            crossing.give(load(file, *more, **named), pipe)
            pipe.seek(0)
            met("dicts")
            return crossing.take(pipe, Path(file).parent)

        return crossing_over

    replace("netbootd.registry.load:load", make)


# -- telling and writing -----------------------------------------------------------------------


@_fallback("slices", "whoever publishes an event tells of the oldest", "tests/events", HTTP_CLIENTS)
def _slices() -> None:
    """As where 16,384 events wait already."""

    def change(narration: Any) -> None:
        narration._MOST = 0

    def make(tell: Callable[..., Any]) -> Callable[..., Any]:
        def telling(narration: Any) -> None:
            met("slices")
            tell(narration)

        return telling

    when_imported("netbootd.events.narration", change)
    replace("netbootd.events.narration:Narration._tell_surplus", make)


@_fallback("filing", "each line's machine is found anew", "tests/logbook", "tests/syslog")
def _filing() -> None:
    def make(_: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *_: met("filing")

    replace("netbootd.logbook.filing:_keep", make)


@_fallback("together", "a transaction for each lease", "tests/leases", "tests/test_leasing.py")
def _together() -> None:
    def change(store: Any) -> None:
        store._MOST_AT_ONCE = 1

    def make(collect: Callable[..., Any]) -> Callable[..., Any]:
        def collecting(store: Any, wait: float) -> Any:
            if store._work.qsize() > 1:
                met("together")
            return collect(store, wait)

        return collecting

    when_imported("netbootd.leases.store", change)
    replace("netbootd.leases.store:Store._collect", make)


FALLBACKS = {one.name: one for one in _table}
#: What can be taken away at once, by one word: all, and what is only met where that is there.
SETS = {
    "all": tuple(one.name for one in _table if not one.within),
    "inner": tuple(one.name for one in _table if one.within),
}
#: Enough for every day: each fast path is asked for here.
QUICK = (
    *("tests/tftp/test_ready.py", "tests/tftp/test_service.py", "tests/tftp/test_built.py"),
    *("tests/http/test_door.py", "tests/http/test_body_states.py"),
    *(
        "tests/http/test_bodies.py::test_bodies_arrive_whole",
        "tests/http/test_bodies.py::test_stopping_has_an_end",
    ),
    *("tests/http/test_bootscript.py", "tests/tftp/test_single_port.py"),
    *("tests/dhcp/test_shapes.py::test_one_of_a_rack_is_decided_for_all",),
    *("tests/dhcp/test_kept.py", "tests/boot/test_kept.py", "tests/registry/test_roll.py"),
    *("tests/events/test_stream.py", "tests/logbook/test_filing.py"),
    *("tests/leases/test_store.py::test_what_waits_is_written_before_the_end",),
)


def names_of(named: Iterable[str]) -> tuple[str, ...]:
    """Those of a set for the set's name."""
    return tuple(dict.fromkeys(name for one in named for name in SETS.get(one, (one,))))


_forced: set[str] = set()


def force(names: Iterable[str]) -> None:
    """Take these fast paths away, for the rest of this process."""
    for name in names:
        if name not in _forced:
            _forced.add(name)
            FALLBACKS[name].force()


def force_here() -> None:
    """What whoever started this process has taken away."""
    force(name for name in os.environ.get(NAMES, "").split(",") if name)
