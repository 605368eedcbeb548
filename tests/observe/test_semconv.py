"""Names are those of OpenTelemetry's own package, as far as that has them by now."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from aitap.observe.metric_table import metrics
from aitap.observe.semconv import names, operation, provider
from aitap.observe.spans import spans_of
from tests.observe.making import interception, turn

NEWER = {
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.request.stream",
    "gen_ai.response.time_to_first_chunk",
}
"""Of the conventions' own repository, and not in the package as yet, or not in each version of it."""


def known(module: Any) -> set[str]:
    return {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


def test_attributes_of_the_client_span_are_known() -> None:
    record = turn()
    found = {name for span in spans_of(record, names({}), contents=True) for name in span.attributes}
    found = {name for name in found if name.startswith("gen_ai.")}
    assert found - known(gen_ai_attributes) <= NEWER


def test_metrics_are_known() -> None:
    mine = {metric.otel for metric in metrics(names({})) if metric.otel}
    assert mine - known(gen_ai_metrics) <= {"gen_ai.client.operation.time_to_first_chunk"}
    assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} <= mine


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "anthropic"),
        ({"provider": "bedrock", "provider_name": "bedrock"}, "aws.bedrock"),
        ({"provider": "google", "provider_name": "gemini"}, "gcp.gemini"),
        ({"provider": "google", "host": "eu-aiplatform.googleapis.com"}, "gcp.vertex_ai"),
        ({"provider": "openai", "provider_name": "azure", "host": "x.openai.azure.com"}, "azure.ai.openai"),
        ({"provider": "openai", "provider_name": "groq", "host": "api.groq.com"}, "groq"),
        ({"provider": "openai", "provider_name": "openrouter", "host": "openrouter.ai"}, "openrouter"),
    ],
)
def test_a_provider_has_its_well_known_name(fields: dict[str, str], name: str) -> None:
    assert provider(interception(**fields)) == name


def test_an_operation_is_what_the_language_asks_for() -> None:
    assert operation(interception()) == "chat"
    assert operation(interception(api="google.generate_content")) == "generate_content"
