"""
The API tokens: what lets somebody change things over HTTP.

On disk there are names and digests, a line each; whoever reads the file cannot make a token of it::

    ops sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8d

A token is 256 random bits, which nobody finds by trying, so a fast digest is as good as a slow one
(NIST SP 800-63B, 5.1.2.2, asks for a slow one where people choose).  A file with nothing but a
token in plain text, as earlier versions made it, still counts.

Without TLS a token travels in clear, as everything on a boot network does: it keeps off whoever may
not change anything, not whoever listens.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

NAME = "api.token"
#: Whose a token is that has no name: one in plain text.
PLAIN = "admin"
NAME_RULE = "a name has 1 to 64 letters, digits, dots, hyphens and underscores"
#: Characters below which a token, which somebody chose, may be found by trying.
SHORT = 20
_BYTES = 32  # of chance; 43 characters
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LINE = re.compile(rf"({_NAMED.pattern})[ \t]+sha256:([0-9a-f]{{64}})")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The *digests* of all that count, by their names."""

    digests: Mapping[str, bytes] = field(default_factory=dict)

    def name_of(self, token: str) -> str:
        """Whose *token* is, empty for nobody's; that takes as long for each."""
        given, found = _digest(token), ""
        for name, digest in self.digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        return found

    def having(self, name: str, token: str) -> Tokens:
        """With *token* as the one of *name*."""
        return Tokens({**self.digests, name: _digest(token)})

    def without(self, name: str) -> Tokens:
        """Without that of *name*."""
        return Tokens({one: digest for one, digest in self.digests.items() if one != name})

    def lines(self) -> str:
        """As they stand in a file."""
        return "".join(f"{name} sha256:{one.hex()}\n" for name, one in self.digests.items())


def is_name(text: str) -> bool:
    """Whether a token may have the name *text*."""
    return _NAMED.fullmatch(text) is not None


def new() -> str:
    """A token that nobody has yet."""
    return secrets.token_urlsafe(_BYTES)


def read(file: Path) -> tuple[Tokens, str]:
    """
    The tokens in *file*; and in plain text the one that stands there so, else nothing.

    Raises OSError, also where the file holds something else.
    """
    text = file.read_bytes().decode("latin-1")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [match for line in lines if (match := _LINE.fullmatch(line))]
    if found and len(found) == len(lines):
        return Tokens({match[1]: bytes.fromhex(match[2]) for match in found}), ""
    plain = text.strip()
    if plain and plain.isprintable() and " " not in plain:
        return Tokens().having(PLAIN, plain), plain
    if not lines:
        return Tokens(), ""
    raise OSError(f"{file} has other lines than NAME sha256:DIGEST, as 'netbootd token' makes them")


def read_plain(file: Path) -> str:
    """The token that *file* has in plain text; raises OSError, also where it has none."""
    plain = read(file)[1]
    if not plain:
        raise OSError(f"{file} has no token that could be sent, only digests of such, or nothing")
    return plain


def write(file: Path, tokens: Tokens) -> None:
    """Have *file* hold *tokens*, for its owner alone; raises OSError, and then it is as before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new_file = file.with_name(f".new-{file.name}")
    new_file.unlink(missing_ok=True)
    descriptor = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as opened:
        opened.write(tokens.lines())
        opened.flush()
        os.fsync(opened.fileno())
    new_file.rename(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _digest(token: str) -> bytes:
    return sha256(token.encode("latin-1", "backslashreplace")).digest()  # as headers are read
