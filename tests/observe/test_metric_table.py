"""The table of metrics is what the documentation says, and what the reference's names promise."""

from __future__ import annotations

from pathlib import Path

from aitap.observe.metric_table import describe, metrics

REFERENCE = {
    "interceptions_total": ("provider", "model", "status", "route", "method", "initiator_id", "client"),
    "interceptions_inflight": ("provider", "model", "route"),
    "interceptions_duration_seconds": ("provider", "model"),
    "passthrough_total": ("provider", "route", "method"),
    "prompts_total": ("provider", "model", "initiator_id", "client"),
    "tokens_total": ("provider", "model", "type", "initiator_id", "client"),
    "injected_tool_invocations_total": ("provider", "model", "server", "name"),
    "non_injected_tool_selections_total": ("provider", "model", "name"),
    "provider_info": ("provider_name", "provider_type", "status"),
    "providers_last_reload_timestamp_seconds": (),
    "providers_last_reload_success_timestamp_seconds": (),
    "proxy_connect_sessions_total": ("type",),
    "proxy_mitm_requests_total": ("provider",),
    "proxy_inflight_mitm_requests": ("provider",),
    "proxy_mitm_responses_total": ("code", "provider"),
}


def test_the_documentation_is_made_of_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == describe(), "run python -m aitap.observe.metric_table > docs/metrics.md"


def test_names_and_labels_are_those_of_the_reference() -> None:
    assert {metric.name: metric.labels for metric in metrics() if metric.compatible} == REFERENCE


def test_every_metric_is_bounded() -> None:
    for metric in metrics():
        assert set(metric.closed) <= set(metric.labels)
        assert 0 < metric.most <= 5000
