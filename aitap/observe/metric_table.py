"""Every metric there is: its name, what it says, its labels and the most series it can have.

``docs/metrics.md`` is made of this table (``python -m aitap.observe.metric_table``). Names and labels of
those that the reference has are the reference's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from aitap.observe.registry import Metric
from aitap.observe.semconv import Names, names

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COMPATIBLE_PREFIX", "HOOK_SECONDS", "PREFIX", "describe", "metrics"]

PREFIX = "aitap_"
COMPATIBLE_PREFIX = "coder_ai_gateway_"

_DURATION = (0.5, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0)
_SECONDS = tuple(0.01 * 2**power for power in range(14))
_TOKENS = tuple(float(4**power) for power in range(14))
HOOK_SECONDS = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)

_WHO = ("provider", "model", "initiator_id", "client")
_GENAI = (
    *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"),
    "server.address",
)

_STRANGERS = frozenset(_GENAI) - {"gen_ai.operation.name"}


def _counter(name: str, help: str, *labels: str, **more: Any) -> Metric:
    return Metric(name=name, kind="counter", help=help, labels=labels, **more)


def _gauge(name: str, help: str, *labels: str, **more: Any) -> Metric:
    return Metric(name=name, kind="gauge", help=help, labels=labels, **more)


def _histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str, **more: Any) -> Metric:
    return Metric(name=name, kind="histogram", help=help, labels=labels, buckets=buckets, **more)


_RECORDS = (
    _counter(
        "interceptions_total",
        "Interceptions that have ended; status is their outcome (completed, failed, cancelled, interrupted).",
        *("provider", "model", "status", "route", "method", "initiator_id", "client"),
        closed=("status", "method"),
        limit=2000,
        compatible=True,
    ),
    _gauge("interceptions_inflight", "Interceptions that go on now.", "provider", "model", "route", compatible=True),
    _histogram(
        "interceptions_duration_seconds",
        "From the first byte of a request to the last of its response.",
        _DURATION,
        *("provider", "model"),
        limit=200,
        compatible=True,
    ),
    _counter("prompts_total", "What people typed.", *_WHO, compatible=True),
    _counter(
        "tokens_total",
        "Tokens as providers bill them; type is input (uncached), output, cache_read_input_tokens, "
        "cache_write_input_tokens or a further counter of the provider's (parts of these, or uses of its tools).",
        *("provider", "model", "type", "initiator_id", "client"),
        closed=("type",),
        limit=5000,
        compatible=True,
    ),
    _counter(
        "non_injected_tool_selections_total",
        "Tool calls that models asked for.",
        *("provider", "model", "name"),
        compatible=True,
    ),
    _counter(
        "injected_tool_invocations_total",
        "Calls of tools that a proxy put into requests; this one never does, so there are none.",
        *("provider", "model", "server", "name"),
        compatible=True,
    ),
    _counter("thoughts_total", "Pieces of reasoning that providers showed.", "provider", "model"),
    _counter(
        "errors_total", "Interceptions that failed, by kind of error.", *("provider", "model", "type"), closed=("type",)
    ),
    _counter("retries_total", "Requests that repeat one that had failed, byte for byte.", "provider", "client"),
    _counter(
        "passthrough_total",
        "Requests to AI hosts that are no call of a model.",
        *("provider", "route", "method"),
        closed=("method",),
        compatible=True,
    ),
    _gauge(
        "provider_info",
        "1 for each provider that was called.",
        *("provider_name", "provider_type", "status"),
        closed=("status",),
        limit=300,
        compatible=True,
        across="max",
    ),
    _gauge(
        "providers_last_reload_timestamp_seconds", "When the provider table was read.", compatible=True, across="max"
    ),
    _gauge(
        "providers_last_reload_success_timestamp_seconds",
        "When the provider table was read without a mistake in it.",
        compatible=True,
        across="max",
    ),
)

_PROXY = (
    _counter(
        "proxy_connect_sessions_total",
        "Connections that clients opened to hosts: tunneled unread, or read (mitm).",
        "type",
        closed=("type",),
        compatible=True,
    ),
    _counter("proxy_mitm_requests_total", "Calls of models, by provider.", "provider", limit=300, compatible=True),
    _gauge("proxy_inflight_mitm_requests", "Calls of models that go on now.", "provider", limit=300, compatible=True),
    _counter(
        "proxy_mitm_responses_total",
        "Responses of models, by status code.",
        *("code", "provider"),
        compatible=True,
    ),
    _counter("proxy_tunnel_bytes_total", "Bytes that passed unread.", "direction", closed=("direction",)),
    _counter(
        "proxy_handshake_refusals_total", "TLS handshakes that clients broke off: they do not trust our certificate."
    ),
    _counter(
        "proxy_refusals_total",
        "What the proxy refused: part is gate (who), limits, egress (where to), policy (which model; with the reason "
        "budget, one is used up), decryption (what hides) or durability (what cannot be recorded).",
        *("part", "reason"),
        closed=("part",),
        limit=300,
    ),
    _gauge(
        "budget_used_ratio",
        "How much of a budget is used up, 1 being all; where everyone has one of their own, the most of all of them.",
        *("kind", "name", "period", "unit"),
        closed=("kind", "period", "unit"),
        limit=300,
        across="max",
    ),
    _histogram(
        "hook_seconds",
        "The time that a hook of ours took on the proxy's event loop, of one call in 16 (chunks of a stream aside).",
        HOOK_SECONDS,
        "hook",
        closed=("hook",),
    ),
    _counter("hook_errors_total", "Mistakes of ours in a hook; the traffic was not affected."),
    _counter("unrecorded_exchanges_total", "Exchanges that passed unrecorded since the recorder was too far behind."),
    _counter("recorder_restarts_total", "How often the recorder process died and was started anew."),
    _counter("recorder_dropped_items_total", "Pieces of traffic that no recorder was there to take."),
    _gauge("line_waiting_bytes", "What waits in the proxy for the recorder process to take it."),
    _gauge("workers", "Processes that serve the port; with `aitap run --workers` alone."),
    _counter("worker_restarts_total", "How often one of these died and was started anew."),
)

_RECORDER = (
    _gauge("build_info", "1; the version of aitap.", "version", closed=("version",), across="max"),
    _gauge("start_timestamp_seconds", "When the recorder process began; the first of several.", across="min"),
    _counter("records_written_total", "Records that the database has taken (a start and an end are two)."),
    _counter("records_lost_total", "Records that were lost, by reason. Must stay 0.", "reason", closed=("reason",)),
    _gauge("records_queued", "Records that wait in memory to be written."),
    _gauge("records_spooled", "Records that wait in the spool, since the database does not take them."),
    _gauge("spool_bytes", "Size of the spool on the disk, with what was taken over from dead proxies."),
    _gauge("spool_limit_bytes", "The most that the spool may take; 0 where there is none."),
    _counter("records_adopted_total", "Records written that a dead process had left in a spool."),
    _counter("database_retries_total", "How often the database did not take a batch, which was then tried again."),
    _gauge("database_bytes", "Size of the SQLite database with its log.", across="max"),
    _counter("retention_removed_total", "Interceptions that retention removed."),
    _counter(
        "decode_errors_total", "Exchanges that the recorder could not read by its own mistake.", "api", closed=("api",)
    ),
    _counter(
        "observations_dropped_total",
        "Records that an observer left out (its queue was full, or it failed); they are stored all the same.",
        "observer",
        closed=("observer",),
    ),
    _counter("export_failures_total", "Batches that the collector did not take.", "signal", closed=("signal",)),
)


def metrics(generation: Names | None = None) -> list[Metric]:
    """All of them, with the names of this generation of OpenTelemetry's conventions."""
    return [*_RECORDS, *_PROXY, *_RECORDER, *_genai(generation or names())]


