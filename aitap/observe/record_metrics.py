"""The observer that counts: from a record to the metrics that it moves. Quick, in memory, on the spot."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from aitap.observe import semconv
from aitap.observe.registry import OTHER

if TYPE_CHECKING:
    from aitap.observe.registry import Registry
    from aitap.record import HostSeen, Interception, TokenUsage

__all__ = ["RecordMetrics", "error_code", "route_of"]

_MOST_COUNTERS = 48
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_MADE_UP = re.compile(r"(?=.*[0-9])[A-Za-z0-9_.:~%-]{25,}|[0-9]{4,}|[0-9a-f]{8}-[0-9a-f-]{20,}")


def route_of(path: str, model: str = "") -> str:
    """A path as a label: the model and ids in it are left out, so that there are only so many."""
    if model:
        for name in (quote(model, safe=""), quote(model), model):
            path = path.replace(f"/{name}", "/{model}", 1) if f"/{name}" in path else path
    return "/".join("{id}" if _MADE_UP.fullmatch(part) else part for part in path[:256].split("/"))


def error_code(record: Interception) -> str:
    """``error.type``: the HTTP status where that was the error, else what kind it was; empty where none was."""
    if record.outcome == "completed":
        return ""
    if record.status_code is not None and 400 <= record.status_code < 600:
        return str(record.status_code)
    if record.outcome == "failed":
        return record.error_type if record.error_type not in (None, "unknown") else "_OTHER"
    return record.outcome


class RecordMetrics:
    """An :class:`aitap.observe.observers.Observer`, to be called on the spot."""

    name = "the metrics"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._names = semconv.names()
        self._first_chunk = self._prometheus(self._names.first_chunk)
        self._duration = self._prometheus(self._names.duration)
        self._counters: set[str] = set()
        self._providers: dict[tuple[str, str, str], float] = {}
        now = time.time()
        registry.set("providers_last_reload_timestamp_seconds", {(): now})
        registry.set("providers_last_reload_success_timestamp_seconds", {(): now})
        for name in ("hook_errors_total", "unrecorded_exchanges_total", "proxy_handshake_refusals_total"):
            registry.add(name, 0)

    @staticmethod
    def _prometheus(name: str) -> str:
        return f"{name.replace('.', '_')}_seconds"

    def observe(self, record: Interception, *, announced: bool) -> None:  # noqa: ARG002 - starts are not counted
        """Count a record that has ended."""
        if record.ended_at is None:
            return
        add = self._registry.add
        provider, model = record.provider_name, record.model
        who = (provider, model, record.initiator_id, record.client)
        route = route_of(record.path, model)
        add(
            "interceptions_total",
            1,
            *(provider, model, record.outcome, route, record.method, record.initiator_id, record.client),
        )
        self._registry.observe("interceptions_duration_seconds", record.ended_at - record.started_at, provider, model)
        add("proxy_mitm_requests_total", 1, provider)
        if record.status_code is not None:
            add("proxy_mitm_responses_total", 1, str(record.status_code), provider)
        if record.user_prompts:
            add("prompts_total", len(record.user_prompts), *who)
        for tool in record.tool_usages:
            add("non_injected_tool_selections_total", 1, provider, model, tool.tool)
        if record.model_thoughts:
            add("thoughts_total", len(record.model_thoughts), provider, model)
        if record.error_type is not None:
            add("errors_total", 1, provider, model, record.error_type)
        if record.retry_of is not None:
            add("retries_total", 1, provider, record.client)
        if record.wire.unreadable:
            add("decode_errors_total", 1, record.api)
        for usage in record.token_usages:
            self._tokens(record, usage)
        self._seen(record)
        self._genai(record)

    def close(self, timeout: float) -> None:
        """Nothing is kept back."""

    def host_seen(self, seen: HostSeen) -> None:
        """Count a tunnel, or a handshake that was refused."""
        add = self._registry.add
        if seen.connections:  # those that are read the proxy counts itself
            add("proxy_connect_sessions_total", seen.connections, "tunneled")
        if seen.mode != "decrypted":
            add("proxy_tunnel_bytes_total", seen.bytes_sent, "sent")
            add("proxy_tunnel_bytes_total", seen.bytes_received, "received")
        if seen.refusals:
            add("proxy_handshake_refusals_total", seen.refusals)

    def passed(self, provider: str, method: str, path: str) -> None:
        """Count a request to an AI host that is no call of a model."""
        self._registry.add("passthrough_total", 1, provider, route_of(path), method if method in _METHODS else OTHER)

    def _tokens(self, record: Interception, usage: TokenUsage) -> None:
        counted: dict[str, float] = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read_input_tokens": usage.cache_read_input_tokens,
            "cache_write_input_tokens": usage.cache_write_input_tokens,
        }
        counted |= {
            name: value
            for name, value in usage.metadata.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 and self._known(name)
        }
        for name, value in counted.items():
            if value > 0:
                who = (record.provider_name, record.model, name, record.initiator_id, record.client)
                self._registry.add("tokens_total", value, *who)

    def _known(self, counter: str) -> bool:
        """Providers name their counters, so there are only so many."""
        if counter not in self._counters and len(self._counters) < _MOST_COUNTERS and _NAME.fullmatch(counter):
            self._counters.add(counter)
        return counter in self._counters

    def _seen(self, record: Interception) -> None:
        key = (record.provider_name, record.provider, "enabled")
        if key not in self._providers and len(self._providers) < 300:
            self._providers[key] = 1
            self._registry.set("provider_info", self._providers)

    def _genai(self, record: Interception) -> None:
        observe = self._registry.observe
        what = (
            semconv.operation(record),
            semconv.provider(record),
            record.model,
            record.response_model,
            record.host,
        )
        asked_at = record.wire.asked_at or record.started_at
        observe(self._duration, max((record.ended_at or asked_at) - asked_at, 0.0), *what, error_code(record))
        if record.time_to_first_token is not None:
            observe(self._first_chunk, record.time_to_first_token, *what)
        for usage in record.token_usages:
            read, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
            counted = {
                "input_tokens": semconv.input_tokens(usage.input_tokens, read, written),
                "output_tokens": usage.output_tokens,
            }
            if self._names.latest:
                counted |= {"cache_read_input_tokens": read, "cache_write_input_tokens": written}
                for name, value in counted.items():
                    self._registry.add(f"gen_ai_client_inference_usage_{name}_total", value, *what, "unknown")
            else:
                for name, value in counted.items():
                    observe("gen_ai_client_token_usage", value, *what, name.partition("_")[0])
