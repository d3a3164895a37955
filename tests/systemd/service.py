"""The real daemon and the real opener in the sandboxes of their units, and how to speak to them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.certificates import authority, signed
from tests.end_to_end.lab import BOOT_SERVER, Lab, write_config
from tests.end_to_end.process import Daemon
from tests.simulate.kernels import bzimage
from tests.systemd.sandbox import GID, OPENER_UID, UID, Sandbox

IMAGE = 24 << 20


class Service:
    """The daemon and the opener in their sandboxes, on the boot server of *lab*."""

    def __init__(self, lab: Lab, folder: Path, config: dict) -> None:
        self.lab = lab
        self.folders = Sandbox.below(folder / "host")
        srv = self.folders.srv
        (srv / "k").write_bytes(bzimage(100_000))
        (srv / "big").write_bytes(os.urandom(IMAGE))
        overlay = self.folders.etc / "overlays" / "site" / "etc"
        overlay.mkdir(parents=True)
        (overlay / "motd").write_text("welcome\n")
        (self.folders.etc / "answers").mkdir()
        shown = signed("boot server", BOOT_SERVER, signer=authority())
        os.chown(shown.write(self.folders.etc / "tls.pem"), UID, GID)
        (folder / "authority.pem").write_bytes(authority().pem)
        self.authority = folder / "authority.pem"
        self.config = config
        self.save()

    def save(self) -> None:
        write_config(self.folders.etc / "netbootd.json", self.config)

    def start_opener(self, *ports: str) -> Daemon:
        """With more *ports* than the unit lists, as of a drop-in."""
        for one in (self.folders.opener, self.folders.notified):
            one.unlink(missing_ok=True)
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.settimeout(120)
        self._told.bind(str(self.folders.notified))
        self.folders.notified.chmod(0o666)
        self.opener: Daemon = self.lab._keep(
            Daemon(self.lab.inside("boot", *self.folders.opener_command(*ports)))
        )
        self.opener_is_ready()
        return self.opener

    def opener_is_ready(self) -> None:
        """Wait until it is, after a start."""
        assert b"READY=1" in self._told.recv(4096)

    def stop_opener(self) -> None:
        self.opener.close()
        self._told.close()
        until(lambda: not processes_of(OPENER_UID))

    def start(self) -> Daemon:
        self.daemon: Daemon = self.lab._keep(
            Daemon(self.lab.inside("boot", *self.folders.command()))
        )
        self.daemon.wait_for(r"\bready\b", 60)
        return self.daemon

    @property
    def processes(self) -> list[Path]:
        """Those of its user, in /proc."""
        return processes_of(UID)

    @property
    def main(self) -> Path:
        """The daemon; bubblewrap waits for it."""
        child = f"PPid:\t{self.daemon.pid}\n"
        [found] = [one for one in self.processes if child in (one / "status").read_text()]
        return found

    def reload(self) -> None:
        before = len(self.daemon.text)
        os.kill(int(self.main.name), signal.SIGHUP)
        self.daemon.wait_for("[^\n]*reloaded[^\n]*\n", 20, after=before)

    def local(self, path: str, *more: str) -> dict:
        asked = ["curl", "-sS", "--unix-socket", str(self.folders.state / "api.sock"), *more]
        return json.loads(
            subprocess.run(
                [*asked, f"http://x/api/v1{path}"], capture_output=True, check=True
            ).stdout
        )

    def curl(self, *words: str) -> str:
        return self.lab.run("lan", "curl", "-sS", "-m", "60", *words)


def processes_of(user: int) -> list[Path]:
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if one.stat().st_uid == user:
                found.append(one)
    return found


def until(condition, patience: float = 20) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.05)
