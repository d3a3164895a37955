"""A port that swallows what comes after the loader is named, once."""

from __future__ import annotations

import pytest

from netbootd.events.event import Offered, Scripted, Transferred
from netbootd.events.silence import SilenceDetector
from netbootd.mac import MAC

NODE = MAC.parse("00:25:90:27:db:b4")
URL = "http://192.0.2.1:3000/boot/00-25-90-27-db-b4"


def fetched(path="00-25-90-27-db-b4/snponly.efi", mac=NODE):
    return Transferred(mac=mac, peer="192.0.2.50", path=path, size=1000, seconds=0.1)


def offered(file=URL, mac=NODE):
    return Offered(mac=mac, arch="EFI x64", file=file, server="192.0.2.1", interface="eth0")


SCRIPTED = Scripted(mac=NODE, peer="192.0.2.50", says="nfs/a")


def told(*events):
    """What is said of *events*, each with its time."""
    detector = SilenceDetector()
    return [found for event, now in events if (found := detector.notice(event, now))]


@pytest.mark.parametrize("first", [offered(), SCRIPTED])
def test_a_long_silence_after_the_loader_is_told(first):
    [silent] = told((fetched(), 100.0), (first, 131.0))
    assert silent.level == "warn"
    assert silent.mac == NODE
    assert "31 s between its loader and iPXE's first packet" in str(silent)
    assert "spanning tree wants portfast" in str(silent)


@pytest.mark.parametrize("seconds", [0.5, 5, 19.9, 151, 5000])
def test_what_is_no_such_silence_is_not(seconds):
    assert not told((fetched(), 100.0), (offered(), 100.0 + seconds))


def test_it_is_about_what_comes_first():
    assert not told((fetched(), 0.0), (offered(), 3.0), (SCRIPTED, 30.0))


def test_firmware_that_starts_anew_is_none():
    assert not told((fetched(), 0.0), (offered("snponly.efi"), 40.0), (offered(), 45.0))
    by_http = "http://192.0.2.1:3000/00-25-90-27-db-b4/snponly.efi"
    assert not told((fetched(), 0.0), (offered(by_http), 40.0))


@pytest.mark.parametrize("path", ["images/vmlinuz", "grubx64.efi", "x/config.txt"])
def test_only_loaders_that_become_ipxe_count(path):
    assert not told((fetched(path), 0.0), (offered(), 40.0))


def test_each_machine_is_told_of_once_an_hour():
    boots = [(time, 30.0) for time in (0.0, 600.0, 3700.0)]
    events = [pair for time, gap in boots for pair in ((fetched(), time), (offered(), time + gap))]
    assert len(told(*events)) == 2
    other = MAC.parse("00:25:90:27:db:b5")
    assert len(told(*events[:2], (fetched(mac=other), 50.0), (offered(mac=other), 80.0))) == 2


def test_machines_without_number_are_forgotten():
    detector = SilenceDetector()
    for number in range(10_000):
        detector.notice(fetched(mac=MAC(number.to_bytes(6, "big"))), 0.0)
        detector.notice(offered(mac=MAC(number.to_bytes(6, "big"))), 30.0)
        detector.notice(fetched(mac=MAC(number.to_bytes(6, "big"))), 31.0)
    assert len(detector._fetched) <= 4096
    assert len(detector._told) <= 4096


def test_who_has_no_mac_is_nobody():
    assert not told((fetched(mac=None), 0.0), (offered(mac=None), 40.0))
