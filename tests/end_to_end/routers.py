"""
Router advertisements for the lab, by radvd: without them nobody asks by DHCPv6 but some firmware.

Unpacked by the set-up below ``.cache/`` and never installed, as in ``neighbours``.
"""

from __future__ import annotations

import pytest

from tests.end_to_end.cache import Part, unpack, with_libraries
from tests.end_to_end.lab import Lab
from tests.end_to_end.process import Process


def _unpack(folder):
    unpack(folder / "tree", *sorted(with_libraries("radvd")))


RADVD = Part("radvd", _unpack)

CONFIG = """
interface eth0 {
    AdvSendAdvert on;
    AdvManagedFlag %(managed)s;
    AdvOtherConfigFlag %(other)s;
    MinRtrAdvInterval 3;
    MaxRtrAdvInterval 4;
    AdvDefaultLifetime 1800;
    prefix %(prefix)s {
        AdvOnLink on;
        AdvAutonomous %(autonomous)s;
    };
};
"""


def advertise(lab: Lab, place: str, prefix: str, *, managed: bool) -> Process:
    """
    A router in *place* that announces *prefix*: with addresses by DHCPv6 where that is *managed*,
    else made by each machine itself, and all else by DHCPv6.
    """
    if RADVD.unavailable or not RADVD.ready:
        pytest.skip(RADVD.unavailable or "radvd is not in .cache: run tools/setup.sh test")
    flags = {"managed": managed, "other": True, "autonomous": not managed}
    words = {name: "on" if flag else "off" for name, flag in flags.items()}
    config = lab.folder / "radvd.conf"
    config.write_text(CONFIG % {"prefix": prefix, **words})
    config.chmod(0o600)  # it refuses one that others may write
    lab.run(place, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
    tree = RADVD.folder / "tree"
    folders = sorted({str(path.parent) for path in tree.glob("usr/lib/**/*.so*")})
    return lab.spawn(
        *(place, "env", f"LD_LIBRARY_PATH={':'.join(folders)}", str(tree / "usr/sbin/radvd")),
        *("--nodaemon", "--logmethod=stderr", "--debug=1", f"--config={config}"),
        f"--pidfile={lab.folder}/radvd.pid",
    )
