"""A boot on a real network, as Prometheus sees it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab
from tests.shipping.writing import until
from tests.simulate.kernels import bzimage

pytestmark = pytest.mark.wire

NODE = "00:25:90:27:db:b4"
SIZE = 3_000_000
PROMETHEUS = f"""
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [ {Path(__file__).parents[2]}/etc/prometheus/netbootd.rules.yml ]
scrape_configs:
  - job_name: netbootd
    static_configs: [ {{ targets: [ "{BOOT_SERVER}:3000" ] }} ]
"""


@pytest.fixture
def config(tmp_path):
    images = tmp_path / "srv" / "images"
    images.mkdir(parents=True)
    (images / "vmlinuz").write_bytes(bzimage(200_000))
    (images / "initrd").write_bytes(os.urandom(SIZE))
    target = {"kernel": "images/vmlinuz", "initrd": "images/initrd", "boot_args": "root=/dev/nfs"}
    return {
        "targets": {"nfs": {"a": target}},
        "machines": {NODE: {"type": "nfs", "name": "a"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(tmp_path / "srv"),
            "firmware": "/usr/lib/ipxe",
            "state": str(tmp_path / "state"),
        },
    }


def get(lab: Lab, path: str) -> str:
    return lab.run("lan", "curl", "-sS", "-m", "20", f"http://{BOOT_SERVER}:3000{path}")


def metrics(lab: Lab) -> dict[tuple[str, ...], float]:
    """Samples by name and labels' values."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(get(lab, "/metrics"))
        for sample in family.samples
    }


def test_a_boot_is_counted_from_its_discover_to_its_initrd(lab, config):
    lab.netbootd(config)
    before = metrics(lab)
    assert before["netbootd_machines", "unknown"] == 1
    assert before["netbootd_stages_total", "kernel"] == 0
    walk(lab)
    after = metrics(lab)
    for stage in ("discover", "offer", "loader", "script", "kernel", "initrd"):
        assert after["netbootd_stages_total", stage] == 1, stage
    assert after["netbootd_boots_begun_total",] == 1
    assert after["netbootd_machines", "booting"] == 1
    assert after["netbootd_stage_duration_seconds_count", "loader"] == 1
    assert after["netbootd_transfers_total", "http", "complete"] >= 2
    assert after["netbootd_transfers_total", "tftp", "complete"] >= 1
    assert after["netbootd_sent_bytes_total", "http"] >= SIZE
    assert after["netbootd_sent_bytes_total", "tftp"] > 50_000
    get(lab, f"/failed/{NODE}?status=7")
    assert metrics(lab)["netbootd_boots_total", "failed"] == 1
    assert metrics(lab)["netbootd_machines", "failed"] == 1


def walk(lab: Lab) -> None:
    """All that a machine fetches up to its initrd."""
    lab.run("lan", str(NETBOOTD), "simulate", "--interface", "eth0", NODE)


def test_a_refused_configuration_shows_everywhere(lab, config):
    daemon = lab.netbootd(config)
    assert get(lab, "/healthz") == "ok\n"
    generation = metrics(lab)["netbootd_config_generation",]
    file = lab.folder / "netbootd.json"
    good = file.read_text()
    file.write_text(good[:-5])
    daemon.wait_for("reload refused", 20)
    assert metrics(lab)["netbootd_config_refused",] == 1
    assert metrics(lab)["netbootd_config_generation",] == generation
    assert "is refused" in get(lab, "/healthz")
    file.write_text(good)
    daemon.wait_for("reloaded", 20)
    assert metrics(lab)["netbootd_config_refused",] == 0
    assert get(lab, "/healthz") == "ok\n"


def test_a_port_that_somebody_else_has_is_not_healthy(lab, config):
    blocker = lab.spawn(
        "boot",
        *("python3", "-c"),
        "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        f"s.bind(('{BOOT_SERVER}', 69)); print('bound', flush=True); time.sleep(600)",
    )
    blocker.wait_for("bound", 10)
    lab.netbootd(config)
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    url = f"http://{BOOT_SERVER}:3000/healthz"
    assert lab.run("lan", "curl", "-sS", *code, url) == "503"
    assert "down: TFTP is turned on, and listens nowhere" in get(lab, "/healthz")
    assert metrics(lab)["netbootd_sockets", "TFTP"] == 0
    blocker.close()
    until(lambda: get(lab, "/healthz") == "ok\n")


@pytest.mark.skipif(not shutil.which("prometheus"), reason="no prometheus here")
def test_a_real_prometheus_reads_it_and_evaluates_the_alerts(lab, config, tmp_path):
    lab.netbootd(config)
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS)
    server = lab.spawn(
        "lan",
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        "--web.listen-address=127.0.0.1:9090",
    )

    def ask(path: str) -> dict:
        url = f"http://127.0.0.1:9090/api/v1/{path}"
        return json.loads(lab.run("lan", "curl", "-sS", "--retry-connrefused", "--retry", "5", url))

    server.wait_for("Server is ready", 30)
    walk(lab)
    until(lambda: ask("query?query=netbootd_boots_begun_total==1")["data"]["result"])
    (target,) = ask("targets")["data"]["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    until(
        lambda: (
            {rule["health"] for group in ask("rules")["data"]["groups"] for rule in group["rules"]}
            == {"ok"}
        )
    )
