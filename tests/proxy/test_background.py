"""A response in background, polled through a real proxy."""

from __future__ import annotations

import json
from typing import Any

from tests.proxy.client import OPENAI, connect, exchange
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Upstream, answer, in_turn
from tests.proxy.wire import RESPONSES, ask_responses, response_json


def test_what_is_polled_passes_unchanged_and_its_tokens_are_recorded_once(proxy: Mitmdump, upstream: Upstream) -> None:
    made = {"background": True, "created_at": 1_795_000_000}
    done: dict[str, Any] = json.loads(response_json("resp_bg", text="Hi")) | made
    going_on = json.dumps(done | {"status": "in_progress", "output": [], "usage": None}).encode()
    whole = json.dumps(done).encode()
    upstream.serve(in_turn(*map(answer, (going_on, going_on, whole, whole))))
    exchange(proxy, OPENAI, RESPONSES, ask_responses("hi", background=True, max_output_tokens=900))
    connection = connect(proxy, OPENAI)
    for told in (going_on, whole, whole):
        connection.request("GET", f"{RESPONSES}/resp_bg")
        assert connection.getresponse().read() == told
    connection.close()
    got, post = sorted(proxy.records(2), key=lambda record: str(record["method"]))
    assert (post["method"], post["token_usages"], post["user_prompts"][0]["prompt"]) == ("POST", [], "hi")
    assert (got["method"], got["path"], got["thread_parent_id"]) == ("GET", f"{RESPONSES}/resp_bg", post["id"])
    assert len(got["token_usages"]) == 1
    assert got["model"] == post["model"]
