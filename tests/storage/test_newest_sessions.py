"""Pages of sessions and of interceptions, whatever is asked for, are what looking at every record gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from peewee import Database

from aitap.record import Interception
from aitap.storage import queries
from aitap.storage.fields import timestamp_text
from aitap.storage.queries import Filter
from aitap.storage.rows import wire_time
from tests.storage.making import ANN, BEN, Recording, interception, prompt, rows

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
MOMENTS = [
    NEW_YEAR + timedelta(days=days, microseconds=micros)
    for days in (-400, -170, -31, -30, -2, -1, 0, 1, 30, 45, 300)
    for micros in (-1, 0, 1, 40_000_000_000)
]
LIMITS = {"newest._WINDOW": 3, "newest_sessions._WINDOW": 3, "newest_sessions._FEW_KINDS": 2}


def records(dice: Random) -> Iterator[Interception]:
    """Sessions of a moment, of a day and of years, with breaks; two people have the same ids, and calls go on."""
    for number in range(30):
        begin = dice.randrange(len(MOMENTS))
        reach = dice.choice([0, 1, 3, 3, len(MOMENTS)])
        for _ in range(dice.randint(1, 6)):
            at = MOMENTS[min(begin + dice.randint(0, reach), len(MOMENTS) - 1)].timestamp()
            yield interception(
                at,
                dice.choice([1.0, 1.0, 1.0, None]),
                initiator_id=dice.choice([ANN, BEN]),
                model=dice.choice("aaaabc"),
                client=dice.choice(["Codex", "Unknown", None]),
                client_session_id=f"s{number}",
                user_prompts=[prompt("go on", at)] if dice.random() < 0.4 else [],
            )


def asked(dice: Random) -> Filter:
    after, before = (dice.choice(MOMENTS) + timedelta(microseconds=dice.randint(-1, 1)) for _ in range(2))
    return Filter(
        initiator_id=dice.choice([None, None, ANN]),
        model=dice.choice([None, None, "a", "b", "nobody's"]),
        client=dice.choice([None, None, None, "Unknown"]),
        started_after=dice.choice([None, None, min(after, before)]),
        started_before=dice.choice([None, max(after, before)]),
        ended=dice.random() < 0.5,
    )


def meant(row: dict[str, Any], filter: Filter) -> bool:
    at = datetime.fromisoformat(row["started_at"])
    return (
        filter.initiator_id in (None, row["initiator_id"])
        and filter.model in (None, row["model"])
        and filter.client in (None, row["client"] or "Unknown")
        and (filter.started_after is None or at >= filter.started_after)
        and (filter.started_before is None or at <= filter.started_before)
        and (row["ended_at"] is not None or not filter.ended)
    )


def found_by_looking(database: Database) -> tuple[list[dict[str, Any]], dict[tuple[str, str], str]]:
    """Every interception, and when each session was last active."""
    names = ("id", "session_id", "initiator_id", "model", "client", "started_at", "ended_at")
    sql = f"SELECT {', '.join(names)} FROM aibridge_interceptions"
    calls = [dict(zip(names, map(_text, row), strict=True)) for row in rows(database, sql)]
    prompted = {str(row[0]) for row in rows(database, "SELECT interception_id FROM aibridge_user_prompts")}
    active: dict[tuple[str, str], tuple[bool, str]] = {}
    for call in sorted(calls, key=lambda call: str(call["started_at"])):
        key = call["session_id"], call["initiator_id"]
        if call["ended_at"] is not None and (call["id"] in prompted or key not in active):
            active[key] = call["id"] in prompted, call["started_at"]
    return calls, {key: at for key, (_, at) in active.items()}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


@pytest.mark.parametrize("seed", range(3))
def test_any_page_is_what_looking_at_all_gives(
    recording: Recording, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that began before the end of a span and went on for a year after it too, in their places."""
    dice = Random(seed)
    made = list(records(dice))
    recording.batch(*made[::2])
    recording.batch(*made[1::2])
    calls, active = found_by_looking(recording.database)
    for _ in range(60):
        wanted = asked(dice)
        for name, limit in LIMITS.items():
            monkeypatch.setattr(f"aitap.storage.{name}", dice.choice([0, limit, 1000]))
        for name in ("_RARE", "_NARROW"):
            monkeypatch.setattr(f"aitap.storage.session_filters.{name}", dice.choice([1, 4, 1000]))
        matching = [call for call in calls if meant(call, wanted)]
        keys = {(call["session_id"], call["initiator_id"]) for call in matching if call["ended_at"] is not None}
        sessions = sorted(keys, key=lambda key: (active[key], *key), reverse=True)
        limit, offset = dice.randint(1, 9), dice.choice([0, 0, 4])
        page = queries.list_sessions(recording.database, wanted, limit=limit, offset=offset)
        assert [key_of(one) for one in page] == sessions[offset : offset + limit], wanted
        whole = sorted(matching, key=lambda call: (call["started_at"], call["id"]), reverse=True)
        listed = queries.list_interceptions(recording.database, wanted, limit=limit, offset=offset)
        assert [one["id"] for one in listed] == [call["id"] for call in whole[offset : offset + limit]], wanted
        if wanted.initiator_id is not None:
            place = dice.randrange(len(active))
            mine = sorted((key for key in active if key[1] == ANN), key=lambda key: (active[key], *key), reverse=True)
            cursor = mine[place % len(mine)]
            page = queries.list_sessions(recording.database, wanted, limit=limit, after_id=cursor[0])
            rest = [key for key in sessions if (active[key], *key) < (active[cursor], *cursor)]
            assert [key_of(one) for one in page] == rest[:limit], (wanted, cursor)


def key_of(session: dict[str, Any]) -> tuple[str, str]:
    return session["id"], session["initiator"]["id"]


def test_a_session_of_a_year_stands_where_it_was_last_active(recording: Recording) -> None:
    """It is on the page of those that began before a moment half a year ago, before all that were over by then."""
    begin, middle, end = (NEW_YEAR.timestamp() + 86400 * days for days in (-300, -150, 60))
    recording.batch(
        *(interception(at, client_session_id="long", user_prompts=[prompt("go on", at)]) for at in (begin, end)),
        interception(middle - 60, client_session_id="before"),
        interception(middle + 60, client_session_id="since"),
    )
    until = Filter(started_before=datetime.fromtimestamp(middle, UTC))
    found = queries.list_sessions(recording.database, until, limit=5)
    assert [one["last_active_at"] for one in found] == [wire_time(timestamp_text(at)) for at in (end, middle - 60)]
