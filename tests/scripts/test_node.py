"""
A whole node: the daemon serves, and a machine takes what it needs from it as the README says, finds
out who it is, fetches its script, runs it and reports.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .machines import NODE
from .sandbox import USABLE, Sandbox

ROOT = Path(__file__).parents[2]
CONFIG = {
    "targets": {"nfs": {"a": {"kernel": "k", "boot_args": "root=x"}}},
    "machines": {
        str(NODE): {
            "type": "nfs",
            "name": "a",
            "hostname": "node7",
            "ip": "10.0.0.7",
            "scripts": ["default", "mine"],
        }
    },
    "netbootd": {"interfaces": ["srv"], "files": "/etc", "state": "/run/state"},
}
NETWORK = f"""
ip link add srv type veth peer name eth0 address {NODE}
ip address add 10.0.0.1/24 dev srv
ip address add 10.0.0.7/24 dev eth0
ip link set srv up
ip link set eth0 up
ip route add default via 10.0.0.1 dev eth0
"""
SERVE = f"""
cd {ROOT}
{sys.executable} -m netbootd run --config /etc/server/netbootd.json >/tmp/log 2>&1 &
server=$!
until curl -fs http://10.0.0.1:3000/status >/dev/null || ! kill -0 $server; do sleep 0.1; done
curl -fsS -A iPXE/1.21 -o /dev/null http://10.0.0.1:3000/boot/{NODE}
"""
TAKE = """
S=http://10.0.0.1:3000/scripts
mkdir -p /etc/netbootd /usr/lib/netbootd
curl -fsS -o /etc/netbootd/env $S/netbootd-env
curl -fsS -o /usr/lib/netbootd/node-script.sh $S/netbootd-script
curl -fsS -o /etc/systemd/system/netbootd-script.service $S/netbootd-script.service
exec=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/netbootd-script.service)
"""
END = "kill $server; wait $server; cat /tmp/log"

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not USABLE, reason="namespaces need root"),
]


def box_with(folder, fragment):
    box = Sandbox(folder, shared=str(ROOT))
    box.put("/etc/server/netbootd.json", json.dumps(CONFIG))
    box.put("/etc/server/scripts/mine.j2", fragment)
    return box


@pytest.mark.parametrize(
    ("ends", "word"), [(0, "reported that it is up"), (3, "reported a failure with status 3")]
)
def test_an_image_runs_its_machines_script_and_reports(tmp_path, ends, word):
    made = "mkdir /etc/made\necho x | put /etc/made/file\n"
    box = box_with(tmp_path, f"{made}echo this is {{{{ hostname }}}}\nexit {ends}\n")
    done = box.run(
        f"{NETWORK}{SERVE}{TAKE}$exec; echo ended $?; uname -n; stat -c %a /etc/made; {END}"
    )
    assert f"ended {ends}\nnode7\n755\n" in done.output
    assert done.modes["/etc/made/file"] == 0o644
    assert "this is node7\n" in done.output
    assert f"{NODE} (nfs/a) got its node script: hostname, hosts, mine" in done.output
    assert f"{NODE} (nfs/a) {word}" in done.output
    assert done.files["/etc/hostname"] == "node7\n"


def test_dracuts_hook_sets_the_new_root_up_before_it_starts(tmp_path):
    """With dracut's own words as its manual has them (dracut.modules(7)): getarg, fetch_url, warn."""
    box = box_with(tmp_path, "echo chosen >/etc/rack\n")
    hook = f"""
mkdir /newroot /newroot/bin /newroot/etc /newroot/tmp /newroot/proc /newroot/sys /newroot/dev
for part in bin sbin lib lib64 usr; do
    [ -d /$part ] || continue
    mkdir -p /newroot/$part
    mount --bind -o ro /$part /newroot/$part
done
cat >/tmp/dracut <<'X'
NEWROOT=/newroot
getarg() {{ [ "$1" = netbootd.script= ] && echo http://10.0.0.1:3000/scripts/{NODE.dashed}; }}
fetch_url() {{ curl -fsS -o "$2" "$1"; }}
warn() {{ echo "dracut warns: $*"; }}
. /tmp/hook
. /tmp/hook
echo sourced twice
X
curl -fsS -o /tmp/hook http://10.0.0.1:3000/scripts/netbootd-dracut.sh
sh /tmp/dracut
cat /newroot/etc/hostname /newroot/etc/rack
grep -c /newroot/proc /proc/mounts
"""
    done = box.run(f"{NETWORK}{SERVE}{hook}{END}")
    assert "sourced twice\nnode7\nchosen\n0\n" in done.output
    assert "dracut warns" not in done.output
