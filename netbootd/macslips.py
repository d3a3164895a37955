"""Where a MAC that is none went wrong, for who typed it: the column, and what stands there."""

from __future__ import annotations

import re

from netbootd.mac import MAC

_SEPARATORS = ":-."
_LOOKALIKES = {"o": "0", "O": "0", "l": "1", "I": "1", "i": "1", "S": "5", "s": "5", "Z": "2"}
_OCTETS = 6
#: What stands between the parts, and what the fingers hit instead.
_STRAY = re.compile(r"[:.,;_\s-]")


def slip(text: str) -> str:
    """
    What is wrong with *text*, with its column from 1; empty where it is a MAC that a card may have.
    """
    if (mac := MAC.maybe(text)) is not None:
        return f"it is {mac.reserved}" if mac.reserved else ""
    for column, letter in enumerate(text, 1):
        if letter not in _SEPARATORS and not re.match("[0-9a-fA-F]", letter):
            return f"column {column}: {_wrong(letter)}"
    separators = [(at, letter) for at, letter in enumerate(text, 1) if letter in _SEPARATORS]
    if not separators:
        return f"{len(text)} digits: a MAC has 12"
    first = separators[0][1]
    for column, letter in separators:
        if letter != first:
            return f"column {column}: {letter!r}, but {first!r} before"
    return _shape(text, first)


def _wrong(letter: str) -> str:
    if not letter.isprintable() or letter.isspace():
        return "a blank" if letter.isspace() else "a character that cannot be seen"
    meant = _LOOKALIKES.get(letter)
    hint = f"; did you mean {meant!r}?" if meant else ""
    return f"{letter!r} is no hexadecimal digit{hint}"


def _shape(text: str, separator: str) -> str:
    parts = text.split(separator)
    wanted, most = (3, 4) if separator == "." else (_OCTETS, 2)
    column = 1
    for number, part in enumerate(parts, 1):
        if not part:
            return f"column {column}: nothing between two {separator!r}"
        if len(part) > most and len(parts) >= wanted:
            return f"column {column + most}: part {number} is {part!r}, which is too long"
        if number > wanted:
            return f"column {column}: {len(parts)} parts, a MAC has {wanted}"
        if separator == "." and len(part) < most:
            return f"column {column}: part {number} is {part!r}, which is too short"
        column += len(part) + 1
    return f"column {len(text) + 1}: {len(parts)} parts, a MAC has {wanted}"


def resembles_mac(text: str) -> bool:
    """
    Whether *text*, which is no MAC, was probably meant as one: six parts or nearly so, or twelve
    digits or nearly so, of which most are hexadecimal.  One with a star at its end, which is no
    beginning of a MAC, was meant as that if all but one of its letters are, and it has a colon or
    six of them: ``web*`` is a name.  A whole MAC with a word behind it, as ``off``, is none.
    """
    parts = _STRAY.split(text.rstrip("*:.-") if text.endswith("*") else text)
    letters = "".join(parts)
    if not (letters.isascii() and letters.isalnum()):
        return False
    foreign = len(re.sub("[0-9a-fA-F]", "", letters))
    if text.endswith("*"):
        return foreign <= 1 and (":" in text or len(letters) >= _OCTETS)
    longest = 2 if len(parts) > _OCTETS else 3
    if _OCTETS - 1 <= len(parts) <= _OCTETS + 1 and max(map(len, parts)) <= longest:
        return foreign <= _OCTETS // 2
    return foreign <= 1 and abs(len(letters) - 2 * _OCTETS) <= 1


def pointed(text: str) -> str:
    """The ``slip`` of *text* as lines: what is wrong, and below it the place; empty without one."""
    told = slip(text)
    if not told:
        return ""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:60])
    match = re.match(r"column (\d+)", told)
    if match is None or int(match[1]) > 61:
        return f"{shown!r} is no MAC: {told}"
    return f"no MAC: {told}\n  {shown}\n  {' ' * (int(match[1]) - 1)}^"
