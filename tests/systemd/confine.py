"""
Runs a program under the system call filters that a unit asks for:
``confine.py UNIT PROGRAM ARGUMENT…``.

Each line of the unit becomes a filter of its own, as systemd makes them (src/shared/seccomp-util.c);
the sets such as ``@system-service`` are those of the systemd of this machine.  For Debian's own
Python, which has libseccomp's binding (python3-seccomp).
"""

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import seccomp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.systemd.unit import settings

# mman.h, sched.h, shm.h: of these numbers Python has no names.
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
PLAIN_POLICIES = {os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE}
MOST_FAMILIES = 64
#: Calls that set a mode, and which argument it is.
MODES = {
    **{"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mkdir": 1, "mkdirat": 2},
    **{"mknod": 1, "mknodat": 2, "creat": 1},
}
OPENING = {"open": 1, "openat": 2}  # which argument the flags are; the mode is the next

ERRNO, Arg, EQ, GE, NE, MASKED = (
    seccomp.ERRNO,
    seccomp.Arg,
    seccomp.EQ,
    seccomp.GE,
    seccomp.NE,
    seccomp.MASKED_EQ,
)


class Filter:
    """One that lets everything pass but what is denied to it."""

    def __init__(self):
        self.filter = seccomp.SyscallFilter(seccomp.ALLOW)

    def deny(self, call, *arguments, number=errno.EPERM):
        """A call that this architecture does not have is no matter."""
        try:
            self.filter.add_rule(ERRNO(number), call, *arguments)
        except (OSError, RuntimeError):
            if seccomp.resolve_syscall(seccomp.Arch(), call) >= 0:
                raise

    def load(self):
        self.filter.load()


def members(name):
    """The calls of the set *name*, with those of the sets in it."""
    listed = subprocess.run(
        ["/usr/bin/systemd-analyze", "syscall-filter", name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    words = [line.strip() for line in listed[1:]]
    return calls(word for word in words if word and not word.startswith("#"))


def calls(words):
    found = set()
    for word in words:
        found |= members(word) if word.startswith("@") else {word}
    return found


def address_families(value, rules):
    allowed = {getattr(socket, name) for name in value.split()}
    for family in set(range(MOST_FAMILIES)) - allowed:
        rules.deny("socket", Arg(0, EQ, family), number=errno.EAFNOSUPPORT)
    rules.deny("socket", Arg(0, GE, MOST_FAMILIES), number=errno.EAFNOSUPPORT)


def namespaces(value, rules):
    assert value == "yes"
    for one in NAMESPACES:
        for call, at in (("unshare", 0), ("clone", 0), ("setns", 1)):
            rules.deny(call, Arg(at, MASKED, one, one))
    rules.deny("setns", Arg(1, EQ, 0))
    rules.deny("clone3", number=errno.ENOSYS)  # its flags cannot be seen


def realtime(value, rules):
    assert value == "yes"
    for policy in set(range(8)) - PLAIN_POLICIES:
        rules.deny("sched_setscheduler", Arg(1, EQ, policy))
    rules.deny("sched_setscheduler", Arg(1, GE, 8))


def set_user_id(value, rules):
    assert value == "yes"
    for bit in (stat.S_ISUID, stat.S_ISGID):
        for call, at in MODES.items():
            rules.deny(call, Arg(at, MASKED, bit, bit))
        for call, at in OPENING.items():
            made = Arg(at, MASKED, os.O_CREAT, os.O_CREAT)
            rules.deny(call, made, Arg(at + 1, MASKED, bit, bit))
    rules.deny("openat2", number=errno.ENOSYS)


def personality(value, rules):
    assert value == "yes"
    rules.deny("personality", Arg(0, NE, 0))


def executable_memory(value, rules):
    assert value == "yes"
    both = PROT_WRITE | PROT_EXEC
    rules.deny("mmap", Arg(2, MASKED, both, both))
    for call in ("mprotect", "pkey_mprotect"):
        rules.deny(call, Arg(2, MASKED, PROT_EXEC, PROT_EXEC))
    rules.deny("shmat", Arg(2, MASKED, SHM_EXEC, SHM_EXEC))


def all_of(*names):
    def deny(value, rules):
        assert value == "yes"
        for call in calls(names):
            rules.deny(call)

    return deny


#: By lines of the unit; the filter of system calls itself is the last to be loaded.
LINES = {
    "RestrictAddressFamilies": address_families,
    "RestrictNamespaces": namespaces,
    "RestrictRealtime": realtime,
    "RestrictSUIDSGID": set_user_id,
    "LockPersonality": personality,
    "MemoryDenyWriteExecute": executable_memory,
    "ProtectKernelModules": all_of("@module"),
    "ProtectKernelLogs": all_of("syslog"),
    "ProtectClock": all_of("@clock"),
    "ProtectHostname": all_of("sethostname", "setdomainname"),
}


def allowed(lines):
    """What ``SystemCallFilter=`` leaves, line by line; the first says that it is a list of these."""
    found = calls(lines[0].split())
    for line in lines[1:]:
        words = line.lstrip("~").split()
        found = found - calls(words) if line.startswith("~") else found | calls(words)
    return found


def only(names, number):
    """A filter that knows the calls *names*, and refuses all others; of this architecture alone."""
    whole = seccomp.SyscallFilter(ERRNO(number))
    for name in names:
        if seccomp.resolve_syscall(seccomp.Arch(), name) >= 0:
            whole.add_rule(seccomp.ALLOW, name)
    return whole


def main():
    unit = settings(Path(sys.argv[1]))
    (number,) = unit["SystemCallErrorNumber"]
    assert unit["SystemCallArchitectures"] == ["native"]
    filters = []
    for name, make in LINES.items():
        (value,) = unit[name]
        rules = Filter()
        make(value, rules)
        filters.append(rules)
    filters.append(only(allowed(unit["SystemCallFilter"]), getattr(errno, number)))
    for one in filters:
        one.load()
    os.environ.pop("LC_CTYPE", None)  # which Python has set
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
