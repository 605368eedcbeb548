"""The databases of the tests of storage."""

from __future__ import annotations

from tests.storage.conftest import database, recording

__all__ = ["database", "recording"]
