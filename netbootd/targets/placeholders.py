"""
``__hostname__`` and its like: what a target's strings may say of the machine, filled in per boot.

A short spelling for the names that templates know (``Facts.names``).  Forms with a dot
(``__servers.default__``, cloud-init's ``__dmi.system-uuid__``) are not ours and stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netbootd.errors import RenderError

_PLACEHOLDER = re.compile(r"__([A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*)__")
#: Placeholders whose name is shorter than that of the thing.
SHORT = {
    "answer": "answer_url",
    "install": "install_url",
    "script": "script_url",
    "overlay": "overlay_url",
    "done": "done_url",
    "failed": "failed_url",
}


class Unfilled(RenderError):
    """No value for a placeholder; *name* is that of the thing, as templates know it."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


def fill(text: str, names: Mapping[str, Any]) -> str:
    """
    *text* with its placeholders replaced by what *names* gives for them.

    Raises Unfilled for one that is unknown or empty, RenderError where the value has a blank in it,
    which would make two arguments of one, a ``${``, which iPXE would replace, or a placeholder, as
    values are not filled in themselves.  It does not say the value: that may be a password.
    """
    if "__" not in text:
        return text
    return _PLACEHOLDER.sub(lambda match: _value(match[1], names), text)


def _value(name: str, names: Mapping[str, Any]) -> str:
    meant = SHORT.get(name, name)
    value = names.get(meant)
    if not _is_text(value):
        told = f"__{name}__ has no value for this machine; there are: {_known(names)}"
        raise Unfilled(told, meant)
    text = str(value)
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise RenderError(f"the value of __{name}__ has a blank in it")
    if "${" in text:
        raise RenderError(f"the value of __{name}__ has ${{ in it, which iPXE would replace")
    if _PLACEHOLDER.search(text):
        raise RenderError(f"the value of __{name}__ has a placeholder in it, which nobody fills in")
    return text


def _is_text(value: Any) -> bool:
    """Whether *value* can stand in the place of a placeholder."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _known(names: Mapping[str, Any]) -> str:
    """All placeholders that have a value, for the message."""
    longer = set(SHORT.values())
    plain = {name for name, value in names.items() if _is_text(value)}
    short = {name for name, long in SHORT.items() if long in plain}
    return ", ".join(f"__{name}__" for name in sorted((plain - longer) | short))
