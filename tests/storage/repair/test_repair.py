"""Whatever somebody did to what is kept beside the interceptions: a check tells, a repair makes it what it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from peewee import Database

from aitap.storage import usage
from aitap.storage.audit import Reader, list_readings
from aitap.storage.checks import findings, problems
from aitap.storage.database import open_database, transaction
from aitap.storage.filters import Filter
from aitap.storage.queries import list_interceptions, list_sessions
from aitap.storage.repair import session_rows
from aitap.storage.repair.differences import add
from aitap.storage.repair.repair import Repaired, repair
from aitap.storage.repair.usage import _OF_CALLS, _OF_MONTHS, _spread
from aitap.storage.retention import prune
from aitap.storage.rows import CHILDREN, Shape
from aitap.storage.sessions import rebuild, summed_up
from aitap.storage.usage_models import COUNTS, KEYS
from aitap.storage.writer import Writer
from tests import postgres
from tests.storage.evidence.conftest import Look, look, message, sealed
from tests.storage.making import (
    ANN,
    BEN,
    T0,
    Recording,
    database_in,
    everything,
    interception,
    prompt,
    rows,
    thought,
    tokens,
    tool,
)

__all__ = ["look", "sealed"]

DAY = 86400.0
DOER = Reader(user_id=ANN, api_key_id=None, address="host", path="aitap db check", query="")
CHANGES = ("aitap_audit", "aitap_changes", "users", "aitap_kinds_id_seq")
SESSIONS = "SELECT session_id, CAST(initiator_id AS TEXT) FROM aitap_sessions"
OTHER = "33333333-3333-7333-8333-333333333333"


def fill(database: Database) -> None:
    """Two people, 40 days in two months, some kinds of everything; the first days are gone with the retention."""
    recording = Recording(database)
    asked = message("hi")
    said = message("hello", asked.digest, "assistant")
    for number in range(24):
        at = T0 - 40 * DAY + number * 1.7 * DAY
        recording.writer.submit(
            interception(
                at,
                initiator_id=(ANN, BEN)[number % 2],
                client_session_id=f"s-{number // 6}",
                client=("Codex", None)[number % 3 == 0],
                model=f"m-{number % 5}",
                outcome="failed" if number % 7 == 0 else "completed",
                metadata={"agent": "sub"} if number % 11 == 0 else {},
                user_prompts=[prompt(f"prompt {number}", at), prompt("same moment", at)],
                token_usages=[tokens(f"r{number}", at, cost_micros=number * 3 or None)],
                tool_usages=[tool(f"call {number}", at=at)],
                model_thoughts=[thought("hm", at)],
                request_digest=asked.digest,
                response_digest=said.digest,
                contents=[asked, said],
            )
        )
    recording.writer.submit(interception(T0, None))
    assert recording.writer.flush(60)
    recording.writer.close()
    assert prune(database, T0 - 33 * DAY) == 5
    # A session names models that only what is gone used: that is no problem, and nothing to be brought back.
    assert problems(database) == []
    with transaction(database):
        rebuild(database, [(session, initiator) for session, initiator in rows(database, SESSIONS)])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for all damages: each is repaired to what was before."""
    if request.param == "sqlite":
        database: Database = database_in(tmp_path_factory.mktemp("filled"))
    else:
        url = postgres.fresh()
        database = open_database(url)
    fill(database)
    yield database
    database.close()
    if request.param == "postgresql":
        postgres.drop(url)


@pytest.fixture
def sound(filled: Database) -> Database:
    return filled


def kept(database: Database) -> dict[str, Any]:
    """All that there is, but for who did what; and what lists and reports make of it."""
    found: dict[str, Any] = {name: held for name, held in everything(database).items() if name not in CHANGES}
    # Of what is gone with the retention a kind stays, for nothing.
    found["aitap_kinds"] = rows(database, "SELECT * FROM aitap_kinds WHERE interceptions > 0 ORDER BY id")
    found["sessions"] = list_sessions(database, Filter(), limit=100)
    found["of one"] = list_sessions(database, Filter(model="m-1", client="Codex"), limit=100)
    found["interceptions"] = list_interceptions(database, Filter(provider="anthropic"), limit=100)
    found["usage"] = usage.usage(database, Filter(), ["day", "model"])
    found["year"] = usage.usage(database, Filter(), ["month", "user"])
    return found


