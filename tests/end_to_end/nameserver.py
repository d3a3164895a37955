"""
A real DNS server that takes updates: BIND, with tsig-keygen for its keys.

Unpacked by the set-up below ``.cache/`` and never installed, since an installed one is a service
that starts.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.cache import Part, newest, unpack, with_libraries
from tests.end_to_end.process import Process

WANTED = ("bind9",)


def _unpack(folder: Path) -> None:
    unpack(folder / "tree", *sorted(with_libraries(*map(newest, WANTED))))


NAMESERVER = Part("nameserver", _unpack, WANTED)

#: named.conf: everything in one folder, no control channel, zones that *KEY* may change.
_CONFIG = """\
include "{folder}/key";
options {{
  directory "{folder}"; pid-file none; session-keyfile none;
  listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; empty-zones-enable no; allow-transfer {{ any; }};
}};
controls {{ }};
"""
_ZONE = 'zone "{zone}" {{ type primary; file "{zone}.zone"; allow-update {{ key {key}; }}; }};\n'
_RECORDS = """\
$TTL 300
@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 60
@ IN NS ns.{zone}.
"""


def named(
    folder: Path,
    zones: dict[str, str],
    *,
    address: str = "127.0.0.1",
    port: int = 53,
    key: str = "netbootd",
    spawn: Callable[..., Process] = lambda *argv: Process(list(argv)),
) -> Process:
    """
    BIND with *zones* (names, and their records beside SOA and NS) on *address*, which takes updates
    by the key *key* in ``folder/key``.
    """
    if not (folder / "key").exists():
        (folder / "key").write_text(keygen(key))
    config = _CONFIG.format(folder=folder, port=port, address=address)
    for zone, records in zones.items():
        file = folder / f"{zone}.zone"
        if not file.exists():
            ns = f"ns.{zone}. IN A {address}\n"
            file.write_text(_RECORDS.format(zone=zone) + ns + records)
        config += _ZONE.format(zone=zone, key=key)
    (folder / "named.conf").write_text(config)
    server = spawn(*_with_own_libraries(), _program("named"), "-g", "-c", f"{folder}/named.conf")
    server.wait_for("all zones loaded", 20)
    return server


def keygen(name: str, algorithm: str = "hmac-sha256") -> str:
    """A key file as ``tsig-keygen`` writes it."""
    command = [*_with_own_libraries(), _program("tsig-keygen"), "-a", algorithm, name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _program(name: str) -> str:
    if NAMESERVER.unavailable or not NAMESERVER.ready:
        why = f"{name} is not in .cache: run tools/setup.sh test"
        pytest.skip(NAMESERVER.unavailable or why)
    tree = NAMESERVER.folder / "tree"
    return str(next(tree.glob(f"usr/*bin/{name}")))


def _with_own_libraries() -> list[str]:
    tree = NAMESERVER.folder / "tree"
    folders = {str(path.parent) for path in tree.glob("usr/lib/**/*.so*")}
    return ["env", f"LD_LIBRARY_PATH={':'.join(sorted(folders))}"]
