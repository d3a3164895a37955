"""What the tests of faults begin with: the lab of the end-to-end tests, and files to boot."""

from __future__ import annotations

from tests.end_to_end.conftest import lab

__all__ = ["lab"]
