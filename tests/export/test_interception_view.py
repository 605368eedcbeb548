"""One interception on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aitap.export.interception_view import interception_view
from aitap.storage.database import open_database
from aitap.storage.queries import Filter, iter_interceptions
from aitap.storage.writer import Writer
from tests.capture.making import MESSAGES, message_events, record, sse, user


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"action": "deny", "rule": 0, "mode": "enforce", "budget": "x"}, "a budget that is used up refused this call"),
        ({"action": "deny", "rule": 3, "mode": "enforce"}, "rule 3 refused this call"),
        ({"action": "deny", "rule": 3, "mode": "warn"}, "rule 3 would have refused this call"),
        ({"action": "deny", "rule": 0, "mode": "enforce"}, "refused this call"),
        ("of a client's own", "of a client's own"),
    ],
)
def test_what_the_policy_said_is_shown(policy: Any, shown: str, tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'aitap.db'}", migrate=True)
    writer = Writer(database, flush_interval=0.01)
    writer.start()
    made = record(MESSAGES, {"model": "m", "messages": [user("hi")]}, sse(MESSAGES, message_events([])))
    made.metadata["policy"] = policy
    assert writer.submit(made)
    assert writer.close(10)
    [row] = iter_interceptions(database, Filter())
    console = Console(width=120, record=True, file=(tmp_path / "out").open("w"))
    console.print(interception_view(row))
    [line] = [line for line in console.export_text().splitlines() if line.startswith("policy ")]
    assert line.removeprefix("policy ").strip() == shown
