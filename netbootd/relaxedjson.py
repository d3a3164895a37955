"""
Text to values: JSON with comments and one spare comma, every value knowing its place.

The format is what Perl's Config::JSON writes and reads: RFC 8259 plus what the *relaxed* switch of
JSON::XS adds.  ``#`` starts a comment wherever white space may stand, one comma may follow the last
element, and a raw TAB may stand in a string; nothing else.  JSON::XS is the oracle of the tests.

Differences from the oracle, all on purpose:

* a byte-order mark is skipped, and a repeated key loads as there (the last one counts, whole);
  both give a warning;
* all of the text has to be UTF-8 (RFC 3629), comments included, where the oracle looks at strings
  only and lets surrogates pass;
* a comment ends at a line end only, where the oracle also stops at U+0000;
* a number no machine word holds: an integer keeps its digits as an ``int``.  What Python will not
  convert (more than 4300 digits) or cannot hold (``1e999``) stays text, as big integers do in the
  oracle, so that no infinity can reach a reply.

A line ends at LF, CRLF or a lone CR, as comments do.  Lines and columns count from 1, columns in
characters, a TAB being one.  The values hold plain offsets; lines are only counted when asked for.

The parser is three regular expressions and a stack, so that 100,000 machines load in seconds and
no nesting meets Python's recursion limit.  They only say yes or no; what exactly is wrong is found
out afterwards, by looking again at the place where they stopped.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from netbootd.errors import ConfigErrors, Finding, Level, Place

MAX_DEPTH = 512  # objects and arrays inside each other, as JSON::XS
_SHOWN = 20  # characters of the offending text that an error repeats

# The grammar.  "*+" gives nothing back, which keeps a line of #### from being tried in every way
# to cut it; on groups it is avoided, because re has bugs there up to Python 3.11.4.
_GAP = r"[ \t\n\r]*+(?:#[^\n\r]*+[ \t\n\r]*+)*"
_PLAIN = r'[^"\\\x00-\x08\x0a-\x1f]*+'
_HEX = "[0-9a-fA-F]"
_PAIR = rf"[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_ESCAPE = rf'\\(?:["\\/bfnrt]|u(?:{_PAIR}|(?![dD][89a-fA-F]){_HEX}{{4}}))'
_INSIDE = rf"{_PLAIN}(?:{_ESCAPE}{_PLAIN})*"
_STRING = rf'"({_INSIDE})"'
_FRACTION = r"(?:\.[0-9]++|(?!\.))"
_EXPONENT = r"(?:[eE][+-]?[0-9]++|(?![eE]))"
_NUMBER = rf"-?(?:0(?![0-9])|[1-9][0-9]*+){_FRACTION}{_EXPONENT}"
_SCALAR = rf"(?:{_STRING}|({_NUMBER}|true|false|null))"
_OPENER = rf"([{{\[]){_GAP}"
_COMMA = rf"(?:{_GAP}(,){_GAP})?"
_KEY = rf"{_STRING}{_GAP}:{_GAP}"

_gap = re.compile(_GAP).match
_key = re.compile(_KEY).match
_string = re.compile(_STRING).match
_inside_string = re.compile(_INSIDE).match
_character = re.compile(rf"{_ESCAPE}|.", re.DOTALL).match
_root = re.compile(rf"{_GAP}(?:{_SCALAR}|{_OPENER})").match
_member = re.compile(rf"{_KEY}(?:{_SCALAR}{_COMMA}|{_OPENER})").match
_element = re.compile(rf"(?:{_SCALAR}{_COMMA}|{_OPENER})").match
_end_of = {
    "{": re.compile(rf"{_GAP}(\}}){_COMMA}").match,
    "[": re.compile(rf"{_GAP}(\]){_COMMA}").match,
}

_LITERALS = {"true": True, "false": False, "null": None}
_unescape = json.JSONDecoder(strict=False).decode


class Source:
    """A text and the name of its file; turns offsets (in characters, from 0) into places."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    def __repr__(self) -> str:
        return f"Source({self.file!r})"

    @cached_property
    def line_starts(self) -> list[int]:
        """The offset at which each line begins."""
        return [0, *(end.end() for end in re.finditer(r"\r\n?|\n", self.text))]

    def place(self, offset: int) -> Place:
        """Where the character at *offset* stands; the end of the text is a place, too."""
        line = bisect_right(self.line_starts, offset)
        return Place(self.file, line, offset - self.line_starts[line - 1] + 1)

    def place_in_string(self, quote: int, index: int) -> Place:
        """
        Where character *index* of a loaded string stands, whose opening quote is at *quote*.

        Escapes count as the one character they stand for.
        """
        offset = quote + 1
        for _ in range(index):
            step = _character(self.text, offset)
            offset = step.end() if step else offset
        return self.place(offset)


