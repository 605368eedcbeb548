"""The reference's endpoints: what they answer, page by page, and what they say to a wrong question."""

from __future__ import annotations

from typing import Any

import pytest

from tests.export import sample
from tests.server.conftest import Serve
from tests.server.site import LISTS, Site

INTERCEPTION = {
    "id": str,
    "api_key_id": (str, type(None)),
    "initiator": dict,
    "provider": str,
    "provider_name": str,
    "model": str,
    "client": (str, type(None)),
    "metadata": dict,
    "started_at": str,
    "ended_at": str,
    "token_usages": list,
    "user_prompts": list,
    "tool_usages": list,
}
CHILD = {"id": str, "interception_id": str, "provider_response_id": str, "metadata": dict, "created_at": str}
COUNTERS = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens"), int)
TOOL = CHILD | {"server_url": str, "tool": str, "input": str, "injected": bool}


def has_types(record: dict[str, Any], types: dict[str, Any]) -> bool:
    return all(name in record and isinstance(record[name], kind) for name, kind in types.items())


def test_interceptions_have_the_references_fields_and_types(site: Site) -> None:
    answer = site.list("interceptions")
    assert answer["count"] == len(answer["results"]) == 13
    for record in answer["results"]:
        assert has_types(record, INTERCEPTION)
        assert has_types(record["initiator"], dict.fromkeys(("id", "username", "name", "avatar_url"), str))
        assert all(has_types(usage, CHILD | COUNTERS) for usage in record["token_usages"])
        assert all(has_types(prompt, CHILD | {"prompt": str}) for prompt in record["user_prompts"])
        assert all(has_types(tool, TOOL | {"invocation_error": str}) for tool in record["tool_usages"])
    assert any(record["tool_usages"] for record in answer["results"])


def test_what_is_in_flight_is_not_listed(site: Site) -> None:
    assert all(record["ended_at"] for record in site.list("interceptions")["results"])
    assert "in_flight" not in {record["outcome"] for record in site.list("interceptions")["results"]}


def test_the_older_paths_answer_the_same(site: Site) -> None:
    for path in ("interceptions", "sessions", f"sessions/{sample.CLAUDE_SESSION}", "models", "clients", "providers"):
        older, newer = site.get(f"/api/v2/aibridge/{path}"), site.get(f"/api/v2/ai-gateway/{path}")
        assert (older.status, older.data) == (200, newer.data)


@pytest.mark.parametrize(("what", "rows", "cursor"), [
    ("interceptions", "results", "after_id"),
    ("sessions", "sessions", "after_session_id"),
])  # fmt: skip
def test_pages_by_cursor_and_by_offset_are_the_list(site: Site, what: str, rows: str, cursor: str) -> None:
    whole = site.list(what)
    ids = [row["id"] for row in whole[rows]]
    assert whole["count"] == len(ids) > 3
    by_cursor: list[str] = []
    by_offset: list[str] = []
    while len(by_offset) < len(ids):
        page = site.list(what, limit=2, **({cursor: by_cursor[-1]} if by_cursor else {}))
        assert page["count"] == len(ids)
        by_cursor += [row["id"] for row in page[rows]]
        by_offset += [row["id"] for row in site.list(what, limit=2, offset=len(by_offset))[rows]]
    assert by_cursor == by_offset == ids
    assert site.list(what, offset=len(ids))[rows] == []


@pytest.mark.parametrize(
    ("what", "rows", "cursor"),
    [("interceptions", "results", "after_id"), ("sessions", "sessions", "after_session_id")],
)
def test_pages_go_on_where_they_were_while_records_come_in(site: Site, what: str, rows: str, cursor: str) -> None:
    """What was there when one began comes once, in its order; what is newer does not come."""
    whole = [one["id"] for one in site.list(what)[rows]]
    paged: list[str] = []
    while page := site.list(what, limit=1, **({cursor: paged[-1]} if paged else {}))[rows]:
        paged.append(page[0]["id"])
        newer = sample.Story(1_796_000_000.0 + 100 * len(paged))
        newer.call(prompt="news", client_session_id=f"news {len(paged)}")
        sample.write(site.url, newer.records)
    assert paged == whole
    assert site.list(what)["count"] > len(whole)


