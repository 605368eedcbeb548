"""What a user is shown is the same whether or not others have records: no name, count or error tells of them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from aitap.access.identity import user_id
from aitap.record import HostSeen, Interception, Lineage, ToolResult
from aitap.storage.database import open_database
from aitap.storage.host_rules import set_hosts
from aitap.storage.keys import create_key
from aitap.storage.users import add_user
from aitap.storage.writer import Writer
from tests.server.pages.conftest import Visitor
from tests.server.site import LISTS, Site, served
from tests.storage.making import interception, prompt, thought, tokens, tool

ANN, BEN = user_id("ann"), user_id("ben")
T0 = 1_795_000_000.0
MARK = "benmark"


def record(who: str, number: int, **more: Any) -> Interception:
    """One of a session that both have, whose texts and names are marked where they are ben's."""
    mark = MARK if who == BEN else "own"
    shared = number % 2 == 0
    facts = {
        "id": f"01a1fb35-be71-7017-80{'b' if who == BEN else 'a'}0-{number:012}",
        "initiator_id": who,
        "client_session_id": "shared" if shared else f"{mark} session",
        "model": "m" if shared else f"{mark}-model",
        "provider_name": "anthropic" if shared else f"{mark}-provider",
        "client": "Codex" if shared else f"{mark} client",
        "host": "api.example.com" if shared else f"{mark}.example.com",
        "user_prompts": [prompt(f"a prompt of {mark}", T0 + number)],
        "tool_usages": [tool("call_shared", f'{{"command": "{mark}"}}')],
        "model_thoughts": [thought(mark)],
        "token_usages": [tokens()],
    }
    return interception(T0 + number, **(facts | more))


def records() -> list[Interception]:
    """Ben's come first, so that ann's could be taken for what goes on from there."""
    goes_on = Lineage(
        tool_results=[ToolResult(call_id="call_shared", status="ok", size=3)],
        previous_response_id="resp",
        history=["h1", "h2"],
    )
    ending = {"outcome": "failed", "error_type": "unknown", "error_message": f"{MARK} failed"}
    return [
        *(record(BEN, number, **({"lineage": Lineage(history=["h1"])} if number else ending)) for number in range(4)),
        *(record(ANN, number, **({"lineage": goes_on} if number > 2 else {})) for number in range(4)),
    ]


def company(url: str, made: list[Interception], *, with_ben: bool) -> str:
    database = open_database(url, migrate=True)
    add_user(database, ANN, "ann")
    key, _ = create_key(database, ANN)
    writer = Writer(database, flush_interval=0.01)
    writer.start()
    for one in copy.deepcopy(made):
        if with_ben or one.initiator_id == ANN:
            assert writer.submit(one)
            assert writer.flush(60)
    if with_ben:
        add_user(database, BEN, "ben", name=MARK)
        set_hosts(database, [f"{MARK}.internal"], "observe")
        seen = {"mode": "tunnelled", "initiator_id": BEN, "client": MARK, "at": T0, "error": MARK}
        writer.seen(HostSeen(host="tunnel.example.com", **seen))
        writer.seen(HostSeen(host="api.example.com", **seen))
    assert writer.close(20)
    assert writer.stats.lost == 0
    database.close()
    return key


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Site, str]]]:
    """Two companies with the same ann: in one she is alone, in the other there is ben."""
    with ExitStack() as stack:
        found = []
        made = records()
        for with_ben in (False, True):
            folder = tmp_path_factory.mktemp("company")
            url = f"sqlite:///{folder}/records.db"
            key = company(url, made, with_ben=with_ben)
            found.append((stack.enter_context(served(url, folder, keys_needed=True)), key))
        yield found


