"""Usage is the same whether it comes out of the sums of days or of the interceptions themselves."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from peewee import Database

from aitap.storage.daily import SUMS
from aitap.storage.filters import Filter
from aitap.storage.usage import BY, usage
from tests.storage.making import ANN, BEN, T0, Recording, interception, prompt, rows, tokens, tool

DAY = 86400.0
MIDNIGHT = (T0 // DAY) * DAY


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def fill(recording: Recording, count: int = 300) -> list[Any]:
    """Interceptions over four months; those at midnight, too."""
    draw = random.Random(6)
    records = []
    for _ in range(count):
        begun = MIDNIGHT + draw.choice((0.0, 0.5, 3600.0, DAY - 1e-3)) + draw.choice((*range(12), 13, 41, 44, 75)) * DAY
        record = interception(
            begun,
            initiator_id=draw.choice((ANN, BEN)),
            model=draw.choice(("m", "n")),
            client=draw.choice((None, "Unknown", "Codex")),
            provider=draw.choice(("anthropic", "openai")),
            provider_name=draw.choice(("a", "b")),
            purpose=draw.choice(("conversation", "auxiliary")),
            credential_kind=draw.choice(("centralized", "byok_subscription")),
            client_session_id=draw.choice(("s", "t")),
            outcome=draw.choice(("completed", "failed")),
        )
        record.token_usages = [tokens(cost_micros=draw.choice((None, 5))) for _ in range(draw.randrange(3))]
        record.tool_usages = [tool(None) for _ in range(draw.randrange(2))]
        record.user_prompts = [prompt("hi", begun)] if draw.randrange(2) else []
        records.append(record)
    recording.batch(*records)
    return records


def counted(records: list[Any]) -> tuple[int, int, int]:
    usages = [usage for record in records for usage in record.token_usages]
    return len(records), sum(u.input_tokens for u in usages), sum(u.cost_micros or 0 for u in usages)


def told(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["interceptions"], row["input_tokens"] or 0, row["cost_micros"] or 0


def fits(record: Any, wanted: Filter) -> bool:
    started = at(record.started_at)
    return (
        all(
            getattr(wanted, name) in (None, getattr(record, name))
            for name in ("initiator_id", "provider", "provider_name", "model")
        )
        and (wanted.client is None or wanted.client == (record.client or "Unknown"))
        and wanted.session_id in (None, record.session_id)
        and (wanted.started_after is None or started >= wanted.started_after)
        and (wanted.started_before is None or started <= wanted.started_before)
    )


MOMENTS = [
    None,
    *(
        MIDNIGHT + shift
        for shift in (0.0, 0.25, 3600.0, DAY, DAY - 1e-6, 4 * DAY + 7200, 13 * DAY, 40 * DAY, 43 * DAY + 60)
    ),
]


def test_any_filter_gives_what_a_pass_over_all_records_gives(recording: Recording) -> None:
    """Times on and off midnight, clients without a name, one session, nobody: 300 draws."""
    records = fill(recording)
    draw = random.Random(60)
    for _ in range(300):
        after, before = draw.choice(MOMENTS), draw.choice(MOMENTS)
        wanted = Filter(
            initiator_id=draw.choice((None, None, ANN, "nobody")),
            model=draw.choice((None, None, "m")),
            client=draw.choice((None, None, "Codex", "Unknown")),
            provider=draw.choice((None, "openai")),
            provider_name=draw.choice((None, "a")),
            session_id=draw.choice((None, None, None, "s")),
            started_after=None if after is None else at(after),
            started_before=None if before is None else at(before),
        )
        by = draw.sample(BY, draw.randrange(4))
        found, total = usage(recording.database, wanted, by)
        meant = [record for record in records if fits(record, wanted)]
        assert told(total) == counted(meant), wanted
        for row in found:
            assert told(row) == counted([record for record in meant if named(record, by) == values(row, by)])
        assert sum(row["interceptions"] for row in found) == len(meant)


def named(record: Any, by: list[str]) -> list[str]:
    day = at(record.started_at)
    year, week, _ = day.isocalendar()
    spans = {"day": f"{day:%Y-%m-%d}", "week": f"{year}-W{week:02}", "month": f"{day:%Y-%m}", "year": f"{day:%Y}"}
    own = {"user": record.initiator_id, "client": record.client or "Unknown"}
    return [(spans | own).get(name) or getattr(record, name) for name in by]


def values(row: dict[str, Any], by: list[str]) -> list[str]:
    return [row[name]["id"] if name == "user" else row[name] for name in by]


def test_what_nobody_told_is_unknown_and_not_nothing(recording: Recording) -> None:
    recording.batch(
        interception(model="silent"),
        interception(model="unpriced", token_usages=[tokens()]),
        interception(model="free", token_usages=[tokens(cost_micros=0)]),
        interception(model="partly", token_usages=[tokens(), tokens(cost_micros=3)]),
    )
    found, total = usage(recording.database, Filter(), ["model"])
    assert {row["model"]: (row["input_tokens"], row["cost_micros"]) for row in found} == {
        "silent": (None, None),
        "unpriced": (10, None),
        "free": (10, 0),
        "partly": (20, 3),
    }
    assert {row["model"]: (row["unmetered"], row["unpriced"]) for row in found} == {
        "silent": (1, 0),
        "unpriced": (0, 1),
        "free": (0, 0),
        "partly": (0, 1),
    }
    assert (total["cost_micros"], total["unmetered"], total["unpriced"]) == (3, 1, 2)


def test_time_comes_in_its_order_and_the_rest_by_cost(recording: Recording) -> None:
    recording.batch(
        *(
            interception(T0 + day * DAY, model=model, token_usages=[tokens(cost_micros=cost)])
            for day, model, cost in ((1, "cheap", 1), (1, "dear", 9), (0, "cheap", 2), (0, "dear", 8), (3, "dear", 1))
        )
    )
    found, _ = usage(recording.database, Filter(), ["model", "day"])
    assert [(row["day"][-2:], row["model"]) for row in found] == [
        ("18", "dear"),
        ("18", "cheap"),
        ("19", "dear"),
        ("19", "cheap"),
        ("21", "dear"),
    ]
    found, _ = usage(recording.database, Filter(), ["model"])
    assert [row["model"] for row in found] == ["dear", "cheap"]


def test_a_user_is_told_by_name(recording: Recording) -> None:
    recording.batch(interception())
    sql = "INSERT INTO users (id, username, name, deleted, created_at) VALUES (?, 'ann', 'Ann', ?, ?)"
    recording.database.execute_sql(
        sql.replace("?", recording.database.param), (ANN, False, "2026-01-01 00:00:00+00:00")
    )
    [row], _ = usage(recording.database, Filter(), ["user"])
    assert (row["user"]["id"], row["user"]["username"]) == (ANN, "ann")


def test_without_anything_to_tell_apart_there_is_one_row(recording: Recording) -> None:
    recording.batch(interception(), interception(T0 + DAY))
    [row], total = usage(recording.database, Filter(), [])
    assert row == total
    assert row["interceptions"] == 2


def test_times_at_the_end_of_the_calendar_are_times(recording: Recording) -> None:
    recording.batch(interception())
    wanted = Filter(started_after=datetime(1, 1, 1, 2, tzinfo=UTC), started_before=datetime.max.replace(tzinfo=UTC))
    assert usage(recording.database, wanted, [])[1]["interceptions"] == 1


def test_no_use_is_no_row(database: Database) -> None:
    found, total = usage(database, Filter(), ["model", "week"])
    assert (found, total["interceptions"], total["cost_micros"]) == ([], 0, None)
    assert set(total) == set(SUMS)


@pytest.mark.parametrize("by", ["day", "week", "month", "year", "model"])
def test_a_report_of_whole_days_reads_no_interception(recording: Recording, by: str) -> None:
    """It is what it was also where retention took every one."""
    fill(recording, 30)
    span = Filter(started_after=at(MIDNIGHT), started_before=at(MIDNIGHT + 5 * DAY - 1e-6))
    before = [usage(recording.database, wanted, [by]) for wanted in (Filter(), span)]
    rows(recording.database, "DELETE FROM aibridge_interceptions")
    assert [usage(recording.database, wanted, [by]) for wanted in (Filter(), span)] == before