def test_sessions_sum_up_what_ended(site: Site) -> None:
    found = {session["id"]: session for session in site.list("sessions")["sessions"]}
    codex = found[sample.CODEX_SESSION]
    assert (codex["providers"], codex["models"], codex["client"]) == (["openai"], ["gpt-5.2-codex"], "Codex")
    assert codex["token_usage_summary"] == {
        "input_tokens": 11_431,
        "output_tokens": 2_274,
        "cache_read_input_tokens": 14_336,
        "cache_write_input_tokens": 0,
    }
    assert (codex["threads"], codex["last_prompt"]) == (1, "Übersetze README.md ins Deutsche 🙂")


def test_a_session_without_any_usage_says_that_it_is_not_known(site: Site) -> None:
    found = [one for one in site.list("sessions")["sessions"] if not one["token_usage_known"]]
    assert [one["last_prompt"] for one in found] == ["=cmd|' /C calc'!A0"]
    assert set(found[0]["token_usage_summary"].values()) == {0}


def test_one_session_tells_its_threads(site: Site) -> None:
    session = site.session(sample.CLAUDE_SESSION)
    main, sub, last = session["threads"]
    assert main["prompt"].startswith("The login test fails")
    assert sub["parent_thread"] == main["id"]
    assert last["prompt"].startswith("great, now bump")
    tools = [call["tool"] for action in main["agentic_actions"] for call in action["tool_calls"]]
    assert tools == ["Bash", "Read", "Task", "Edit", "Bash"]
    first = main["agentic_actions"][0]
    assert has_types(first["tool_calls"][0], TOOL)
    assert first["thinking"][0]["text"].startswith("The user wants the failing login test fixed.")
    assert main["token_usage"]["metadata"] == {"thinking_tokens": 240}
    assert session["token_usage_summary"]["metadata"] == {"thinking_tokens": 240}
    assert session["page_started_at"] == main["started_at"]
    listed = next(one for one in site.list("sessions")["sessions"] if one["id"] == sample.CLAUDE_SESSION)
    counters = listed["token_usage_summary"]
    assert {name: session["token_usage_summary"][name] for name in counters} == counters


def test_a_thought_without_a_tool_call_is_shown(filled: str, serve: Serve) -> None:
    """The reference drops it."""
    story = sample.Story(1_795_000_000.0)
    story.call(prompt="why", thoughts=("because",), client_session_id="thoughtful")
    sample.write(filled, story.records)
    (thread,) = serve().session("thoughtful")["threads"]
    assert [action["thinking"] for action in thread["agentic_actions"]] == [[{"text": "because"}]]


def test_threads_come_in_pages_both_ways(site: Site) -> None:
    ids = [thread["id"] for thread in site.session(sample.CLAUDE_SESSION)["threads"]]

    def page(**query: Any) -> list[str]:
        return [thread["id"] for thread in site.session(sample.CLAUDE_SESSION, **query)["threads"]]

    assert page(limit=2) == ids[:2]
    assert page(limit=2, after_id=ids[0]) == ids[1:3]
    assert page(after_id=ids[-1]) == []
    assert page(limit=1, before_id=ids[2]) == ids[1:2]
    assert page(before_id=ids[0]) == []
    whole = site.session(sample.CLAUDE_SESSION)["token_usage_summary"]
    assert site.session(sample.CLAUDE_SESSION, limit=1)["token_usage_summary"] == whole


def test_a_session_is_found_by_an_interception_but_not_by_a_part_of_its_id(site: Site) -> None:
    records = site.list("interceptions", session_id=sample.CODEX_SESSION)["results"]
    assert site.session(records[0]["id"])["id"] == sample.CODEX_SESSION
    assert site.session(records[0]["id"].upper())["id"] == sample.CODEX_SESSION
    assert site.get(f"{LISTS}/sessions/{sample.CODEX_SESSION[:-1]}").status == 404


