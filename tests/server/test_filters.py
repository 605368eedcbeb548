"""Any combination of filters finds what a plain look at every row finds."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from aitap.access.identity import user_id
from aitap.record import Interception, new_id
from aitap.storage.database import open_database, rows_of
from aitap.storage.users import add_user
from tests.export import sample
from tests.server.conftest import Serve
from tests.server.site import Site
from tests.storage.making import interception, prompt, tokens

T0 = 1_795_000_000.0
PEOPLE = ("ann", "ben", "räv+1")
MODELS = ("m", "m-large", "M", "model with spaces", 'quo"ted', "back\\slash", "ein:zwei", "%", "_")
CLIENTS = (None, "Unknown", "Codex", "Claude Code", "claude code")
PROVIDERS = (("anthropic", "anthropic"), ("openai", "openai"), ("openai", "together"), ("bedrock", "eu"))
COMBINATIONS = 500  # on each of the two databases


def _records(dice: random.Random, count: int = 160) -> list[Interception]:
    found = []
    for _ in range(count):
        provider, provider_name = dice.choice(PROVIDERS)
        at = T0 + dice.randrange(60) * 60
        found.append(
            interception(
                at,
                dice.choice((None, 1.0, 1.0, 1.0, 30.0)),
                id=new_id(),
                initiator_id=user_id(dice.choice(PEOPLE)),
                provider=provider,
                provider_name=provider_name,
                model=dice.choice(MODELS),
                client=dice.choice(CLIENTS),
                client_session_id=dice.choice((None, "s1", "s2", "s3")),
                user_prompts=[prompt("hi", at)] if dice.random() < 0.5 else [],
                token_usages=[tokens()],
            )
        )
    return found


def _moment(dice: random.Random) -> str:
    return datetime.fromtimestamp(T0 + dice.randrange(-5, 65) * 60, UTC).isoformat().replace("+00:00", "Z")


def _question(dice: random.Random) -> dict[str, str]:
    provider, provider_name = dice.choice(PROVIDERS)
    values = {
        "initiator": dice.choice((*PEOPLE, user_id(PEOPLE[0]), user_id("nobody"))),
        "provider": provider,
        "provider_name": provider_name,
        "model": dice.choice((*MODELS, "none")),
        "client": dice.choice((*(client for client in CLIENTS if client), "none")),
        "session_id": dice.choice(("s1", "s2", "s3", "none")),
        "started_after": _moment(dice),
        "started_before": _moment(dice),
    }
    found = {key: values[key] for key in values if dice.random() < 0.25}
    if found.get("started_before", "9") <= found.get("started_after", "0"):
        del found["started_after"]
    return found


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _as_q(question: dict[str, str]) -> str:
    return " ".join(f"{key}:{_quoted(value)}" for key, value in question.items())


def _fits(row: dict[str, Any], question: dict[str, str], people: dict[str, str]) -> bool:
    who = question.get("initiator")
    return (
        row["ended_at"] is not None
        and who in (None, row["initiator_id"], people[row["initiator_id"]])
        and all(question.get(key, row[key]) == row[key] for key in ("provider", "provider_name", "model", "session_id"))
        and question.get("client") in (None, row["client"] or "Unknown")
        and question.get("started_after", "0") <= row["started_at"].replace(" ", "T")[:19] + "Z"
        and question.get("started_before", "9") >= row["started_at"].replace(" ", "T")[:19] + "Z"
    )


def _rows(site: Site, table: str, *columns: str) -> list[dict[str, Any]]:
    with site.database() as database:
        found = rows_of(database, f"SELECT {', '.join(columns)} FROM {table}")
    return [dict(zip(columns, row, strict=True)) for row in found]


def test_a_thousand_combinations_agree_with_a_look_at_every_row(url: str, serve: Serve) -> None:
    dice = random.Random(20261120)
    sample.write(url, _records(dice))
    database = open_database(url)
    for name in PEOPLE:
        add_user(database, user_id(name), name)
    database.close()
    site = serve()
    people = {user_id(name): name for name in PEOPLE}
    columns = ("id", "initiator_id", "provider", "provider_name", "model", "client", "session_id", "started_at")
    rows = _rows(site, "aibridge_interceptions", *columns, "ended_at")
    rows.sort(key=lambda row: (row["started_at"], row["id"]), reverse=True)
    order = ("last_active_at", "session_id", "initiator_id")
    sessions = [tuple(row.values()) for row in _rows(site, "aitap_sessions", *order)]
    sizes = set()
    for _ in range(COMBINATIONS):
        question, limit = _question(dice), dice.choice((1, 7, 1000))
        asked = {"q": _as_q(question)} if dice.random() < 0.5 else dict(question)
        fits = [row for row in rows if _fits(row, question, people)]
        found = site.list("interceptions", limit=limit, **asked)
        assert [one["id"] for one in found["results"]] == [row["id"] for row in fits][:limit], question
        assert found["count"] == len(fits), question
        theirs = {(row["session_id"], row["initiator_id"]) for row in fits}
        expected = sorted((one for one in sessions if one[1:] in theirs), reverse=True)
        found = site.list("sessions", limit=limit, **asked)
        assert [(one["id"], one["initiator"]["id"]) for one in found["sessions"]] == [
            (one[1], one[2]) for one in expected
        ][:limit], question
        assert found["count"] == len(expected), question
        if "model" not in question:
            assert site.list("models", **asked) == sorted({row["model"] for row in fits}), question
        if limit == 7:
            by = dice.choice(("model", "client", "provider_name"))
            usage = site.list("usage", by=by, **asked)
            calls = {row[by]: row["interceptions"] for row in usage["rows"]}
            assert calls == Counter(row[by] or "Unknown" for row in fits), question
            assert usage["total"]["input_tokens"] == (10 * len(fits) or None), question
        sizes.add(len(fits))
    assert len(sizes) > 20
