"""
The loads, by the words that ``make bench ARGS='…'`` takes.
"""

from __future__ import annotations

from tests.bench.cases import Load
from tests.bench.loads import dhcp, http, images, leases, reload, start, storm, tftp

LOADS: dict[str, Load] = {
    load.name: load
    for load in (
        *(dhcp.LOAD, tftp.LOAD, http.LOAD, images.LOAD, storm.LOAD, reload.LOAD, start.LOAD),
        leases.LOAD,
    )
}
