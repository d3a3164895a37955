"""The man pages: troff without a complaint, and every command in them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest
from docutils.core import publish_doctree, publish_string
from docutils.writers import manpage

from netbootd import cli
from netbootd.settings import SETTINGS

from .imports import PACKAGE

FOLDER = PACKAGE.parent / "docs" / "man"
PAGES = sorted(FOLDER.glob("*.rst"))


def commands(
    parser: argparse.ArgumentParser, before: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield f"{before}{name}", below
                yield from commands(below, f"{before}{name} ")


COMMANDS = dict(commands(cli._parser()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_becomes_a_man_page(page):
    publish_doctree(page.read_text(), settings_overrides={"halt_level": 2})
    troff = publish_string(page.read_text(), writer=manpage.Writer()).decode()
    name, section = page.name.split(".rst")[0].rsplit(".", 1)
    assert re.search(rf'^\.TH "?{name}"? "?{section}"?', troff, re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_man_page(command):
    text = (FOLDER / "netbootd.8.rst").read_text()
    first, _, second = command.partition(" ")
    heads = [line for line in text.splitlines() if line.startswith(f"**{first}")]
    assert heads, f"{command} is not in the man page"
    assert any(second in line for line in heads)


def test_the_man_page_has_no_command_that_is_gone():
    text = (FOLDER / "netbootd.8.rst").read_text()
    told = set(re.findall(r"^\*\*([a-z]+)", text, re.MULTILINE)) - {"netbootd"}
    assert told <= {name.partition(" ")[0] for name in COMMANDS}


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_in_the_man_page_of_the_configuration(setting):
    assert f"**{setting}**" in (FOLDER / "netbootd.json.5.rst").read_text()
