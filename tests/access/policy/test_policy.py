"""The policy's hooks where something is amiss, and deciders beside the rules."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import exceptions, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons, tflow

from aitap.access.identity import Identity
from aitap.access.peers import Peers
from aitap.access.policy.decisions import ALLOWED, POLICY, Call, Decision
from aitap.access.policy.policy import Policy
from aitap.access.policy.policy_rows import PolicyRow
from aitap.access.startup import Startup
from aitap.capture.routes import Router
from aitap.settings import PolicyMode, SettingsError, load

OPUS = PolicyRow("deny", models=("*opus*",), message="no")


@pytest.fixture
def context() -> Iterator[taddons.context]:
    with taddons.context(Proxyserver()) as found:
        yield found


@pytest.fixture
def peers() -> Peers:
    return Peers()


@pytest.fixture
def policy(context: taddons.context, peers: Peers) -> Policy:
    return Policy(peers)


def start(policy: Policy, mode: PolicyMode, *rules: PolicyRow) -> Policy:
    settings = dataclasses.replace(load(environ={}), policy=mode, rules=rules, budgets="off")
    policy.start(Startup(settings, Router(), None, None, None, None))  # type: ignore[arg-type]
    return policy


def flow(model: str = "claude-opus-4") -> http.HTTPFlow:
    made = tflow.tflow()
    body = json.dumps({"model": model, "messages": []}).encode()
    made.request = http.Request.make("POST", "https://api.anthropic.com/v1/messages", body)
    return made


def run(policy: Policy, made: http.HTTPFlow) -> http.Response | None:
    """The hooks of one request, as mitmproxy calls them."""

    async def hooks() -> None:
        policy.requestheaders(made)
        if (waits := policy.request(made)) is not None:
            await waits

    asyncio.run(hooks())
    return made.response


class Broken:
    needs_client = idle = False
    enforced = False

    def decide(self, call: Call) -> Decision | None:
        raise RuntimeError("a mistake of ours")


class Undecided:
    needs_client = idle = False
    enforced = False

    def decide(self, call: Call) -> Decision | None:
        return None


class Budget:
    needs_client = idle = False
    enforced = True

    def decide(self, call: Call) -> Decision | None:
        return Decision(allowed=False, message="Your budget is spent.") if call.user == "alice" else ALLOWED


def test_before_it_has_started_nothing_passes(policy: Policy) -> None:
    answer = run(policy, flow())
    assert answer is not None
    assert answer.status_code == 503


def test_switched_off_it_lets_everything_pass(policy: Policy) -> None:
    assert run(start(policy, "off", OPUS), flow()) is None


@pytest.mark.parametrize("decider", [Broken(), Undecided()])
def test_a_call_that_cannot_be_decided_is_refused(
    policy: Policy, decider: Any, caplog: pytest.LogCaptureFixture
) -> None:
    start(policy, "enforce").deciders.append(decider)
    made = flow()
    answer = run(policy, made)
    assert answer is not None
    assert (answer.status_code, answer.headers["x-aitap-policy"]) == (403, "denied")
    assert "could not find out" in answer.json()["error"]["message"]
    assert made.metadata[POLICY] == {"action": "deny", "rule": 0, "mode": "enforce"}
    assert policy.refusals == {0: 1}


def test_a_warning_policy_refuses_nothing_whatever_goes_wrong(policy: Policy) -> None:
    start(policy, "warn").deciders.append(Broken())
    assert run(policy, flow()) is None
    assert policy.warnings == {0: 1}


@pytest.mark.parametrize(("model", "refused"), [("anthropic/claude-opus-4", True), ("openai/gpt-5", False)])
def test_a_model_that_a_header_names_is_decided_by(policy: Policy, model: str, refused: bool) -> None:
    made = flow()
    url, headers = "https://ai-gateway.vercel.sh/v4/ai/language-model", {"ai-language-model-id": model}
    made.request = http.Request.make("POST", url, b'{"prompt":[]}', headers)
    assert (run(start(policy, "enforce", OPUS), made) is not None) is refused


@pytest.mark.parametrize(("body", "refused"), [({"messages": [{"role": "user", "content": "hi"}]}, True), ({}, False)])
def test_where_other_things_go_to_the_same_path_only_calls_of_a_model_are_refused(
    policy: Policy, body: dict[str, Any], refused: bool
) -> None:
    made = flow()
    url = "https://mine.cloud.databricks.com/serving-endpoints/claude-opus/invocations"
    made.request = http.Request.make("POST", url, json.dumps(body).encode())
    assert (run(start(policy, "enforce", OPUS), made) is not None) is refused


def test_refusals_are_counted_by_rule(policy: Policy) -> None:
    start(policy, "enforce", PolicyRow("allow", models=("x",)), OPUS)
    assert [run(policy, flow(model)) is None for model in ("claude-opus-4", "x", "y", "my-opus")] == [
        False,
        True,
        True,
        False,
    ]
    assert (policy.refusals, policy.warnings) == ({2: 2}, {})


def test_a_user_is_who_the_connection_says(policy: Policy, peers: Peers) -> None:
    start(policy, "enforce").deciders.append(Budget())
    made = flow()
    assert run(policy, made) is None
    peers.of(made.client_conn).identity = Identity("id-of-alice", "alice", "key")
    answer = run(policy, made)
    assert answer is not None
    assert answer.json()["error"]["message"] == "Your budget is spent."


def test_the_log_names_no_model_where_none_had_to_be_known(
    policy: Policy, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    start(policy, "enforce").deciders.append(Budget())
    made = flow()
    peers.of(made.client_conn).identity = Identity("id-of-alice", "alice", "key")
    assert run(policy, made) is not None
    assert "refuses 'alice': anthropic at 'api.anthropic.com'" in caplog.text


def test_a_response_that_is_there_already_stays(policy: Policy) -> None:
    start(policy, "enforce", OPUS)
    made = flow()
    made.response = http.Response.make(413)
    answer = run(policy, made)
    assert answer is not None
    assert answer.status_code == 413


def test_requests_are_decided_by_where_the_client_wanted_them_to_go(policy: Policy) -> None:
    start(policy, "enforce", PolicyRow("deny", hosts=("api.anthropic.com",)))
    made = flow()
    policy.requestheaders(made)
    made.request.host, made.request.path = "other.example.com", "/elsewhere"
    policy.request(made)
    assert made.response is not None


def test_streams_past_an_enforced_policy_are_no_option(policy: Policy, context: taddons.context) -> None:
    start(policy, "enforce", OPUS)
    context.options.update(stream_large_bodies="1m")
    with pytest.raises(exceptions.OptionsError, match="leave out mitmproxy's option stream_large_bodies"):
        policy.configure({"stream_large_bodies"})
    with pytest.raises(SettingsError, match="leave out mitmproxy's option stream_large_bodies"):
        start(Policy(Peers()), "enforce", OPUS)
    start(Policy(Peers()), "warn", OPUS)


def test_a_refusal_is_logged_once_in_a_while_and_without_a_line_break(
    policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "aitap.access.policy.policy")
    start(policy, "enforce", OPUS)
    for _ in range(3):
        run(policy, flow("opus\nfake line"))
    assert len(caplog.messages) == 1
    assert "model 'opus\\nfake line' of anthropic at 'api.anthropic.com'" in caplog.messages[0]
    policy._quiet.forget()
    run(policy, flow())
    assert caplog.messages[1].endswith("(2 more since it was last told)")
