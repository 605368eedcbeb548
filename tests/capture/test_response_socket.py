"""The Responses API over a WebSocket."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.environment import Environment
from aitap.capture.pipeline import Pipeline
from aitap.capture.recording import RequestHead
from aitap.capture.response_socket import Socket
from aitap.capture.routes import Route
from aitap.record import Interception
from tests.capture.making import RESPONSES, Records, dump, response_events, user

HEADERS = {
    "user-agent": "codex_exec/0.169.0 (Debian)",
    "session-id": "s",
    "thread-id": "s",
    "x-codex-turn-metadata": '{"session_id":"s","thread_id":"s","request_kind":"prewarm"}',
}


class Wire:
    """A socket whose steps are taken at once, in the order of the calls."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        self.records = Records()
        self.pipeline = Pipeline(Environment("me", "metadata+prompt"), self.records, announce_after=60.0)
        self.socket = Socket(self.pipeline, lambda: self._head(HEADERS if headers is None else headers))
        self.at = 1000.0

    @staticmethod
    def _head(headers: dict[str, str]) -> RequestHead:
        return RequestHead(
            Route("openai", "openai", RESPONSES), "GET", "api.openai.com", "/v1/responses", "", "HTTP/1.1", headers, 1.0
        )

    def _pass(self) -> list[Interception]:
        self.at += 1
        while self.pipeline.inbox:
            source, what, at = self.pipeline.inbox.popleft()
            source.step(what, at)
        return self.records.all

    def ask(self, **body: Any) -> list[Interception]:
        return self.client(dump({"type": "response.create", "model": "m", **body}))

    def client(self, content: bytes) -> list[Interception]:
        self.socket.message(content, self.at, from_client=True)
        return self._pass()

    def server(self, *contents: bytes) -> list[Interception]:
        for content in contents:
            self.socket.message(content, self.at, from_client=False)
        return self._pass()

    def answer(self) -> list[Interception]:
        return self.server(*map(dump, response_events([{"type": "message", "role": "assistant", "content": []}])))

    def close(self, *, by_client: bool) -> list[Interception]:
        self.socket.close(self.at, by_client=by_client)
        return self._pass()


def test_each_turn_is_a_record_with_the_times_of_its_own_messages() -> None:
    wire = Wire()
    wire.ask(input=[user("one")], client_metadata={"x-codex-turn-metadata": '{"request_kind":"turn"}'})
    (first,) = wire.answer()
    assert (first.outcome, first.started_at, first.ended_at) == ("completed", 1000.0, 1001.0)
    assert (first.streaming, first.client, first.client_session_id) == (True, "Codex", "s")
    assert [prompt.prompt for prompt in first.user_prompts] == ["one"]
    assert first.time_to_first_token == 1.0
    assert len(first.token_usages) == 1
    wire.ask(input=[user("two")], client_metadata={"x-codex-turn-metadata": '{"request_kind":"turn"}'})
    assert wire.answer()[1].started_at == 1002.0


def test_what_a_frame_says_of_its_turn_wins_over_the_handshake() -> None:
    wire = Wire()
    wire.ask(input=[], generate=False)
    wire.answer()
    wire.ask(input=[user("go")], client_metadata={"thread-id": "t", "x-codex-turn-metadata": '{"request_kind":"turn"}'})
    prewarm, turn = wire.answer()
    assert (prewarm.purpose, prewarm.metadata["purpose_reason"], prewarm.user_prompts) == ("auxiliary", "prewarm", [])
    assert (turn.purpose, turn.lineage.agent) == ("conversation", "t")


def test_a_socket_may_serve_another_thread_than_the_one_that_opened_it() -> None:
    wire = Wire()
    told = {"session_id": "s2", "thread_id": "t2", "x-codex-parent-thread-id": "s", "x-openai-subagent": "collab_spawn"}
    wire.ask(input=[user("go")], client_metadata={**told, "x-codex-turn-metadata": '{"request_kind":"turn"}'})
    (turn,) = wire.answer()
    assert (turn.client_session_id, turn.lineage.agent, turn.lineage.parent_agent) == ("s2", "t2", "s")
    assert turn.lineage.is_subagent


def test_a_frame_with_new_items_alone_goes_on_from_the_response_it_names() -> None:
    wire = Wire({})
    item = {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "ok"}]}
    wire.ask(previous_response_id="resp_0", input=[item])
    (record,) = wire.answer()
    assert (record.lineage.previous_response_id, record.user_prompts) == ("resp_0", [])
    assert [result.call_id for result in record.lineage.tool_results] == ["c"]


