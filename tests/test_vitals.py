"""Whether machines can boot, by the daemon's own account."""

from __future__ import annotations

from dataclasses import replace

from netbootd.http.health import Health
from netbootd.vitals import Vitals, health

WELL = Vitals(generation=3, loaded=1.0, wanted=("TFTP", "HTTP"), listening={"TFTP": 2, "HTTP": 1})


def test_a_daemon_that_is_well_has_nothing_to_tell():
    assert health(WELL) == Health()


def test_a_service_without_a_socket_keeps_machines_from_booting():
    sick = replace(WELL, listening={"HTTP": 1})
    assert health(sick).down == ("TFTP is turned on, and listens nowhere",)


def test_a_service_that_is_turned_off_need_not_listen():
    assert health(replace(WELL, wanted=("HTTP",), listening={"HTTP": 1})) == Health()


def test_a_disk_or_a_refused_configuration_costs_no_boot():
    trouble = "the record is not kept: disk full"
    sick = replace(WELL, refused=2, troubles=(trouble,), disks={"record": trouble, "logs": ""})
    assert health(sick) == Health(
        degraded=(trouble, "the configuration on disk is refused; generation 3 is in force")
    )


def test_a_certificate_that_soon_expires_is_told_in_time():
    told = "expires in 3 days: renew it, and reload"
    sick = replace(WELL, certificate_ends=1000.0, expiring=told)
    assert health(sick) == Health(degraded=(f"the certificate of HTTPS {told}",))
