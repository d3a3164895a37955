"""
The API tokens that count now, and the file that they are kept in.

The one in our own folder is ours to write; one that the setting ``api_token`` names is its admin's.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from pathlib import Path

from twisted.logger import Logger

from netbootd import apitoken
from netbootd.api.no import No
from netbootd.apitoken import Tokens
from netbootd.config import Config

log = Logger(namespace="netbootd")


class Keyring:
    """``tokens`` may be read anywhere; all that is called here waits for the disk."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.tokens = tokens or Tokens()
        self._file = Path()
        self._is_ours = False
        self._lock = threading.Lock()
        self._told = ""

    def configured(self, config: Config) -> None:
        """Read the file that *config* names; a token that is plain text in ours is so no more."""
        with self._lock:
            self._is_ours = config.api_token is None
            self._file = config.api_token or config.state / apitoken.NAME
            try:
                self.tokens, plain = apitoken.read(self._file)
            except OSError as problem:
                self.tokens = Tokens()
                self._tell_none(problem)
                return
            if plain:
                self._heed_plain(plain)

    def make(self, name: str) -> str:
        """A new token for *name*, whose old one counts no more; raises No."""
        if not apitoken.is_name(name):
            raise No(HTTPStatus.UNPROCESSABLE_ENTITY, "name-invalid", apitoken.NAME_RULE)
        token = apitoken.new()
        with self._lock:
            self._write(self._read().having(name, token))
        return token

    def remove(self, name: str) -> None:
        """That of *name* counts no more; raises No where there is none."""
        with self._lock:
            before = self._read()
            if name not in before.digests:
                told = f"there is no API token {name!r:.70}"
                raise No(HTTPStatus.NOT_FOUND, "no-such-token", told)
            self._write(before.without(name))

    def _read(self) -> Tokens:
        if not self._is_ours:
            told = f'the tokens are those of {self._file}, which "api_token" names: change it there'
            raise No(HTTPStatus.CONFLICT, "not-ours", told)
        try:
            return apitoken.read(self._file)[0]
        except FileNotFoundError:
            return Tokens()
        except OSError as problem:
            told = f"{problem}; nothing was changed"
            raise No(HTTPStatus.CONFLICT, "changed-by-hand", told) from None

    def _write(self, tokens: Tokens) -> None:
        try:
            apitoken.write(self._file, tokens)
        except OSError as problem:
            told = f"nothing was changed: {self._file}: {problem.strerror or problem}"
            raise No(HTTPStatus.SERVICE_UNAVAILABLE, "not-kept", told) from None
        self.tokens = tokens

    # -- telling -------------------------------------------------------------------------------

    def _tell_none(self, problem: OSError) -> None:
        if self._is_ours and isinstance(problem, FileNotFoundError):
            self._tell(
                "no API token was made yet: 'netbootd ui' opens the web page without one, and"
                " 'netbootd token new' makes one for programs",
                is_trouble=False,
            )
        else:
            self._tell(f"no API token, so nothing can be put by HTTP: {problem}")

    def _heed_plain(self, plain: str) -> None:
        short = (
            f"; it has {len(plain)} characters, which may be found by trying: 'netbootd token new"
            f" {apitoken.PLAIN}' makes a better one"
            if len(plain) < apitoken.SHORT
            else ""
        )
        if not self._is_ours:
            self._tell(
                f"{self._file} has the API token in plain text, for whoever reads it: 'netbootd"
                f" token new' prints a line to put in its place{short}"
            )
            return
        try:
            apitoken.write(self._file, self.tokens)
        except OSError as problem:
            why = problem.strerror or problem
            self._tell(
                f"{self._file} has the API token in plain text, and cannot be written: {why}"
            )
        else:
            self._tell(
                f"of the API token {self._file} has the digest alone from now on; the token counts"
                f" as before, by the name {apitoken.PLAIN}{short}",
                is_trouble=bool(short),
            )

    def _tell(self, text: str, *, is_trouble: bool = True) -> None:
        """Once, and again when something else is to be told."""
        if text != self._told:
            self._told = text
            (log.warn if is_trouble else log.info)("{text}", text=text)
