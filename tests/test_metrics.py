"""The numbers: counted once, labelled with words of ours, readable by Prometheus."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from netbootd import metrics
from netbootd.boots.boot import Boot, Outcome, Stage, Step
from netbootd.events.event import (
    Dropped,
    Passed,
    Refused,
    Reported,
    Scripted,
    Served,
    TransferEnded,
    TransferFailed,
    Transferred,
    Unserved,
)
from netbootd.events.lease import AddressInUse, Leased, Naked, NoAddress
from netbootd.events.progress import Progress
from netbootd.leases.usage import Usage
from netbootd.mac import MAC
from netbootd.metrics import Metrics
from netbootd.shipping.items import Shipped
from netbootd.vitals import Vitals

NODE = MAC.parse("00:25:90:27:db:b4")
START = 1000.0
FULL = Vitals(
    generation=4,
    loaded=1234.5,
    refused=2,
    findings={"warning": 3},
    machines=2000,
    targets=5,
    wanted=("ProxyDHCP", "TFTP", "HTTP"),
    listening={"TFTP": 2, "HTTP": 1},
    troubles=("one", "two"),
    disks={"record": "full", "logs": ""},
    states={"booting": 3, "up": 1997},
    strangers=9,
    pace={"enabled": 1, "waiting": 12, "loading": 4, "at_once": 16},
    received={"netbootd.syslog": 100},
    stored=90,
    dropped={"rate": 10},
    kernel_drops=8,
    shipping={"elasticsearch": Shipped(shipped=50, rejected=1, lost=2, lines=37, size=9000)},
    pools=(Usage(subnet="192.0.2.0/24", size=100, leased=7, offered=2, declined=1),),
    foreign=1,
    shed=7,
    certificate_ends=1e9,
    expiring="expires in 3 days",
    dhcp={"discover": 5, "ack": 4, "message type 77": 3},
)


class Rig:
    def __init__(self) -> None:
        self.vitals = FULL
        self.metrics = Metrics(lambda: self.vitals, START)

    def samples(self) -> dict[str, float]:
        """Every sample by its name and labels, written ``name{label=value}``."""
        text = self.metrics.render(False).decode()
        return {
            sample.name + "".join(f"{{{k}={v}}}" for k, v in sorted(sample.labels.items())): (
                sample.value
            )
            for family in parse_text(text)
            for sample in family.samples
        }


@pytest.fixture
def rig():
    return Rig()


def boot(*steps, number=1, outcome=Outcome.OPEN):
    last = max(step.until for step in steps)
    return Boot(number=number, key="a", began=START, last=last, steps=steps, outcome=outcome)


def test_pools_and_messages_are_shown(rig):
    found = rig.samples()
    assert found["netbootd_dhcp_pool_addresses{subnet=192.0.2.0/24}"] == 100
    assert found["netbootd_dhcp_leases{state=leased}{subnet=192.0.2.0/24}"] == 7
    assert found["netbootd_dhcp_leases{state=declined}{subnet=192.0.2.0/24}"] == 1
    assert found["netbootd_dhcp_messages_total{type=discover}"] == 5
    assert found["netbootd_dhcp_messages_total{type=nak}"] == 0
    assert found["netbootd_dhcp_messages_total{type=other}"] == 3
    assert found["netbootd_dhcp_foreign_servers"] == 1
    assert found["netbootd_dhcp_shed_total"] == 7


def test_what_becomes_of_addresses_is_counted(rig):
    for event in (
        Leased(address="192.0.2.7", seconds=3600, how="renewed"),
        NoAddress(reason="all are taken", code="exhausted"),
        NoAddress(reason="all are taken", code="exhausted", again=True),
        AddressInUse(address="192.0.2.7", by="52:54:00:aa:00:01"),
        AddressInUse(address="192.0.2.7"),
        Naked(address="192.0.2.7", reason="it is another's"),
    ):
        rig.metrics(event)
    found = rig.samples()
    assert found["netbootd_dhcp_leased_total{how=renewed}"] == 1
    assert found["netbootd_dhcp_no_address_total{code=exhausted}"] == 2
    assert found["netbootd_dhcp_declined_total{by=arp}"] == 1
    assert found["netbootd_dhcp_declined_total{by=client}"] == 1
    assert found["netbootd_dhcp_naked_total"] == 1


def test_boots_are_counted_by_stage_and_outcome(rig):
    discover = Step(stage=Stage.DISCOVER, at=START, until=START + 2)
    kernel = Step(stage=Stage.KERNEL, at=START + 2, until=START + 9)
    for known in (
        boot(discover),
        boot(discover, kernel),
        boot(discover, kernel, outcome=Outcome.DONE),
        boot(discover, number=2),
    ):
        rig.metrics.boot(known)
    found = rig.samples()
    assert found["netbootd_boots_begun_total"] == 2
    assert found["netbootd_stages_total{stage=discover}"] == 2
    assert found["netbootd_stages_total{stage=kernel}"] == 1
    assert found["netbootd_boots_total{outcome=done}"] == 1
    assert found["netbootd_boots_total{outcome=failed}"] == 0
    assert found["netbootd_stage_duration_seconds_sum{stage=kernel}"] == 7
    assert found["netbootd_stage_duration_seconds_count{stage=discover}"] == 1
    assert found["netbootd_boot_duration_seconds_sum{outcome=done}"] == 9


def test_events_are_counted_by_what_they_are(rig):
    for event in (
        Dropped(protocol="DHCP", reason="3 bytes, a DHCP message has at least 240"),
        Dropped(protocol="TFTP", reason="ACK outside a transfer"),
        Dropped(protocol="TFTP", reason="not sent: no route"),
        Unserved(protocol="DHCP", reason="unknown", code="unknown"),
        Passed(protocol="DHCP", reason="not for us"),
        Refused(protocol="HTTP", path="/x", status=404, reason="no"),
        Scripted(says="nfs"),
        Scripted(says="no", code="held"),
        Reported(outcome="done"),
    ):
        rig.metrics(event)
    found = rig.samples()
    for name in (
        "netbootd_dropped_packets_total{protocol=dhcp}{reason=malformed}",
        "netbootd_dropped_packets_total{protocol=tftp}{reason=stray}",
        "netbootd_dropped_packets_total{protocol=tftp}{reason=unsendable}",
        "netbootd_unserved_total{code=unknown}{protocol=dhcp}",
        "netbootd_passed_total{protocol=dhcp}",
        "netbootd_refused_total{protocol=http}{status=404}",
        "netbootd_scripts_total{code=boots}",
        "netbootd_scripts_total{code=held}",
        "netbootd_reports_total{outcome=done}",
        "netbootd_events_total{event=unserved}",
    ):
        assert found[name] == 1, name


def served(sent, *, count=1000, size=1000, **more):
    return Served(path="/a", status=200, size=size, count=count, sent=sent, seconds=3.0, **more)


def test_transfers_are_counted_by_protocol_and_result(rig):
    for event in (
        Transferred(path="a", size=500, seconds=2.0, resent=4),
        TransferEnded(path="a", reason="size probe", acked=0),
        TransferFailed(path="a", reason="lost", acked=100),
        served(1000),
        served(300),
        served(200, problem="disk"),
        served(512, count=512, first=512),  # a range of a block device
    ):
        rig.metrics(event)
    found = rig.samples()
    assert found["netbootd_sent_bytes_total{protocol=tftp}"] == 600
    assert found["netbootd_sent_bytes_total{protocol=http}"] == 2012
    for name, count in (
        ("{protocol=tftp}{result=complete}", 1),
        ("{protocol=tftp}{result=ended}", 1),
        ("{protocol=tftp}{result=failed}", 1),
        ("{protocol=http}{result=complete}", 2),
        ("{protocol=http}{result=ended}", 1),
        ("{protocol=http}{result=failed}", 1),
    ):
        assert found[f"netbootd_transfers_total{name}"] == count, name
    assert found["netbootd_transfer_duration_seconds_count{protocol=http}"] == 1
    assert found["netbootd_tftp_resent_blocks_total"] == 4


def test_bytes_under_way_count_and_the_counter_never_falls(rig):
    running = Progress(
        protocol="TFTP", path="i", peer="192.0.2.7", mac=NODE, size=9000, sent=4000, began=1.0
    )
    rig.vitals = replace(FULL, transfers=(running,))
    found = rig.samples()
    assert found["netbootd_sent_bytes_total{protocol=tftp}"] == 4000
    assert found["netbootd_transfers_in_flight{protocol=tftp}"] == 1
    rig.metrics(TransferFailed(path="i", reason="lost", acked=3500))
    rig.vitals = FULL
    found = rig.samples()
    assert found["netbootd_sent_bytes_total{protocol=tftp}"] == 4000
    assert found["netbootd_transfers_in_flight{protocol=tftp}"] == 0


def test_what_is_read_at_a_scrape_is_what_the_daemon_tells(rig):
    found = rig.samples()
    for name, value in {
        "config_generation": 4,
        "config_loaded_timestamp_seconds": 1234.5,
        "config_refused": 1,
        "config_refused_findings": 2,
        "config_findings{level=warning}": 3,
        "machines_listed": 2000,
        "machines{state=up}": 1997,
        "strangers": 9,
        "troubles": 2,
        "sockets{service=TFTP}": 2,
        "sockets{service=ProxyDHCP}": 0,
        "disk_trouble{what=record}": 1,
        "disk_trouble{what=logs}": 0,
        "log_lines_received_total{dataset=netbootd.syslog}": 100,
        "log_lines_stored_total": 90,
        "log_lines_dropped_total{reason=rate}": 10,
        "syslog_kernel_drops_total": 8,
        "log_lines_shipped_total{destination=elasticsearch}": 50,
        "log_lines_rejected_total{destination=elasticsearch}": 1,
        "log_lines_lost_total{destination=elasticsearch}": 2,
        "spool_lines{destination=elasticsearch}": 37,
        "spool_bytes{destination=elasticsearch}": 9000,
    }.items():
        assert found[f"netbootd_{name}"] == value, name
    assert found["process_resident_memory_bytes"] > 0


def test_the_wire_names_no_time_series(rig):
    before = len(rig.samples())
    for number in range(1000):
        mac, name = MAC(number.to_bytes(6, "big")), f"name-{number}"
        rig.metrics(Dropped(mac=mac, peer=name, protocol="DHCP", reason=name))
        rig.metrics(Unserved(mac=mac, protocol="DHCP", reason=name, code=name))
        rig.metrics(Refused(mac=mac, protocol="HTTP", path=name, status=404, reason=name))
        rig.metrics(Scripted(mac=mac, says=name, target=name))
        rig.metrics(served(number, size=2000))
    text = rig.metrics.render(False).decode()
    assert len(rig.samples()) - before < 200
    assert 'code="other"' in text
    assert "name-999" not in text


def test_prometheus_can_read_both_formats(rig):
    rig.metrics(Transferred(path="a", size=500, seconds=2.0))
    text = {family.name for family in parse_text(rig.metrics.render(False).decode())}
    opened = {family.name for family in parse_open(rig.metrics.render(True).decode())}
    assert {"netbootd_boot_duration_seconds", "netbootd_machines"} <= text & opened


promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")


@promtool
def test_promtool_has_nothing_to_complain_of(rig):
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=rig.metrics.render(False),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_storm_of_boots_is_counted_whole_though_few_wait(rig, monkeypatch):
    """Told of at each step and counted later: each boot and stage once, as if at once."""
    monkeypatch.setattr(metrics, "_MOST_CHANGED", 3)
    discover = Step(stage=Stage.DISCOVER, at=START, until=START + 2)
    kernel = Step(stage=Stage.KERNEL, at=START + 2, until=START + 9)
    for steps in ((discover,), (discover, kernel)):
        for number in range(10):
            rig.metrics.boot(boot(*steps, number=number))
    rig.metrics.boot(boot(discover, kernel, number=9, outcome=Outcome.OVERDUE))
    rig.metrics.boot(boot(discover, kernel, number=9, outcome=Outcome.DONE))
    for _ in range(2):  # a second scrape counts nothing again
        found = rig.samples()
        assert found["netbootd_boots_begun_total"] == 10
        assert found["netbootd_stages_total{stage=discover}"] == 10
        assert found["netbootd_stages_total{stage=kernel}"] == 10
        assert found["netbootd_stage_duration_seconds_sum{stage=discover}"] == 20
        assert found["netbootd_stage_duration_seconds_count{stage=kernel}"] == 1
        assert found["netbootd_boots_total{outcome=overdue}"] == 1
        assert found["netbootd_boots_total{outcome=done}"] == 1