class Object(dict[str, "Value"]):
    """A JSON object: a dict which knows where it stands, and each of its keys and values."""

    __slots__ = ("offset", "offsets", "source")
    opener = "{"

    def __init__(self, source: Source, offset: int) -> None:
        self.source = source
        self.offset = offset
        self.offsets: dict[str, int] = {}  # of each key's opening quote

    @property
    def place(self) -> Place:
        """Where the opening brace stands."""
        return self.source.place(self.offset)

    def place_of(self, key: str) -> Place:
        """Where *key* stands; KeyError if it does not."""
        return self.source.place(self.offsets[key])

    def value_place_of(self, key: str) -> Place:
        """Where the value of *key* begins; KeyError without the key."""
        return self.source.place(self.value_offset(key))

    def place_inside(self, key: str, index: int) -> Place:
        """Where character *index* (from 0) of the string under *key* stands."""
        return self.source.place_in_string(self.value_offset(key), index)

    def value_offset(self, key: str) -> int:
        """Where the value of *key* begins in the text; KeyError without the key."""
        found = _key(self.source.text, self.offsets[key])
        assert found is not None
        return found.end()


class Array(list["Value"]):
    """A JSON array: a list which knows where it stands, and each of its elements."""

    __slots__ = ("offset", "offsets", "source")
    opener = "["

    def __init__(self, source: Source, offset: int) -> None:
        self.source = source
        self.offset = offset
        self.offsets: list[int] = []  # of each element

    @property
    def place(self) -> Place:
        """Where the opening bracket stands."""
        return self.source.place(self.offset)

    def place_of(self, index: int) -> Place:
        """Where element *index* begins; IndexError without it."""
        return self.source.place(self.offsets[index])

    def place_inside(self, index: int, character: int) -> Place:
        """Where *character* (from 0) of the string at *index* stands."""
        return self.source.place_in_string(self.offsets[index], character)


Value: TypeAlias = "bool | int | float | str | Object | Array | None"
Container: TypeAlias = "Object | Array"


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read: its *value*, where that begins, and the warnings."""

    source: Source
    value: Value
    place: Place
    findings: tuple[Finding, ...]


def decode(raw: bytes, file: str) -> Document:
    """
    Read *raw* as one document; *file* is the name that places carry.

    Raises ConfigErrors with exactly one finding (``json-encoding``, ``json-syntax``,
    ``json-depth``) at the first thing that is wrong.
    """
    source = Source(file, _text(raw, file))
    reader = _Reader(source)
    reader.findings.extend(_opening_remarks(raw, source))
    value, offset = reader.document()
    return Document(source, value, source.place(offset), tuple(reader.findings))


def kind(value: object) -> str:
    """What *value* is, in the words of an error: ``an object``, ``a number``."""
    words = {dict: "an object", list: "an array", str: "a string", type(None): "null"}
    words |= {bool: "true or false", int: "a number", float: "a number"}
    return next(words[base] for base in type(value).__mro__ if base in words)


def path_of(*steps: str | int) -> str:
    """The path of a value as findings print it: ``machines."00:25:90:27:db:b4".name``."""
    return "".join(_written_step(step) for step in steps).removeprefix(".")


def _written_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    bare = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", step)
    return "." + (step if bare else json.dumps(step, ensure_ascii=False))


# --- before the first character ------------------------------------------------------------------

_BOM = b"\xef\xbb\xbf"
_signature = re.compile(r"#[ \t]*config-file-type:[ \t]*([^\r\n]*)").match


def _text(raw: bytes, file: str) -> str:
    """Decode UTF-8, without the byte-order mark; its three bytes do count in an error's offset."""
    skipped = len(_BOM) if raw.startswith(_BOM) else 0
    try:
        return raw[skipped:].decode("utf-8")
    except UnicodeDecodeError as problem:
        bad = skipped + problem.start
        before = Source(file, raw[skipped:bad].decode("utf-8"))
        text = f"byte 0x{raw[bad]:02x} at offset {bad} is not UTF-8 ({problem.reason})"
        place = before.place(len(before.text))
        raise ConfigErrors([Finding(Level.ERROR, "json-encoding", text, place)]) from None


