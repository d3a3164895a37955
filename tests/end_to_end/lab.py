"""
An admin network in namespaces, with machines of real firmware plugged into it.

::

      lan (192.0.2.1)        boot (192.0.2.10)
      the site's DHCP        netbootd
           |                     |
           +------- bridge ------+---- tap ---- QEMU
                    "switch" namespace

Everything lives in namespaces named after this process, so that several labs may run at once, and
goes away with the ``with`` block: after an exception and after SIGTERM too.  Each process is ended
by its own id; the kernel ends those that are left if this process dies without a word.

The addresses are those of RFC 5737 and there is no route out: nothing here can reach a stranger.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
NETBOOTD = ROOT / ".venv" / "bin" / "netbootd"

LAN_SERVER = "192.0.2.1"
BOOT_SERVER = "192.0.2.10"
HTTP = f"{BOOT_SERVER}:3000"

# Firmware writes in colours and moves the cursor (ECMA-48); a shell's title strings end in BEL.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\-_=>])|\r|\0")


class LabError(Exception):
    """The lab could not do what was asked; the text says what it saw instead."""


MAC = re.compile(r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")


class NotSeenError(AssertionError):
    """A text did not appear in time, or its process ended before."""


def now() -> float:
    """Seconds of the one clock that every deadline here uses."""
    return time.monotonic()


# --- processes ---------------------------------------------------------------------------------


class Process:
    """
    A program whose output is kept, and which can be waited for by what it prints.

    Lines are not waited for but text: a prompt or a firmware's progress ends without a newline.
    """

    def __init__(self, argv: list[str], *, mirror: Callable[[str], None] | None = None) -> None:
        self.name = " ".join(argv[:8])
        self._mirror = mirror
        self._text = ""
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._process.poll()

    @property
    def text(self) -> str:
        """Everything printed so far, without escape sequences."""
        with self._news:
            return ESCAPES.sub("", self._text)

    def _read(self) -> None:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while piece := os.read(pipe, 65536):
            text = piece.decode("utf-8", "replace")
            with self._news:
                self._text += text
                self._news.notify_all()
            if self._mirror:
                self._mirror(text)
        with self._news:
            self._news.notify_all()

    def wait_for(self, pattern: str, timeout: float, *, after: int = 0) -> re.Match[str]:
        """
        The first match of *pattern* behind position *after* of ``text``, within *timeout* seconds.

        Raises NotSeenError with the end of what was printed; at once if the program has ended.
        """
        deadline = now() + timeout
        wanted = re.compile(pattern)
        while True:
            ended = not self._reader.is_alive()
            if found := wanted.search(self.text, after):
                return found
            left = deadline - now()
            if ended or left <= 0:
                why = f"exit status {self._process.wait(5)}" if ended else f"{timeout:.0f} s"
                end = self.text[-3000:]
                raise NotSeenError(f"no {pattern!r} from {self.name} ({why}):\n{end}")
            with self._news:
                self._news.wait(min(left, 0.5))

    def wait(self, timeout: float) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(timeout)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        """End it: politely, then not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(5)


class Daemon(Process):
    """``netbootd run``: a process that says when it is ready and when it has reloaded."""

    def reload(self, timeout: float = 15) -> str:
        """SIGHUP; the line that says it took effect."""
        position = len(self.text)
        self.send(signal.SIGHUP)
        return self.wait_for(r"[^\n]*reloaded[^\n]*", timeout, after=position)[0]

    def lines(self, mac: str) -> list[str]:
        """What it logged about one machine since it was ready."""
        _banner, _, log = self.text.partition("ready")
        return [line for line in log.splitlines() if mac in line]


# --- the network -------------------------------------------------------------------------------


