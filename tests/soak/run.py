"""
One run: a daemon, and what befalls it, one fault after another, while nodes boot.

The order of the faults, what the cable does to frames and what is sent that is no protocol come
from the seed; the clients' timers do not.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import faults
from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.end_to_end.process import LabError
from tests.faults.place import FAR, NODES, Place
from tests.faults.wire import Wire
from tests.soak.nuisance import LISTED, TALKERS, card
from tests.soak.sampling import Sample, Sampler

NODE_NETWORK = "10.65.0.0/16"
OTHER = "192.0.2.11"
ANYBODY = "255.255.255.255"
#: How many boots a node tries: the first, and those that a watchdog or a person would begin.
BOOTS = 6
LEASES = 400  # computers of the far network, each coming again and again
STRANGERS = 1000
STATE = "size=96m"
INSIDE = Path(__file__).with_name("inside")
CLOCK = Path(faults.__file__).with_name("clock") / "sitecustomize.py"
HOUR = 3600
#: Before anything is measured: more machines and boots than the tables of both hold (10,000 are
#: the most), in storms that are no larger than they must be, since a heap that was once large
#: hides what leaks into it; and more lines of each machine than are kept.
FULL_NODES, FULL_STORMS = 250, 44
FULL_LINES, LINES_RATE = 60 * TALKERS, 1500
#: One after another: each leaves 9 MB of compiled templates, which are in circles, until a quiet
#: moment or for ten minutes at the most (``netbootd/collecting.py``), in which six may come.
CHANGES = 6
FIRST_CARD = 0x02_00_00_01_00_00
REST_S = 75.0


@dataclass
class Tally:
    """
    What came of it: boots that were tried, ``first`` or ``later`` came up, or ``failed``; and
    phases that were ``broken`` by anything else.
    """

    phases: Counter[str] = field(default_factory=Counter)
    tried: int = 0
    first: int = 0
    later: int = 0
    failed: int = 0
    broken: int = 0
    begun_anew: int = 0
    leases: int = 0
    twice: int = 0
    reasons: list[str] = field(default_factory=list)

    def boots(self, phase: str, counted: dict[str, Any]) -> None:
        self.tried += counted["nodes"]
        self.later += counted["after_anew"]
        self.first += counted["finished"] - counted["after_anew"]
        self.failed += counted["failed"] + counted["wrong"]
        self.begun_anew += counted["anew"]
        if counted["failed"] or counted["wrong"] or counted["anew"]:
            kind = "FAILED" if counted["failed"] or counted["wrong"] else "again"
            self.reasons.append(f"{phase}: {kind}: {counted['problem']}")


class Soak:
    """A daemon of *lab* under faults made by *seed*, with *nodes* in each storm."""

    def __init__(self, lab: Lab, *, seed: int, nodes: int, say: Callable[[str], None]) -> None:
        self.lab, self.nodes, self.say = lab, nodes, say
        self.tally = Tally()
        self.ended = ""  # what daemons said that were killed
        self.chance = random.Random(seed)
        self._mount()
        self.wire = Wire(lab, "boot", f"{BOOT_SERVER}/24", seed=seed)
        self.place = Place(lab)
        self._offset, self._blocks = lab.folder / "offset", lab.folder / "blocks"
        self.place.gives_addresses_far_away()
        del self.place.config["boot_servers"]  # what is offered follows the interface
        subnet = self.place.config["subnets"][FAR]
        self.place.config["subnets"][FAR] = {**subnet, "lease_time": 120}
        disk = {"type": "localboot", "name": "disk"}
        self.place.config["machines"] |= {card(number): disk for number in range(LISTED)}
        self.place.config["netbootd"] |= {
            "syslog": True,
            "logs": {"size": 16},
            "boots": {"kept": 2000},
            "guard": False,  # the same nodes boot every few seconds, which is what it is against
        }
        self._set_clock(0)
        self._serve()
        self.phases: dict[str, Callable[[], None]] = {
            "quiet": self.quiet,
            "lossy": self.lossy,
            "flood": self.flood,
            "changes": self.changes,
            "interface": self.interface,
            "address": self.address,
            "disk full": self.disk_full,
            "read-only": self.read_only,
            "clock": self.clock,
            "leases": self.leases,
        }

    def _serve(self) -> None:
        """Start the daemon, with ``inside/sitecustomize.py`` in it."""
        lines = (f"CLOCK={CLOCK}", f"CLOCK_OFFSET={self._offset}", f"BLOCKS={self._blocks}")
        self.place.serve("env", f"PYTHONPATH={INSIDE}", *lines)

    def sampler(self, pause: float = 10.0) -> Sampler:
        """Of the daemon that runs."""
        return Sampler(self.place.daemon.pid, self.place.state, self._blocks, pause)

    def _mount(self) -> None:
        state = self.lab.folder / "state"
        state.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", STATE, "none", str(state)], check=True)

    def close(self) -> None:
        """The disk goes with the lab."""
        subprocess.run(["umount", "-l", str(self.lab.folder / "state")], check=False)

    def fill(self) -> None:
        """Fill every table that has a bound: while it fills, it looks like one that has none."""
        for number in range(FULL_STORMS):
            card = f"{FIRST_CARD + number * FULL_NODES:012x}"
            mac = ":".join(card[at : at + 2] for at in range(0, 12, 2))
            self._storm("warm-up", FULL_NODES, spread=2, mac=mac)
        self.say(f"warm-up: {FULL_STORMS} storms of {FULL_NODES} nodes")
        words = (BOOT_SERVER, "lines", str(FULL_LINES), str(LINES_RATE))
        self.lab.run("lan", sys.executable, "-m", "tests.soak.nuisance", *words, timeout=300)
        self.say(f"warm-up: {FULL_LINES} lines of log")
        for name in (*self.phases, *["changes"] * CHANGES):
            self.phase(name)
        self.rest()

    def rest(self) -> None:
        """A storm without a fault, and until what was left open by others is closed."""
        self.phase("quiet")
        self.say(f"resting for {REST_S:.0f} s")
        time.sleep(REST_S)

    def go(self, seconds: float, pause: float = 10.0) -> list[Sample]:
        """All phases, again and again in another order, for so long; what the daemon took."""
        sampler = self.sampler(pause)
        sampler.samples.append(sampler.take())
        sampler.start()
        until = time.monotonic() + seconds
        waiting: list[str] = []
        while time.monotonic() < until and self.place.daemon.returncode is None:
            if not waiting:
                waiting = list(self.phases)
                self.chance.shuffle(waiting)
            self.phase(waiting.pop())
        return sampler.stop()

    def phase(self, name: str) -> None:
        """One of them, whatever becomes of it."""
        self.tally.phases[name] += 1
        before, began = self.tally.begun_anew, time.monotonic()
        try:
            (self.killed if name == "killed" else self.phases[name])()
        except (LabError, AssertionError, subprocess.SubprocessError) as problem:
            self.tally.broken += 1
            self.tally.reasons.append(f"{name}: FAILED: {str(problem)[-300:]}")
            self.say(self.tally.reasons[-1])
        took, anew = time.monotonic() - began, self.tally.begun_anew - before
        told = f"{self.tally.tried:6d} boots, {self.tally.failed} failed"
        self.say(f"{name:10} {took:5.1f} s, {anew} begun anew; {told}")

    # -- loads ---------------------------------------------------------------------------------

    def _storm(self, phase: str, count: int = 0, **settings: Any) -> None:
        given = {"server": ANYBODY, "boots": BOOTS, "deadline": 170, "firmware": "mixed"}
        counted = self.place.boots(count or self.nodes, **given, **settings)
        self.tally.boots(phase, counted)

    @contextlib.contextmanager
    def _storming(self, phase: str, **settings: Any) -> Iterator[None]:
        """Nodes boot meanwhile, switched on within some seconds."""
        problems: list[BaseException] = []

        def boot() -> None:
            try:
                self._storm(phase, spread=6, **settings)
            except BaseException as problem:  # told by whoever waits for us
                problems.append(problem)

        booting = threading.Thread(target=boot)
        booting.start()
        try:
            time.sleep(1)
            yield
        finally:
            booting.join()
        if problems:
            raise problems[0]

    # -- phases --------------------------------------------------------------------------------

    def quiet(self) -> None:
        """Nothing is wrong."""
        self._storm("quiet", spread=2)

    def lossy(self) -> None:
        """20 of 100 frames are lost, doubled, late, in each direction."""
        self.wire.fails(20, 20, 20)
        try:
            self._storm("lossy", max(2, self.nodes // 2), patience=60)
        finally:
            self.wire.fails(0)

    def flood(self) -> None:
        """Nonsense on each port and strangers' DISCOVERs, a few hundred a second of each."""
        seed = self.chance.randrange(1 << 30)
        words = (BOOT_SERVER, "10", "200", str(seed))
        nuisance = self.lab.spawn("lan", sys.executable, "-m", "tests.soak.nuisance", *words)
        with self._storming("flood"):
            self.place.lease(STRANGERS, 1 << 19, rate=100, seconds=8, mode="offer", relay=NODES)
        nuisance.wait(60)
        nuisance.close()

    def changes(self) -> None:
        """Machines come and go by the API, and SIGHUP twenty times."""
        with self._storming("changes"):
            for number in range(10):
                card = f"00:25:90:27:db:{number:02x}"
                entry = json.dumps({"mac": card, "target": "localboot/disk"})
                body = ("-H", "Content-Type: application/json", "-d", entry)
                self.place.api("/machines", "-X", "POST", *body)
                self.place.daemon.send(signal.SIGHUP)
                self.place.api(f"/machines/{card}", "-X", "DELETE")
                self.place.daemon.send(signal.SIGHUP)

    def interface(self) -> None:
        """The interface goes down and comes up, twice."""
        with self._storming("interface"):
            for _ in range(2):
                self.lab.ip("boot", "link set eth0 down")
                time.sleep(1.5)
                self.lab.ip("boot", "link set eth0 up")
                self._route()
                time.sleep(2)

    def address(self) -> None:
        """It has another address for a while."""
        with self._storming("address"):
            for old, new in ((BOOT_SERVER, OTHER), (OTHER, BOOT_SERVER)):
                self.lab.ip("boot", f"addr del {old}/24 dev eth0")
                self.lab.ip("boot", f"addr add {new}/24 broadcast + dev eth0")
                self._route()
                time.sleep(3)

    def _route(self) -> None:
        for network in (NODE_NETWORK, FAR):
            self.lab.ip("boot", f"route replace {network} via 192.0.2.1")

    def disk_full(self) -> None:
        """The disk of the state folder is full for a while."""
        ballast = self.place.state / "ballast"
        try:
            with self._storming("disk full"):
                with ballast.open("wb", buffering=0) as opened, contextlib.suppress(OSError):
                    while True:
                        opened.write(bytes(1 << 16))
                time.sleep(4)
        finally:
            ballast.unlink()
        self._recovers()

    def read_only(self) -> None:
        """Another disk, that is read-only, is in its place for a while."""
        state = str(self.place.state)
        over = ["mount", "-o", "ro", "-t", "tmpfs", "none", state]
        with self._storming("read-only"):
            subprocess.run(over, check=True)
            time.sleep(4)
            subprocess.run(["umount", "-l", state], check=True)
        self._recovers()

    def _recovers(self) -> None:
        """No trouble of the disk is left."""
        until = time.monotonic() + 60
        while "sqlite" in (troubles := self.place.troubles()) or "not written" in troubles:
            if time.monotonic() > until:
                raise AssertionError(f"the disk is well, and still: {troubles}")
            time.sleep(0.5)

    def clock(self) -> None:
        """The wall clock goes an hour forward, two back, and is right again."""
        try:
            with self._storming("clock"):
                for offset in (HOUR, -HOUR):
                    self._set_clock(offset)
                    time.sleep(2)
        finally:
            self._set_clock(0)

    def _set_clock(self, offset: float) -> None:
        new = self._offset.with_suffix(".new")
        new.write_text(str(offset))
        new.rename(self._offset)

    def killed(self) -> None:
        """kill -9 and a new start, twice.  For the end: the memory of a new one says nothing."""
        with self._storming("killed"):
            for _ in range(2):
                time.sleep(1)
                self.ended += self.place.daemon.text
                self.place.daemon.send(signal.SIGKILL)
                self.place.daemon.wait(10)
                self._serve()

    def leases(self) -> None:
        """Computers get addresses, over a cable that loses 5 of 100."""
        self.wire.fails(5, 5, 5)
        try:
            counted = self.place.lease(LEASES, window=32, seconds=4)
        finally:
            self.wire.fails(0)
        self.tally.leases += counted["answers"]
        self.tally.twice += counted["wrong"]
        if counted["wrong"]:
            self.tally.reasons.append(f"leases: FAILED: {counted['problem']}")
