"""``tools/setup.sh`` where there is no network: the last line says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
THERE = "#!/bin/sh\necho 'ii '\n"
AWAY = "#!/bin/sh\n"
FAILS = "#!/bin/sh\necho 'Could not reach it' >&2; exit 7\n"
#: A Python that runs everything but pip.
NO_PIP = '#!/bin/sh\ncase "$*" in *pip*) echo "No matching distribution" >&2; exit 1 ;; esac\n'


@pytest.fixture
def checkout(tmp_path):
    """A clone whose set-up finds only what stands in its folder ``bin``."""
    (tmp_path / "bin").mkdir()
    shutil.copytree(TOOLS, tmp_path / "tools")
    for name in ("setup.cfg", "pyproject.toml"):
        (tmp_path / name).write_text("")
    program(tmp_path, ".venv/bin/python", NO_PIP)
    program(tmp_path, "bin/id", "#!/bin/sh\necho 0\n")
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def set_up(folder: Path) -> tuple[int, list[str]]:
    path = f"{folder}/bin:{os.environ['PATH']}"
    done = subprocess.run(
        [folder / "tools" / "setup.sh", "run"],
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr.splitlines()


def test_packages_of_python_that_cannot_be_had(checkout):
    program(checkout, "bin/dpkg-query", THERE)
    status, said = set_up(checkout)
    assert status == 1
    assert "No matching distribution" in said
    assert said[-1].startswith("set-up: netbootd's Python packages come from pypi.org")
    assert "needs a network" in said[-1]
    assert not list((checkout / ".venv").glob(".made*"))


def test_packages_of_debian_that_cannot_be_had(checkout):
    program(checkout, "bin/dpkg-query", AWAY)
    program(checkout, "bin/apt-get", FAILS)
    status, said = set_up(checkout)
    assert status == 1
    assert "Could not reach it" in said
    assert said[-1].startswith("set-up: Debian's packages come from")
