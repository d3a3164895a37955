"""
Values that nobody sees but the machine they are for: from a file, or a credential of systemd's.

In the configuration ``{"secret_file" : "/etc/netbootd/root.hash"}`` or ``{"secret_credential" :
"root-hash"}`` (systemd.exec(5), ``LoadCredential=``) stands where the value would.  Once it is
read, a *stand-in* is there, ``<secret:/etc/netbootd/root.hash>``: that is what commands, page, API,
events, logs and errors have, and they cannot show more.  The values are kept apart, and put in
their places when something is made for a machine that asks for it (``Facts``).
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netbootd import custody
from netbootd.errors import RenderError
from netbootd.privilege import User

FILE = "secret_file"
CREDENTIAL = "secret_credential"
#: Where systemd puts what LoadCredential= names, and where that is for the unit.
_FOLDER = "CREDENTIALS_DIRECTORY"
_OF_THE_UNIT = "/run/credentials/netbootd.service"
_LARGEST = 64 << 10  # bytes
_STAND_IN = re.compile(r"(?s:<(?:secret|credential):.*>)")
#: Strings of JSON that may be stand-ins.
_STAND_INS = re.compile(rb'"<(?:secret|credential):(?:[^"\\]|\\.)*>"')


class BadSecret(ValueError):
    """It cannot be read, or should not be; the text says why, and never the value."""


class NoCredentials(BadSecret):
    """systemd has given us none at all."""


class Secrets(Mapping[str, str | None]):
    """
    The values by their stand-ins, None for one that could not be read.

    What it prints as says none of them.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str | None] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, stand_in: str) -> str | None:
        return self._values[stand_in]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values))

    def __repr__(self) -> str:
        return f"<{len(self._values)} secrets>"

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        return None, {"_values": self._values}

    def put_into(self, thing: Any) -> Any:
        """
        *thing* with the values for their stand-ins, however deep these are in it.

        What could not be read is not there at all: a machine must not take a stand-in for it.
        """
        if isinstance(thing, str):
            return self._values.get(thing, thing)
        if isinstance(thing, Mapping):
            given = {key: self.put_into(value) for key, value in thing.items()}
            return {key: value for key, value in given.items() if not self._lacks(thing[key])}
        if isinstance(thing, list | tuple):
            return [self.put_into(value) for value in thing if not self._lacks(value)]
        return thing

    def put_into_json(self, text: bytes) -> bytes | None:
        """*text* with the values for strings that are stand-ins; None where one has no value."""
        if any(self._values[one] is None for one in self.in_json(text)):
            return None
        return _STAND_INS.sub(self._for, text)

    def in_json(self, text: bytes) -> list[str]:
        """The stand-ins among the strings of *text*."""
        found = (json.loads(one[0]) for one in _STAND_INS.finditer(text)) if self._values else ()
        return [one for one in found if one in self._values]

    def _for(self, found: re.Match[bytes]) -> bytes:
        value = self._values.get(json.loads(found[0]))
        return found[0] if value is None else json.dumps(value).encode()

    def _lacks(self, value: Any) -> bool:
        return isinstance(value, str) and self._values.get(value, value) is None

    def silence(self, problem: RenderError) -> RenderError:
        """*problem* without what may quote a value: where it is, and who tells more."""
        if not self._values:
            return problem
        file, colon, rest = str(problem).partition(":")
        line = rest.partition(":")[0]
        where = f"{file}:{line}: " if colon and line.isdecimal() else ""
        told = "it cannot be made with its secrets; what is wrong might quote one"
        return RenderError(f"{where}{told} ('netbootd check' tries it without)")


NO_SECRETS = Secrets()


def stand_in(kind: str, name: str) -> str:
    """What is in the place of the secret; no blank in it, so that it can be a word of a line."""
    return f"<{'secret' if kind == FILE else 'credential'}:{name}>"


def is_stand_in(text: str) -> bool:
    """Whether *text* may be the stand-in of a secret, of one that is named by now or not."""
    return _STAND_IN.fullmatch(text) is not None


def read_file(path: Path, user: User) -> str:
    """
    The value in *path*, without a line end at its end; raises BadSecret.

    The file must be root's or that of *user*, whom the daemon runs as; others may not use it.
    """
    try:
        with open(path, "rb", opener=_not_blocking) as opened:
            _check(path, os.fstat(opened.fileno()), user)
            return _text(opened.read(_LARGEST + 1), str(path))
    except PermissionError:
        raise BadSecret(custody.refused(path)) from None
    except OSError as problem:
        raise BadSecret(f"{path} cannot be read: {problem.strerror}") from None


def _not_blocking(path: str, flags: int) -> int:
    """A FIFO in its place would keep us waiting for ever."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _check(path: Path, status: os.stat_result, user: User) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadSecret(f"{path} is no regular file")
    if told := custody.wrong(path, status, user):
        raise BadSecret(told)


def read_credential(name: str) -> str:
    """The credential *name*; raises BadSecret."""
    folder = os.environ.get(_FOLDER)
    line = f"LoadCredential={name}:/etc/netbootd/{name}"
    if not folder:
        raise NoCredentials(
            f'credential "{name}" is known only where systemd starts netbootd, with {line}'
        )
    _must_be_credential(name)
    try:
        with open(Path(folder, name), "rb") as opened:
            return _text(opened.read(_LARGEST + 1), f'credential "{name}"')
    except OSError as problem:
        told = f'credential "{name}" cannot be read: {problem.strerror}'
        raise BadSecret(f"{told}; the unit needs {line}") from None


def file_of(kind: str, name: str) -> Path:
    """The file of a secret that is read later; raises BadSecret where there can be none."""
    if kind == FILE:
        return Path(name)
    _must_be_credential(name)
    return Path(os.environ.get(_FOLDER, _OF_THE_UNIT), name)


def _must_be_credential(name: str) -> None:
    if not name or "/" in name or name in (".", ".."):
        raise BadSecret(f'"{name}" is no name of a credential')


def _text(raw: bytes, what: str) -> str:
    if len(raw) > _LARGEST:
        raise BadSecret(f"{what} has more than {_LARGEST} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSecret(f"{what} is not UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise BadSecret(f"{what} is empty")
    return text