def _opening_remarks(raw: bytes, source: Source) -> Iterator[Finding]:
    """The warnings on how the file begins: a byte-order mark, a signature of another type."""
    if raw.startswith(_BOM):
        text = "the file begins with a byte-order mark, which was skipped; save it without"
        yield Finding(Level.WARNING, "json-bom", text, source.place(0))
    signature = _signature(source.text)
    if signature and signature[1].split() != ["JSON", "1"]:
        text = f'file type "{signature[1].strip()}" is not known; read as "JSON 1"'
        yield Finding(Level.WARNING, "json-signature", text, source.place(0))


# --- the parser ----------------------------------------------------------------------------------


class _Reader:
    """
    Where reading has come to: the offset *at*, the objects and arrays still *open*.

    *more* says which half of the grammar is next.  After an opener or a comma it is true and a
    member, an element or the closer may follow; after a value it is false, and only the closer
    may (its comma would have been taken with it).
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.at = 0
        self.more = True
        self.open: list[Container] = []
        self.keys: dict[str, str] = {}  # as written -> loaded; each key is kept once
        self.findings: list[Finding] = []

    def document(self) -> tuple[Value, int]:
        """The value, and the offset where it begins."""
        match = _root(self.text)
        if match is None:
            raise self._root_fault()
        string, word, opener = match.groups()
        self.at = match.end()
        value: Value = self._opened(match.start(3), opener) if opener else _scalar(string, word)
        self._fill()
        self._expect_end()
        return value, self._after_gap(0)

    def _fill(self) -> None:
        """Read until everything that was opened is closed again."""
        while self.open:
            holder = self.open[-1]
            if isinstance(holder, Object):
                self._read_members(holder)
            else:
                self._read_elements(holder)

    def _read_members(self, holder: Object) -> None:
        """Read on in *holder*, until it is closed or one of its values opens."""
        text, offsets = self.text, holder.offsets
        while self.more and (match := _member(text, self.at)):
            written, string, word, comma, opener = match.groups()
            key = self.keys.get(written)
            if key is None:
                key = self.keys[written] = _plain(written)
            if key in offsets:
                self._note_duplicate(holder, key)
            offsets[key] = self.at
            self.at = match.end()
            if opener:
                holder[key] = self._opened(match.start(5), opener)
                return
            holder[key] = _scalar(string, word)
            self.more = comma is not None
        self._close(holder)

    def _read_elements(self, holder: Array) -> None:
        """Read on in *holder*, until it is closed or one of its elements opens."""
        while self.more and (match := _element(self.text, self.at)):
            string, word, comma, opener = match.groups()
            holder.offsets.append(self.at)
            self.at = match.end()
            if opener:
                holder.append(self._opened(match.start(4), opener))
                return
            holder.append(_scalar(string, word))
            self.more = comma is not None
        self._close(holder)

    def _opened(self, offset: int, opener: str) -> Container:
        """A new object or array, which is the innermost one from now on."""
        if len(self.open) == MAX_DEPTH:
            text = f"nested deeper than {MAX_DEPTH} levels"
            place = self.source.place(offset)
            raise ConfigErrors([Finding(Level.ERROR, "json-depth", text, place)])
        build = Object if opener == "{" else Array
        holder = build(self.source, offset)
        self.open.append(holder)
        self.more = True
        return holder

    def _close(self, holder: Container) -> None:
        """Take the closer of *holder*, and the comma behind it if *holder* is a member itself."""
        end = _end_of[holder.opener](self.text, self.at)
        if end is None:
            raise self._fault(holder)
        self.open.pop()
        self.at = end.end() if self.open else end.end(1)
        self.more = end[2] is not None

    def _note_duplicate(self, holder: Object, key: str) -> None:
        """Warn, and forget the earlier value, so that the key moves to where it counts."""
        earlier, later = holder.place_of(key), self.source.place(self.at)
        text = (
            f"{json.dumps(key, ensure_ascii=False)} stands twice in one object; this one counts, "
            f"the one at {earlier.line}:{earlier.column} does not"
        )
        del holder[key]
        path = path_of(*self._steps()[: len(self.open) - 1], key)
        self.findings.append(Finding(Level.WARNING, "json-duplicate-key", text, later, path))

    def _steps(self) -> list[str | int]:
        """The way from the top to what was read last: the last key or index of all that is open."""
        return [
            next(reversed(holder)) if isinstance(holder, Object) else len(holder) - 1
            for holder in self.open
            if holder
        ]

    def _after_gap(self, offset: int) -> int:
        gap = _gap(self.text, offset)
        assert gap is not None
        return gap.end()

    # --- what exactly is wrong: slow, and always the end of reading ------------------------------

    def _error(self, offset: int, text: str) -> ConfigErrors:
        place = self.source.place(offset)
        path = path_of(*self._steps()[: max(len(self.open) - 1, 0)])
        return ConfigErrors([Finding(Level.ERROR, "json-syntax", text, place, path)])

    def _expected(self, offset: int, wanted: str, hint: str = "") -> ConfigErrors:
        """The error that *wanted* should stand at *offset*; with the first hint that applies."""
        hint = _quote_hint(self.text, offset) or hint or self._end_hint(offset)
        hint = hint or _hint(self.text, offset)
        found = _shown(self.text, offset)
        return self._error(offset, f"{wanted} expected, found {found}" + (hint and f"; {hint}"))

    def _end_hint(self, offset: int) -> str:
        """Where the innermost object or array begins, if it misses its end."""
        if not self.open or self.text[offset : offset + 1] not in ("", "}", "]"):
            return ""
        holder = self.open[-1]
        return f"the `{holder.opener}` at {_line_column(holder.place)} is still open"

    def _root_fault(self) -> ConfigErrors:
        start = self._after_gap(0)
        if start < len(self.text):
            return self._value_fault(start, "a value")
        if "#" in self.text:
            return self._error(start, "only comments, no document: end of file")
        blank = "the file holds white space only" if self.text else "the file is empty"
        return self._error(start, f"{blank}: a document expected, found end of file")

    def _expect_end(self) -> None:
        rest = self._after_gap(self.at)
        if rest < len(self.text):
            hint = _hint(self.text, rest)
            found = f"text after the document: {_shown(self.text, rest)}"
            raise self._error(rest, found + (hint and f"; {hint}"))

    def _fault(self, holder: Container) -> ConfigErrors:
        """What keeps *holder* from going on or ending at *at*."""
        closer = "}" if holder.opener == "{" else "]"
        if not self.more:
            offset = self._after_gap(self.at)
            return self._expected(offset, f"`,` or `{closer}`", self._comma_hint(offset))
        if isinstance(holder, Object):
            return self._member_fault()
        return self._value_fault(self.at, "a value" if holder else "a value or `]`")

    def _comma_hint(self, offset: int) -> str:
        """The end of the line where a comma was forgotten, if a next value stands at *offset*."""
        if not re.compile(r'["{\[0-9tfn-]').match(self.text, offset):
            return ""
        end, here = self.source.place(self.at), self.source.place(offset)
        if end.line == here.line:
            return "a comma is missing before it"
        return f"a comma is missing at the end of line {end.line} ({_line_column(end)})"

    def _member_fault(self) -> ConfigErrors:
        if self.text[self.at : self.at + 1] != '"':
            return self._expected(self.at, '`"` or `}`', _key_hint(self.text, self.at))
        key = _string(self.text, self.at)
        if key is None:
            return self._string_fault(self.at)
        colon = self._after_gap(key.end())
        if self.text[colon : colon + 1] != ":":
            return self._expected(colon, "`:`")
        return self._value_fault(self._after_gap(colon + 1), "a value")

    def _value_fault(self, offset: int, wanted: str) -> ConfigErrors:
        first = self.text[offset : offset + 1]
        if first == '"':
            return self._string_fault(offset)
        if first and first in "-0123456789":
            return self._number_fault(offset)
        return self._expected(offset, wanted)

    def _string_fault(self, quote: int) -> ConfigErrors:
        """The first thing wrong in the string that begins at *quote*."""
        inside = _inside_string(self.text, quote + 1)
        assert inside is not None
        stop = inside.end()
        if _cut_escape(self.text, stop):
            found = _shown(self.text, quote)
            return self._error(quote, f"string not closed: {found} has no end before end of file")
        if self.text[stop] == "\\":
            return self._escape_fault(stop)
        text = f"control character in a string: {_shown(self.text, stop)}"
        return self._error(stop, f"{text}; write it as an escape, or close the string before it")

    def _escape_fault(self, backslash: int) -> ConfigErrors:
        found = _shown(self.text, backslash)
        if self.text[backslash + 1] != "u":
            known = r"\" \\ \/ \b \f \n \r \t \uXXXX"
            return self._error(backslash, f"unknown escape: {found}; known are {known}")
        if re.compile(rf"{_HEX}{{4}}").match(self.text, backslash + 2):
            pair = r"\uD800 to \uDBFF needs \uDC00 to \uDFFF behind it"
            return self._error(backslash, f"half a surrogate pair: {found}; {pair}")
        return self._expected(backslash + 2, "four hexadecimal digits")

    def _number_fault(self, offset: int) -> ConfigErrors:
        for pattern, wrong in _NUMBER_FAULTS:
            if match := pattern.match(self.text, offset):
                found = _shown(self.text, match.end())
                return self._error(match.end(), f"number: {wrong}, found {found}")
        raise AssertionError("a number with nothing wrong in it was refused")


_NUMBER_FAULTS = (
    (re.compile(r"-(?![0-9])"), "digit expected after the minus sign"),
    (re.compile(r"-?0(?=[0-9])"), "digit after a leading zero"),
    (re.compile(r"-?[0-9]+\.(?![0-9])"), "digit expected after the point"),
    (re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?"), "digit expected in the exponent"),
)

_cut_escape = re.compile(rf"(?:\\(?:u{_HEX}{{0,3}})?)?\Z").match


def _plain(written: str) -> str:
    """The string that stands as *written* between its quotes."""
    return str(_unescape(f'"{written}"')) if "\\" in written else written


def _scalar(string: str | None, word: str) -> Value:
    """The value of a string's inside, or of a number or literal."""
    if string is not None:
        return _plain(string) if "\\" in string else string
    return _LITERALS[word] if word in _LITERALS else _number(word)


