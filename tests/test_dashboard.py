"""The dashboard and the alerts in etc/ ask for what /metrics has, and Prometheus takes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from netbootd.boots.boot import Outcome, Stage

from .test_metrics import FULL, Rig

ETC = Path(__file__).parents[1] / "etc"
DASHBOARD = json.loads((ETC / "grafana" / "netbootd.json").read_text())
RULES_FILE = ETC / "prometheus" / "netbootd.rules.yml"
RULES = [
    rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
QUERIES += [one["expr"] for one in DASHBOARD["annotations"]["list"]]
QUERIES += [rule["expr"] for rule in RULES]
#: What Prometheus itself makes at each scrape, and the dashboard's own variables.
FROM_PROMETHEUS = {"up"}
promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")


def shown() -> dict[str, set[str]]:
    """Every metric that /metrics shows, with the labels it may have."""
    found: dict[str, set[str]] = {}
    text = Rig().metrics.render(False).decode()
    for family in text_string_to_metric_families(text):
        found.setdefault(family.name, set())
        if family.type == "counter":
            found.setdefault(f"{family.name}_total", set())
        if family.type == "histogram":
            found[f"{family.name}_bucket"] = set()
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def asked(query: str) -> set[str]:
    return set(re.findall(r"\b(?:netbootd_\w+|process_\w+|up)\b(?=[\s{\[),]|$)", query))


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_asks_for_a_metric_that_there_is(query):
    names = asked(query)
    assert names, "it asks for nothing of ours"
    assert names <= set(shown()) | FROM_PROMETHEUS


def test_every_metric_of_ours_is_on_the_dashboard_or_in_an_alert():
    used = {name for query in QUERIES for name in asked(query)}
    ours = {
        name
        for name in shown()
        if name.startswith("netbootd_") and not name.endswith(("_created", "_count", "_sum"))
    }
    bare = {re.sub(r"_(total|bucket)$", "", name) for name in used}
    unused = {name for name in ours if re.sub(r"_(total|bucket)$", "", name) not in bare}
    in_words = {"netbootd_build_info", "netbootd_config_refused_findings"}
    assert unused <= in_words | {"netbootd_build", "netbootd_targets", "netbootd_config_findings"}


def test_the_labels_that_are_asked_for_are_given():
    known = {value for stage in Stage for value in [stage.value]}
    assert {"failed", "overdue", "again", "done"} <= {one.value for one in Outcome} | known
    for query in QUERIES:
        for name, label in re.findall(r"(netbootd_\w+)\{[^}]*?,(\w+)=", query):
            assert label in shown()[name], query


def test_the_dashboard_can_be_imported():
    assert DASHBOARD["title"] == "netbootd"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    cells = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in DASHBOARD["panels"]
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie over one another"
    assert max(x for x, _ in cells) < 24
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    named = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(DASHBOARD)))
    assert named <= variables
    assert all(panel["title"] for panel in PANELS)


def test_every_alert_says_how_grave_it_is_and_what_it_is():
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))
    for rule in RULES:
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"]


@promtool
def test_prometheus_takes_the_rules():
    done = subprocess.run(
        ["promtool", "check", "rules", str(RULES_FILE)], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stdout + done.stderr


@promtool
def test_prometheus_can_parse_every_query_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__range", "1h")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


#: By alert: the series that are to raise it, in promtool's notation, one minute a value.
FIRES = {
    "NetbootdDown": {'up{job="netbootd"}': "0x60"},
    "NetbootdListensNowhere": {'netbootd_sockets{service="TFTP"}': "0x60"},
    "NetbootdConfigurationRefused": {"netbootd_config_refused": "1x60"},
    "NetbootdBootsFail": {
        'netbootd_boots_total{outcome="failed"}': "0+1x60",
        'netbootd_boots_total{outcome="done"}': "0+1x60",
    },
    "NetbootdMachinesStuck": {'netbootd_machines{state="stuck"}': "1x60"},
    "NetbootdQueueStands": {"netbootd_pace_waiting": "0x20 40x40"},
    "NetbootdCertificateExpires": {"netbootd_tls_certificate_expiry_seconds": "1e6x60"},
    "NetbootdDropsPackets": {
        'netbootd_dropped_packets_total{protocol="dhcp",reason="malformed"}': "0+600x60"
    },
    "NetbootdSpoolGrows": {'netbootd_spool_lines{destination="elasticsearch"}': "2000+10x60"},
    "NetbootdDiskTrouble": {'netbootd_disk_trouble{what="record"}': "1x60"},
    "NetbootdLogsLost": {'netbootd_log_lines_lost_total{destination="logstash"}': "0x30 5x30"},
}
QUIET = {
    "NetbootdBootsFail": {
        'netbootd_boots_total{outcome="failed"}': "0+1x60",
        'netbootd_boots_total{outcome="done"}': "0+20x60",
    },
    "NetbootdSpoolGrows": {'netbootd_spool_lines{destination="elasticsearch"}': "9000-10x60"},
    "NetbootdListensNowhere": {'netbootd_sockets{service="TFTP"}': "1x60"},
    "NetbootdQueueStands": {"netbootd_pace_waiting": "0x20 2000-40x40"},
    "NetbootdCertificateExpires": {"netbootd_tls_certificate_expiry_seconds": "2e6x60"},
}
CASES = [(name, series, True) for name, series in FIRES.items()]
CASES += [(name, series, False) for name, series in QUIET.items()]


@promtool
@pytest.mark.parametrize(
    ("alert", "series", "raised"),
    CASES,
    ids=[f"{name}-{'fires' if raised else 'quiet'}" for name, _, raised in CASES],
)
def test_an_alert_is_raised_by_what_it_is_for(alert, series, raised, tmp_path):
    question = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    plan = {
        "rule_files": [str(RULES_FILE)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [
                    {
                        "expr": question,
                        "eval_time": "60m",
                        "exp_samples": [{"labels": "{}", "value": int(raised)}],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(plan))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_the_vitals_of_these_tests_leave_nothing_out():
    """Else a metric without a sample would go unseen."""
    assert all(getattr(FULL, name) for name in FULL.__slots__ if name != "transfers")
