"""
Real firmware boots Linux over a cable that loses frames: as a user sees it, power on and wait.

One of 20 frames is lost, in each direction, one doubled and one overtaken: with more, the kernel's
megabytes take TCP of iPXE minutes.  Firmware that gives up is power cycled, as a watchdog would.
"""

from __future__ import annotations

import pytest

from tests.end_to_end import guest
from tests.end_to_end.conftest import Site, site
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.process import NotSeenError
from tests.faults.wire import Wire

__all__ = ["site"]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
TRIES = 3
BOOT_S = 300


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_linux_comes_up_over_a_bad_cable(site: Site, firmware: str) -> None:
    wire = Wire(site.lab, "boot", f"{BOOT_SERVER}/24", seed=11)
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    site.serve()
    wire.fails(5, 5, 5)
    for attempt in range(TRIES):
        node = getattr(site.lab, firmware)(NODE)
        try:
            node.wait_for(rf"{guest.UP} mac={NODE}\s", BOOT_S)
            break
        except NotSeenError:
            if attempt == TRIES - 1:
                raise
            node.close()
    node.wait_for(guest.DONE, BOOT_S)
    counted = wire.counted()
    assert min(counted["lost"], counted["doubled"], counted["late"]) > 20, counted