def _number(word: str) -> int | float | str:
    """The number, or *word* itself where Python has no finite number for it."""
    try:
        return int(word)
    except ValueError:  # a fraction, an exponent, or too many digits
        number = float(word)
    return number if math.isfinite(number) else word


# --- words for errors ----------------------------------------------------------------------------

_HINTS: tuple[tuple[Any, str], ...] = (
    (re.compile(r"//|/\*"), "only `#` starts a comment"),
    (re.compile("'"), "strings stand in double quotes only"),
    (re.compile("[“”„«»]"), 'quotes have to be straight ones, `"`'),
    (re.compile(r"(?i:true|false|null)\b|None\b"), "it is `true`, `false`, `null`, in lower case"),
    (re.compile(r"[+-]?(?i:nan|inf(inity)?)\b"), "JSON has no such number"),
    (re.compile(r"[+.][0-9]"), "a number begins with a digit or `-`"),
    (re.compile(r"[^\S \t\r\n]|[\ufeff\u200b]"), "only SPACE, TAB, LF and CR are white space"),
    (re.compile("[]}]"), "there is no opening one for it"),
    (re.compile(","), "one comma too many"),
)


def _hint(text: str, offset: int) -> str:
    """What people who write this usually want, or nothing."""
    return next((hint for pattern, hint in _HINTS if pattern.match(text, offset)), "")


def _quote_hint(text: str, offset: int) -> str:
    """Where the end of a string stands before *offset* as if it were to begin one."""
    opens = re.compile(r'[,:{\[][ \t]*"[ \t]*\Z').search(text, max(offset - _SHOWN, 0), offset)
    return 'a `"` is missing before it in this line' if opens else ""


def _key_hint(text: str, offset: int) -> str:
    bare = re.compile(r"[\w.-]+[ \t]*[:=]").match(text, offset)
    return "keys stand in double quotes" if bare else ""


def _shown(text: str, offset: int) -> str:
    """The offending text: up to 20 characters of its line, with unprintable ones escaped."""
    line = re.split(r"[\r\n]", text[offset : offset + _SHOWN])[0] or text[offset : offset + 1]
    if not line:
        return "end of file"
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return f"`{visible}`"


def _line_column(place: Place) -> str:
    return f"{place.line}:{place.column}"
