"""``send_logs``: what a node is told so that it sends its log."""

from __future__ import annotations

import pytest

from netbootd.targets.logs import ipxe_address, words


@pytest.mark.parametrize(
    ("reader", "port", "told"),
    [
        ("debian", 514, "log_host=192.0.2.1 log_port=514"),
        ("rhel", 514, "inst.syslog=192.0.2.1:514"),
        ("centos6", 5514, "syslog=192.0.2.1:5514"),
        ("dracut", 514, "syslog.server=192.0.2.1"),
        ("dracut", 5514, "syslog.server=192.0.2.1:5514"),
        ("ubuntu", 514, ""),
        ("", 514, ""),
    ],
)
def test_each_reader_has_its_own_words(reader, port, told):
    assert " ".join(words(reader, "192.0.2.1", port)) == told


def test_nobody_is_told_where_no_log_is_received():
    assert words("debian", "", 0) == ()
    assert ipxe_address("", 0) == ""


def test_ipxe_takes_an_address_and_sends_to_one_port():
    assert ipxe_address("192.0.2.1", 514) == "192.0.2.1"
    assert ipxe_address("192.0.2.1", 5514) == ""
    assert ipxe_address("boot.example.org", 514) == ""


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"os": "debian", "answer": "a.cfg"}, "log_host=192.0.2.1 log_port=514"),
        ({"os": "rocky"}, "inst.syslog=192.0.2.1:514"),
        ({"os": "rocky", "boot_args": "inst.syslog=other"}, "inst.syslog=other"),
        ({"initramfs": "dracut"}, "syslog.server=192.0.2.1"),
    ],
)
def test_a_target_that_sends_its_log_tells_the_node_and_ipxe(site, keys, told):
    (site.root / "a.cfg").write_text("d-i")
    target = {"kernel": "vmlinuz", **keys}
    site.load({"install/x": {**target, "send_logs": True}}, {"type": "install", "name": "x"})
    with_logs = site.answer().text
    assert told in with_logs
    assert "set syslog:ipv4 192.0.2.1 ||" in with_logs
    site.load({"install/x": target}, {"type": "install", "name": "x"})
    without = site.answer().text
    assert "syslog:ipv4" not in without
    assert "log_host" not in without


def test_placeholders_name_the_ports(site):
    target = {"kernel": "vmlinuz", "boot_args": "netconsole=@/,__netconsole_port__@__log_host__/"}
    site.load({"linux/x": target}, {"type": "linux", "name": "x"})
    assert "netconsole=@/,6666@192.0.2.1/" in site.answer().text