def _genai(generation: Names) -> Iterator[Metric]:
    yield _otel(generation.duration, "histogram", "s", "How long calls of models took.", *_GENAI, "error.type")
    yield _otel(generation.first_chunk, "histogram", "s", "From the request's end to the first output.", *_GENAI)
    if not generation.latest:
        told = "Tokens of a call: input (with what was cached) and output."
        yield _otel("gen_ai.client.token.usage", "histogram", "{token}", told, *_GENAI, "gen_ai.token.type")
        return
    for counted in ("input_tokens", "output_tokens", "cache_read.input_tokens", "cache_write.input_tokens"):
        told = f"Tokens of calls: {counted.replace('_', ' ').replace('.', ' ')}."
        name = f"gen_ai.client.inference.usage.{counted}"
        yield _otel(name, "counter", "{token}", told, *_GENAI, "gen_ai.token.modality")


def _otel(otel: str, kind: Literal["counter", "histogram"], unit: str, help: str, *labels: str) -> Metric:
    ending = "_seconds" if unit == "s" else "_total" if kind == "counter" else ""
    return Metric(
        name=otel.replace(".", "_") + ending,
        kind=kind,
        help=help,
        labels=labels,
        closed=tuple(label for label in labels if label not in _STRANGERS),
        buckets=() if kind == "counter" else _SECONDS if unit == "s" else _TOKENS,
        limit=300,
        otel=otel,
        unit=unit,
    )


def describe() -> str:
    """The table as Markdown."""
    rows = [
        "# Metrics",
        "",
        "All of them begin with `aitap_`, but for those that OpenTelemetry's conventions name. Those marked * are also",
        "there as `coder_ai_gateway_...` where `metrics_compatible = true`. A metric never has more series than told",
        "here: beyond, what strangers choose (labels in *italics*) is counted as `other`, once for each value of the",
        "labels that are ours. A histogram's series are multiplied by its buckets.",
        "",
        "| name | kind | labels | series | what it says |",
        "|---|---|---|---|---|",
    ]
    for metric in metrics(names({})):
        name = f"`{PREFIX if metric.prefixed else ''}{metric.name}`{' *' if metric.compatible else ''}"
        labels = ", ".join(f"`{label}`" if label in metric.closed else f"*{label}*" for label in metric.labels)
        rows.append(f"| {name} | {metric.kind} | {labels} | {metric.most} | {metric.help} |")
    rows += [
        "",
        "With `OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental`, the last ones are instead:",
        "",
        *(f"* `{metric.name}` ({metric.kind})" for metric in metrics(names(_LATEST)) if metric.otel),
    ]
    return "\n".join(rows) + "\n"


_LATEST = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}


if __name__ == "__main__":
    print(describe(), end="")  # noqa: T201
