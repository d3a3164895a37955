"""A configuration with its file root, and the command as an admin types it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from netbootd.cli import main

CONFIG = (
    '{ "boot_servers" : { "default" : "192.0.2.1:3000" },\n'
    '  "targets" : { "localboot" : { "disk" : {} } },\n'
    '  "machines" : { "default" : { "type" : "localboot", "name" : "disk" } },\n'
    '  "netbootd" : { "files" : "files" } }\n'
)


@dataclass
class Answer:
    """What the command said, and how it ended."""

    status: int
    out: str
    err: str


@dataclass
class Site:
    """A server of one's own: *config*, the file root *files*, and a place for media."""

    config: Path
    files: Path
    media: Path
    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: object) -> Answer:
        """``netbootd import`` with this configuration."""
        self.capture.readouterr()
        words = ["import", "--config", str(self.config), *map(str, arguments)]
        try:
            status = main(words)
        except SystemExit as end:
            status = int(end.code or 0)
        said = self.capture.readouterr()
        return Answer(status, said.out, said.err)

    def contents(self) -> dict[str, bytes]:
        """Every file below the file root, hidden ones too."""
        return {
            str(path.relative_to(self.files)): path.read_bytes()
            for path in sorted(self.files.rglob("*"))
            if path.is_file()
        }

    def fingerprint(self) -> dict[str, tuple[int, int, int]]:
        """Whatever would change if anything was written: of all that is beside the media."""
        found = {}
        for path in sorted(self.config.parent.rglob("*")):
            if self.media not in (path, *path.parents):
                status = os.lstat(path)
                found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
        return found


@pytest.fixture
def site(tmp_path, capsys):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "files").mkdir()
    (tmp_path / "etc" / "netbootd.json").write_text(CONFIG)
    media = tmp_path / "media"
    media.mkdir()
    return Site(tmp_path / "etc" / "netbootd.json", tmp_path / "etc" / "files", media, capsys)
