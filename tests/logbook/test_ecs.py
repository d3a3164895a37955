from __future__ import annotations

import json

import pytest

from netbootd.events.audit import Audited, AuditedRefusal
from netbootd.logbook.bootlines import audit_line
from netbootd.logbook.ecs import Shape
from netbootd.logbook.line import Filing, Source

from .lines import NOON, line, nobodys

SHAPE = Shape("boot1", "lab")


def document(of, shape=SHAPE):
    encoded = shape.encode(of, 3, "file-3")
    assert encoded.endswith(b"\n")
    assert encoded.count(b"\n") == 1
    return json.loads(encoded)


def test_a_line_of_a_machine_has_the_names_of_the_schema():
    said = line(
        "hello",
        facility=3,
        severity=2,
        host_name="n",
        app="sshd",
        procid="12",
        msgid="ID47",
        version=1,
        structured={"zoo@1": {"a": ("x", "y")}},
        tags=("truncated",),
        original="<26>1 ...",
        at=NOON - 1.5,
    )
    assert document(said) == {
        "@timestamp": "2026-11-21T11:59:58.500000Z",
        "message": "hello",
        "ecs": {"version": "8.11.0"},
        "event": {
            "created": "2026-11-21T12:00:00.000000Z",
            "dataset": "netbootd.syslog",
            "module": "netbootd",
            "kind": "event",
            "id": "file-3",
            "sequence": 3,
        },
        "log": {
            "level": "critical",
            "syslog": {
                "priority": 26,
                "facility": {"code": 3, "name": "daemon"},
                "severity": {"code": 2, "name": "Critical"},
                "hostname": "n",
                "appname": "sshd",
                "procid": "12",
                "msgid": "ID47",
                "version": "1",
                "structured_data": {"zoo@1": {"a": ["x", "y"]}},
            },
        },
        "data_stream": {"type": "logs", "dataset": "netbootd.syslog", "namespace": "lab"},
        "observer": {"hostname": "boot1", "type": "netboot"},
        "process": {"name": "sshd", "pid": 12},
        "source": {"ip": "192.0.2.7", "port": 5140},
        "tags": ["truncated"],
        "host": {
            "name": "node1",
            "hostname": "node1",
            "mac": ["00-25-90-27-DB-B4"],
            "ip": ["192.0.2.7"],
        },
        "netbootd": {
            "machine": "00:25:90:27:db:b4",
            "mapped_by": "boot",
            "target": "nfs/a",
            "boot_id": 7,
        },
    }


def test_what_is_absent_is_left_out():
    said = document(nobodys("hello"))
    assert "host" not in said
    assert "process" not in said
    assert "netbootd" not in said
    assert "hostname" not in said["log"]["syslog"]


def test_a_process_number_that_is_none_stays_a_word():
    assert document(line(app="a", procid="x12"))["process"] == {"name": "a"}
    assert document(line(app="a", procid="9" * 30))["process"] == {"name": "a"}


def test_the_raw_text_is_kept_where_it_is_asked_for():
    said = line(original="<13>hello")
    assert "original" not in document(said)["event"]
    assert document(said, Shape("x", original=True))["event"]["original"] == "<13>hello"


def test_what_netbootd_saw_itself_is_no_syslog():
    said = document(line(source=Source.BOOT, msgid="offered", filing=Filing(key="a")))
    assert said["event"]["action"] == "offered"
    assert said["event"]["dataset"] == said["data_stream"]["dataset"] == "netbootd.boot"
    assert "syslog" not in said["log"]


def test_what_was_changed_by_whom_has_its_own_data_set():
    event = AuditedRefusal(peer="192.0.2.7", by="API token ops", deed="POST x", result="refused, y")
    told = document(audit_line(event, NOON))
    assert told["message"] == "API token ops: POST x: refused, y"
    assert told["data_stream"]["dataset"] == told["event"]["dataset"] == "netbootd.audit"
    assert told["event"]["outcome"] == "failure"
    assert (told["event"]["category"], told["event"]["type"]) == (["configuration"], ["change"])
    assert (told["user"], told["source"]) == ({"name": "API token ops"}, {"ip": "192.0.2.7"})
    assert told["log"] == {"level": "warning"}
    assert not {"host", "netbootd"} & told.keys()
    done = document(audit_line(Audited(by="root (user 0)", deed="POST x"), NOON))
    assert (done["event"]["outcome"], done["log"]) == ("success", {"level": "informational"})


def test_whatever_a_text_holds_it_stays_one_line_of_json():
    text = 'a\nb\r\x00\x1b[31m"\\\u2028\ud800\N{SNOWMAN}'
    assert document(line(text))["message"] == text.replace("\ud800", "?")


@pytest.mark.parametrize(
    "said",
    [
        line(),
        line(original='<13>a "b" \\ é \n', structured={"z": {"é": ['"']}}, tags=("t",)),
        line(source=Source.BOOT, msgid='s"\\', severity=3, text="é \u2028 \x00"),
        nobodys("hello"),
    ],
    ids=["usual", "odd", "boot", "nobody"],
)
def test_the_text_is_that_of_the_standard_library(said):
    """Most of it is put together from pieces."""
    text = Shape("x", original=True).encode(said, 7, "20261122T021000-7").decode()
    assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")) + "\n"
