"""A real Prometheus would find in a real proxy what has passed, and an orchestrator whether it is well."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.proxy.client import ANTHROPIC, connect, exchange
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.upstream import Reply, Request, Upstream, answer, in_turn
from tests.proxy.wire import MESSAGES, ask_messages, message_sse

EVENTS = "text/event-stream"
BUSY = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}'
LISTEN = ("--set", "aitap_metrics_listen=127.0.0.1:0")
CALL = ("toolu_1", "weather", {"city": "Paris"})

Start = Callable[..., Mitmdump]
Samples = dict[str, list[tuple[dict[str, str], float]]]


def address(proxy: Mitmdump) -> str:
    found = until(lambda: re.search(r"metrics at (http://127\.0\.0\.1:\d+)/metrics", proxy.said()), "an address")
    return found[1]


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answered:
            return answered.status, answered.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def scrape(proxy: Mitmdump) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(get(f"{address(proxy)}/metrics")[1]):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(samples: Samples, sample: str, /, **labels: str) -> float:
    return sum(value for given, value in samples.get(sample, ()) if labels.items() <= given.items())


def counted(proxy: Mitmdump, name: str, wanted: float, **labels: Any) -> Samples:
    """What was scraped when this had that value."""

    def found() -> Samples | None:
        samples = scrape(proxy)
        return samples if value(samples, name, **labels) == wanted else None

    return until(found, f"{name} {labels} = {wanted}")


def test_what_passes_is_counted(start_proxy: Start, upstream: Upstream) -> None:
    proxy = start_proxy(arguments=(*LISTEN, "--set", "aitap_metrics_compatible=true"))
    good = answer(message_sse("msg_1", thinking="Let me see", call=CALL), EVENTS)
    upstream.serve(in_turn(good, good, answer(BUSY, status=429)))
    for _ in range(3):
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    proxy.records(3)
    samples = counted(proxy, "aitap_interceptions_total", 3)
    assert value(samples, "aitap_records_written_total") >= 3  # a beginning that was stored before its end is one, too
    status = {given["status"]: count for given, count in samples["aitap_interceptions_total"]}
    assert status == {"completed": 2, "failed": 1}
    assert {given["route"] for given, _ in samples["aitap_interceptions_total"]} == {"/v1/messages"}
    assert value(samples, "coder_ai_gateway_interceptions_total") == 3
    assert value(samples, "aitap_tokens_total", type="input") == 22
    assert value(samples, "aitap_non_injected_tool_selections_total", name="weather") == 2
    assert value(samples, "aitap_errors_total", type="rate_limited") == 1
    assert value(samples, "aitap_proxy_mitm_responses_total", code="429") == 1
    assert value(samples, "gen_ai_client_operation_time_to_first_chunk_seconds_count") == 2
    assert value(samples, "aitap_records_lost_total") == 0
    assert value(samples, "aitap_interceptions_inflight") == 0
    assert value(samples, "aitap_database_bytes") > 0


def test_the_proxy_process_tells_how_long_its_hooks_take(start_proxy: Start, upstream: Upstream) -> None:
    proxy = start_proxy(arguments=LISTEN)
    upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    samples = counted(proxy, "aitap_hook_seconds_count", 1, hook="request")
    assert value(samples, "aitap_hook_errors_total") == 0


def test_who_is_refused_and_what_passes_by_are_counted(start_proxy: Start, upstream: Upstream) -> None:
    proxy = start_proxy(arguments=(*LISTEN, "--set", "aitap_auth=required"))
    with pytest.raises(OSError, match="407"):
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))
    samples = until(
        lambda: (found := scrape(proxy)) and value(found, "aitap_proxy_refusals_total", part="gate") and found,
        "a refusal",
    )
    assert value(samples, "aitap_proxy_refusals_total", part="gate") == 1

    upstream.serve(answer(b'{"data": []}'))
    second = start_proxy(arguments=LISTEN)
    connection = connect(second, ANTHROPIC)
    connection.request("GET", "/v1/models")
    assert connection.getresponse().read() == b'{"data": []}'
    connection.close()
    samples = counted(second, "aitap_passthrough_total", 1)
    assert value(samples, "aitap_passthrough_total", provider="anthropic", route="/v1/models", method="GET") == 1
    assert second.all_records() == []


def test_what_goes_on_is_shown_until_it_is_over(start_proxy: Start, upstream: Upstream) -> None:
    proxy = start_proxy(arguments=LISTEN)
    events = message_sse("msg_1", text="one two").split(b"\n\n")
    seen: list[Samples] = []

    def handler(_: Request, reply: Reply) -> None:
        reply.head(200, {"content-type": EVENTS})
        reply.send(events[0] + b"\n\n")
        seen.append(counted(proxy, "aitap_interceptions_inflight", 1))
        reply.send(b"\n\n".join(events[1:]))
        reply.end()

    upstream.serve(handler)
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    assert value(seen[0], "aitap_proxy_inflight_mitm_requests", provider="anthropic") == 1
    counted(proxy, "aitap_interceptions_total", 1)
    assert "aitap_interceptions_inflight" not in scrape(proxy)


def test_a_locked_database_is_not_ready_where_there_is_no_spool_and_still_healthy(
    start_proxy: Start, upstream: Upstream
) -> None:
    proxy = start_proxy(arguments=(*LISTEN, "--set", "aitap_spool_limit=0"))
    url = address(proxy)
    assert (get(f"{url}/healthz"), get(f"{url}/readyz")) == ((200, "ok\n"), (200, "ok\n"))
    upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
    with closing(sqlite3.connect(proxy.database)) as other:
        other.execute("BEGIN IMMEDIATE")
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
        until(lambda: get(f"{url}/readyz")[0] == 503, "not ready", timeout=30)
        assert get(f"{url}/readyz")[1] == "the database does not take records: database is locked; there is no spool\n"
        assert get(f"{url}/healthz") == (200, "ok\n")
        other.rollback()
    until(lambda: get(f"{url}/readyz") == (200, "ok\n"), "ready again")
    assert proxy.record()["outcome"] == "completed"


def test_an_address_in_use_costs_the_metrics_and_no_record(start_proxy: Start, upstream: Upstream) -> None:
    first = start_proxy(arguments=LISTEN)
    taken = address(first).removeprefix("http://")
    second = start_proxy(arguments=("--set", f"aitap_metrics_listen={taken}"))
    until(lambda: "the address of the metrics cannot be had" in second.said(), "a line that says so")
    upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
    exchange(second, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    assert second.record()["outcome"] == "completed"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_promtool_finds_nothing_to_complain_of(start_proxy: Start, upstream: Upstream) -> None:
    proxy = start_proxy(arguments=(*LISTEN, "--set", "aitap_metrics_compatible=true"))
    upstream.serve(answer(message_sse("msg_1", thinking="Let me see", call=CALL), EVENTS))
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    counted(proxy, "aitap_hook_seconds_count", 1, hook="request")
    text = get(f"{address(proxy)}/metrics")[1]
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
