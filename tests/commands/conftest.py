from __future__ import annotations

from collections.abc import Iterator

import pytest

from .daemons import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon that runs for all tests of a file."""
    made = Site(tmp_path_factory.mktemp("site"))
    made.start()
    yield made
    made.stop()
