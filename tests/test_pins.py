"""What netbootd is made of: pinned, with hashes that are looked at, and under licences that are told."""

from __future__ import annotations

import base64
import configparser
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
_PIN = re.compile(
    r"^([\w.-]+)==(\S+)(?: ; (.+))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n?)+)", re.M
)


def pins(level: str) -> dict[str, tuple[str, str]]:
    """Version and hashes by name, of what this machine would install."""
    text = (ROOT / "tools" / "pins" / f"{level}.txt").read_text()
    found = _PIN.findall(text)
    assert sum("==" in line for line in text.splitlines() if line[0] not in " #") == len(found)
    return {
        canonicalize_name(name): (wanted, hashes)
        for name, wanted, marker, hashes in found
        if not marker or Marker(marker).evaluate()
    }


def asked(section: str, option: str) -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = (line.strip() for line in config[section][option].splitlines())
    return [Requirement(line) for line in lines if line and line[0] != "#"]


@pytest.mark.parametrize(
    ("level", "section", "option"),
    [("run", "options", "install_requires"), ("test", "options.extras_require", "test")],
)
def test_whatever_is_asked_for_is_pinned_in_a_version_that_will_do(level, section, option):
    pinned = pins(level)
    for one in asked(section, option):
        if one.marker is None or one.marker.evaluate():
            assert canonicalize_name(one.name) in pinned, f"{one} is not pinned: make pins"
            assert pinned[canonicalize_name(one.name)][0] in one.specifier


def test_the_tests_run_with_what_runs():
    assert pins("run").items() <= pins("test").items()


def test_what_is_installed_here_is_what_is_pinned():
    assert {name: version(name) for name in pins("test")} == {
        name: pinned for name, (pinned, _) in pins("test").items()
    }


def test_nothing_is_installed_here_that_is_not_pinned():
    """Every package that a pinned one asks for is pinned too: pip fetches nothing besides."""
    for level in ("run", "test"):
        pinned = pins(level)
        for name in pinned:
            for line in metadata(name).get_all("Requires-Dist") or []:
                one = Requirement(line)
                if one.marker is None or one.marker.evaluate({"extra": ""}):
                    assert canonicalize_name(one.name) in pinned, f"{name} asks for {one}"


def wheel(folder: Path, word: str) -> str:
    """Make a package by hand; its SHA-256."""
    record, file = "tried-1.dist-info/RECORD", folder / "tried-1-py3-none-any.whl"
    of = {
        "tried.py": f"word = {word!r}\n",
        "tried-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: tried\nVersion: 1\n",
        "tried-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(file, "w") as opened:
        for name, text in of.items():
            opened.writestr(name, text)
        told = ((name, hashlib.sha256(text.encode()).digest()) for name, text in of.items())
        rows = [f"{n},sha256={base64.urlsafe_b64encode(d).rstrip(b'=').decode()}," for n, d in told]
        opened.writestr(record, "\n".join([*rows, f"{record},,\n"]))
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("level", ["run", "test"])
def test_a_file_that_is_not_the_pinned_one_is_not_installed(level, tmp_path):
    (tmp_path / "tools" / "pins").mkdir(parents=True)
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "python").symlink_to(sys.executable)
    there = tmp_path / "there"

    def install() -> str:
        done = subprocess.run(
            [ROOT / "tools" / "pip", "env", level],
            cwd=tmp_path,
            env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
            | {"PIP_TARGET": str(there), "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull},
            capture_output=True,
            text=True,
        )
        return done.stderr if done.returncode else ""

    digest = wheel(tmp_path, "the pinned one")
    pin = tmp_path / "tools" / "pins" / f"{level}.txt"
    pin.write_text(f"tried==1 --hash=sha256:{digest}\n")
    wheel(tmp_path, "another one")
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in install()
    assert not (there / "tried.py").exists()
    pin.write_text("tried==1\n")
    assert "Hashes are required" in install()
    pin.write_text(f"tried==1 --hash=sha256:{wheel(tmp_path, 'the pinned one')}\n")
    assert install() == ""
    assert "the pinned one" in (there / "tried.py").read_text()


def test_a_second_environment_needs_no_network(tmp_path):
    """What is there by then is looked at by its hash as well."""
    for place in ("tools/pins", "env/bin", "server"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "env" / "bin" / "python").symlink_to(sys.executable)

    def install(server: str, target: str) -> int:
        return subprocess.run(
            [ROOT / "tools" / "pip", "env", "run"],
            cwd=tmp_path,
            env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / server)}
            | {"PIP_TARGET": str(tmp_path / target), "PIP_NO_CACHE_DIR": "1"}
            | {"PIP_CONFIG_FILE": os.devnull},
            capture_output=True,
        ).returncode

    digest = wheel(tmp_path / "server", "the pinned one")
    (tmp_path / "tools" / "pins" / "run.txt").write_text(f"tried==1 --hash=sha256:{digest}\n")
    assert install("server", "first") == 0
    assert install("away", "second") == 0
    assert "the pinned one" in (tmp_path / "second" / "tried.py").read_text()
    wheel(tmp_path / ".cache" / "wheels", "another one")
    assert install("away", "third") != 0
    assert not (tmp_path / "third" / "tried.py").exists()
    assert install("server", "third") == 0


def licence_of(name: str) -> str:
    """As the package's metadata says it, in short."""
    told = metadata(name)
    if expression := told.get("License-Expression"):
        return expression
    classified = [one for one in told.get_all("Classifier") or [] if one.startswith("License ::")]
    if classified:
        return classified[0].rpartition(" :: ")[2].removesuffix(" License")
    return told["License"]


def test_the_licence_of_every_package_is_told():
    text = (ROOT / "docs" / "licences.rst").read_text()
    rows = dict(re.findall(r"^([\w.-]+) {2,}(\S.*?) {2,}\S", text, re.M))
    told = {canonicalize_name(name): licence for name, licence in rows.items()}
    for name in pins("run"):
        assert told.get(name) == licence_of(name), name
