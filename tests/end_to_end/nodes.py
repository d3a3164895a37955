"""
Many nodes that boot at once, for tests of what is shown of them: each asks from an address of its
own what iPXE and a node ask, and nothing runs.

``python nodes.py BASE COUNT SECONDS``: the nodes 0 to COUNT - 1 boot, all within SECONDS and each at
its own pace; node LAGGARD stops behind its kernel.
"""

from __future__ import annotations

import http.client
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

LAGGARD = 137
NETWORK = "198.18.0.0/15"  # of which the namespace says that all of it is its own
STEPS = ("/boot/{mac}", "/{mac}/images/vmlinuz", "/{mac}/images/initrd", "/done/{mac}")


def mac_of(number: int) -> str:
    return f"52:54:00:18:{number >> 8:02x}:{number & 255:02x}"


def address_of(number: int) -> str:
    return f"198.18.{number >> 8}.{number & 255}"


def machines(count: int, type_: str, name: str) -> dict[str, Any]:
    """Their entries: in racks of 40."""
    return {
        mac_of(number): {
            **{"type": type_, "name": name, "ip": address_of(number)},
            **{"hostname": f"node{number:03}", "group": f"rack{number // 40 + 1}"},
        }
        for number in range(count)
    }


def groups(count: int) -> dict[str, Any]:
    """The racks."""
    return {f"rack{number // 40 + 1}": {"vars": {"rack": number // 40}} for number in range(count)}


def boot(base: str, number: int, seconds: float) -> None:
    """One node's way, with pauses of *seconds* in all."""
    where = urlsplit(base).netloc
    pace = random.Random(number)
    time.sleep(seconds * 0.15 * pace.random())
    for step, path in enumerate(STEPS):
        if step > 1 and number == LAGGARD:
            return
        link = http.client.HTTPConnection(where, timeout=60, source_address=(address_of(number), 0))
        link.request("GET", path.format(mac=mac_of(number)), headers={"User-Agent": "iPXE/1.21.1"})
        link.getresponse().read()
        link.close()
        time.sleep(seconds * 0.28 * pace.uniform(0.6, 1.0))


def main(base: str, count: int, seconds: float) -> None:
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(boot, base, number, seconds) for number in range(count)]:
            done.result()
    print("all through", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
