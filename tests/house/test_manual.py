"""The manual: every page is sound reStructuredText, and its links lead somewhere."""

from __future__ import annotations

import re

import pytest
from docutils.core import publish_doctree
from docutils.nodes import reference

from tests.fallbacks import FALLBACKS

from .imports import PACKAGE

ROOT = PACKAGE.parent
PAGES = sorted(
    page for folder in (".", "docs", "firmware") for page in (ROOT / folder).glob("*.rst")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_sound_and_leads_somewhere(page):
    # halt_level 2: the first warning raises SystemMessage.
    tree = publish_doctree(page.read_text(), settings_overrides={"halt_level": 2})
    for link in tree.findall(reference):
        target = link.get("refuri", "")
        if target and not re.match("https?:|mailto:", target):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_reached_from_the_readme(page):
    name = str(page.relative_to(ROOT))
    assert name == "README.rst" or name in (ROOT / "README.rst").read_text()


def test_every_fast_path_is_in_the_table_of_what_stands_behind_them():
    page = (ROOT / "docs" / "performance.rst").read_text()
    assert re.findall(r"^   \* - ``(\S+)``$", page, re.MULTILINE) == ["--without", *FALLBACKS]