BENS = [f"01a1fb35-be71-7017-80b0-{number:012}" for number in range(4)]
FILTERS: list[dict[str, str]] = [
    {},
    {"limit": "1"},
    {"offset": "2"},
    {"q": "m"},
    {"initiator": "me"},
    *({"initiator": who} for who in ("ben", BEN, "nobody")),
    *({"model": name} for name in ("m", f"{MARK}-model", "x")),
    *({"provider_name": name} for name in ("anthropic", f"{MARK}-provider", "x")),
    *({"client": name} for name in ("Codex", f"{MARK} client", "x")),
    *({"session_id": name} for name in ("shared", f"{MARK} session", "x")),
]
CURSORS: dict[str, list[dict[str, str]]] = {
    "interceptions": [{"after_id": own_id} for own_id in BENS],
    "sessions": [{"after_session_id": name} for name in ("shared", f"{MARK} session", BENS[0])],
    "usage": [{"by": "user,model,client"}, {"by": "day", "format": "csv"}, {"by": "provider_name"}],
}
ONE = ["shared", f"{MARK}%20session", *BENS]
PAGES = [
    *("/", "/?days=all", "/sessions", "/sessions?text=benmark", "/sessions?text=prompt", "/sessions?sort=errors"),
    *("/usage?by=model&then=client&days=all", "/usage?by=provider_name&days=all&unpriced=yes", "/usage.csv?by=client"),
    *("/hosts", "/hosts?mode=tunnelled", "/hosts?client=benmark", "/sessions.csv", "/sessions.jsonl?text=benmark"),
    *("/session?id=shared", "/session?id=shared&find=benmark", f"/session?id=shared&of={BEN}"),
    *(f"/session?id=shared&thread={own_id}" for own_id in BENS),
    *(f"/session?id={name}" for name in (f"{MARK}+session", *BENS)),
    *(f"/interception/{own_id}{more}" for own_id in BENS for more in ("", "/record.json")),
    *("/users", "/keys", "/audit", "/login", f"/keys?user={BEN}"),
    *(f"/sessions?{name}={MARK}-{name}" for name in ("model", "client", "provider_name", "initiator")),
]
"""Each is asked for by ann, in both companies."""


def told(reply: Any) -> str:
    """What an answer says, without what is another one each time or only repeats the question."""
    text = re.sub(r'name="token" value="[^"]*"', "", str(reply))
    return text.replace(f"{MARK} session", "").replace(f"{MARK}+session", "")


def test_the_rest_api_says_the_same_whoever_else_there_is(both: list[tuple[Site, str]]) -> None:
    questions = [
        (path, filters)
        for path in ("interceptions", "sessions", "models", "clients", "providers", "usage")
        for filters in (*FILTERS, *CURSORS.get(path, ()))
    ]
    questions += [
        (f"sessions/{name}", filters)
        for name in ONE
        for filters in ({}, {"initiator": "ben"}, {"after_id": BENS[0]}, {"before_id": BENS[2]})
    ]
    answers = []
    for site, key in both:
        replies = [site.get(f"{LISTS}/{path}", key, **filters) for path, filters in questions]
        answers.append([(reply.status, reply.data) for reply in replies])
    for question, alone, among in zip(questions, *answers, strict=True):
        assert alone == among, question
    assert {status for status, _ in answers[0]} == {200, 400, 404}
    assert b"a prompt of own" in answers[0][0][1]


def test_every_page_and_download_says_the_same_whoever_else_there_is(both: list[tuple[Site, str]]) -> None:
    answers = []
    for site, key in both:
        visitor = Visitor(site)
        assert visitor.sign_in(key).status_code == 303
        replies = [visitor.http.get(path) for path in PAGES]
        answers.append([(reply.status_code, told(reply.text)) for reply in replies])
        visitor.http.close()
    for path, alone, among in zip(PAGES, *answers, strict=True):
        assert alone == among, path
    assert {status for status, _ in answers[0]} >= {200, 400, 403, 404}
    assert "a prompt of own" in answers[0][2][1]


def test_the_same_questions_tell_an_auditor_of_both(both: list[tuple[Site, str]]) -> None:
    """Or the tests above would hold for empty answers."""
    site, _ = both[1]
    key = site.user("audra", "auditor")
    assert site.list("interceptions", key)["count"] == 8
    assert {one["initiator"]["username"] for one in site.list("sessions", key)["sessions"]} == {"ann", "ben"}
    visitor = Visitor(site)
    visitor.sign_in(key)
    assert sum(MARK in visitor.http.get(path).text for path in PAGES) > 20
    visitor.http.close()
