"""API tokens for tests: made as the command does, over the daemon's Unix socket."""

from __future__ import annotations

from pathlib import Path

from netbootd.apiclient import Api
from netbootd.apidoors import UnixSocket


def new_token(state: Path, name: str = "tests") -> str:
    """A token of the daemon whose state folder is *state*."""
    made = Api(UnixSocket(state / "api.sock")).send("POST", "tokens", body={"name": name})
    return str(made["token"])
