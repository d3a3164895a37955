"""
What a caller says of a machine, as the key and the entry that the configuration has for it.

``mac`` is the key, in any spelling; a machine that is known by something else has a name of its own
under ``key``.  ``target`` is short for ``type`` and ``name``, as everything else here spells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netbootd.mac import MAC
from netbootd.registry.entries import DEFAULT, IDENTITY
from netbootd.registry.wildcards import prefix_of

#: What says whose entry it is; one of them has to be there.
IDENTIFYING = frozenset({"mac", "key"})
TARGET = "target"
#: Parts of a path that lead elsewhere, or are lost on the way.
_NO_NAMES = frozenset({"", ".", ".."})


def keyed(said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The key and the entry of a machine; raises ValueError, with what would be right."""
    entry = dict(said)
    key = entry.pop("key", None)
    if key is None:
        key = entry.pop("mac", None)
        if key is None:
            raise ValueError('"mac" is missing')
        mac = MAC.maybe(key) if isinstance(key, str) else None
        if mac is None:
            raise ValueError(f'"mac" must be a MAC such as 52:54:00:12:34:56, not {key!r:.60}')
        return _card(mac), targeted(entry)
    if not isinstance(key, str) or not key.strip() or not key.isprintable():
        raise ValueError(f'"key" must be a name, not {key!r:.60}')
    if mac := MAC.maybe(key):
        return _card(mac), targeted(entry)
    return _name(key.strip(), entry), targeted(entry)


def _card(mac: MAC) -> str:
    if mac.reserved:
        raise ValueError(f"{mac} is {mac.reserved}")
    return str(mac)


def _name(key: str, entry: Mapping[str, Any]) -> str:
    if key == DEFAULT or prefix_of(key) or MAC.maybe(key[:-1]):
        raise ValueError(f'"{key:.60}" stands for more than one machine, or for none')
    if "\\" in key or not _NO_NAMES.isdisjoint(key.split("/")) or key == "import":
        raise ValueError(f'"{key:.60}" cannot be asked for as /api/v1/machines/{key:.60}')
    if entry.keys().isdisjoint(IDENTITY):
        told = ", ".join(sorted(IDENTITY))
        raise ValueError(f'"{key:.60}" is no MAC, so its entry must hold one of {told}')
    return key


def of(said: Mapping[str, Any], key: str) -> dict[str, Any]:
    """
    What is said of the machine *key*, which need not be named again; raises ValueError where
    another is.
    """
    entry = dict(said)
    for word in IDENTIFYING & entry.keys():
        named = entry[word]
        if isinstance(named, str) and (MAC.maybe(named) or named) == (MAC.maybe(key) or key):
            del entry[word]
        elif word == "key" or MAC.maybe(key):
            raise ValueError(f'"{word}" is {named!r:.60}, and this is {key}; add it as another one')
    return targeted(entry)


def targeted(entry: dict[str, Any]) -> dict[str, Any]:
    """*entry* with ``target`` told as ``type`` and ``name``; None takes both away."""
    if TARGET not in entry:
        return entry
    target = entry.pop(TARGET)
    if target is None:
        return {**entry, "type": None, "name": None}
    type_, slash, name = target.partition("/") if isinstance(target, str) else ("", "", "")
    if not slash or not type_.strip() or not name.strip():
        raise ValueError(f'"target" must be TYPE/NAME, not {target!r:.60}')
    if entry.keys() & {"type", "name"}:
        raise ValueError('"target" stands for "type" and "name"; give one or the other')
    return {**entry, "type": type_.strip(), "name": name.strip()}


def patched(entry: Any, keys: Any) -> Any:
    """*keys* laid over *entry*, objects inside each other too; None takes away (RFC 7396)."""
    if not isinstance(keys, Mapping):
        return keys
    found = dict(entry) if isinstance(entry, Mapping) else {}
    for key, value in keys.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = patched(found.get(key), value)
    return found
