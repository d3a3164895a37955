"""A configuration folder, and what is found in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netbootd.dropins.layers import Layers
from netbootd.dropins.reading import read
from netbootd.errors import ConfigErrors, Finding, Level


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty configuration folder, which is not the working directory."""
    monkeypatch.chdir("/")
    (tmp_path / "machines.d").mkdir()
    return tmp_path


def write(folder: Path, files: dict[str, object]) -> Path:
    """Write each of *files*, text as it is and values as JSON; the path of the main file."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "netbootd.json"


def refused(main: Path) -> list[Finding]:
    with pytest.raises(ConfigErrors) as caught:
        read(main)
    return list(caught.value.findings)


def errors(main: Path) -> list[Finding]:
    return [finding for finding in refused(main) if finding.level is Level.ERROR]


def codes(layers: Layers) -> list[str]:
    return [finding.code for finding in layers.findings]


def from_where(layers: Layers, section: str) -> dict[str, str]:
    """Each key of *section*, and the name of the file whose entry counts."""
    return {entry.key: Path(entry.owner.source.file).name for entry in layers.entries(section)}


def vms(*names: str) -> dict[str, object]:
    return {"vms": dict.fromkeys(names, 1)}
