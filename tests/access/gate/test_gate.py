"""How long a connection may take to show who speaks."""

from __future__ import annotations

import pytest
from mitmproxy.test import tflow

from aitap.access.gate import gate as module
from aitap.access.gate import session as sessions
from aitap.access.gate.gate import PATIENCE, Gate
from aitap.access.gate.session import Session
from aitap.access.peers import Peer, Peers


@pytest.mark.parametrize("clock", [-1e9, 3600.0, 1e9])
def test_a_stranger_is_closed_after_a_minute_that_passed_not_after_one_that_was_set(
    monkeypatch: pytest.MonkeyPatch, clock: float
) -> None:
    now, running = 1_800_000_000.0, [5.0]
    monkeypatch.setattr(sessions.time, "monotonic", lambda: running[0])
    gate, closed = Gate(Peers()), []
    client = tflow.tclient_conn()
    client.timestamp_start = now
    gate.door._sessions["x"] = Session(client, Peer("192.0.2.7"), required=True)
    monkeypatch.setattr(gate, "close", closed.append)
    monkeypatch.setattr(module.time, "time", lambda: now + clock)
    running[0] += PATIENCE - 1
    assert gate._look()
    assert closed == []
    running[0] += 2
    assert gate._look()
    assert len(closed) == 1
