"""Placeholder until the real one is written."""
from __future__ import annotations
from twisted.internet.task import LoopingCall
from pathlib import Path
from typing import Any, Callable, Iterable

class Watcher:
    def __init__(self, reactor: Any, paths: Iterable[Path], on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._paths = list(paths); self._seen = self._look()
        self._call = LoopingCall(self._poll); self._call.clock = reactor; self._call.start(0.5, now=False)
    def _look(self) -> list[Any]:
        out: list[Any] = []
        for p in self._paths:
            try: s = p.stat(); out.append((s.st_mtime_ns, s.st_ino, s.st_size))
            except OSError: out.append(None)
        return out
    def _poll(self) -> None:
        new = self._look()
        if new != self._seen: self._seen = new; self._on_change()
    def update(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths); self._seen = self._look()
    def close(self) -> None:
        if self._call.running: self._call.stop()
