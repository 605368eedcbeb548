"""A new price book reaches what is recorded, and every sum that hangs on it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aitap.prices.own_prices import own_prices
from aitap.prices.pricing import Prices
from aitap.storage.daily import KEY, sums_of_rows
from aitap.storage.database import transaction
from aitap.storage.filters import Filter
from aitap.storage.reprice import reprice
from aitap.storage.retention import prune
from aitap.storage.sessions import rebuild
from aitap.storage.unpriced import unpriced
from aitap.storage.usage import usage
from aitap.storage.writer import Writer
from tests.storage.making import T0, Recording, database_in, everything, interception, rows, tokens
from tests.storage.test_daily import months, stored

DAY = 86400.0


def prices(**by_model: float | None) -> Prices:
    """A book in which a million tokens of these models cost so much, in and out."""
    found = [
        {"model": model, "input": price, "output": price} for model, price in by_model.items() if price is not None
    ]
    return Prices(own_prices(found))


OLD, NEW = prices(cheap=1, dear=10), prices(cheap=2, dear=10, late=3)


def fill(recording: Recording) -> None:
    """15 tokens each: three models, one without a price."""
    recording.writer.close()
    recording.writer = Writer(recording.database, flush_interval=60.0, prices=OLD)
    recording.writer.start()
    recording.batch(
        *(
            interception(
                T0 + day * DAY, model=model, client_session_id="s", provider_name="own", token_usages=[tokens()]
            )
            for day in range(3)
            for model in ("cheap", "dear", "late")
        )
    )


def run(recording: Recording, new: Prices, **options: Any) -> dict[str, int]:
    *_, last = reprice(recording.database, new, **options)
    return msgspec.to_builtins(last)


def test_costs_are_written_with_the_version_that_made_them(recording: Recording) -> None:
    fill(recording)
    found = rows(recording.database, "SELECT DISTINCT cost_micros, price_book FROM aibridge_token_usages ORDER BY 1")
    assert sorted(found, key=repr) == [(15, OLD.version), (150, OLD.version), (None, OLD.version)]
    [session] = rows(recording.database, "SELECT cost_micros, unpriced FROM aitap_sessions")
    assert session == (495, 3)
    assert usage(recording.database, Filter(), [])[1]["cost_micros"] == 495


def test_what_changes_changes_everywhere(recording: Recording) -> None:
    fill(recording)
    assert run(recording, NEW) == {
        "interceptions": 9,
        "usages": 9,
        "changed": 6,
        "before_micros": 495,
        "after_micros": 675,
        "unpriced_before": 3,
        "unpriced_after": 0,
    }
    assert rows(recording.database, "SELECT cost_micros, unpriced FROM aitap_sessions") == [(675, 0)]
    assert stored(recording.database) == sums_of_rows(recording.database, KEY, "1 = 1", ())
    assert usage(recording.database, Filter(), ["model", "month"])[1]["cost_micros"] == 675
    books = (
        "SELECT DISTINCT price_book FROM aibridge_token_usages c "
        "JOIN aibridge_interceptions i ON i.id = interception_id WHERE model = "
    )
    assert rows(recording.database, books + "'cheap'") == [(NEW.version,)]
    assert rows(recording.database, books + "'dear'") == [(OLD.version,)]


def test_a_price_that_was_withdrawn_is_unknown_again(recording: Recording) -> None:
    fill(recording)
    run(recording, prices(dear=10))
    assert rows(recording.database, "SELECT cost_micros, unpriced FROM aitap_sessions") == [(450, 6)]
    assert stored(recording.database) == sums_of_rows(recording.database, KEY, "1 = 1", ())


def test_a_dry_run_says_the_same_and_writes_nothing(recording: Recording) -> None:
    fill(recording)
    before = everything(recording.database)
    dry = run(recording, NEW, dry_run=True)
    assert everything(recording.database) == before
    assert run(recording, NEW) == dry


def test_since_leaves_what_is_older(recording: Recording) -> None:
    fill(recording)
    assert run(recording, NEW, since=T0 + DAY)["interceptions"] == 6
    assert usage(recording.database, Filter(), [])[1]["cost_micros"] == 495 + 2 * 15 + 2 * 45
    assert stored(recording.database) == sums_of_rows(recording.database, KEY, "1 = 1", ())


def test_many_steps_come_to_an_end_and_miss_none(recording: Recording) -> None:
    """Also where hundreds started at one moment."""
    recording.batch(*(interception(T0, model="late", token_usages=[tokens(), tokens()]) for _ in range(450)))
    steps = [msgspec.structs.replace(step) for step in reprice(recording.database, NEW)]
    assert [step.interceptions for step in steps] == [200, 400, 450]
    assert steps[-1].changed == 900


def test_the_sums_of_what_is_gone_keep_what_was_known(recording: Recording) -> None:
    fill(recording)
    prune(recording.database, T0 + DAY / 2)
    run(recording, NEW)
    assert usage(recording.database, Filter(), [])[1]["cost_micros"] == (15 + 150) + 2 * (30 + 150 + 45)


def test_what_has_no_price_is_listed_with_the_reason(recording: Recording) -> None:
    fill(recording)
    recording.batch(
        interception(T0, provider_name="own", model="silent"),
        interception(T0, provider_name="own", model="dear", token_usages=[tokens(metadata={"partial": True})]),
    )
    found = unpriced(recording.database, Filter(), OLD)
    assert [(row["model"], row["unpriced"], row["unmetered"], row["reason"]) for row in found] == [
        ("late", 3, 0, "no list price for this provider"),
        ("dear", 1, 0, "its counters are not final: the stream was cut"),
        ("silent", 0, 1, "the provider told no tokens"),
    ]
    assert found[0]["last_day"] == "2026-11-20"
    assert "aitap reprice" in unpriced(recording.database, Filter(model="late"), NEW)[0]["reason"]
    prune(recording.database, T0 + 9 * DAY)
    assert unpriced(recording.database, Filter(model="late"), OLD)[0]["reason"] is None


BOOK = st.fixed_dictionaries({model: st.sampled_from([None, 0, 1, 2.5]) for model in ("cheap", "dear")})


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.sampled_from(["cheap", "dear"]), st.integers(0, 40), st.sampled_from("st")),
            st.tuples(st.just("reprice"), BOOK, st.integers(0, 40)),
        ),
        max_size=10,
    )
)
def test_sums_are_those_of_the_rows_after_any_number_of_books(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(database_in(Path(folder)))
        for name, *arguments in steps:
            if name == "write":
                model, day, session = arguments
                record = interception(T0 + day * DAY, model=model, client_session_id=session, token_usages=[tokens()])
                OLD.fill([record])
                recording.batch(record)
            else:
                book, day = arguments
                run(recording, prices(**book), since=T0 + day * DAY)
        recording.writer.close()
        database = recording.database
        assert stored(database) == sums_of_rows(database, KEY, "1 = 1", ())
        assert sum(sums[-1] for sums in months(database).values()) == sum(
            sums[-1] for sums in stored(database).values()
        )
        kept = rows(database, "SELECT * FROM aitap_sessions ORDER BY 1, 2")
        with transaction(database):
            rebuild(database, [(row[0], row[1]) for row in kept])
        assert rows(database, "SELECT * FROM aitap_sessions ORDER BY 1, 2") == kept
        database.close()
