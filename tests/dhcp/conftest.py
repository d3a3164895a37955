"""What tests of the proxy look at together."""

from __future__ import annotations

import pytest

from netbootd.dhcp import proxy


@pytest.fixture
def decided(monkeypatch):
    """The requests that were decided, and not told what was kept or laid in."""
    asked, answer = [], proxy.answer

    def counting(request, *more):
        asked.append(request)
        return answer(request, *more)

    monkeypatch.setattr(proxy, "answer", counting)
    return asked
