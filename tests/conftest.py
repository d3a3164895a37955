"""
For all tests: how long an example of hypothesis takes says nothing, on a machine at work; and
``--without NAME``, to run them without one of netbootd's fast paths (``fallbacks``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fallbacks import FALLBACKS, force, names_of
from tests.forcing import NAMES, NOTES, ROOT

settings.register_profile("netbootd", deadline=None)
settings.load_profile("netbootd")


def pytest_addoption(parser):
    """
    What is taken away goes before the conftests of folders, which import netbootd, are read; and
    before pytest has read its command line.
    """
    option = {"action": "append", "default": [], "metavar": "NAME"}
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--without", **option)
    told = "take a fast path away from netbootd; 'help' lists them, 'all' is all at once, but 'inner' ones"
    parser.addoption("--without", **option, help=told)
    names = names_of(early.parse_known_args()[0].without)
    known = [name for name in names if name in FALLBACKS]
    if known and NAMES not in os.environ:
        _tell_processes(known)
    force(known)


def pytest_configure(config):
    names = names_of(config.getoption("--without"))
    if "help" in names:
        pytest.exit("\n".join(f"{one.name:12} {one.instead}" for one in FALLBACKS.values()), 0)
    if unknown := [name for name in names if name not in FALLBACKS]:
        raise pytest.UsageError(f"--without {', '.join(unknown)}: see --without help")
    config.without = frozenset(names)
    assert config.without == frozenset(filter(None, os.environ.get(NAMES, "").split(",")))


def _tell_processes(names):
    """Those of pytest-xdist as well as daemons."""
    os.environ[NAMES] = ",".join(names)
    os.environ[NOTES] = tempfile.mkdtemp(prefix="netbootd-without-")
    Path(os.environ[NOTES]).chmod(0o777)  # a daemon may be somebody else's
    paths = (str(ROOT / "tests" / "start"), str(ROOT), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def pytest_collection_modifyitems(config, items):
    for item in items:
        tested = {name for mark in item.iter_markers("fast_path") for name in mark.args}
        if tested - FALLBACKS.keys():
            raise pytest.UsageError(f"{item.nodeid}: no such fast path: {tested}")
        if away := tested & config.without:
            item.add_marker(pytest.mark.skip(reason=f"tests {', '.join(sorted(away))} itself"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """What was to be taken away, and was never asked for, or there all the same, proves nothing."""
    config = session.config
    if not config.without or hasattr(config, "workerinput") or config.option.collectonly:
        return
    notes = Path(os.environ[NOTES])
    config.faults = [
        *(f"nothing asked for {name}" for name in config.without if not (notes / name).exists()),
        *(f"{path.stem} was there all the same" for path in notes.glob("*.taken")),
    ]
    shutil.rmtree(notes)
    if config.faults and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    if config.without:
        terminalreporter.write_line(f"without {', '.join(sorted(config.without))}")
    for fault in getattr(config, "faults", ()):
        terminalreporter.write_line(f"without: {fault}", red=True)