@pytest.mark.parametrize("session_id", ["a/b", "../x", "ünï cödé ?&#%", "'; DROP TABLE users; --", "a\\b"])
def test_any_session_id_can_be_asked_for(filled: str, serve: Serve, session_id: str) -> None:
    story = sample.Story(1_795_000_000.0)
    story.call(prompt="hi", client_session_id=session_id)
    sample.write(filled, story.records)
    site = serve()
    assert site.session(session_id)["id"] == session_id
    assert site.list("sessions", session_id=session_id)["count"] == 1


def test_a_session_id_that_several_users_have_needs_a_name(filled: str, serve: Serve) -> None:
    story = sample.Story(1_795_000_000.0)
    for initiator in (sample.ME, sample.BOB):
        story.call(prompt="hi", client_session_id="same", initiator_id=initiator)
    sample.write(filled, story.records)
    site = serve()
    assert site.get(f"{LISTS}/sessions/same").json["validations"][0]["field"] == "initiator"
    assert site.session("same", initiator=sample.BOB)["initiator"]["id"] == sample.BOB
    assert "several users" in site.get(f"{LISTS}/sessions", after_session_id="same").json["detail"]
    assert site.get(f"{LISTS}/sessions", after_session_id="same", initiator="me").status == 200


def test_names_are_found_by_their_beginning(site: Site) -> None:
    assert site.list("models") == sorted(site.list("models"))
    assert site.list("models", q="claude-h") == site.list("models", model="claude-h") == ["claude-haiku-4-5-20251001"]
    assert site.list("models", q="CLAUDE") == []
    assert site.list("clients") == ["Claude Code", "Codex", "Unknown"]
    assert site.list("clients", q="C", limit=1, offset=1) == ["Codex"]
    assert site.list("providers") == ["anthropic", "openai", "together"]
    assert site.list("providers", q="to") == site.list("providers", provider_name="to") == ["together"]
    assert site.list("providers", provider="openai") == ["openai", "together"]
    assert site.list("models", provider="openai") == ["gpt-5.2-codex", "meta-llama/Llama-3.3-70B-Instruct-Turbo"]


def test_q_and_parameters_say_the_same(site: Site) -> None:
    for key, value in {
        "initiator": "me",
        "provider": "openai",
        "provider_name": "together",
        "model": "gpt-5.2-codex",
        "client": "Claude Code",
        "session_id": sample.CODEX_SESSION,
        "started_after": "2020-01-01T00:00:00Z",
        "started_before": "1h",
    }.items():
        found = site.list("interceptions", **{key: value})
        assert found == site.list("interceptions", q=f'{key}:"{value}"')
        assert 0 < found["count"] <= 13
    assert site.list("interceptions", q="") == site.list("interceptions")
    assert site.list("interceptions", q="me")["count"] == 11


INVALID = "Query parameters have invalid values."
SEARCH = "Invalid AI Gateway interceptions search query."


