"""
Keys of ``machines`` that stand for many: the beginning of a MAC and a star, such as ``00:25:90:*``
for all cards of one maker, or ``00:25:90:2*``.  The longest one that fits counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from netbootd.mac import MAC

_STAR = re.compile(
    r"(?:(?:[0-9a-f]{2}[:-])*[0-9a-f]{0,2}"  # 00:25:9*, 00-25-90-*
    r"|(?:[0-9a-f]{4}\.)*[0-9a-f]{0,4}"  # 0025.90*
    r"|[0-9a-f]+)\*"  # 002590*
)
_LONGEST = 11  # hexadecimal digits; one more is a whole MAC
_Found = TypeVar("_Found")


def prefix_of(key: str) -> str | None:
    """The hexadecimal digits of ``00:25:9*``, which are ``00259``; None for what is no wildcard."""
    plain = key.strip().lower()
    if not plain.endswith("*") or not _STAR.fullmatch(plain):
        return None
    digits = re.sub("[^0-9a-f]", "", plain)
    return digits if 1 <= len(digits) <= _LONGEST else None


def longest(wildcards: Mapping[str, _Found], mac: MAC) -> _Found | None:
    """What stands under the longest prefix of *mac*."""
    digits = mac.raw
    lengths = range(_LONGEST if wildcards else 0, 0, -1)
    return next(
        (wildcards[digits[:length]] for length in lengths if digits[:length] in wildcards), None
    )
