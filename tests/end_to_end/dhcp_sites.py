"""
Sites where netbootd is the DHCP server, and no other is there.
"""

from __future__ import annotations

from typing import Any

from tests.end_to_end.conftest import Site
from tests.end_to_end.process import Daemon

LAN = "192.0.2.0/24"
ROUTER = "192.0.2.1"
#: What every client of LAN is told; in the order of the file.
OPTIONS: dict[str, Any] = {
    "router": ROUTER,
    "dns": ["192.0.2.1", "192.0.2.2"],
    "ntp": ["192.0.2.3"],
    "domain": "example.org",
    "search": ["lab.example.org", "example.org"],
    "mtu": 1400,
    "routes": {"198.51.100.0/24": "192.0.2.9"},
}
POOL = "192.0.2.100-192.0.2.199"


def subnet(site: Site, network: str = LAN, **keys: Any) -> None:
    """Give addresses in *network*, of the usual pool of LAN unless *keys* say more."""
    entry = {"dhcp": "server", "pools": [POOL] if network == LAN else [], **keys}
    site.config.setdefault("subnets", {})[network] = entry


def serve(site: Site, **keys: Any) -> Daemon:
    """Start netbootd as the DHCP server of LAN."""
    subnet(site, **keys)
    return site.serve()
