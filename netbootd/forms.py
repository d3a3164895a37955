"""
Forms in which a variable may be written, brought to one: for fragments and answer files alike.

What they return are lines of a file.  None has a line end or another control character in it:
behind it would stand whatever the data say, in a file of the node or in the program writing it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def line(value: Any) -> str:
    """A string or a number as (part of) one line; raises ValueError for what is none."""
    if isinstance(value, (Mapping, list, tuple)) or value is None:
        raise ValueError(f"{value!r:.60} is no text")
    text = str(value).strip()
    if _CONTROL.search(text):
        raise ValueError(f"{text!r:.60} has a line end or another control character in it")
    return text


def lines(value: Any) -> list[str]:
    """One of them, or an array; raises ValueError."""
    return [line(one) for one in (value if isinstance(value, (list, tuple)) else [value])]


def keys_of(ssh_keys: Any, user: str) -> list[str]:
    """
    The public keys of *user* in variable ``ssh_keys``; raises ValueError.

    That is one key or an array, for root, or an object of users with theirs.
    """
    users = ssh_keys if isinstance(ssh_keys, Mapping) else {"root": ssh_keys}
    return lines(users.get(user, []))