def test_an_error_ends_the_turn_and_the_socket_goes_on() -> None:
    wire = Wire({})
    wire.ask(input="one")
    (failed,) = wire.server(dump({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Slow"}}))
    assert (failed.outcome, failed.error_type, failed.error_message) == ("failed", "rate_limited", "Slow")
    wire.ask(input="two")
    assert [record.outcome for record in wire.answer()] == ["failed", "completed"]


def test_a_note_goes_to_the_response_that_was_asked_for_last() -> None:
    wire = Wire()
    wire.ask()
    wire.ask()
    wire.socket.note({"policy": "x"}, wire.at)
    wire.answer()
    first, second = wire.answer()
    assert "policy" not in first.metadata
    assert second.metadata["policy"] == "x"
    wire.socket.note({"policy": "nobody asked"}, wire.at)
    assert wire.close(by_client=True) == [first, second]


def test_answers_go_to_the_requests_in_their_order() -> None:
    wire = Wire({})
    wire.ask(input="one")
    wire.ask(input="two")
    wire.answer()
    assert [record.user_prompts[0].prompt for record in wire.answer()] == ["one", "two"]


def test_a_client_that_never_waits_does_not_fill_memory() -> None:
    wire = Wire({})
    for _ in range(200):
        wire.ask(input="again")
    assert len(wire.records.all) >= 100


def test_what_is_open_at_the_close_is_cancelled_failed_or_interrupted() -> None:
    for by_client, outcome in ((True, "cancelled"), (False, "failed")):
        wire = Wire({})
        wire.ask(input="one")
        assert [record.outcome for record in wire.close(by_client=by_client)] == [outcome]
    wire = Wire({})
    wire.ask(input="one")
    wire.socket.stop(2000.0)
    assert [record.outcome for record in wire.records.all] == ["interrupted"]


_frames = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b'{"type":"response.create","model":"m","input":"hi"}',
            b'{"type":"response.create","client_metadata":{"session_id":5,"x":"y"}}',
            b'{"type":5}',
            b"[]",
            *map(dump, response_events()),
            b'{"type":"error"}',
        ]
    ),
)


@given(st.lists(st.tuples(st.booleans(), _frames), max_size=20))
def test_any_frames_either_way_never_raise_and_every_turn_ends(frames: list[tuple[bool, bytes]]) -> None:
    wire = Wire()
    asked = 0
    for from_client, content in frames:
        asked += from_client and content.startswith(b'{"type":"response.create"')
        _ = wire.client(content) if from_client else wire.server(content)
    found = wire.close(by_client=True)
    assert len(found) == asked
    assert all(record.ended_at is not None for record in found)


