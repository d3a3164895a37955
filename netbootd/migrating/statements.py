"""
The language of ``dhcpd.conf(5)`` and ``dhcpd.leases(5)``: statements that end in a semicolon, or in
a block of further ones.  What they mean is said elsewhere.

Words are kept as written; a string has lost its quotes and its escapes, and is known as one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netbootd.errors import MediaError, Place
from netbootd.migrating.files import Files

_DEEPEST = 100
_TOKEN = re.compile(
    r"""(?P<gap>\s+|\#[^\n]*)|"(?P<string>[^"\\]*+(?:\\.[^"\\]*+)*)"|(?P<mark>[{};,()=])"""
    r"""|(?P<word>(?:[^\s{};,()="#])+)""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {"t": "\t", "r": "\r", "n": "\n", "b": "\b"}


class Word(str):
    """One word; *quoted* where it stood in quotes."""

    quoted: bool

    def __new__(cls, text: str, quoted: bool = False) -> Word:
        made = super().__new__(cls, text)
        made.quoted = quoted
        return made


@dataclass(frozen=True, slots=True)
class Statement:
    """
    *words* up to its end; *block* is what stands in its braces, None where it has none.

    Commas and other marks are words of one character.
    """

    words: tuple[Word, ...]
    block: tuple[Statement, ...] | None
    place: Place

    @property
    def name(self) -> str:
        """Its first word, in lower case."""
        return self.words[0].lower() if self.words else ""

    @property
    def rest(self) -> tuple[Word, ...]:
        """All words behind the first."""
        return self.words[1:]

    @property
    def values(self) -> tuple[str, ...]:
        """The words behind the first, joined where no comma stands between them."""
        return listed(self.rest)

    @property
    def text(self) -> str:
        """Its words, for a message."""
        return " ".join(self.words)


def listed(words: tuple[Word, ...]) -> tuple[str, ...]:
    """What commas part."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "," and not word.quoted:
            parts.append([])
        else:
            parts[-1].append(word)
    return tuple(" ".join(part) for part in parts if part)


def read(file: Path, files: Files) -> tuple[Statement, ...]:
    """
    The statements of *file*, with those that it includes in their places.

    Raises MediaError with file and line where it is no such file, and OSError.
    """
    return _parsed(files.begin(file), file, files)


def _parsed(text: str, file: Path, files: Files) -> tuple[Statement, ...]:
    levels: list[list[Statement]] = [[]]
    heads: list[tuple[tuple[Word, ...], Place]] = []
    words: list[Word] = []
    start = Place(str(file), 1)
    for word, place in _tokens(text, str(file)):
        if not words:
            start = place
        if word.quoted or word not in ("{", "}", ";") or _of_record(word, words):
            words.append(word)
            continue
        if word == ";":
            if words:
                levels[-1] += _ended(Statement(tuple(words), None, start), files)
        elif word == "{":
            if len(levels) > _DEEPEST:
                raise MediaError(f"{place}: blocks are nested deeper than {_DEEPEST} levels")
            heads.append((tuple(words), start))
            levels.append([])
        else:
            if words or not heads:
                told = (
                    f'";" is missing before it, after {_shown(words)}' if words else "none is open"
                )
                raise MediaError(f'{place}: "}}": {told}')
            head, at = heads.pop()
            block = tuple(levels.pop())
            levels[-1].append(Statement(head, block, at))
        words = []
    if words:
        raise MediaError(f'{start}: {_shown(words)} has no ";" before the end of the file')
    if heads:
        raise MediaError(f'{heads[-1][1]}: the "{{" of {_shown(list(heads[-1][0]))} is still open')
    return tuple(levels[0])


def _of_record(mark: Word, words: list[Word]) -> bool:
    """Whether a brace belongs to the definition of an option, ``code 9 = { integer 8, text }``."""
    if mark == "{":
        return len(words) > 3 and words[0].lower() == "option" and "=" in words
    return mark == "}" and words.count(Word("{")) > words.count(Word("}"))


def _ended(statement: Statement, files: Files) -> Iterator[Statement]:
    """The statement, or what it includes."""
    if statement.name != "include" or len(statement.words) != 2:
        yield statement
        return
    file = files.found(statement.words[1], statement.place)
    if file is None:
        yield statement  # which says where it is left
        return
    text = files.enter(file, statement.place)
    yield from _parsed(text, file, files)
    files.leave()


def _tokens(text: str, file: str) -> Iterator[tuple[Word, Place]]:
    ends = [found.start() for found in re.finditer("\n", text)]
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        place = Place(file, bisect_right(ends, at - 1) + 1)
        if found is None:
            raise MediaError(f"{place}: a string is not closed")
        at = found.end()
        if found["string"] is not None:
            yield Word(_ESCAPE.sub(_unescaped, found["string"]), quoted=True), place
        elif found["gap"] is None:
            yield Word(found[0]), place


def _unescaped(found: re.Match[str]) -> str:
    """dhcpd has octal and hexadecimal bytes in strings (conflex.c)."""
    what = found[1]
    if what[0] == "x" and len(what) > 1:
        return chr(int(what[1:], 16))
    if what[0] in "01234567":
        return chr(int(what, 8) & 0xFF)
    return _LETTERS.get(what, what)


def _shown(words: list[Word]) -> str:
    return f'"{" ".join(words):.60}"' if words else "a block without a name"
