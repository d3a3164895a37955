"""``netbootd replay``: what we would have answered to the packets of a capture."""

from __future__ import annotations

import json
from collections import Counter
from ipaddress import IPv4Address
from pathlib import Path

from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.replay import telling
from netbootd.replay.exchange import Verdict, exchanges
from netbootd.replay.reading import address_for, read
from netbootd.replay.us import Us

_AGREE = frozenset({Verdict.SAME, Verdict.NEITHER})


def replay(
    file: Path,
    config: Path,
    mac: MAC | None = None,
    address: IPv4Address | None = None,
    *,
    as_json: bool = False,
) -> bool:
    """
    Print what *config* makes of the capture *file*, of the machine *mac* alone where it is given;
    False where some question was answered otherwise than we would have.

    *address* is ours, None for whoever was boot server in the capture.  Raises NoCapture,
    ConfigErrors and OSError.
    """
    registry = load(config)
    reading = read(file)
    ours, why = address_for(reading, registry, address)
    found = (one for one in exchanges(reading, Us(registry, ours)) if mac in (None, one.mac))
    if as_json:
        told = telling.plain(reading, ours, why, found)
        print(json.dumps(told, indent=2))
        return not told["counts"].keys() - _AGREE
    print(telling.headline(reading, ours, why))
    verdicts: Counter[Verdict] = Counter()
    for exchange in found:
        verdicts[exchange.verdict] += 1
        print()
        for line in telling.lines(exchange, reading.began):
            print(line)
    print()
    for remark in reading.remarks:
        print(f"note: {remark}")
    print(telling.summary(verdicts))
    return not verdicts.keys() - _AGREE