class Lab:
    """
    The network and everything on it, as a context manager.

    *folder* keeps captures, RAM files and logs; a temporary one by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder
        self._stack = contextlib.ExitStack()
        self._taps = 0
        self.prefix = ""
        self.folder = Path()

    def __enter__(self) -> Lab:
        if os.geteuid() != 0:
            raise LabError("network namespaces need root")
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _set_up(self) -> None:
        _sweep()
        self._stack.enter_context(_sigterm_raises())
        self.prefix = _free_prefix()
        if self._given:
            self.folder = self._given
        else:
            self.folder = Path(tempfile.mkdtemp(prefix=self.prefix))
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._namespace("switch")
        # A port of a bridge with the usual 15 s + 15 s of listening and learning loses the
        # DISCOVERs that a firmware sends in the first half minute.
        self.ip("switch", "link add lan type bridge stp_state 0 forward_delay 0")
        self.ip("switch", "link set lan up")
        self.plug("lan", LAN_SERVER)
        self.plug("boot", BOOT_SERVER)

    def plug(self, place: str, address: str) -> None:
        """A new host *place* with *address* on eth0, on the switch."""
        self._namespace(place)
        port = f"to-{place}"
        self.ip("switch", f"link add {port} type veth peer name eth0 netns {self.prefix}{place}")
        self.ip("switch", f"link set {port} master lan up")
        self.ip(place, f"addr add {address}/24 broadcast + dev eth0")
        self.ip(place, "link set eth0 up")
        # veth leaves UDP and TCP checksums to a card that is not there; a guest that checks them
        # in software would drop every packet.
        self.run(place, "ethtool", "-K", "eth0", "tx", "off")
        self.run("switch", "ethtool", "-K", port, "tx", "off")

    def _namespace(self, place: str) -> None:
        name = self.prefix + place
        _command("ip", "netns", "add", name)
        self._stack.callback(_command, "ip", "netns", "del", name, check=False)
        # An IPv6 address is usable at once, without two seconds of duplicate address detection.
        self.run(place, "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
        self.ip(place, "link set lo up")

    def ip(self, place: str, words: str) -> None:
        """``ip`` in the namespace *place*; *words* are its arguments."""
        _command("ip", "-n", self.prefix + place, *words.split())

    def inside(self, place: str, *argv: str) -> list[str]:
        """The command line that runs *argv* in *place* and ends it with this process."""
        namespace = f"/run/netns/{self.prefix}{place}"
        return ["nsenter", f"--net={namespace}", "setpriv", "--pdeathsig", "KILL", "--", *argv]

    def run(self, place: str, *argv: str, timeout: float = 60) -> str:
        """What the command *argv* prints when run in *place*; LabError if it fails."""
        return _command(*self.inside(place, *argv), timeout=timeout)

    def spawn(self, place: str, *argv: str) -> Process:
        """A program that runs in *place* until the lab is closed."""
        return self._keep(Process(self.inside(place, *argv)))

    def _keep(self, process: Any) -> Any:
        self._stack.callback(process.close)
        return process

    def dhcp(self, *options: str) -> Process:
        """
        The LAN's DHCP server, which knows nothing of network boot unless *options* say so.

        It announces an IPv6 prefix too: without any router advertisement every stage of iPXE
        waits 15 s for one.
        """
        self.ip("lan", "addr replace fd00:2:2::1/64 dev eth0 nodad")
        server = self.spawn(
            *("lan", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0"),
            *("--user=root", "--log-dhcp", "--interface=eth0", "--bind-interfaces", "--no-ping"),
            *("--dhcp-authoritative", "--dhcp-range=192.0.2.100,192.0.2.199,1h"),
            *("--enable-ra", "--dhcp-range=fd00:2:2::,ra-only", "--ra-param=eth0,4"),
            *(f"--dhcp-leasefile={self.folder}/leases", "--dhcp-option=3", *options),
        )
        server.wait_for("DHCP, IP range", 10)
        return server

    def netbootd(self, config: Path | dict[str, Any], *options: str) -> Daemon:
        """``netbootd run`` on the boot server, once it says that it is ready."""
        if isinstance(config, dict):
            config = write_config(self.folder / "netbootd.json", config)
        argv = self.inside("boot", str(NETBOOTD), "run", "--config", str(config), *options)
        daemon: Daemon = self._keep(Daemon(argv))
        daemon.wait_for(r"\bready\b", 30)
        return daemon

    def bios(self, mac: str, **settings: Any) -> Node:
        """A legacy machine, powered on; see Node.  Its network card carries iPXE in its ROM."""
        return self._power_on(mac, BIOS, settings)

    def plain_bios(self, mac: str, **settings: Any) -> Node:
        """A legacy machine whose ROM speaks plain PXE, as real cards do; see ``disguise``."""
        ram = self.folder / f"ram-{mac.replace(':', '')}"
        shared = f"memory-backend-file,id=ram,size=256M,mem-path={ram},share=on"
        node = self._power_on(mac, (*BIOS, "-M", "memory-backend=ram", "-object", shared), settings)
        node.wait_for("iPXE initialising devices", 60)
        with node.paused():
            disguise(ram)
        ram.unlink()
        return node

    def uefi(self, mac: str, *, http_boot: bool = False, **settings: Any) -> Node:
        """A UEFI machine with the firmware's own PXE client, or only its HTTP client."""
        variables = self.folder / f"vars-{mac.replace(':', '')}.fd"
        shutil.copy(OVMF / "OVMF_VARS_4M.fd", variables)
        machine = (*UEFI, "-drive", f"if=pflash,format=raw,file={variables}")
        if http_boot:  # OVMF tries PXE first, and waits long before it gives up
            machine += ("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n")
        # With a ROM on the card its iPXE would take over from the firmware's own client.
        return self._power_on(mac, machine, {"rom": "", **settings})

    def _power_on(self, mac: str, machine: tuple[str, ...], settings: dict[str, Any]) -> Node:
        self._taps += 1
        tap = f"tap{self._taps}"
        self.ip("switch", f"tuntap add {tap} mode tap")
        self.ip("switch", f"link set {tap} master lan up")
        node: Node = self._keep(Node(self, tap, mac, machine, **settings))
        return node