def repaired(database: Database) -> Repaired:
    """How a repair ended."""
    *_, last = repair(database, list(findings(database)), DOER)
    return last


def orphan(shape: Shape) -> tuple[str, str]:
    """A copy of some child whose interception is not there."""
    table = shape.model._meta.table_name
    values = ", ".join(f"'{OTHER}'" if name in ("id", "interception_id") else name for name in shape.names)
    return table, f"INSERT INTO {table} ({', '.join(shape.names)}) SELECT {values} FROM {table} LIMIT 1"


COUNTED = ", ".join(COUNTS)
NOBODYS = message("of nobody")
DAMAGES = {
    "deleted": {
        "aitap_kinds": "DELETE FROM aitap_kinds",
        "aitap_kind_days": "DELETE FROM aitap_kind_days",
        "aitap_session_kinds": "DELETE FROM aitap_session_kinds",
        "aitap_session_days": "DELETE FROM aitap_session_days WHERE asked < 9",
        "aitap_sessions": "DELETE FROM aitap_sessions",
        "aitap_daily_models": "DELETE FROM aitap_daily_models",
        "aitap_monthly_totals": "DELETE FROM aitap_monthly_totals",
        "aitap_monthly_users": "DELETE FROM aitap_monthly_users",
    },
    "changed": {
        "aitap_kinds": "UPDATE aitap_kinds SET interceptions = 2 * interceptions + 1",
        "aitap_kind_days": "UPDATE aitap_kind_days SET interceptions = 2 * interceptions",
        "aitap_session_kinds": "UPDATE aitap_session_kinds SET interceptions = 9",
        "aitap_session_days": "UPDATE aitap_session_days SET ended = ended + 7",
        "aitap_sessions": "UPDATE aitap_sessions SET interceptions = 0",
        **{
            table: f"UPDATE {table} SET interceptions = {place} * interceptions, cost_micros = 0, output_tokens = 1"
            for place, table in enumerate(KEYS)
            if table != "aitap_daily_usage"
        },
    },
    "added": {
        "aitap_kind_days": (
            "INSERT INTO aitap_kind_days (kind_id, day, interceptions) SELECT kind_id, day + 1000, 1 "
            "FROM aitap_kind_days"
        ),
        "aitap_session_kinds": (
            "INSERT INTO aitap_session_kinds SELECT session_id, initiator_id, kind_id + 99, 0, first_at, last_at, "
            "active_at FROM aitap_session_kinds"
        ),
        "aitap_session_days": (
            "INSERT INTO aitap_session_days (asked, provider, provider_name, model, client, day, began, ended) "
            "VALUES (4, '', '', 'none', '', 3, 1, 0)"
        ),
        "aitap_sessions": (
            "INSERT INTO aitap_sessions (session_id, initiator_id, providers, models, started_at, last_active_at, "
            "interceptions, threads, prompts, tool_calls, errors, input_tokens, output_tokens, "
            "cache_read_input_tokens, cache_write_input_tokens) SELECT 'copy', initiator_id, providers, models, "
            "started_at, last_active_at, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM aitap_sessions WHERE session_id = 's-1'"
        ),
        "aitap_monthly_users": (
            f"INSERT INTO aitap_monthly_users (month, initiator_id, {COUNTED}) SELECT '1999-01', initiator_id, "
            f"{COUNTED} FROM aitap_monthly_users WHERE month = '2026-11'"
        ),
        "aitap_messages": (
            "INSERT INTO aitap_messages (digest, role, content, bytes, created_at) SELECT "
            f"'{NOBODYS.digest}', role, '{NOBODYS.content}', {len(NOBODYS.content)}, created_at FROM aitap_messages "
            "WHERE parent_digest IS NULL"
        ),
        **dict(map(orphan, CHILDREN.values())),
    },
    "kinds null": {"aibridge_interceptions": "UPDATE aibridge_interceptions SET kind_id = NULL"},
    "kinds mixed up": {
        "aibridge_interceptions": "UPDATE aibridge_interceptions SET kind_id = 2",
        "aitap_session_kinds": "UPDATE aitap_session_kinds SET active_at = NULL",
        "aitap_sessions": "UPDATE aitap_sessions SET client = 'Nobody', prompts = prompts + 1, providers = '[]'",
        "aitap_daily_usage": "DELETE FROM aitap_daily_usage",
    },
    "kinds not there": {
        "aibridge_interceptions": "UPDATE aibridge_interceptions SET kind_id = 4711 + kind_id",
        "aitap_session_kinds": "UPDATE aitap_session_kinds SET first_at = '2020-01-01 00:00:00.000000+00:00'",
        "aitap_sessions": "UPDATE aitap_sessions SET last_prompt = 'what nobody said'",
        "aitap_daily_usage": "UPDATE aitap_daily_usage SET cost_micros = cost_micros + 1 WHERE day > '2026-11'",
    },
    "less": {
        "aitap_daily_usage": "UPDATE aitap_daily_usage SET interceptions = 0, output_tokens = 1 WHERE day > '2026-11'",
        "aitap_sessions": "UPDATE aitap_sessions SET last_active_at = '2020-01-01 00:00:00.000000+00:00'",
        # Of what is gone with the retention.
        "aitap_monthly_usage": "DELETE FROM aitap_daily_usage WHERE day < '2026-10-15'",
    },
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_was_damaged_is_told_and_made_what_it_was(sound: Database, name: str) -> None:
    before = kept(sound)
    for damage in DAMAGES[name].values():
        rows(sound, damage)
    told = list(findings(sound))
    assert {problem.table for problem in told} >= DAMAGES[name].keys()
    assert all("`aitap db check --repair` " in str(problem) for problem in told)
    assert repaired(sound).left == []
    assert kept(sound) == before


def test_who_repaired_what_is_on_record_and_who_found_nothing_did_nothing(sound: Database) -> None:
    rows(sound, "DELETE FROM aitap_audit")
    *_, last = repair(sound, list(findings(sound)), DOER)
    assert last == Repaired()
    assert list_readings(sound) == []
    rows(sound, "UPDATE aitap_kinds SET interceptions = 7 WHERE id = 2")
    repaired(sound)
    [line] = list_readings(sound)
    assert (line["action"], line["reader_id"], line["detail"]) == ("records.repair", ANN, {"found": {"aitap_kinds": 1}})


def test_a_repair_that_was_cut_off_is_gone_on_with(sound: Database) -> None:
    before = kept(sound)
    for table in ("aitap_kinds", "aitap_session_kinds", "aitap_sessions", "aitap_daily_totals", "aitap_kind_days"):
        rows(sound, f"DELETE FROM {table}")
    for steps in range(1, 4):
        cut = repair(sound, list(findings(sound)), DOER)
        for _ in range(steps):
            next(cut)
        cut.close()
    repaired(sound)
    assert kept(sound) == before


def test_a_session_that_goes_on_while_it_is_looked_at_loses_nothing(
    sound: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of it is not written over what a writer has added since."""
    recording = Recording(sound)
    more = iter(range(5))

    def read(database: Database, keys: Any) -> Any:
        found = summed_up(database, keys)
        for number in more:
            recording.batch(interception(T0 + number, client_session_id="s-3", token_usages=[tokens()]))
            break
        return found

    rows(sound, "UPDATE aitap_sessions SET tool_calls = 99")
    monkeypatch.setattr(session_rows, "summed_up", read)
    assert repaired(sound).left == []
    recording.writer.close()
    assert next(more, None) is None
    assert problems(sound) == []


def test_a_repair_beside_a_writer_leaves_all_right(sound: Database) -> None:
    """All sums wrong, and more of everything coming in."""
    writer = Writer(sound, flush_interval=0.0)
    writer.start()
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set() and number < 500:
            at = T0 + number
            writer.submit(
                interception(at, client_session_id=f"s-{number % 9}", model=f"m-{number % 7}", token_usages=[tokens()])
            )
            writer.flush(20)
            number += 1

    for table in ("aitap_kinds", "aitap_session_kinds", "aitap_session_days", "aitap_sessions", "aitap_kind_days"):
        rows(sound, f"DELETE FROM {table}")
    rows(sound, "UPDATE aitap_daily_usage SET interceptions = 0")
    rows(sound, "DELETE FROM aitap_monthly_totals")
    writing = threading.Thread(target=write)
    writing.start()
    try:
        repaired(sound)
    finally:
        done.set()
        writing.join()
        assert writer.close()
    assert repaired(sound).left == []
    assert problems(sound) == []
    assert writer.stats.lost == 0


def test_what_is_lost_is_told_with_what_to_do(database: Database) -> None:
    """A changed message cannot be made again: nothing is removed that might be what it was."""
    fill(database)
    rows(database, "UPDATE aitap_messages SET parent_digest = NULL, role = 'user'")
    rows(database, "UPDATE aitap_kinds SET interceptions = 0")
    last = repaired(database)
    assert last.rows.keys() == {"aitap_kinds"}
    assert [str(problem).partition(": ")[2] for problem in last.left] == [
        "restore a backup, or remove what refers to it with `aitap erase --session ID`"
    ]
    assert rows(database, "SELECT count(*) FROM aitap_messages") == [(2,)]


def test_interceptions_that_somebody_removed_are_missed_by_the_chain_still(sealed: Recording, look: Look) -> None:
    """A repair makes sums fit what is there; what is there it does not vouch for."""
    database = sealed.database
    rows(database, "UPDATE aibridge_interceptions SET kind_id = NULL")
    rows(database, "DELETE FROM aitap_daily_totals")
    assert repaired(database).left == []
    assert look() == []
    rows(database, "DELETE FROM aibridge_interceptions WHERE outcome = 'completed'")
    told = {problem.record for problem in look()}
    assert len(told) == 2
    assert repaired(database).left == []
    assert {(problem.kind, problem.record) for problem in look()} == {("missing", record) for record in told}
    assert rows(database, "SELECT count(*) FROM aibridge_tool_usages") == [(0,)]


def test_days_are_put_back_as_months_and_totals_tell() -> None:
    """Whose it was on which day is known where it can be but one; the sums of each are in any case."""
    assert _spread({"ann": [3, 30]}, {"1": [1, 10], "2": [2, 20]}) == {("1", "ann"): [1, 10], ("2", "ann"): [2, 20]}
    assert _spread({"ann": [1, 5], "ben": [2, 9]}, {"1": [2, 9], "2": [1, 5]}) == {
        ("2", "ann"): [1, 5],
        ("1", "ben"): [2, 9],
    }
    found = _spread({"ann": [3, 5], "ben": [4, 6]}, {"1": [2, 10], "2": [5, 1]})
    for place, sums in enumerate([{"1": [2, 10], "2": [5, 1]}, {"ann": [3, 5], "ben": [4, 6]}]):
        for name, total in sums.items():
            of = [part for key, part in found.items() if key[place] == name]
            assert [sum(values) for values in zip(*of, strict=True)] == total


def test_what_was_put_back_of_days_is_not_made_up_for_somebody_who_was_erased(sound: Database) -> None:
    """Between a look and the repair of what was found a person may go."""
    lacking = [("2026-10-12", OTHER, "p", "p", "m", "", "conversation", "centralized", *([1] * 12))]
    before = kept(sound)
    add(sound, _OF_CALLS, lacking)
    add(sound, _OF_MONTHS, lacking)
    assert kept(sound) == before