@pytest.mark.parametrize(
    ("path", "message", "about"),
    [
        ("sessions?limit=0", "Invalid pagination limit value.", "Pagination limit must be in range (0, 1000]"),
        ("sessions?limit=1001", "Invalid pagination limit value.", "Pagination limit must be in range (0, 1000]"),
        (f"sessions?limit={10**20}", "Invalid pagination limit value.", "Pagination limit must be in range (0, 1000]"),
        (f"sessions?offset={10**20}", "Invalid pagination offset value.", "[0, 100000]"),
        (f"sessions/x?limit={10**20}", "Limit must be between 1 and 200.", None),
        ("sessions?limit=-1", "Invalid pagination limit value.", "Pagination limit must be in range (0, 1000]"),
        ("sessions?limit=ten", INVALID, "limit"),
        ("sessions?limit=1&limit=2", INVALID, "limit"),
        ("sessions?offset=-1", "Invalid pagination offset value.", "[0, 100000]"),
        ("sessions?offset=100001", "Invalid pagination offset value.", "after_session_id"),
        ("sessions?offset=0&after_session_id=x", INVALID, "Cannot use both after_session_id and offset"),
        (
            "sessions?after_session_id=x",
            "Query parameter has invalid value.",
            'after_session_id: session "x" not found',
        ),
        ("interceptions?offset=1&after_id=x", INVALID, "Cannot use both after_id and offset"),
        ("interceptions?after_id=x", INVALID, "after_id"),
        (f"interceptions?after_id={sample.BOB}", "Query parameter has invalid value.", "not found"),
        ("interceptions?initator=me", INVALID, "initator"),
        ("interceptions?model=%00", INVALID, "model"),
        ("interceptions?model=%ff", INVALID, "UTF-8"),
        (f"interceptions?model={'x' * 4097}", INVALID, "model"),
        ("interceptions?q=a:b:c", SEARCH, "can only contain 1 ':'"),
        ("interceptions?q=model:", SEARCH, "q"),
        ("interceptions?q=%22", SEARCH, "not closed"),
        ("interceptions?q=colour:red", SEARCH, "colour"),
        ("interceptions?q=model:a&model=b", SEARCH, "model"),
        ("interceptions?q=initiator:nobody", SEARCH, "either does not exist, or you are unauthorized to view them"),
        ("interceptions?provider_name=nowhere", SEARCH, "provider_name"),
        ("interceptions?started_after=yesterday", SEARCH, "started_after"),
        ("interceptions?started_after=2026-02-30T00:00:00Z", SEARCH, "started_after"),
        ("interceptions?started_after=0001-01-01T00:00:00%2B01:00", SEARCH, "started_after"),
        ("interceptions?started_after=1h&started_before=2h", SEARCH, "started_before"),
        ("sessions?q=word", "Invalid session search query.", "no search key specified"),
        ("models?q=a:b:c", "Invalid AI Gateway models search query.", "q"),
        ("clients?q=a:b:c", "Invalid AI Gateway clients search query.", "q"),
        ("models?limit=0", "Invalid pagination limit value.", "(0, 1000]"),
        ("models?after_id=x", INVALID, "after_id"),
        (f"sessions/{sample.CODEX_SESSION}?limit=201", "Limit must be between 1 and 200.", None),
        (f"sessions/{sample.CODEX_SESSION}?limit=0", "Limit must be between 1 and 200.", None),
        (f"sessions/{sample.CODEX_SESSION}?after_id=x", "Invalid after_id query parameter.", None),
        (f"sessions/{sample.CODEX_SESSION}?before_id=x", "Invalid before_id query parameter.", None),
        (f"sessions/{sample.CODEX_SESSION}?after_id={sample.BOB}", "Invalid pagination cursor.", None),
        (
            f"sessions/{sample.CODEX_SESSION}?after_id=x&before_id=x",
            "Cannot use both after_id and before_id in the same request.",
            None,
        ),
    ],
)
def test_a_wrong_question_gets_the_references_400(shared: Site, path: str, message: str, about: str | None) -> None:
    reply = shared.get(f"{LISTS}/{path}")
    body = reply.json
    assert (reply.status, body["message"]) == (400, message)
    told = [body.get("detail", ""), *(f"{one['field']}: {one['detail']}" for one in body.get("validations", []))]
    assert body.keys() <= {"message", "detail", "validations"}
    assert any(about in text for text in told) if about else body.keys() == {"message"}


@pytest.mark.parametrize("session_id", ["none", "01a1fad1-7447-7f9c-8351-465601b93d2c", "%00", "%ff", "..", "x" * 2000])
def test_a_session_that_is_not_there_is_a_404(shared: Site, session_id: str) -> None:
    reply = shared.get(f"{LISTS}/sessions/{session_id}")
    assert (reply.status, reply.json) == (404, {"message": "Session not found."})


def test_the_longest_value_may_be_of_any_characters(shared: Site) -> None:
    """4096 of them, each of four bytes: 48 KiB of a URL."""
    assert shared.list("interceptions", model="\U0001f642" * 4096)["count"] == 0
    assert shared.get(f"{LISTS}/interceptions", model="\U0001f642" * 4097).status == 400


@pytest.mark.parametrize("moment", ["0300-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"])
def test_a_moment_far_away_is_no_trouble(shared: Site, moment: str) -> None:
    reply = shared.get(f"{LISTS}/interceptions", started_before=moment)
    assert reply.status == 400 if moment.startswith("9999") else reply.json["count"] == 0
