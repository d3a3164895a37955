"""
Strict JSON (RFC 8259) out of the relaxed kind: what ``vmadm`` reads, and nothing else.

``relaxedjson`` reads both, with places and without recursion; what it takes beyond the standard is
looked for here.  Stricter than the standard in two things, as there: no half of a surrogate pair,
which has no UTF-8, and at most 512 levels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from netbootd.errors import ConfigErrors, NetbootdError, Place
from netbootd.relaxedjson import Array, Document, Object, decode, kind

_BOM = b"\xef\xbb\xbf"
_GAP = r"[ \t\n\r]*+(?:#[^\n\r]*+[ \t\n\r]*+)*"
#: All that matters in a text which is known to be relaxed JSON: strings are stepped over whole.
_marks = re.compile(
    r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")'
    r"|(?P<comment>#[^\n\r]*)"
    rf"|(?P<comma>,(?={_GAP}[}}\]]))"
    r"|(?P<bracket>[{}\[\]])",
    re.DOTALL,
).finditer


class NotStrict(NetbootdError):
    """A text is no object in strict JSON; *place* is where it stops being one."""

    def __init__(self, text: str, place: Place) -> None:
        self.text = text
        self.place = place
        super().__init__(f"{place}: {text}")


def parse(raw: bytes, file: str) -> Document:
    """
    Read *raw*, whose value must be an object; *file* is the name that places carry.

    Raises NotStrict at the first thing that is wrong.
    """
    try:
        document = decode(raw, file)
    except ConfigErrors as problem:
        raise NotStrict(problem.findings[0].text, problem.findings[0].place) from None
    if raw.startswith(_BOM):
        raise NotStrict("a byte-order mark before the text", document.source.place(0))
    for offset, what in _remarks(document.source.text):
        raise NotStrict(f"strict JSON has no {what}", document.source.place(offset))
    if not isinstance(document.value, Object):
        raise NotStrict(f"must be an object, not {kind(document.value)}", document.place)
    return document


def _remarks(text: str) -> Iterator[tuple[int, str]]:
    """Where *text* is relaxed, and how."""
    for mark in _marks(text):
        match mark.lastgroup:
            case "comment":
                yield mark.start(), "comments"
            case "comma":
                yield mark.start(), "comma after the last element"
            case "string" if "\t" in mark[0]:
                yield mark.start() + mark[0].index("\t"), "raw TAB in a string; write \\t"


def strictly(value: Object) -> str:
    """
    The text of *value* as it stands in its file, without comments and spare commas.

    Numbers keep their spelling and keys their order, and so do those that stand twice.  Where a
    string has taken the place of an object, as for a secret, it is there.
    """
    text, at, depth = value.source.text, value.offset, 0
    pieces: list[str] = []
    replaced = dict(_replaced(value)) if '"secret_' in text else {}
    skips = False
    for mark in _marks(text, value.offset):
        if skips:  # to the end of an object without others in it
            if mark.lastgroup == "bracket":
                at, skips = mark.end(), False
            continue
        match mark.lastgroup:
            case "bracket" if mark.start() in replaced:
                pieces += (text[at : mark.start()], json.dumps(replaced[mark.start()]))
                skips = True
            case "comment":
                pieces.append(text[at : mark.start()].rstrip(" \t"))
                at = mark.end()
            case "comma":
                pieces.append(text[at : mark.start()])
                at = mark.end()
            case "string" if "\t" in mark[0]:
                pieces += (text[at : mark.start()], mark[0].replace("\t", "\\t"))
                at = mark.end()
            case "bracket":
                depth += 1 if mark[0] in "{[" else -1
                if not depth:
                    pieces.append(text[at : mark.end()])
                    break
    return "".join(pieces)


def _replaced(value: Object | Array) -> Iterator[tuple[int, str]]:
    """Where the text has an object and *value* a string."""
    of_object = isinstance(value, Object)
    for key, inner in value.items() if isinstance(value, Object) else enumerate(value):
        if isinstance(inner, str):
            offset = value.value_offset(key) if of_object else value.offsets[key]  # type: ignore
            if value.source.text[offset] == Object.opener:
                yield offset, inner
        elif isinstance(inner, Object | Array):
            yield from _replaced(inner)
