"""The sums of a day say what its interceptions say, whatever became of them in between."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import Database

from aitap.record import Interception
from aitap.storage import recovery
from aitap.storage.daily import KEY, SUMS, add_stored, coarser, sums_of_rows
from aitap.storage.database import transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.retention import prune
from aitap.storage.usage_models import KEYS
from tests.storage.making import ANN, BEN, T0, Recording, database_in, interception, prompt, rows, tokens, tool

DAY = 86400.0


def stored(database: Database) -> dict[tuple[str, ...], list[int]]:
    """Rows of days that say something, by their key."""
    return _rows(database, "aitap_daily_usage", *KEY)


def _rows(database: Database, table: str, *key: str) -> dict[tuple[str, ...], list[int]]:
    found = rows(database, f"SELECT {', '.join((*key, *SUMS))} FROM {table}")
    split = {tuple(map(str, row[: len(key)])): list(map(int, row[len(key) :])) for row in found}
    return {key: sums for key, sums in split.items() if any(sums)}


def months(database: Database) -> dict[tuple[str, ...], list[int]]:
    """The rows of months, as :func:`stored` gives those of days."""
    return _rows(database, "aitap_monthly_usage", "month", *KEY[1:])


def of_rows(database: Database) -> dict[tuple[str, ...], list[int]]:
    return sums_of_rows(database, KEY, "1 = 1", ())


def by_month(days: dict[tuple[str, ...], list[int]]) -> dict[tuple[str, ...], list[int]]:
    found: dict[tuple[str, ...], list[int]] = {}
    for (day, *rest), sums in days.items():
        so_far = found.get(key := (day[:7], *rest), [0] * len(SUMS))
        found[key] = [old + new for old, new in zip(so_far, sums, strict=True)]
    return found


def one(database: Database) -> dict[str, int]:
    [sums] = stored(database).values()
    return dict(zip(SUMS, sums, strict=True))


def test_a_row_sums_up_its_day(recording: Recording) -> None:
    recording.batch(
        interception(
            user_prompts=[prompt("hi")],
            tool_usages=[tool("a"), tool("b")],
            token_usages=[tokens(cache_read_input_tokens=3, cost_micros=7), tokens(cache_write_input_tokens=2)],
        ),
        interception(T0 + 1, outcome="failed"),
        interception(T0 + 2),
        interception(T0 + 3, None, token_usages=[tokens()]),
    )
    [key] = stored(recording.database)
    assert key == ("2026-11-18", ANN, "anthropic", "anthropic", "claude-opus-4-8", "", "conversation", "centralized")
    assert one(recording.database) == {
        "interceptions": 3,
        "errors": 1,
        "unmetered": 1,
        "prompts": 1,
        "tool_calls": 2,
        "usages": 2,
        "unpriced": 1,
        "input_tokens": 20,
        "output_tokens": 10,
        "cache_read_input_tokens": 3,
        "cache_write_input_tokens": 2,
        "cost_micros": 7,
    }


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages/count_tokens",
        "/v1/responses/input_tokens",
        "/v1beta/models/gemini-3-pro:countTokens",
        "/model/m/count-tokens",
        "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
    ],
)
def test_to_count_tokens_is_no_call_of_unknown_cost(recording: Recording, path: str) -> None:
    recording.batch(interception(path=path))
    recording.batch(interception(T0 + 1, path="/v1/messages"))
    assert one(recording.database)["unmetered"] == 1
    assert stored(recording.database) == of_rows(recording.database)


def test_prompts_are_what_people_typed(recording: Recording) -> None:
    """Neither a retry, nor what a model told its sub-agent, nor what a client asks for itself."""
    first = interception(user_prompts=[prompt("hi")])
    recording.batch(
        first,
        interception(T0 + 1, user_prompts=[prompt("hi")], retry_of=first.id),
        interception(T0 + 2, user_prompts=[prompt("go and look")], metadata={"agent": "Explore"}),
        interception(T0 + 3, user_prompts=[prompt("title?")], purpose="auxiliary"),
    )
    assert sum(sums[SUMS.index("prompts")] for sums in stored(recording.database).values()) == 1
    assert stored(recording.database) == of_rows(recording.database)


def test_a_day_begins_at_midnight_of_utc_as_it_is_stored(recording: Recording) -> None:
    """A moment that is rounded to midnight belongs to the day that it is stored in."""
    midnight = (T0 // DAY) * DAY
    recording.batch(*(interception(midnight + offset) for offset in (-1e-6, -2e-7, 0.0)))
    assert {key[0]: sums[0] for key, sums in stored(recording.database).items()} == {"2026-11-17": 1, "2026-11-18": 2}
    assert stored(recording.database) == of_rows(recording.database)


def test_what_a_dead_proxy_left_open_counts_once_it_is_marked(recording: Recording) -> None:
    recording.batch(interception(took=None, user_prompts=[prompt("hi")]))
    assert stored(recording.database) == {}
    recording.writer.close()
    rows(recording.database, "UPDATE aitap_proxies SET host = 'gone', heartbeat_at = ?", timestamp_text(T0))
    assert recovery.mark_interrupted(recording.database) == 1
    assert one(recording.database)["interceptions"] == one(recording.database)["prompts"] == 1
    assert stored(recording.database) == of_rows(recording.database)


def test_the_true_end_of_what_was_taken_for_dead_takes_the_place_of_the_other(recording: Recording) -> None:
    begun = interception(took=None, user_prompts=[prompt("hi")])
    recording.batch(begun)
    rows(recording.database, "UPDATE aitap_proxies SET host = 'far away', heartbeat_at = ?", timestamp_text(T0))
    assert recovery.mark_interrupted(recording.database) == 1
    recording.batch(
        msgspec.structs.replace(begun, ended_at=T0 + 9, outcome="failed", token_usages=[tokens(cost_micros=5)])
    )
    found = one(recording.database)
    assert (found["interceptions"], found["errors"], found["unmetered"], found["cost_micros"]) == (1, 1, 0, 5)
    assert stored(recording.database) == of_rows(recording.database)


def test_sums_outlive_what_they_sum_up(recording: Recording) -> None:
    recording.batch(interception(T0, token_usages=[tokens(cost_micros=11)]), interception(T0 + DAY))
    before = stored(recording.database)
    assert prune(recording.database, T0 + DAY / 2) == 1
    assert stored(recording.database) == before


FACTS = st.fixed_dictionaries(
    {
        "initiator_id": st.sampled_from([ANN, BEN]),
        "client": st.sampled_from([None, "", "Codex"]),
        "model": st.sampled_from(["m", "ü"]),
        "purpose": st.sampled_from(["conversation", "auxiliary"]),
        "outcome": st.sampled_from(["completed", "failed", "cancelled"]),
        "path": st.sampled_from(["/v1/messages", "/v1/messages/count_tokens"]),
        "metadata": st.sampled_from([{}, {"agent": "a"}]),
        "credential_kind": st.sampled_from(["centralized", "byok_subscription"]),
    }
)
WRITE = st.tuples(
    st.just("write"),
    FACTS,
    st.integers(0, 3),
    st.lists(st.sampled_from([None, 0, 7]), max_size=2),
    st.booleans(),
    st.booleans(),
)
OTHERS = st.sampled_from([("end",), ("again",), ("interrupt",), ("restart",), ("prune",)])


class Life:
    """Records come, end late, are taken for dead, come back, come twice; old ones go."""

    def __init__(self, folder: Path) -> None:
        self.recording = Recording(database_in(folder))
        self.open: list[Interception] = []
        self.ended: list[Interception] = []
        self.gone: Counter[tuple[tuple[str, ...], str]] = Counter()
        self.limit = 0

    def write(self, facts: dict[str, Any], day: int, costs: list[int | None], prompted: bool, ends: bool) -> None:
        at = T0 + max(day * 7, self.limit) * DAY
        record = interception(at, user_prompts=[prompt("hi", at)] if prompted else [], **facts)
        record.token_usages = [tokens(cost_micros=cost) for cost in costs]
        if ends:
            self.ended.append(record)
            self.recording.batch(record)
        else:
            self.open.append(record)
            self.recording.batch(msgspec.structs.replace(record, ended_at=None, outcome="in_flight", token_usages=[]))

    def end(self) -> None:
        if self.open:
            self.ended.append(self.open.pop())
            self.recording.batch(self.ended[-1])

    def again(self) -> None:
        if self.ended:
            self.recording.batch(self.ended[-1])

    def interrupt(self) -> None:
        database = self.recording.database
        rows(database, "UPDATE aitap_proxies SET host = 'gone', heartbeat_at = ?", timestamp_text(T0))
        recovery.mark_interrupted(database)
        now = timestamp_text(time.time())
        rows(
            database, "UPDATE aitap_proxies SET host = ?, pid = ?, heartbeat_at = ?", platform.node(), os.getpid(), now
        )

    def restart(self) -> None:
        self.recording.restart()
        # What the run before left open is marked by the new one's thread.
        assert self.recording.writer.flush(20.0)

    def prune(self) -> None:
        """What goes is counted before; what was open then does not come again."""
        self.limit = min(self.limit + 1, 3)
        limit = T0 + self.limit * DAY
        condition = "i.started_at < ?"
        for key, sums in sums_of_rows(self.recording.database, KEY, condition, (timestamp_text(limit),)).items():
            self.gone.update({(key, name): value for name, value in zip(SUMS, sums, strict=True)})
        prune(self.recording.database, limit)
        self.open = [record for record in self.open if record.started_at >= limit]
        self.ended = [record for record in self.ended if record.started_at >= limit]

    def expected(self) -> dict[tuple[str, ...], list[int]]:
        found: Counter[tuple[tuple[str, ...], str]] = Counter(self.gone)
        for key, sums in of_rows(self.recording.database).items():
            found.update({(key, name): value for name, value in zip(SUMS, sums, strict=True)})
        keys = {key for (key, _), value in found.items() if value}
        return {key: [found[key, name] for name in SUMS] for key in keys}


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.one_of(WRITE, OTHERS), max_size=14))
def test_after_whatever_happened_sums_are_those_of_all_interceptions_there_ever_were(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        for name, *arguments in steps:
            getattr(life, name)(*arguments)
        life.recording.writer.close()
        assert stored(life.recording.database) == life.expected()
        assert months(life.recording.database) == by_month(life.expected())
        for table, key in KEYS.items():
            assert _rows(life.recording.database, table, *key) == coarser(life.expected(), KEY, key), table
        astray = (
            "SELECT count(*) FROM aitap_session_kinds k LEFT JOIN aitap_sessions s ON s.session_id = k.session_id "
            "AND s.initiator_id = k.initiator_id WHERE s.last_active_at IS NULL OR k.active_at IS NULL "
            "OR s.last_active_at <> k.active_at"
        )
        assert rows(life.recording.database, astray) == [(0,)], (
            "lists sort the kinds of a session by when it was active"
        )
        life.recording.database.close()


def test_adding_and_taking_out_is_nothing(recording: Recording) -> None:
    record = interception(token_usages=[tokens()])
    recording.batch(record)
    before = stored(recording.database)
    with transaction(recording.database):
        add_stored(recording.database, [record.id])
        add_stored(recording.database, [record.id], times=-1)
    assert stored(recording.database) == before
