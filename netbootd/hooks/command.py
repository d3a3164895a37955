"""
A command as a hook.

It runs without a shell, in a session of its own.  It is over when its first process is; what that
leaves behind in its group is ended then, and at the timeout the whole group is.  All that it is
told stands in JSON on its standard input, and in variables as well: ``NETBOOTD_MAC`` for ``mac``.
Its standard output goes nowhere; the last line on its standard error is what the log says when it
fails.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from netbootd.hooks.hook import Hook

_KEPT = 4096  # bytes of what it says, its last
_PIECE = 65536  # what a pipe holds
_PAUSE_S = 0.01  # after each piece: a hook that floods gets 6 MB/s of us, not a whole core
_LONGEST_VARIABLE = 32768  # characters; the kernel takes 128 KiB (execve(2), MAX_ARG_STRLEN)
#: What systemd tells this process and no other (sd_notify(3), sd_listen_fds(3)).
_OURS_ALONE = re.compile(
    r"NOTIFY_SOCKET|WATCHDOG_\w+|LISTEN_\w+|INVOCATION_ID|JOURNAL_STREAM|NETBOOTD_OPENER"
)


def variables_of(data: Mapping[str, Any]) -> dict[str, str]:
    """
    ``NETBOOTD_MAC`` and so on: text as it is, all else as JSON has it.

    What is in ``machine`` goes by its own names, unless something else has them.
    """
    machine = data.get("machine")
    known = {**machine, **data} if isinstance(machine, Mapping) else dict(data)
    found = {}
    for key, value in known.items():
        name = "NETBOOTD_" + re.sub(r"[^A-Z0-9_]", "_", str(key).upper())
        text = value if isinstance(value, str) else _plain(value)
        found[name] = text.replace("\0", "").encode("utf-8", "replace").decode()[:_LONGEST_VARIABLE]
    return found


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | int | float | list | tuple | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def run(hook: Hook) -> str | None:
    """Why it failed, None where it did not."""
    inherited = {k: v for k, v in os.environ.items() if not _OURS_ALONE.fullmatch(k)}
    try:
        process = subprocess.Popen(  # noqa: S603  # the operator's own command, without a shell
            hook.what,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env={**inherited, **hook.variables},
            start_new_session=True,
        )
    except OSError as problem:
        return problem.strerror or str(problem)
    with hook.lock:
        hook.group = process.pid
    said = bytearray()
    try:
        in_time = _converse(process, hook, said)
    finally:
        hook.end()
        with hook.lock:  # from here on the number may be another process's
            hook.group = 0
            process.wait()
        for pipe in (process.stdin, process.stderr):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
    return _verdict(process.returncode, hook.timeout, said, in_time=in_time)


def _verdict(status: int, timeout: float, said: bytearray, *, in_time: bool) -> str | None:
    if not in_time:
        how = f"ended after {timeout:g} s"
    elif status == 0:
        return None
    else:
        how = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return f"{how}: {lines[-1]}" if lines else how


def _converse(process: subprocess.Popen[bytes], hook: Hook, said: bytearray) -> bool:
    """
    Give it its input and take what it says, until its first process has ended.

    False when the time is up.  The process is not waited for: as a zombie it keeps its number, and
    so its group can be ended without hitting a stranger.
    """
    assert process.stdin is not None
    assert process.stderr is not None
    deadline = time.monotonic() + hook.timeout
    left = memoryview(hook.body)
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            for pipe, what in (
                (process.stdin, selectors.EVENT_WRITE),
                (process.stderr, selectors.EVENT_READ),
            ):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, what)
            selector.register(ended, selectors.EVENT_READ)
            while (remaining := deadline - time.monotonic()) > 0:
                ready = {key.fileobj for key, _ in selector.select(remaining)}
                if process.stdin in ready:
                    left = _give(process.stdin.fileno(), left)
                    if not left:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                if process.stderr in ready and not _hear(process.stderr.fileno(), said):
                    selector.unregister(process.stderr)
                if ended in ready:
                    _hear(process.stderr.fileno(), said)
                    return True
    finally:
        os.close(ended)
    return False


def _give(pipe: int, left: memoryview) -> memoryview:
    """What is still to be written; nothing where nobody reads."""
    try:
        return left[os.write(pipe, left) :]
    except BlockingIOError:
        return left
    except OSError:  # it closed its standard input: it need not know
        return left[:0]


def _hear(pipe: int, said: bytearray) -> bool:
    """Keep the end of what is said; False at the end of it all."""
    try:
        piece = os.read(pipe, _PIECE)
    except BlockingIOError:
        return True
    except OSError:
        return False
    said += piece
    del said[:-_KEPT]
    if len(piece) == _PIECE:
        time.sleep(_PAUSE_S)
    return bool(piece)
