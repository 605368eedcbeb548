"""Hostile traffic: what passes is not changed, nothing raises, all is recorded. More: ``python -m bench.fuzz``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aitap.storage.database import open_database
from bench.fuzz.readers import misread
from bench.fuzz.shards import judged, run
from bench.fuzz.wire import attack_wire
from tests import postgres

COUNT = int(os.environ.get("TEST_FUZZ_COUNT", "1200"))


@pytest.mark.parametrize(("kind", "count"), [("sqlite", COUNT), ("postgresql", COUNT // 4)])
def test_no_hostile_exchange_is_changed_raises_or_goes_unrecorded(kind: str, count: int, tmp_path: Path) -> None:
    url = postgres.fresh() if kind == "postgresql" else f"sqlite:///{tmp_path}/aitap.db"
    open_database(url, migrate=True).close()
    findings, records = run(url, 1, range(count), episode=max(1, count // 4))
    assert findings == []
    assert judged(url, records, count) == []
    if kind == "postgresql":
        assert misread(url, 2) == []
        postgres.drop(url)


def test_hostile_exchanges_over_the_network_arrive_as_they_were_sent_and_are_recorded() -> None:
    findings, records = attack_wire(1, range(COUNT // 40))
    assert findings == []
    assert records > COUNT // 80
