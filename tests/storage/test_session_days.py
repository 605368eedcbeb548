"""Sessions that are counted by day, and the answers that come of it, are what looking at each gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any

from aitap.storage import queries
from aitap.storage.checks import problems
from aitap.storage.database import execute_many, transaction
from aitap.storage.erasure import erase_session, erase_user
from aitap.storage.queries import Filter
from aitap.storage.retention import prune
from tests.storage.making import ANN, BEN, Recording, interception, rows

MIDNIGHT = datetime(2026, 11, 18, tzinfo=UTC)
MOMENTS = [
    MIDNIGHT + timedelta(days=day, microseconds=micros)
    for day in (-1, 0, 1, 2)
    for micros in (-1, 0, 1, 43_200_000_000)
]


def some(dice: Random, number: int, **fields: Any) -> Any:
    return interception(
        dice.choice(MOMENTS).timestamp(),
        initiator_id=dice.choice([ANN, BEN]),
        model=dice.choice(["a", "b", "c"]),
        client=dice.choice(["Codex", "Unknown", None]),
        client_session_id=f"s{number % 9}",
        **fields,
    )


def test_sessions_that_begin_and_end_around_midnight_are_counted_once(recording: Recording) -> None:
    """To the microsecond, since a moment, until one, or whenever; of several kinds, of which not all match."""
    dice = Random(11)
    recording.batch(*(some(dice, number) for number in range(40)))
    sql = "SELECT session_id, initiator_id, model, client, started_at FROM aibridge_interceptions"
    found = rows(recording.database, sql)
    known = [(*row[:3], row[3] or "Unknown", datetime.fromisoformat(row[4])) for row in found]
    for model, client, moment, since in product((None, "a"), (None, "Unknown"), MOMENTS, (True, False)):
        asked = Filter(
            model=model,
            client=client,
            started_after=moment if since else None,
            started_before=None if since else moment,
        )
        fits = {
            row[:2]
            for row in known
            if model in (None, row[2])
            and client in (None, row[3])
            and (row[4] >= moment if since else row[4] <= moment)
        }
        assert queries.count_sessions(recording.database, asked) == len(fits), asked
    assert queries.count_sessions(recording.database, Filter(client="Unknown")) == len(
        {row[:2] for row in known if row[3] == "Unknown"}
    )


def test_days_are_in_step_whatever_comes_and_goes(recording: Recording) -> None:
    """A session gets further kinds and days in later batches, begins earlier than it was known to, loses its oldest."""
    dice = Random(12)
    for _ in range(4):
        recording.batch(*(some(dice, dice.randrange(9)) for _ in range(12)))
        assert problems(recording.database) == []
    for moment in MOMENTS[3::4]:
        prune(recording.database, moment.timestamp())
        assert problems(recording.database) == []
    list(erase_user(recording.database, ANN))
    assert problems(recording.database) == []
    prune(recording.database, MOMENTS[-1].timestamp() + 1)
    assert rows(recording.database, "SELECT * FROM aitap_session_days") == []


def test_what_is_left_of_a_session_goes_from_its_days_too(recording: Recording) -> None:
    """Somebody deleted the interceptions by hand; who erases the session takes what still counts it."""
    dice = Random(13)
    recording.batch(*(some(dice, number) for number in range(20)))
    database = recording.database
    [(session, user)] = rows(database, "SELECT session_id, initiator_id FROM aitap_sessions ORDER BY 1, 2 LIMIT 1")
    before = queries.count_sessions(database, Filter())
    with transaction(database):
        gone = "DELETE FROM aibridge_interceptions WHERE session_id = ? AND initiator_id = ?"
        execute_many(database, gone, [(session, str(user))])
    list(erase_session(database, session, str(user)))
    assert queries.count_sessions(database, Filter()) == before - 1
    assert not any("aitap_session_days" in line for line in problems(database))
