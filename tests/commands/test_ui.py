"""``netbootd ui``: where the page is."""

from __future__ import annotations

from pathlib import Path

import pytest

from netbootd.commands.ui import _base
from netbootd.config import Config, Tls

CONFIG = Config(tls=Tls(certificate=Path("c.pem"), port=(8443, 443)))


class Daemon:
    """One that listens on all that it says."""

    def __init__(self, *listening: str) -> None:
        self.listening = listening

    def get(self, _path: str) -> dict[str, tuple[str, ...]]:
        return {"listening": self.listening}


@pytest.mark.parametrize(
    ("listening", "base"),
    [
        (("TFTP UDP 69 on 10.0.0.1", "HTTP TCP 3000"), "http://10.0.0.1:3000"),
        (("TFTP UDP 69 on 10.0.0.1", "HTTP TCP 3000", "HTTPS TCP 443"), "https://10.0.0.1"),
        (("HTTP TCP 3000", "HTTPS TCP 8443", "HTTPS TCP 443"), "https://127.0.0.1:8443"),
    ],
)
def test_the_page_is_by_https_where_that_is_open(listening, base):
    assert _base(Daemon(*listening), CONFIG) == base
