from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from netbootd.syslog.wire import LONGEST, is_believed, moment, read

CAPTURES = Path(__file__).parents[1] / "captures"


def at(text):
    return datetime.fromisoformat(text).timestamp()


NOW = at("2026-11-21T03:20:00+00:00")
QUALITY = '[timeQuality tzKnown="1" isSynced="0"]'

#: As received: the bytes, then facility, severity, host, app, procid, text and Unix seconds.
REAL = {
    "BusyBox": (
        b"<28>Nov 21 03:14:24 app: hello from busybox\n",
        (3, 4, "", "app", "", "hello from busybox", "2026-11-21T03:14:24+00:00"),
    ),
    "BusyBox with a newline in the text": (
        b"<3>Nov 21 03:14:24 0: multi\nline\n",
        (0, 3, "", "0", "", "multi\nline", "2026-11-21T03:14:24+00:00"),
    ),
    "logger by UDP": (
        f"<13>1 2026-11-21T03:14:24.530425+00:00 vm tag - - {QUALITY} default udp".encode(),
        (1, 5, "vm", "tag", "", "default udp", "2026-11-21T03:14:24.530425+00:00"),
    ),
    "logger --rfc3164": (
        b"<13>Nov 21 03:14:24 vm tag: rfc3164 udp",
        (1, 5, "vm", "tag", "", "rfc3164 udp", "2026-11-21T03:14:24+00:00"),
    ),
    "iPXE with a host name": (
        b"<6>node7.example.org ipxe: iPXE 1.21.1+",
        (0, 6, "node7.example.org", "ipxe", "", "iPXE 1.21.1+", None),
    ),
    "iPXE without": (b"<6>ipxe: net0: ok", (0, 6, "", "ipxe", "", "net0: ok", None)),
    "rsyslog": (
        b"<30>Nov  1 03:14:24 node3 systemd[1]: Started Session 1.",
        (3, 6, "node3", "systemd", "1", "Started Session 1.", "2026-11-01T03:14:24+00:00"),
    ),
    "rsyslog, its newer form": (
        b"<30>2026-11-21T04:14:24.530425+01:00 node3 dhclient[77]: bound",
        (3, 6, "node3", "dhclient", "77", "bound", "2026-11-21T03:14:24.530425+00:00"),
    ),
    "illumos": (
        b"<28>Nov 21 03:14:24 gz sshd[123]: [ID 702911 daemon.notice] hi",
        (3, 4, "gz", "sshd", "123", "[ID 702911 daemon.notice] hi", "2026-11-21T03:14:24+00:00"),
    ),
    "Cisco": (
        b"<189>*Nov 21 2026 03:14:24.123 UTC: %SYS-5-CONFIG_I: Configured",
        (23, 5, "", "%SYS-5-CONFIG_I", "", "Configured", "2026-11-21T03:14:24.123+00:00"),
    ),
    "a day with a zero": (
        b"<13>Nov 01 03:14:24 vm tag: x",
        (1, 5, "vm", "tag", "", "x", "2026-11-01T03:14:24+00:00"),
    ),
    "a year in front": (
        b"<13>2026 Nov 21 03:14:24 vm tag: x",
        (1, 5, "vm", "tag", "", "x", "2026-11-21T03:14:24+00:00"),
    ),
    "a year behind": (
        b"<13>Nov 21 03:14:24 2026 vm tag: x",
        (1, 5, "vm", "tag", "", "x", "2026-11-21T03:14:24+00:00"),
    ),
    "no colon anywhere": (
        b"<13>Nov 21 03:14:24 vm -- MARK --",
        (1, 5, "", "", "", "vm -- MARK --", "2026-11-21T03:14:24+00:00"),
    ),
    "a process that is no number": (
        b"<13>Nov 21 03:14:24 vm su(pam_unix)[x-1]: no",
        (1, 5, "vm", "su(pam_unix)", "x-1", "no", "2026-11-21T03:14:24+00:00"),
    ),
    "more than one blank": (
        b"<4>Nov 21 03:14:24 vm kernel:   indented",
        (0, 4, "vm", "kernel", "", "  indented", "2026-11-21T03:14:24+00:00"),
    ),
    "an empty message": (b"<13>", (1, 5, "", "", "", "", None)),
    "no priority": (b"just text: here\r\n\0", (1, 5, "", "", "", "just text: here", None)),
    "a priority too high": (b"<192>tag: text", (1, 5, "", "", "", "<192>tag: text", None)),
    "a day that is none": (
        b"<13>Feb 30 03:14:24 vm tag: x",
        (1, 5, "", "", "", "Feb 30 03:14:24 vm tag: x", None),
    ),
}


@pytest.mark.parametrize(("message", "expected"), REAL.values(), ids=REAL.keys())
def test_real_messages_are_read(message, expected):
    said = read(message)
    when = moment(said.stamp, NOW) if said.stamp else None
    fields = (said.facility, said.severity, said.host_name, said.app, said.procid, said.text)
    assert fields == expected[:-1]
    assert when == (pytest.approx(at(expected[-1]), abs=1e-5) if expected[-1] else None)
    assert said.tags == ()


