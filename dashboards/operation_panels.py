"""What the dashboard for operation shows, row by row, on the metrics that ``docs/metrics.md`` lists."""

from __future__ import annotations

from typing import Any

from dashboards.grafana import Panel, Row

__all__ = ["ROWS"]

_HERE = 'instance=~"$instance"'
_CALLS = f'{_HERE}, provider=~"$provider", model=~"$model"'
_ASKED = f'{_CALLS}, client=~"$client"'
_OF_PROVIDER = f'{_HERE}, provider=~"$provider"'
_RATE = "$__rate_interval"
_BAD = {1: "semi-dark-red"}
_INPUT = "input|cache_read_input_tokens|cache_write_input_tokens"
_OR_NONE = " or vector(0)"


def _rate(metric: str, labels: str, by: str = "") -> str:
    """How much a counter grows a second, summed up."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({metric}{{{labels}}}[{_RATE}]))"


def _increase(metric: str) -> str:
    """By how much a counter grew in the span that is shown."""
    return f"sum(increase({metric}{{{_HERE}}}[$__range]))"


def _share_by_provider(metric: str, part: str, whole: str) -> str:
    return f"{_rate(metric, part, 'provider')} / {_rate(metric, whole, 'provider')}"


def _stat(title: str, expression: str, description: str, **more: Any) -> Panel:
    return Panel(title, "stat", ((expression, ""),), description, width=4, height=4, **more)


_DURATION = f"rate(aitap_interceptions_duration_seconds_bucket{{{_CALLS}}}[{_RATE}])"
_GENAI = f'{_HERE}, gen_ai_request_model=~"$model"'
# OpenTelemetry renames it; a proxy gives one of the two.
_FIRST = " or ".join(
    f"rate(gen_ai_client_{generation}_time_to_first_chunk_seconds_bucket{{{_GENAI}}}[{_RATE}])"
    for generation in ("operation", "inference")
)

ROWS = (
    Row(
        "Is all well?",
        (
            _stat("Proxies", f"count(aitap_build_info{{{_HERE}}})", "Proxies that Prometheus reaches."),
            _stat(
                "Records lost",
                f"sum(aitap_records_lost_total{{{_HERE}}})",
                "Records that could not be stored, since the proxies began. Must be 0.",
                thresholds=_BAD,
            ),
            _stat(
                "Exchanges unrecorded",
                f"{_increase('aitap_unrecorded_exchanges_total')} + {_increase('aitap_recorder_dropped_items_total')}",
                "What passed without a record because the recorder was too far behind, or was not there.",
                thresholds=_BAD,
            ),
            _stat(
                "Recorder deaths",
                _increase("aitap_recorder_restarts_total"),
                "How often a recorder process died and was started anew. Traffic goes on meanwhile.",
                thresholds=_BAD,
            ),
            _stat(
                "Mistakes of ours",
                f"{_increase('aitap_hook_errors_total')} + ({_increase('aitap_decode_errors_total')}{_OR_NONE})",
                "Exceptions in hooks, and exchanges that the recorder could not read. Each is in the log.",
                thresholds=_BAD,
            ),
            _stat(
                "Failed calls",
                f'(sum(rate(aitap_interceptions_total{{status="failed", {_ASKED}}}[$__range])) or vector(0)) '
                f"/ sum(rate(aitap_interceptions_total{{{_ASKED}}}[$__range]))",
                "The share of calls of models that failed in this span.",
                unit="percentunit",
                unknown="no calls",
                thresholds={0.05: "semi-dark-orange", 0.25: "semi-dark-red"},
            ),
        ),
    ),
    Row(
        "Traffic",
        (
            Panel(
                "Calls of models",
                "bars",
                ((_rate("aitap_interceptions_total", _ASKED, "status"), "{{status}}"),),
                "Interceptions that ended, per second, by outcome.",
                unit="reqps",
                series_colors={"completed": "green", "failed": "red", "cancelled": "orange", "interrupted": "purple"},
                width=8,
            ),
            Panel(
                "In flight",
                "lines",
                ((f"sum(aitap_interceptions_inflight{{{_CALLS}}}){_OR_NONE}", "in flight"),),
                "Calls of models that go on.",
                width=8,
            ),
            Panel(
                "Failed calls by provider",
                "lines",
                (
                    (
                        _share_by_provider("aitap_interceptions_total", f'status="failed", {_ASKED}', _ASKED),
                        "{{provider}}",
                    ),
                ),
                "The share of calls that failed.",
                unit="percentunit",
                width=8,
                unknown="none",
            ),
            Panel(
                "Duration",
                "lines",
                tuple(
                    (f"histogram_quantile({quantile}, sum by (le) ({_DURATION}))", f"{quantile * 100:g} %")
                    for quantile in (0.5, 0.95, 0.99)
                ),
                "From the first byte of a request to the last of its response: what half, 95 % and 99 % took at most.",
                unit="s",
                width=8,
            ),
            Panel(
                "Time to first token",
                "lines",
                tuple(
                    (f"histogram_quantile({quantile}, sum by (le) ({_FIRST}))", f"{quantile * 100:g} %")
                    for quantile in (0.5, 0.95)
                ),
                "From the end of a request to the first output: what half and 95 % waited at most.",
                unit="s",
                width=8,
            ),
            Panel(
                "Tokens",
                "bars",
                ((_rate("aitap_tokens_total", f'type=~"output|{_INPUT}", {_ASKED}', "type"), "{{type}}"),),
                "Tokens per second by kind, as providers bill them. Input is uncached input.",
                width=8,
            ),
            Panel(
                "Cache hit rate",
                "lines",
                (
                    (
                        _share_by_provider(
                            "aitap_tokens_total",
                            f'type="cache_read_input_tokens", {_ASKED}',
                            f'type=~"{_INPUT}", {_ASKED}',
                        ),
                        "{{provider}}",
                    ),
                ),
                "The share of all input tokens that came from the provider's cache.",
                unit="percentunit",
                width=8,
            ),
            Panel(
                "Errors by type",
                "bars",
                ((_rate("aitap_errors_total", _CALLS, "type"), "{{type}}"),),
                "Interceptions with an error, per second, by kind of error.",
                unit="reqps",
                width=8,
                unknown="none",
            ),
            Panel(
                "Responses by status",
                "bars",
                ((_rate("aitap_proxy_mitm_responses_total", _OF_PROVIDER, "code"), "{{code}}"),),
                "HTTP status codes of models' responses, per second.",
                unit="reqps",
                width=8,
            ),
            Panel(
                "Prompts and tool calls",
                "lines",
                (
                    (_rate("aitap_prompts_total", _ASKED), "prompts"),
                    (_rate("aitap_non_injected_tool_selections_total", _CALLS), "tool calls"),
                    (_rate("aitap_thoughts_total", _CALLS), "thoughts"),
                ),
                "What people typed, tools that models called, and reasoning that was shown, per second.",
                unit="cps",
                width=8,
            ),
            Panel(
                "Busiest tools",
                "bars",
                ((f"topk(10, {_rate('aitap_non_injected_tool_selections_total', _CALLS, 'name')})", "{{name}}"),),
                "The ten tools that models call most, calls per second.",
                unit="cps",
                width=8,
            ),
            Panel(
                "Retries and other requests",
                "lines",
                (
                    (
                        _rate("aitap_retries_total", _OF_PROVIDER, "provider"),
                        "retries, {{provider}}",
                    ),
                    (
                        _rate("aitap_passthrough_total", _OF_PROVIDER, "provider"),
                        "no call of a model, {{provider}}",
                    ),
                ),
                "Requests that repeat a failed one byte for byte; requests to AI hosts that are no call of a model.",
                unit="reqps",
                width=8,
            ),
        ),
    ),
    Row(
        "Recorder",
        (
            Panel(
                "Records",
                "lines",
                (
                    (
                        _rate("aitap_records_written_total", _HERE, "instance"),
                        "written, {{instance}}",
                    ),
                    (
                        _rate("aitap_retention_removed_total", _HERE, "instance"),
                        "removed, {{instance}}",
                    ),
                ),
                "Records that the database took (a start and an end are two), and interceptions that retention "
                "removed, per second.",
                unit="wps",
                width=8,
            ),
            Panel(
                "Records that wait",
                "lines",
                (
                    (f"sum by (instance) (aitap_records_queued{{{_HERE}}})", "in memory, {{instance}}"),
                    (f"sum by (instance) (aitap_records_spooled{{{_HERE}}})", "in the spool, {{instance}}"),
                ),
                "Records that are not in the database yet. It rises while the database is slow or away.",
                width=8,
            ),
            Panel(
                "Bytes that wait for the recorder",
                "lines",
                ((f"sum by (instance) (aitap_line_waiting_bytes{{{_HERE}}})", "{{instance}}"),),
                "What the proxy process has handed over and the recorder process has not read yet.",
                unit="bytes",
                width=8,
            ),
            Panel(
                "Time in hooks",
                "lines",
                ((f"histogram_quantile(0.99, {_rate('aitap_hook_seconds_bucket', _HERE, 'le, hook')})", "{{hook}}"),),
                "What recording costs on the proxy's event loop: 99 % of the calls of a hook took at most this.",
                unit="s",
                width=8,
            ),
            Panel(
                "Database",
                "lines",
                ((f"sum by (instance) (aitap_database_bytes{{{_HERE}}})", "{{instance}}"),),
                "Size of the SQLite file with its log. PostgreSQL tells its own size.",
                unit="bytes",
                width=8,
                unknown="not SQLite",
            ),
            Panel(
                "Trouble",
                "lines",
                (
                    (_rate("aitap_database_retries_total", _HERE), "batches tried again"),
                    (_rate("aitap_observations_dropped_total", _HERE) + _OR_NONE, "not told"),
                    (
                        _rate("aitap_export_failures_total", _HERE) + _OR_NONE,
                        "not taken by the collector",
                    ),
                ),
                "Batches that the database did not take at first; records of which logs, traces or metrics did not "
                "tell (they are stored all the same); batches that the OpenTelemetry collector did not take. Per "
                "second.",
                unit="cps",
                width=8,
            ),
        ),
    ),
    Row(
        "Access",
        (
            Panel(
                "Connections",
                "bars",
                ((_rate("aitap_proxy_connect_sessions_total", _HERE, "type"), "{{type}}"),),
                "Connections that clients opened, per second: tunneled unread, or read (mitm).",
                unit="cps",
                width=6,
            ),
            Panel(
                "Tunnelled bytes",
                "lines",
                ((_rate("aitap_proxy_tunnel_bytes_total", _HERE, "direction"), "{{direction}}"),),
                "Bytes that passed unread, per second.",
                unit="Bps",
                width=6,
            ),
            Panel(
                "Refusals",
                "bars",
                (
                    (
                        _rate("aitap_proxy_refusals_total", _HERE, "part, reason"),
                        "{{part}}: {{reason}}",
                    ),
                ),
                "What the proxy refused, per second: gate (who asks), limits, egress (where to), policy (which model).",
                unit="cps",
                width=6,
                unknown="none",
            ),
            Panel(
                "Refused handshakes",
                "lines",
                (
                    (
                        _rate("aitap_proxy_handshake_refusals_total", _HERE, "instance"),
                        "{{instance}}",
                    ),
                ),
                "Clients that broke off because they do not trust the proxy's certificate, per second.",
                unit="cps",
                width=6,
            ),
        ),
    ),
)
