"""Tries what a broken-in daemon would, and prints as JSON what came of each; run in the sandbox."""

import ctypes
import errno
import json
import os
import socket
from pathlib import Path

from netbootd.opener.client import LowSocket

LIBC = ctypes.CDLL(None, use_errno=True)
PROT_READ, PROT_WRITE, PROT_EXEC, MAP_PRIVATE_ANONYMOUS = 1, 2, 4, 0x22
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def libc(name, *arguments):
    LIBC[name].restype = ctypes.c_long
    if LIBC[name](*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def executable_memory():
    both = PROT_READ | PROT_WRITE | PROT_EXEC
    LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc("mmap", None, 4096, both, MAP_PRIVATE_ANONYMOUS, -1, 0)


def set_user_id_program():
    file = Path("/var/lib/netbootd/shell")
    file.write_bytes(b"")
    try:
        file.chmod(0o4755)
    finally:
        file.unlink()


TRIES = {
    "memory that is written and executed": executable_memory,
    "a namespace of users": lambda: libc("unshare", CLONE_NEWUSER),
    "another network namespace": lambda: libc("unshare", CLONE_NEWNET),
    "a set-user-ID program": set_user_id_program,
    "a Bluetooth socket": lambda: socket.socket(31, socket.SOCK_RAW, 0),
    "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    "a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
    "port 22": lambda: socket.socket().bind(("", 22)),
    "port 22 by the opener": lambda: LowSocket().bind(("", 22)),
    "another user's file": lambda: os.chown("/var/lib/netbootd", 0, -1),
    "a vsock": lambda: socket.socket(40, socket.SOCK_STREAM, 0),
    "a mount": lambda: libc("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "another process's memory": lambda: libc("ptrace", 16, 1, 0, 0),
    "the clock": lambda: libc("settimeofday", ctypes.byref((ctypes.c_long * 2)(0, 0)), None),
    "the name of the host": lambda: libc("sethostname", b"x", 1),
    "the log of the kernel": lambda: libc("klogctl", 3, ctypes.create_string_buffer(9), 9),
    "a module": lambda: libc("syscall", 313, 0, b"", 0),
    "to be another user": lambda: os.setuid(0),
    "a real-time process": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "another personality": lambda: libc("personality", 0x0400000),
    "to write beside the configuration": lambda: Path("/etc/netbootd/x").write_text(""),
    "to write a program": lambda: Path("/usr/local/bin/x").write_text(""),
    "to write in a home": lambda: Path("/root/x").write_text(""),
    "the addresses of the network": lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"),
    "a process of others": lambda: Path("/proc/1/status").read_text(),
    "a disk": lambda: os.mknod("/tmp/disk", 0o060600, os.makedev(8, 0)),
}


def outcome(tried):
    try:
        tried()
    except OSError as problem:
        return errno.errorcode[problem.errno or 0]
    return "done"


if __name__ == "__main__":
    print(json.dumps({name: outcome(tried) for name, tried in TRIES.items()}), flush=True)
