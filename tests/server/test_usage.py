"""``GET /usage`` tells what ``aitap usage`` tells, to each of what they may see."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from aitap.access.identity import user_id
from aitap.export.cli import main
from aitap.server.schemas import SCHEMAS
from aitap.storage.audit import list_readings
from aitap.storage.usage import BY
from tests.export import sample
from tests.server.site import LISTS, Site


def command(site: Site, *options: str) -> str:
    done = CliRunner().invoke(main, ["usage", "--database-url", site.url, *options])
    assert done.exit_code == 0, done.output
    return done.stdout_bytes.decode()


QUESTIONS: list[dict[str, str]] = [
    {},
    {"by": "day,model"},
    {"by": "Month, provider-name,month"},
    {"by": ",".join(BY)},
    {"by": "client", "provider": "anthropic"},
    {"by": "week", "started_after": "1h"},
    {"by": "credential_kind", "q": "client:Codex"},
    {"by": "purpose", "session_id": sample.CLAUDE_SESSION},
    {"by": "model", "model": "none"},
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.get("by", "model"))
def test_it_is_what_the_command_line_tells(shared: Site, question: dict[str, str]) -> None:
    options = [word for key, value in question.items() for word in (_option(key), value)]
    told = json.loads(command(shared, "--json", *options))
    found = shared.list("usage", **question)
    for row in told["rows"]:
        if "user" in row:
            row["user"] = {name: text or "" for name, text in row["user"].items()}
    assert found == told
    csv = shared.get(f"{LISTS}/usage", format="csv", **question)
    assert (csv.status, csv.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert csv.data.decode() == command(shared, "--csv", *options)


def _option(key: str) -> str:
    return "-q" if key == "q" else f"--{key.replace('_', '-')}"


def test_a_full_answer_is_as_the_schema_says(shared: Site) -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    whole = {"$ref": "#/components/schemas/Usage", "components": {"schemas": SCHEMAS}}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    assert [str(error) for error in validator.iter_errors(shared.list("usage", by=",".join(BY)))] == []


def test_a_user_sees_what_they_used_and_an_auditor_all(guarded: Site) -> None:
    """What is summed up is nobody's prompt: it is not kept who asked."""
    story = sample.Story(1_795_000_000.0)
    for who in ("ann", "ben", "ben"):
        story.call(prompt="hi", initiator_id=user_id(who), client_session_id=who)
    sample.write(guarded.url, story.records)
    keys = {name: guarded.user(name, role) for name, role in (("ann", "user"), ("ben", "user"), ("carol", "auditor"))}

    def users(key: str, **query: Any) -> dict[str, int]:
        rows = guarded.list("usage", key, by="user", **query)["rows"]
        return {row["user"]["username"]: row["interceptions"] for row in rows if row["user"]["username"] in keys}

    assert users(keys["ann"]) == users(keys["ann"], initiator="me") == {"ann": 1}
    assert users(keys["ben"]) == {"ben": 2}
    assert users(keys["carol"]) == {"ann": 1, "ben": 2}
    assert users(keys["carol"], initiator="ann") == {"ann": 1}
    theirs = guarded.get(f"{LISTS}/usage", keys["ann"], initiator="ben", format="csv")
    assert (theirs.status, theirs.json["message"]) == (400, "Invalid AI Gateway usage search query.")
    assert guarded.get(f"{LISTS}/usage", format="csv").status == 401
    with guarded.database() as database:
        assert list_readings(database) == []


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({"by": "modle"}, "by", "did you mean 'model'?"),
        ({"by": ","}, "by", "at least one of"),
        ({"format": "xml"}, "format", "neither json nor csv"),
        ({"limit": "1"}, "limit", "unknown query parameter"),
        ({"q": "colour:red"}, "colour", "unknown search key"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(shared: Site, query: dict[str, str], field: str, words: str) -> None:
    reply = shared.get(f"{LISTS}/usage", **query)
    assert reply.status == 400
    [wrong] = reply.json["validations"]
    assert (wrong["field"], words in wrong["detail"]) == (field, True)
