"""
The token of a boot attempt: what a node shows to prove that it is the one that booted.

An HMAC (RFC 2104, SHA-256) over the machine and the attempt's number, so nothing needs to be kept
but the secret; whoever has one token cannot make another.

The one that opens what is secret is another, since the usual one may be seen by whoever looks at a
script.
"""

from __future__ import annotations

import functools
import hmac

_DIGITS = 32  # 128 bits


def token(secret: bytes, key: str, attempt: int) -> str:
    """32 hexadecimal digits for attempt number *attempt* of the machine *key*."""
    made = _keyed(secret).copy()
    made.update(f"{key} {attempt}".encode())
    return made.hexdigest()[:_DIGITS]


def proof(secret: bytes, key: str, attempt: int) -> str:
    """Likewise, the one that opens what is secret; no *key* begins with a blank."""
    return token(secret, f" {key}", attempt)


@functools.lru_cache(maxsize=2)
def _keyed(secret: bytes) -> hmac.HMAC:
    """One that has read the *secret* and nothing else."""
    return hmac.new(secret, digestmod="sha256")


def same(one: str, other: str) -> bool:
    """Compare in constant time; text from the wire may hold anything."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
