"""Whatever is killed under load, each exchange that a client finished is recorded once, or counted as lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.proxy.faults import FAULTS, NEED_ROOT, Laboratory
from tests.proxy.places import SqlitePlace
from tests.proxy.upstream import Upstream

ROUNDS = int(os.environ.get("TEST_FAULT_ROUNDS", "3"))
"""Hundreds of them: ``python -m bench.faults``."""

CHOSEN = ("recorder", "database+both", "tail") if ROUNDS <= 3 else [fault for fault in FAULTS if fault not in NEED_ROOT]


def test_rounds_of_faults_lose_nothing_in_silence_and_record_nothing_twice(
    tmp_path: Path, confdir: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITAP_FLUSH_INTERVAL", "50ms")
    laboratory = Laboratory(tmp_path, confdir, upstream, SqlitePlace(tmp_path), tmp_path / "spool", seed=7)
    try:
        for number in range(ROUNDS):
            outcome = laboratory.round(CHOSEN[number % len(CHOSEN)], seconds=1.0)
            assert outcome.problems == []
            assert outcome.recorded + outcome.lost >= outcome.finished
    finally:
        laboratory.close()
