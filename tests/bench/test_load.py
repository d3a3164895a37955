"""
What the benchmark measures is what happens: as many leases as clients, and as many addresses.
"""

from __future__ import annotations

import pytest

from tests.bench.dhcp import Bench
from tests.bench.servers import SERVERS
from tests.end_to_end.conftest import lab
from tests.end_to_end.lab import Lab

__all__ = ["lab"]

pytestmark = pytest.mark.wire


@pytest.mark.parametrize("direct", [True, False], ids=["by broadcast", "through a relay"])
def test_three_hundred_clients_at_once_have_three_hundred_addresses(lab: Lab, direct: bool) -> None:
    bench = Bench(lab, lab.folder / "bench", direct=direct, clients=300, seconds=1)
    running = bench.begin(SERVERS["netbootd"], "together")
    counted = bench.load(clients=300)

    assert (counted["leases"], counted["addresses"]) == (300, 300)
    assert counted["refused"] == 0
    running.close()
