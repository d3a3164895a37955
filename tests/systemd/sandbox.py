"""
The sandbox of the unit without systemd: what its lines say, asked of the kernel by other programs.

The lines are read from the unit file itself.  bubblewrap lays the file system (bwrap(1)), setpriv
gives and takes rights, and ``confine.py`` loads the system call filter, made of systemd's own sets.
A line that is not known here fails the test, so that none is added to the unit and not tried.

The opener has a sandbox of its own, and a socket that is listened on for it (``activate.py``).

Where it is stricter than systemd: of ``/etc`` there is what Python needs, of ``/run`` and ``/srv``
what is the daemon's, and the environment has the path of the opener's socket alone.  Where it is
laxer: ``DevicePolicy``, ``KeyringMode``, ``RemoveIPC``, ``SocketBindDeny`` and the limits of a control
group are systemd's own to do.

Sources: systemd.exec(5); src/core/execute.c and src/shared/seccomp-util.c of systemd.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.process import ROOT
from tests.systemd.unit import OPENER, SOCKET, UNIT, settings

#: Of nobody on a Debian system, nor of another test.
UID = GID = 61_000 + os.getpid() % 4_000
OPENER_UID = UID - 10_000
_NETBOOTD = ROOT / ".venv" / "bin" / "netbootd"
_HOME = "/var/lib/netbootd"  # as sysusers.d makes it
_ACTIVATE, _CONFINE, _USERS = (
    Path(__file__).with_name(f"{name}.py") for name in ("activate", "confine", "users")
)
#: Debian's own, which knows Debian's libseccomp.
_PYTHON = "/usr/bin/python3"

#: Lines that lay the file system, or are answered by it.
_LAID = {
    *("ConfigurationDirectory", "ConfigurationDirectoryMode", "StateDirectory"),
    *("StateDirectoryMode", "RuntimeDirectory", "RuntimeDirectoryPreserve", "ReadWritePaths"),
    *("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateMounts", "PrivateDevices"),
    *("ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectControlGroups", "PrivateIPC"),
    "InaccessiblePaths",
}
#: Lines about the process.
_WORN = {
    *("User", "Group", "AmbientCapabilities", "CapabilityBoundingSet", "NoNewPrivileges", "UMask"),
    *("LimitNOFILE", "Environment", "ExecStart", "PrivateUsers", "DynamicUser"),
}
#: Lines about system calls: for confine.py.
_FILTERED = {
    *("RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"),
    *("LockPersonality", "MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter"),
    *("SystemCallErrorNumber", "ProtectKernelModules", "ProtectKernelLogs", "ProtectClock"),
    *("ProtectHostname",),
}
#: Lines about the life of the service, and those that systemd alone can do.
_ELSEWHERE = {
    *("Description", "Documentation", "After", "WantedBy", "Type", "NotifyAccess", "ExecReload"),
    *("Restart", "RestartSec", "RestartPreventExitStatus", "WatchdogSec", "TimeoutStopSec"),
    *("DevicePolicy", "KeyringMode", "RemoveIPC", "Wants", "Requires", "PartOf"),
    *("TasksMax", "MemoryMax", "SocketBindDeny"),
}
#: Of /etc: what Python and its libraries look at.
_ETC = ("alternatives", "group", "hosts", "ld.so.cache", "localtime", "nsswitch.conf", "ssl")


@dataclass(frozen=True)
class Sandbox:
    """
    The folders of the host that stand for those of the service: *etc* with netbootd.json, *state*,
    *run*, and *srv* with the files to serve.
    """

    etc: Path
    state: Path
    run: Path
    srv: Path

    @property
    def opener(self) -> Path:
        """The opener's socket, as the host has it."""
        return self.etc.parent / "opener" / "sock"

    @property
    def notified(self) -> Path:
        """Where the opener says that it is ready (sd_notify(3))."""
        return self.opener.with_name("notify")

    @classmethod
    def below(cls, folder: Path) -> Sandbox:
        """Made below *folder*, as tools/install and systemd leave them."""
        made = cls(*(folder / name for name in ("etc", "state", "run", "srv")))
        for one in (made.etc / "machines.d", made.state, made.run, made.srv, made.opener.parent):
            one.mkdir(parents=True)
        for one, mode in ((made.state, 0o750), (made.run, 0o755)):
            os.chown(one, UID, GID)
            one.chmod(mode)
        os.chown(made.etc / "machines.d", 0, GID)
        (made.etc / "machines.d").chmod(0o2775)
        users = Path("/etc/passwd").read_text()
        (folder / "passwd").write_text(f"{users}{_one('User')}:x:{UID}:{GID}::{_HOME}:/bin/false\n")
        return made

    def command(self, *instead: str) -> list[str]:
        """The command line that starts the daemon, or *instead*, as the unit does; for root."""
        program = instead or _exec_start(UNIT)
        assert _one("PrivateUsers") == "yes"
        users = [_PYTHON, str(_USERS), str(UID)]
        told = [one for one in settings()["Environment"] if one.startswith("NETBOOTD_OPENER=")]
        return [
            *self._file_system(),
            *_process(UNIT, UID, users, *told),
            *(_PYTHON, str(_CONFINE), str(UNIT), *program),
        ]

    def opener_command(self, *ports: str) -> list[str]:
        """What listens for the opener and starts it, with more *ports*; for root."""
        assert settings(SOCKET)["SocketUser"] == settings(UNIT)["User"]
        notified = f"NOTIFY_SOCKET={self.notified}"
        return [
            *(
                "setpriv",
                "--pdeathsig",
                "TERM",
                _PYTHON,
                str(_ACTIVATE),
                str(self.opener),
                str(UID),
            ),
            *settings(SOCKET)["SocketMode"],
            *self._laid(shown(self.opener.parent, "--ro-bind")),
            *_process(OPENER, OPENER_UID, [], "LISTEN_PID=$$", "LISTEN_FDS=1", notified),
            *(_PYTHON, str(_CONFINE), str(OPENER), *_exec_start(OPENER), *ports),
        ]

    def _file_system(self) -> list[str]:
        state, run = f"/var/lib/{_one('StateDirectory')}", f"/run/{_one('RuntimeDirectory')}"
        etc = f"/etc/{_one('ConfigurationDirectory')}"
        assert _one("ProtectSystem") == "strict"
        assert settings()["ReadWritePaths"] == [f"-{etc}/machines.d"]
        (socket,) = settings(SOCKET)["ListenSequentialPacket"]
        folders = []
        for inside, outside, way in (
            (etc, self.etc, "--ro-bind"),
            (f"{etc}/machines.d", self.etc / "machines.d", "--bind"),
            (state, self.state, "--bind"),
            (run, self.run, "--bind"),
            ("/srv/netbootd", self.srv, "--ro-bind"),
            ("/run/opener", self.opener.parent, "--ro-bind"),  # where a new socket is seen, too
            (socket, Path("opener/sock"), "--symlink"),
        ):
            folders += [way, str(outside), inside]
        return self._laid(folders)

    def _laid(self, folders: list[str]) -> list[str]:
        """What lays the root of both, with *folders* in it, and goes on in there."""
        laid = ["bwrap", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev"]
        laid += ["--unshare-ipc", "--cap-add", "ALL"]
        for hidden in ("/home", "/root", "/run", "/srv", "/var/lib", "/etc"):
            laid += ["--tmpfs", hidden]
        for private in ("/tmp", "/var/tmp"):
            laid += ["--tmpfs", private, "--chmod", "1777", private]
        for name in _ETC:
            laid += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        laid += ["--ro-bind", str(self.etc.parent / "passwd"), "/etc/passwd"]
        laid += [*folders, *program()]
        for done in ("/home", "/root", "/run", "/srv", "/var/lib", "/etc"):
            laid += ["--remount-ro", done]
        # Hidden processes of others; and of /proc nothing but processes.
        proc = f"hidepid={_one('ProtectProc')},subset={_one('ProcSubset')}"
        mount = f'mount -t proc -o {proc} proc /proc && exec "$@"'
        return [*laid, "--", "/bin/sh", "-c", mount, "sh"]


def shown(path: Path, way: str) -> list[str]:
    """What has bubblewrap lay *path* of the host into an empty folder, open to everybody."""
    above = [str(one) for one in reversed(path.parents) if one.parent != one]
    opened = [word for one in above for word in ("--perms", "0755", "--dir", one)]
    return [*opened, way, str(path), str(path)]


def program() -> list[str]:
    """What has it lay netbootd, its Python and these tests there, whoever may enter the clone."""
    parts = [ROOT / name for name in (".venv", "netbootd", "systemd", "tests")]
    if sys.base_prefix != "/usr":
        parts.append(Path(sys.base_prefix))
    return [word for part in parts for word in shown(part, "--ro-bind")]


def available() -> str:
    """What is missing to build it, empty for nothing."""
    wanted = ("bwrap", "setpriv", "systemd-analyze", _PYTHON)
    return ", ".join(name for name in wanted if shutil.which(name) is None)


def _process(unit: Path, uid: int, users: list[str], *told: str) -> list[str]:
    """
    What gives a process the rights of *unit* and no more, as user *uid* in a namespace that *users*
    makes, with *told* in an empty environment.
    """
    _must_be_known(unit)
    lines = settings(unit)
    rights = " ".join(lines["AmbientCapabilities"]).split()
    assert rights == " ".join(lines["CapabilityBoundingSet"]).split()
    kept = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in rights)])
    assert _one("NoNewPrivileges", unit) == "yes"
    # Where this machine grants no more to anybody, less has to do.
    files = min(int(_one("LimitNOFILE", unit)), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    environment = " ".join(f'"{one}"' for one in told)
    return [
        *("prlimit", f"--nofile={files}:{files}", "--", *users, "setpriv"),
        # Set behind the change of the user, which clears it.
        *("--pdeathsig", "KILL"),
        *(f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"),
        *(f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}"),
        *("sh", "-c", f'umask {_one("UMask", unit)}; exec env -i {environment} "$@"', "sh"),
    ]


def _exec_start(unit: Path) -> list[str]:
    program, *arguments = _one("ExecStart", unit).split()
    assert Path(program).name == "netbootd"
    return [str(_NETBOOTD), *(one for one in arguments if not one.startswith("$"))]


def _must_be_known(unit: Path) -> None:
    strange = set(settings(unit)) - _LAID - _WORN - _FILTERED - _ELSEWHERE
    assert not strange, f"lines of the unit that are not tried: {strange}"


def _one(name: str, unit: Path = UNIT) -> str:
    (value,) = settings(unit)[name]
    return value
