"""What a record adds to the metrics."""

from __future__ import annotations

from typing import Any

import pytest

from aitap.observe.metric_table import metrics
from aitap.observe.record_metrics import RecordMetrics, error_code, route_of
from aitap.observe.registry import Histogram, Registry
from aitap.observe.semconv import names
from aitap.record import HostSeen, Interception
from tests.observe.making import ANN, T0, interception, turn

LATEST = {"OTEL_SEMCONV_STABILITY_OPT_IN": "database,gen_ai_latest_experimental"}
GENAI = ("chat", "anthropic", "claude-test-1", "claude-test-1-20260101", "api.anthropic.com")


def counted(*records: Interception) -> dict[str, dict[tuple[str, ...], Any]]:
    registry = Registry(metrics())
    observer = RecordMetrics(registry)
    for record in records:
        observer.observe(record, announced=False)
    return {metric.name: series for metric, series in registry.read()}


def test_a_turn_is_counted_once_under_every_label_of_the_reference() -> None:
    found = counted(interception(took=None), turn())
    who = ("anthropic", "claude-test-1", ANN, "Claude Code")
    assert found["interceptions_total"] == {
        ("anthropic", "claude-test-1", "completed", "/v1/messages", "POST", ANN, "Claude Code"): 1
    }
    assert found["prompts_total"] == {who: 1}
    assert found["non_injected_tool_selections_total"] == {("anthropic", "claude-test-1", "read"): 1}
    tokens = {key[2]: value for key, value in found["tokens_total"].items()}
    assert tokens == {
        "input": 11,
        "output": 7,
        "cache_read_input_tokens": 5,
        "cache_write_input_tokens": 3,
        "server_tool_use.web_search_requests": 2,
    }
    duration = found["interceptions_duration_seconds"]["anthropic", "claude-test-1"]
    assert (duration.count, duration.sum) == (1, 2.0)


def test_input_tokens_of_opentelemetry_count_what_was_cached() -> None:
    usage = counted(turn())["gen_ai_client_token_usage"]
    assert {key: value.sum for key, value in usage.items()} == {(*GENAI, "input"): 19, (*GENAI, "output"): 7}


def test_the_newer_names_of_opentelemetry_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*LATEST.popitem())
    found = counted(turn())
    assert found["gen_ai_client_inference_usage_cache_read_input_tokens_total"] == {(*GENAI, "unknown"): 5}
    assert isinstance(found["gen_ai_client_inference_duration_seconds"][*GENAI, ""], Histogram)
    assert "gen_ai_client_token_usage" not in found
    assert names().latest


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ""),
        ({"outcome": "failed", "status_code": 429, "error_type": "rate_limited"}, "429"),
        ({"outcome": "failed", "status_code": 200, "error_type": "timeout"}, "timeout"),
        ({"outcome": "failed", "status_code": None, "error_type": "unknown"}, "_OTHER"),
        ({"outcome": "cancelled"}, "cancelled"),
    ],
)
def test_the_error_type_of_opentelemetry(fields: dict[str, Any], code: str) -> None:
    assert error_code(interception(**fields)) == code


@pytest.mark.parametrize(
    ("path", "model", "route"),
    [
        ("/v1/messages", "claude", "/v1/messages"),
        (
            "/v1beta/models/gemini-2:streamGenerateContent",
            "gemini-2",
            "/v1beta/models/{model}:streamGenerateContent",
        ),
        ("/model/us.anthropic.claude%3A0/invoke", "us.anthropic.claude:0", "/model/{model}/invoke"),
        ("/v1/files/file-8f14e45fceea167a5a36dedd", "", "/v1/files/{id}"),
        ("/o/3a0b6e3c-8a6e-4bfa-9c0b-0d8f0a4fd1c2/usage", "", "/o/{id}/usage"),
    ],
)
def test_a_route_has_no_model_and_no_id_in_it(path: str, model: str, route: str) -> None:
    assert route_of(path, model) == route


def test_clients_that_make_up_names_do_not_make_up_series() -> None:
    found = counted(*(turn(model=f"model-{number}", client=f"c{number}") for number in range(3000)))
    allowed = {metric.name: metric.limit + 100 for metric in metrics()}
    for name, series in found.items():
        assert len(series) <= allowed[name], name
    assert sum(found["interceptions_total"].values()) == 3000


def test_tunnels_and_refused_handshakes_are_counted() -> None:
    registry = Registry(metrics())
    seen = RecordMetrics(registry).host_seen
    seen(HostSeen(host="a", mode="tunnelled", initiator_id=ANN, at=T0, connections=2, bytes_sent=5, bytes_received=7))
    seen(HostSeen(host="b", mode="observed", initiator_id=ANN, at=T0, connections=1))
    seen(HostSeen(host="c", mode="decrypted", initiator_id=ANN, at=T0, refusals=3))
    found = {metric.name: series for metric, series in registry.read()}
    # Those that are read the proxy counts itself.
    assert found["proxy_connect_sessions_total"] == {("tunneled",): 3}
    assert found["proxy_tunnel_bytes_total"] == {("sent",): 5, ("received",): 7}
    assert found["proxy_handshake_refusals_total"] == {(): 3}


def test_methods_that_clients_make_up_are_one() -> None:
    registry = Registry(metrics())
    for number in range(100):
        RecordMetrics(registry).passed("anthropic", f"M{number}", "/v1/models")
    found = {metric.name: series for metric, series in registry.read()}
    assert found["passthrough_total"] == {("anthropic", "/v1/models", "other"): 100}
