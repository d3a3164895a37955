"""The command as an admin types it, with a configuration of one's own."""

from __future__ import annotations

from tests.importing.conftest import site

__all__ = ["site"]
