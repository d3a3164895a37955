"""
Answer files from a running daemon, fetched by other people's clients as installers ask for them,
and an installation from the first script to the word that it is done.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.end_to_end.process import LabError

pytestmark = pytest.mark.wire

BASE = f"http://{BOOT_SERVER}:3000"
ONE, TWO = "52-54-00-00-00-01", "52-54-00-00-00-02"
HERE = "192.0.2.101"  # where node 1 is said to be
TEMPLATE = "{% include 'install/part.j2' %}{{ hostname }} {{ disk }}\ndone {{ done_url }}\n"


@pytest.fixture
def config(tmp_path: Path) -> dict:
    root = tmp_path / "srv"
    (root / "install" / "seed").mkdir(parents=True)
    (root / "install" / "node.cfg.j2").write_text(TEMPLATE)
    (root / "install" / "part.j2").write_text("# {{ mac }}\n")
    (root / "install" / "seed" / "user-data.j2").write_text(
        "#cloud-config\nhostname: {{ hostname }}\n"
    )
    (root / "linux").write_bytes(os.urandom(5000))
    debian = {"kernel": "linux", "os": "debian", "answer": "install/node.cfg"}
    node = {"type": "install", "name": "debian", "disk": "vda"}
    return {
        "targets": {"install": {"debian": debian}, "localboot": {"disk": {}}},
        "machines": {
            ONE: {**node, "hostname": "node1", "ip": HERE},
            TWO: {**node, "hostname": "node2"},
        },
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(root),
            "firmware": "/usr/lib/ipxe",
            "state": str(tmp_path / "state"),
        },
    }


@pytest.fixture
def daemon(lab: Lab, config: dict):
    lab.ip("lan", f"address add {HERE}/24 dev eth0")
    return lab.netbootd(config)


def curl(lab: Lab, path: str, *options: str) -> str:
    return lab.run("lan", "curl", "-sS", "-m", "20", *options, f"{BASE}{path}")


def code(lab: Lab, path: str, *options: str) -> str:
    return curl(lab, path, "-o", "/dev/null", "-w", "%{http_code} %{content_type}", *options)


def wget(lab: Lab, path: str, *program: str) -> str:
    return lab.run("lan", *(program or ("wget",)), "-q", "-O", "-", f"{BASE}{path}")


def test_every_client_gets_the_file_of_the_machine_it_names(lab, daemon):
    wanted = "# 52:54:00:00:00:02\nnode2 vda\n"
    for path in (f"/install/{TWO}/node.cfg", "/install/52:54:00:00:00:02/node.cfg",
                 "/install/52%3A54%3A00%3A00%3A00%3A02/node.cfg", f"/install/{TWO}/node.cfg.j2",
                 "/install/%2052-54-00-00-00-02/node.cfg", "/install/5254.0000.0002/node%2ecfg",
                 f"/{TWO}/install/node.cfg", f"//install//{TWO}//node.cfg"):  # fmt: skip
        assert curl(lab, path).startswith(wanted), path
        assert wget(lab, path).startswith(wanted), path
    assert wget(lab, f"/install/{TWO}/node.cfg", "busybox", "wget").startswith(wanted)
    assert code(lab, f"/install/{TWO}/node.cfg") == "200 text/plain; charset=utf-8"
    assert curl(lab, f"/install/{TWO}/node.cfg", "--http1.0").startswith(wanted)
    line = daemon.wait_for(rf"[^\n]*fetched /install/{TWO}/node.cfg by HTTP[^\n]*", 5)[0]
    assert "52:54:00:00:00:02 (install/debian)" in line


def test_head_says_what_get_brings(lab, daemon):
    def headers(*options: str) -> list[str]:
        told = curl(lab, f"/install/{TWO}/node.cfg", "-D", "-", "-o", "/dev/null", *options)
        return [line for line in told.splitlines() if not line.startswith("Date")]

    assert headers("-I") == headers()
    assert "Cache-Control: no-store" in headers()


def test_a_machine_is_known_by_its_address_and_by_anacondas_headers(lab, daemon):
    assert curl(lab, "/install/node.cfg", "--interface", HERE).startswith("# 52:54:00:00:00:01\n")
    sent = ("-H", "X-RHN-Provisioning-MAC-0: ens3 52:54:00:00:00:02")
    assert curl(lab, "/install/node.cfg", "--interface", HERE, *sent).startswith(
        "# 52:54:00:00:00:02\n"
    )
    assert code(lab, "/install/node.cfg").startswith("404")
    assert "no machine is known at 192.0.2.1" in curl(lab, "/install/node.cfg")
    curl(lab, f"/boot/{TWO}", "-A", "iPXE/1.21")  # from now on node 2 is the one at this address
    assert curl(lab, "/install/node.cfg").startswith("# 52:54:00:00:00:02\n")
    assert curl(lab, "/d-i/trixie/./preseed.cfg", "--path-as-is").startswith(
        "# 52:54:00:00:00:02\n"
    )


def test_a_seed_is_complete(lab, daemon):
    assert curl(lab, f"/install/{TWO}/seed/user-data") == "#cloud-config\nhostname: node2\n"
    assert curl(lab, f"/install/{TWO}/seed/meta-data").startswith(f"instance-id: netbootd-{TWO}\n")
    assert code(lab, f"/install/{TWO}/seed/vendor-data").startswith("200")
    assert code(lab, f"/install/{TWO}/seed/network-config").startswith("404")


def test_no_client_gets_a_templates_text(lab, daemon, tmp_path):
    for path in ("install/node.cfg.j2", f"{TWO}/install/part.j2", "install%2fnode.cfg.j2"):
        assert "{{" not in curl(lab, f"/{path}")
    with pytest.raises(LabError, match="file not found"):
        lab.run(
            "lan",
            "atftp",
            "-g",
            "-r",
            "install/node.cfg.j2",
            "-l",
            str(tmp_path / "got"),
            BOOT_SERVER,
        )
    assert not (tmp_path / "got").exists() or b"{{" not in (tmp_path / "got").read_bytes()


def test_an_installation_goes_from_its_script_to_done_and_is_not_begun_again(lab, daemon):
    script = curl(lab, f"/boot/{TWO}", "-A", "iPXE/1.21")
    url = re.search(r"url=(\S+)", script)[1]
    assert url == f"{BASE}/install/{TWO}/node.cfg"
    curl(lab, "/linux", "-o", "/dev/null")
    answer = lab.run("lan", "wget", "-q", "-O", "-", url)
    done = re.search(r"done (\S+)", answer)[1]
    assert re.search(r"token=[0-9a-f]{32}$", done)
    lab.run("lan", "wget", "-q", "-O", "/dev/null", done)
    script = curl(lab, f"/boot/{TWO}", "-A", "iPXE/1.21")
    assert "linux" not in script
    assert "sanboot" in script or "exit" in script


def test_a_saved_template_is_in_force_and_a_broken_one_changes_nothing(lab, daemon, config):
    install = Path(config["netbootd"]["files"]) / "install"

    def first_line() -> str:
        return curl(lab, f"/install/{TWO}/node.cfg").partition("\n")[0]

    def until(wanted: str) -> None:
        deadline = time.monotonic() + 15
        while (told := first_line()) != wanted:
            assert time.monotonic() < deadline, told
            time.sleep(0.1)

    (install / "part.j2").write_text("second {{ hostname }}\n")
    until("second node2")
    position = len(daemon.text)
    (install / "part.j2").write_text("third\n\n{{ hsotname }}\n")
    told = daemon.wait_for(r"[^\n]*'hsotname' is undefined[^\n]*", 15, after=position)[0]
    assert "part.j2:3:1: error" in told
    daemon.wait_for("reload refused", 15, after=position)
    assert first_line() == "second node2"
    (install / "part.j2").write_text("fourth\n")
    until("fourth")
    (install / "new").mkdir()
    (install / "new" / "motd.j2").write_text("{{ hostname }}")
    deadline = time.monotonic() + 15
    while curl(lab, f"/install/{TWO}/new/motd") != "node2":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_is_wrong_at_the_start_is_told_on_the_console(lab, config):
    (Path(config["netbootd"]["files"]) / "install" / "part.j2").write_text("{% if %}")
    daemon = lab.netbootd(config)
    assert "part.j2:1:1: error: template-error" in daemon.text
    script = curl(lab, f"/boot/{TWO}", "-A", "iPXE/1.21")
    assert "install/debian cannot boot: its answer file has an error" in script
    assert code(lab, f"/install/{TWO}/node.cfg").startswith("500")
    assert "part.j2" not in curl(lab, f"/install/{TWO}/node.cfg")
    daemon.wait_for(r"52:54:00:00:00:02 \(install/debian\) refused [^\n]*part.j2:1", 5)
