"""
What every end-to-end test begins with: a network, a site's files, and a configuration for them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import guest
from tests.end_to_end.lab import HTTP, Lab, write_config
from tests.end_to_end.process import Daemon


@dataclass
class Site:
    """A LAN with its boot server: *config* is what the administrator wrote so far."""

    lab: Lab
    file: Path
    config: dict[str, Any]
    daemon: Daemon | None = None

    def machine(self, mac: str, type_: str, name: str, **keys: Any) -> None:
        """The entry of *mac* (or of ``default``): what it boots from now on."""
        self.config["machines"][mac] = {"type": type_, "name": name, **keys}

    def target(self, type_: str, name: str, **keys: Any) -> None:
        """One more target."""
        self.config["targets"].setdefault(type_, {})[name] = keys

    def put(self, path: str, content: bytes | Path) -> None:
        """A file below the file root."""
        file = Path(self.config["netbootd"]["files"]) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copy(content, file)
        else:
            file.write_bytes(content)

    def serve(self) -> Daemon:
        """Start netbootd with the configuration as it is."""
        self.daemon = self.lab.netbootd(write_config(self.file, self.config))
        return self.daemon

    def reload(self) -> str:
        """Save the configuration and send SIGHUP; what netbootd said to it."""
        assert self.daemon is not None
        write_config(self.file, self.config)
        return self.daemon.reload()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """The network, without any server yet."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with Lab(tmp_path) as network:
        yield network


@pytest.fixture
def site(lab: Lab, tmp_path: Path) -> Site:
    """A site with files to boot and no machine yet; ``serve`` starts netbootd."""
    root = guest.fill(tmp_path / "srv")
    return Site(lab, tmp_path / "netbootd.json", guest.configuration(root, HTTP))