def events(stream_id: str | None, response_id: str, tokens: int) -> list[bytes]:
    of = {} if stream_id is None else {"stream_id": stream_id}
    usage = {"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1}
    return [
        dump({"type": "response.created", "response": {"id": response_id, "model": "m"}, **of}),
        dump(
            {
                "type": "response.completed",
                "response": {"id": response_id, "model": "m", "status": "completed", "output": [], "usage": usage},
                **of,
            }
        ),
    ]


def test_answers_of_two_lanes_may_interleave() -> None:
    wire = Wire({})
    wire.ask(input="one", stream_id="a")
    wire.ask(input="two", stream_id="b")
    first, second = events("a", "resp_a", 3), events("b", "resp_b", 5)
    found = {
        record.user_prompts[0].prompt: record.token_usages[0]
        for record in wire.server(first[0], second[0], second[1], first[1])
    }
    assert (found["one"].provider_response_id, found["one"].input_tokens) == ("resp_a", 3)
    assert (found["two"].provider_response_id, found["two"].input_tokens) == ("resp_b", 5)


def test_a_steered_turn_is_recorded_though_nobody_asked_for_it_in_one_piece() -> None:
    wire = Wire({})
    wire.ask(input="go left")
    begun, ended = events(None, "resp_1", 3)
    wire.server(begun)
    wire.client(dump({"type": "response.steer", "input": "no, right", "previous_response_id": "resp_1"}))
    wire.server(ended)
    _, steered = wire.server(*events(None, "resp_2", 4))
    assert [prompt.prompt for prompt in steered.user_prompts] == ["no, right"]
    assert steered.token_usages[0].provider_response_id == "resp_2"
    assert (steered.lineage.previous_response_id, steered.model, steered.outcome) == ("resp_1", "m", "completed")


def test_steering_that_failed_is_forgotten() -> None:
    wire = Wire({})
    wire.ask(input="go")
    begun, ended = events(None, "resp_1", 3)
    wire.server(begun)
    wire.client(dump({"type": "response.steer", "input": "stop"}))
    wire.server(dump({"type": "response.steer.failed"}), ended)
    assert len(wire.server(*events(None, "resp_2", 4))) == 1


def steering(said: Any, response_id: str) -> bytes:
    return dump({"type": "response.steer", "input": said, "previous_response_id": response_id})


def test_words_find_the_lane_of_the_response_that_they_steer() -> None:
    wire = Wire({})
    wire.ask(input="go left", stream_id="a")
    wire.ask(input="go up", stream_id="b")
    begun, ended = events("a", "resp_1", 3)
    wire.server(begun, events("b", "resp_2", 3)[0])
    wire.client(steering("no, right", "resp_1"))
    wire.server(dump({"type": "response.steer.accepted", "steer": {"id": "s_1"}, "stream_id": "a"}), ended)
    _, steered = wire.server(*events("a", "resp_3", 4))
    assert [prompt.prompt for prompt in steered.user_prompts] == ["no, right"]
    assert (steered.lineage.previous_response_id, steered.outcome) == ("resp_1", "completed")


def test_words_that_wait_for_results_belong_to_the_request_that_brings_them() -> None:
    wire = Wire({})
    wire.ask(input="go left")
    begun, ended = events(None, "resp_1", 3)
    wire.server(begun)
    wire.client(steering([user("no, right")], "resp_1"))
    wire.server(ended, dump({"type": "response.steer.pending", "steer": {"id": "s_1"}}))
    given = {
        "type": "response.create",
        "model": "n",
        "previous_response_id": "resp_1",
        "input": [{"type": "function_call_output", "call_id": "c", "output": "ok"}],
    }
    wire.client(dump(given))
    _, steered = wire.server(*events(None, "resp_2", 4))
    assert [prompt.prompt for prompt in steered.user_prompts] == ["no, right"]
    assert [result.call_id for result in steered.lineage.tool_results] == ["c"]
    assert (steered.model, steered.request_bytes, steered.metadata["steered"]) == ("n", len(dump(given)), True)


def test_words_that_are_refused_take_nothing_else_with_them() -> None:
    wire = Wire({})
    wire.ask(input="go left")
    begun, ended = events(None, "resp_1", 3)
    wire.server(begun)
    wire.client(steering("no, right", "resp_1"))
    wire.client(steering("no, up", "resp_1"))
    error = {"type": "invalid_request_error", "code": "too_many_pending_steers", "message": "Too many"}
    steer = {"previous_response_id": "resp_1", "input": "no, up"}
    (first,) = wire.server(dump({"type": "response.steer.failed", "error": error, "steer": steer}), ended)
    assert (first.outcome, first.error_message) == ("completed", None)
    _, steered = wire.server(*events(None, "resp_2", 4))
    assert [prompt.prompt for prompt in steered.user_prompts] == ["no, right"]


def test_results_may_be_given_while_the_response_goes_on() -> None:
    wire = Wire({})
    wire.ask(input="go")
    call = {"type": "function_call", "id": "fc", "call_id": "c", "name": "read", "arguments": "{}"}
    *going, completed = map(dump, response_events([call]))
    wire.server(*going)
    output = {"type": "function_call_output", "call_id": "c", "output": "four"}
    given = dump({"type": "response.inject", "response_id": "resp_1", "input": [output]})
    wire.client(given)
    (found,) = wire.server(dump({"type": "response.inject.created", "response_id": "resp_1"}), completed)
    (tool,) = found.tool_usages
    assert (tool.result_status, tool.result_bytes, found.outcome) == (None, 4, "completed")
    assert found.request_bytes > len(given)


def test_what_no_json_can_hold_is_no_word_to_steer_by() -> None:
    wire = Wire({})
    wire.client(b'{"type":"response.create","model":NaN,"input":"go"}')
    wire.server(events(None, "resp_1", 3)[0])
    wire.client(b'{"type":"response.steer","previous_response_id":"resp_1","input":[1e999,%d]}' % 2**70)
    found = wire.server(events(None, "resp_1", 3)[1], *events(None, "resp_2", 3))
    assert [record.outcome for record in found] == ["completed", "completed"]