def test_structured_data_is_read_with_its_escapes():
    said = read(
        f'<13>1 - vm tag - ID47 {QUALITY}[zoo@123 a="q\\"z\\]\\\\ \\n" a="2"] with'.encode()
    )
    assert said.structured == {
        "timeQuality": {"tzKnown": ["1"], "isSynced": ["0"]},
        "zoo@123": {"a": ['q"z]\\ \\n', "2"]},
    }
    assert (said.msgid, said.text, said.version, said.stamp) == ("ID47", "with", 1, None)


def test_the_mark_of_utf8_is_no_text():
    assert read("<13>1 - - - - - - \ufeffgrüß".encode()).text == "grüß"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("<13>1 yesterday vm tag - - - hi", "yesterday vm tag - - - hi"),
        ("<13>1 - vm tag", "tag"),
        ("<13>1 - vm tag - - [broken hi", "[broken hi"),
        ('<13>1 - vm tag - - [ok a="1"][broken hi', "[broken hi"),
        ('<13>1 - vm tag - - [ok a="1"]hi', "hi"),
        ("<13>1 - " + "h" * 300 + " tag - - - hi", "h" * 300 + " tag - - - hi"),
    ],
    ids=["time", "too few words", "data", "more data", "no blank", "host"],
)
def test_what_is_malformed_stays_in_the_text(message, text):
    said = read(message.encode())
    assert (said.text, said.tags) == (text, ("unparsed",))


def test_what_was_read_before_is_kept():
    said = read(b'<13>1 - vm tag 7 - [ok a="1"][broken hi')
    assert (said.host_name, said.app, said.procid) == ("vm", "tag", "7")
    assert said.structured == {"ok": {"a": ["1"]}}


@pytest.mark.parametrize(
    ("written", "received", "year"),
    [
        ("Dec 31 23:59:58", "2027-01-01T00:00:05+00:00", 2026),
        ("Jan  1 00:00:03", "2026-12-31T23:59:59+00:00", 2027),
        ("Nov 21 03:14:24", "2026-11-21T03:14:25+00:00", 2026),
        ("Feb 29 12:00:00", "2028-03-01T00:00:00+00:00", 2028),
    ],
)
def test_a_time_without_a_year_gets_the_nearest(written, received, year):
    said = read(f"<13>{written} vm tag: x".encode())
    found = moment(said.stamp, at(received))
    assert datetime.fromtimestamp(found, UTC).year == year


def test_a_time_without_a_zone_is_that_of_the_node():
    stamp = read(b"<13>Nov 21 03:14:24 vm tag: x").stamp
    assert moment(stamp, NOW, ZoneInfo("Europe/Berlin")) == at("2026-11-21T03:14:24+01:00")
    stamp = read(b"<13>Jul 21 03:14:24 vm tag: x").stamp
    summer = moment(stamp, at("2026-07-21T03:14:24+02:00"), ZoneInfo("Europe/Berlin"))
    assert summer == at("2026-07-21T03:14:24+02:00")


def test_a_clock_that_is_a_day_off_is_not_believed():
    assert is_believed(NOW - 86_000, NOW)
    assert not is_believed(NOW - 87_000, NOW)
    assert not is_believed(0.0, NOW)


def test_a_message_that_is_too_long_is_cut():
    said = read(b"<13>" + b"x" * 100_000)
    assert len(said.text) == LONGEST - 4
    assert said.tags == ("truncated",)


def test_what_is_no_utf8_is_kept_with_its_bytes():
    said = read(b"<13>tag: caf\xe9")
    assert said.text == "caf\N{REPLACEMENT CHARACTER}"
    assert said.tags == ("not_utf8",)
    assert said.original == "PDEzPnRhZzogY2Fm6Q=="


def test_the_lines_of_a_debian_installer_have_no_host_name():
    packets = json.loads((CAPTURES / "debian-installer-syslog.json").read_text())
    said = [read(bytes.fromhex(packet["hex"])) for packet in packets]
    assert {one.host_name for one in said} == {""}
    assert {one.app for one in said} == {
        *("udhcpc", "netcfg", "main-menu", "preseed", "netbootd", "debconf")
    }
    assert all(one.stamp and not one.tags for one in said)
    assert said[0].text.startswith("Got IP 192.168.77.50")


@pytest.mark.parametrize("seed", range(20))
def test_no_rubbish_is_lost_or_harmful(seed):
    chance = random.Random(seed)
    for _ in range(200):
        message = bytearray(chance.choice(list(REAL.values()))[0])
        for _ in range(chance.randrange(8)):
            message[chance.randrange(len(message))] = chance.randrange(256)
        said = read(bytes(message[: chance.randrange(len(message)) or None]))
        assert 0 <= said.facility <= 23
        assert 0 <= said.severity <= 7
        if said.stamp:
            moment(said.stamp, NOW)
        read(chance.randbytes(chance.randrange(300)))


@pytest.mark.parametrize(
    "data",
    [b"[a" + b' b="c"' * 300 + b"]", b"[a]" * 300, b'[a b="c"]' * 200],
    ids=["parameters", "elements", "both"],
)
def test_structured_data_without_end_is_text_from_somewhere_on(data):
    said = read(b"<13>1 - host app - - " + data + b" behind")
    told = sum(1 + sum(map(len, parameters.values())) for parameters in said.structured.values())
    assert told <= 257
    assert said.tags == ("unparsed",)
    assert said.text.endswith("] behind")
