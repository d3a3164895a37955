"""
Other people's DHCP servers, relays and clients for the lab: Kea, as pfSense has it, with its
perfdhcp, ISC's dhcrelay and dhclient, dhcpcd.

Unpacked by the set-up below ``.cache/`` and never installed, since an installed one is a service
that starts, on the network of the machine that runs the tests.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.cache import Part, newest, unpack, with_libraries
from tests.end_to_end.lab import Lab
from tests.end_to_end.process import Process


def _unpack(folder: Path) -> None:
    unpack(folder / "tree", *sorted(with_libraries(*map(newest, WANTED))))


#: kea-admin has perfdhcp; udhcpc is the script for busybox.
WANTED = (
    *("kea-dhcp4-server", "kea-admin", "isc-dhcp-relay"),
    *("isc-dhcp-client", "dhcpcd-base", "udhcpc"),
)
NEIGHBOURS = Part("neighbours", _unpack, WANTED)


def kea(lab: Lab, place: str, *subnets: dict[str, object]) -> Process:
    """
    Kea in *place*, on all its interfaces, with raw sockets as clients without address need.

    It holds UDP 67 of each address, too.  *subnets* as its manual has them; the lab's usual one by
    default.
    """
    usual = {"id": 1, "subnet": "192.0.2.0/24", "pools": [{"pool": "192.0.2.100-192.0.2.199"}]}
    config = lab.folder / "kea.json"
    config.write_text(
        json.dumps(
            {
                "Dhcp4": {
                    "interfaces-config": {"interfaces": ["*"], "dhcp-socket-type": "raw"},
                    "lease-database": {"type": "memfile", "persist": False},
                    "valid-lifetime": 3600,
                    "subnet4": list(subnets) or [usual],
                    "loggers": [
                        {
                            "name": "kea-dhcp4",
                            "severity": "INFO",
                            "output_options": [{"output": "stdout"}],
                        }
                    ],
                }
            }
        )
    )
    program = _program("kea-dhcp4")
    server = lab.spawn(place, *with_own_libraries(lab.folder), program, "-c", str(config))
    server.wait_for("DHCP4_STARTED", 20)
    return server


def relay(lab: Lab, place: str, inside: str, outside: str, *servers: str) -> Process:
    """ISC's relay agent in *place*: what it hears on *inside* goes to each of *servers*."""
    agent = lab.spawn(
        *(place, _program("dhcrelay"), "-4", "-d", "--no-pid", "-a", "-D", "-m", "append"),
        *("-id", inside, "-iu", outside, *servers),
    )
    agent.wait_for("Sending on   Socket|Sending on   LPF", 10)
    return agent


def file(path: str) -> Path:
    """What the packages install as *path*, with or without ``usr`` before it."""
    if NEIGHBOURS.unavailable or not NEIGHBOURS.ready:
        why = f"{path} is not in .cache: run tools/setup.sh test"
        pytest.skip(NEIGHBOURS.unavailable or why)
    tree = NEIGHBOURS.folder / "tree"
    places = (tree / path, tree / "usr" / path)
    return next((place for place in places if place.exists()), places[0])


def _program(name: str) -> str:
    return str(file(f"sbin/{name}"))


def with_own_libraries(folder: Path) -> list[str]:
    """What goes before a program of Kea's, so that it finds its own, and writes to *folder*."""
    tree = NEIGHBOURS.folder / "tree"
    folders = {str(path.parent) for path in tree.glob("usr/lib/**/*.so*")}
    return [
        *("env", f"LD_LIBRARY_PATH={':'.join(sorted(folders))}"),
        *(f"KEA_PIDFILE_DIR={folder}", f"KEA_LOCKFILE_DIR={folder}"),
        f"KEA_LFC_EXECUTABLE={tree / 'usr' / 'sbin' / 'kea-lfc'}",
    ]