def write_config(path: Path, config: dict[str, Any]) -> Path:
    """*config* as a file, put in place whole, as an editor would."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(config, indent=2))
    new.rename(path)
    return path


def _command(*argv: str, check: bool = True, timeout: float = 60) -> str:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _free_prefix() -> str:
    """A start of names that no other lab has: a process may have several, one after another."""
    taken = {path.name for path in Path("/run/netns").glob("*")}
    count = 0
    while any(name.startswith(f"nb{os.getpid()}-{count}-") for name in taken):
        count += 1
    return f"nb{os.getpid()}-{count}-"


def _sweep() -> None:
    """Remove what labs left behind whose process was killed before it could clean up."""
    for path in [*Path("/run/netns").glob("nb*"), *Path(tempfile.gettempdir()).glob("nb*")]:
        owner = re.match(r"nb(\d+)-\d+-", path.name)
        if not owner or Path(f"/proc/{owner[1]}").exists():
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            _command("ip", "netns", "del", path.name, check=False)


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM ends the ``with`` blocks as Ctrl-C does, instead of leaving everything behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- machines ----------------------------------------------------------------------------------

OVMF = Path("/usr/share/OVMF")

# TCG is named explicitly: a /dev/kvm may be there and be of no use, as in many sandboxes.
COMMON = (
    *("qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-no-user-config", "-no-reboot"),
    *("-display", "none", "-serial", "stdio", "-device", "virtio-rng-pci"),
)
# graphics=off makes SeaBIOS write to the serial port.
BIOS = ("-M", "pc,graphics=off", "-m", "256")
UEFI = (
    *("-M", "q35", "-m", "512"),
    *("-drive", f"if=pflash,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd"),
    # Each of these saves a minute of IPv6 attempts in a network that has no such server.
    *("-fw_cfg", "name=opt/org.tianocore/IPv6Support,string=n"),
    *("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"),
)


class Node:
    """
    One machine in QEMU, with a capture of everything on its cable.

    *disk*: an image, or a folder seen as FAT, to boot after the network.  *rom*: another option
    ROM for the network card than QEMU's iPXE, "" for none.  *mirror* is called with the console's
    text as it comes.
    """

    def __init__(
        self,
        lab: Lab,
        tap: str,
        mac: str,
        machine: tuple[str, ...],
        *,
        disk: Path | None = None,
        rom: str | None = None,
        mirror: Callable[[str], None] | None = None,
    ) -> None:
        self.lab, self.tap, self.mac = lab, tap, mac
        self.started = now()
        self._qmp = lab.folder / f"{tap}.qmp"
        self._pcap = lab.folder / f"{tap}.pcap"
        self._capture = lab.spawn(
            # Immediate mode, or the last second is lost when it is ended; -s: TFTP and HTTP
            # bodies are not needed, but a whole DHCP packet is.
            *("switch", "tcpdump", "-i", tap, "--immediate-mode", "-U", "-s", "1514"),
            *("-B", "16384", "-Z", "root", "-w", str(self._pcap), "ip"),
        )
        self._capture.wait_for("listening on", 10)
        card = f"virtio-net-pci,netdev=lan,mac={mac},bootindex=1"
        argv = [*COMMON, *machine, "-qmp", f"unix:{self._qmp},server=on,wait=off"]
        argv += ["-netdev", f"tap,id=lan,ifname={tap},script=no,downscript=no"]
        argv += ["-device", card if rom is None else f"{card},romfile={rom}"]
        if disk:
            image = f"fat:{disk}" if disk.is_dir() else disk
            argv += ["-drive", f"if=none,id=disk,format=raw,snapshot=on,file={image}"]
            argv += ["-device", "ide-hd,drive=disk,bootindex=2"]
        self._console = Process(lab.inside("switch", *argv), mirror=mirror)

    @property
    def console(self) -> str:
        """What its serial port has said so far."""
        return self._console.text

    def wait_for(self, pattern: str, timeout: float, *, after: int = 0) -> re.Match[str]:
        """See Process.wait_for.  The failure shows the packets as well as the console."""
        try:
            return self._console.wait_for(pattern, timeout, after=after)
        except NotSeenError as problem:
            raise NotSeenError(f"{problem}\n--- on its cable:\n{self.packets()}") from None

    def packets(self) -> Packets:
        """What has passed on its cable up to now."""
        return Packets(self._pcap.read_bytes())

    def seconds(self) -> float:
        """Since it was powered on."""
        return now() - self.started

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The processor stands still, so that its memory can be looked at."""
        with Monitor(self._qmp) as monitor:
            monitor.execute("stop")
            yield
            monitor.execute("cont")

    def close(self) -> None:
        """Power off and pull the cable."""
        self._console.close()
        self._capture.close()
        with contextlib.suppress(LabError):
            self.lab.ip("switch", f"link del {self.tap}")

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Monitor:
    """QEMU's own control socket (QMP), as far as it is needed here."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rw")
        self._file.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str) -> Any:
        """Its answer; events that come in between are of no interest."""
        self._file.write(json.dumps({"execute": command}) + "\n")
        self._file.flush()
        while line := self._file.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"QEMU: {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]
        raise LabError(f"QEMU closed its monitor during {command}")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()


# --- a ROM that is not iPXE --------------------------------------------------------------------


# What iPXE adds to its requests that no other ROM sends (its src/net/udp/dhcp.c), and without which
# it is what its own manual calls a PXE ROM: user class, own options, and the wish to be told them.
USER_CLASS = re.compile(rb"\x4d\x04iPXE")
WISHES = re.compile(rb"(?<=[\x80-\x87])\xaf\xcb(?=\xff)")  # 175, 203, end of the template
# dhcppkt_store(packet, 175, features, end - features): mov eax,end; sub eax,features; push eax;
# mov ecx,features; mov edx,175.  With "end" made equal to "features" the option has no content,
# and an option without content is not stored.
FEATURES = re.compile(rb"\xb8(.{4})\x2d(.{4})\x50\xb9\2\xba\xaf\0\0\0", re.DOTALL)
# dhcppkt_store(packet, 175.177, card, 5): push 5; ecx from somewhere; mov edx,0xAFB1.
CARD = re.compile(rb"\x6a\x05(?=.{2,4}\xba\xb1\xaf\0\0)", re.DOTALL)

RAM_TOP = 32 << 20  # iPXE lives at the top of memory, twice: unpacked, and moved from there


def disguise(ram: Path) -> None:
    """
    Make the iPXE in the memory file *ram* behave on the wire like a ROM that is not iPXE.

    Every network card of QEMU carries iPXE for legacy machines, and SeaBIOS has no network code
    of its own; but an iPXE that says so is (rightly) given its script at once, so that the road
    of real cards, ROM to undionly.kpxe to script, would never be tested.  Patched after it has
    unpacked itself and before it sends anything, it asks like the ROM of a real card.

    The patterns fit the builds in Debian 12 (of 2019) and Debian 13 (of 2025).
    Raises LabError if this build of iPXE does not look as expected: better no test than one that
    passes by the wrong road.
    """
    with ram.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        start = len(memory) - RAM_TOP
        patched = {
            "user class": _patch(memory, start, USER_CLASS, lambda _: bytes(6)),
            "parameter list": _patch(memory, start, WISHES, lambda _: b"\x01\x01"),
            "features": _patch(
                memory, start, FEATURES, lambda hit: hit[0].replace(hit[1], hit[2], 1)
            ),
            "network card": _patch(memory, start, CARD, lambda _: b"\x6a\0"),
        }
    if len(set(patched.values())) != 1 or not patched["features"]:
        raise LabError(f"this iPXE ROM is not the one known here; places found: {patched}")


def _patch(
    memory: mmap.mmap, start: int, pattern: re.Pattern[bytes], change: Callable[..., bytes]
) -> int:
    """Put ``change(match)`` in place of each match; their number."""
    hits = list(pattern.finditer(memory, start))  # type: ignore[arg-type]
    for hit in hits:
        memory[hit.start() : hit.end()] = change(hit)
    return len(hits)


# --- what was on the cable ---------------------------------------------------------------------


@dataclass(frozen=True)
class Dhcp:
    """One DHCP packet, in RFC 2131's words; *options* as they stand, code to bytes."""

    seconds: float
    src: str
    dst: str
    sport: int
    dport: int
    xid: int
    yiaddr: str
    siaddr: str
    chaddr: str
    file: str
    options: dict[int, bytes]

    @property
    def type(self) -> str:
        names = ("", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform")
        return names[self.options.get(53, b"\0")[0]]

    @property
    def user_class(self) -> bytes:
        return self.options.get(77, b"")

    @property
    def arch(self) -> int | None:
        """Option 93; None for a client that is no boot firmware."""
        return int.from_bytes(self.options[93][:2], "big") if 93 in self.options else None

    @property
    def boot_file(self) -> str:
        """The file named, in its field or in option 67."""
        return self.file or self.options.get(67, b"").rstrip(b"\0").decode("latin-1")

    def __str__(self) -> str:
        who = f"{self.src}:{self.sport} -> {self.dst}:{self.dport}"
        return (
            f"{self.seconds:7.2f} {who} DHCP {self.type} yiaddr={self.yiaddr} "
            f"siaddr={self.siaddr} file={self.boot_file!r} options={sorted(self.options)}"
        )


@dataclass
class Transfer:
    """One TFTP read: the *file* asked for, *blocks* of data seen, the *error* if there was one."""

    seconds: float
    src: str
    port: int
    file: str
    options: dict[str, str]
    blocks: int = 0
    size: int = 0
    error: str = ""

    def __str__(self) -> str:
        end = f"error {self.error!r}" if self.error else f"{self.size} bytes"
        return f"{self.seconds:7.2f} {self.src} TFTP {self.file!r}: {self.blocks} blocks, {end}"


@dataclass(frozen=True)
class Get:
    """The head of one HTTP request."""

    seconds: float
    src: str
    dst: str
    port: int
    method: str
    path: str
    headers: dict[str, str]

    def __str__(self) -> str:
        agent = self.headers.get("user-agent", "")
        return f"{self.seconds:7.2f} {self.src} HTTP {self.method} {self.path} ({agent})"


class Packets:
    """
    A capture, understood: DHCP packets, TFTP transfers, HTTP requests, in their order.

    Read with struct alone, so that this witness shares no code with what it bears witness on.
    """

    def __init__(self, pcap: bytes) -> None:
        self.dhcp: list[Dhcp] = []
        self.tftp: list[Transfer] = []
        self.http: list[Get] = []
        self._first = 0.0
        for seconds, frame in _frames(pcap):
            self._first = self._first or seconds
            if len(frame) >= 34 and frame[12:14] == b"\x08\x00":
                self._ipv4(seconds - self._first, frame[14:])

    def _ipv4(self, at: float, packet: bytes) -> None:
        head, length = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        src, dst = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
        if int.from_bytes(packet[6:8], "big") & 0x1FFF:
            return  # a later fragment has no ports
        body = packet[head:length]
        if packet[9] == socket.IPPROTO_UDP and len(body) > 8:
            sport, dport = struct.unpack_from("!HH", body)
            if {sport, dport} & {67, 68, 4011}:
                self._dhcp(at, src, dst, sport, dport, body[8:])
            else:
                self._tftp(at, src, dst, sport, dport, body[8:])
        elif packet[9] == socket.IPPROTO_TCP and len(body) > 20:
            dport = int.from_bytes(body[2:4], "big")
            self._http(at, src, dst, dport, body[(body[12] >> 4) * 4 :])

    def _dhcp(self, at: float, src: str, dst: str, sport: int, dport: int, body: bytes) -> None:
        if len(body) < 240 or body[236:240] != b"\x63\x82\x53\x63":
            return
        self.dhcp.append(
            Dhcp(
                *(at, src, dst, sport, dport),
                xid=int.from_bytes(body[4:8], "big"),
                yiaddr=socket.inet_ntoa(body[16:20]),
                siaddr=socket.inet_ntoa(body[20:24]),
                chaddr=body[28:34].hex(":"),
                file=body[108:236].split(b"\0")[0].decode("latin-1"),
                options=_options(body[240:]),
            )
        )

    def _tftp(self, at: float, src: str, dst: str, sport: int, dport: int, body: bytes) -> None:
        opcode = int.from_bytes(body[:2], "big")
        if dport == 69 and opcode == 1:
            name, _mode, *rest = body[2:].decode("latin-1").split("\0")
            pairs = {key.lower(): value for key, value in zip(rest[::2], rest[1::2], strict=False)}
            self.tftp.append(Transfer(at, src, sport, name, pairs))
            return
        for transfer in reversed(self.tftp):
            if (transfer.src, transfer.port) == (dst, dport):  # from the server to the client
                if opcode == 3:
                    transfer.blocks += 1
                    transfer.size += len(body) - 4
                elif opcode == 5:
                    transfer.error = body[4:].split(b"\0")[0].decode("latin-1") or "unnamed"
                return

    def _http(self, at: float, src: str, dst: str, port: int, body: bytes) -> None:
        if not re.match(rb"(GET|HEAD|POST|PUT) \S+ HTTP/1\.", body):
            return
        first, *lines = body.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, path, _version = first.split(" ")
        headers = {
            key.lower(): value.strip() for key, _, value in (s.partition(":") for s in lines)
        }
        self.http.append(Get(at, src, dst, port, method, path, headers))

    def offers(self, server: str) -> list[Dhcp]:
        """The offers that *server* made."""
        return [packet for packet in self.dhcp if packet.type == "offer" and packet.src == server]

    def unwanted(self, server: str) -> list[Dhcp]:
        """What *server* sent to a client that was no boot firmware: it must keep silent there."""
        plain = {packet.xid for packet in self.dhcp if packet.dport == 67 and packet.arch is None}
        return [packet for packet in self.dhcp if packet.src == server and packet.xid in plain]

    def asked_4011(self) -> list[Dhcp]:
        """What the client asked of a boot server's own port."""
        return [packet for packet in self.dhcp if packet.dport == 4011]

    def loaded(self, name: str) -> list[Transfer]:
        """TFTP transfers of a file of that *name* (its last part) that carried data."""
        return [move for move in self.tftp if move.file.split("/")[-1] == name and move.blocks]

    def paths(self, method: str = "GET") -> list[str]:
        """The HTTP paths asked for; a MAC with colons, however the client spelled it."""
        found = (unquote(request.path) for request in self.http if request.method == method)
        return [MAC.sub(lambda mac: mac[0].replace("-", ":").lower(), path) for path in found]

    def __str__(self) -> str:
        """A line for each, in time order: what a failed test shows."""
        every = [*self.dhcp, *self.tftp, *self.http]
        return "\n".join(str(one) for one in sorted(every, key=lambda one: one.seconds))


def _frames(pcap: bytes) -> Iterator[tuple[float, bytes]]:
    """Time and bytes of each whole packet (the classic pcap format, in microseconds)."""
    if len(pcap) < 24:
        return
    order = "<" if pcap[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = 24
    while at + 16 <= len(pcap):
        seconds, micro, kept, _whole = struct.unpack_from(f"{order}IIII", pcap, at)
        if at + 16 + kept > len(pcap):
            return  # still being written
        yield seconds + micro / 1e6, pcap[at + 16 : at + 16 + kept]
        at += 16 + kept


def _options(area: bytes) -> dict[int, bytes]:
    """Code to value; a repeated option is joined (RFC 3396)."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(area) and area[at] != 255:
        if area[at] == 0:
            at += 1
            continue
        if at + 2 > len(area):
            break
        code, length = area[at], area[at + 1]
        found[code] = found.get(code, b"") + area[at + 2 : at + 2 + length]
        at += 2 + length
    return found
