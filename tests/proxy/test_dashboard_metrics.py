"""A real Prometheus watches a real proxy under a scripted load: every query of the dashboard finds something."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aitap.observe.metric_table import PREFIX, metrics
from aitap.observe.registry import Metric
from dashboards.__main__ import HERE, files
from tests.proxy.client import ANTHROPIC, OPENAI, connect, exchange
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.raw import open_tunnel
from tests.proxy.test_observe_metrics import address
from tests.proxy.upstream import Reply, Request, Upstream
from tests.proxy.wire import MESSAGES, RESPONSES, ask_messages, ask_responses, message_sse, response_json

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus (Debian: prometheus)")

EVENTS = "text/event-stream"
BUSY = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}'
CLIENT = "claude-cli/2.1.0 (external, cli)"
WINDOW = "60s"
WITHOUT = {
    "interceptions_inflight": "perhaps nothing goes on then; tests/proxy/test_observe_metrics.py has it",
    "proxy_inflight_mitm_requests": "as above",
    "injected_tool_invocations_total": "this proxy puts no tools into requests",
    "decode_errors_total": "a mistake of ours; tests/observe/test_record_metrics.py has it",
    "observations_dropped_total": "of logs and traces, which are off; tests/observe/test_observation.py has it",
    "export_failures_total": "of a collector, of which there is none; as above",
    "budget_used_ratio": "there are no budgets",
    "workers": "this is one process; tests/proxy/test_workers.py has it",
    "worker_restarts_total": "as above",
}
"""Metrics that this load may leave without a value, and why."""

Ask = Callable[[str], list[Any]]


def provider(request: Request, reply: Reply) -> None:
    """Answers most, refuses what says it wants to fail."""
    status, kind, body = 200, EVENTS, message_sse("msg_1", thinking="Let me see", call=("toolu_1", "weather", {}))
    if request.target == RESPONSES:
        kind, body = "application/json", response_json("resp_1", text="Hello")
    elif request.method == "GET":
        kind, body = "application/json", b"{}"
    elif b"fail" in request.body:
        status, kind, body = 429, "application/json", BUSY
    reply.head(status, {"content-type": kind}, length=len(body))
    reply.send(body)
    reply.end()


def load(proxy: Mitmdump, server: Upstream) -> None:
    """A bit of everything that the dashboard shows."""
    for _ in range(4):
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True), user_agent=CLIENT)
    exchange(proxy, OPENAI, RESPONSES, ask_responses("hi"))
    failing = ask_messages("fail", stream=True)
    for _ in range(2):
        exchange(proxy, ANTHROPIC, MESSAGES, failing)
    exchange(proxy, ANTHROPIC, MESSAGES, b"x" * 100_000)
    connection = connect(proxy, ANTHROPIC)
    connection.request("GET", "/v1/models", headers={"user-agent": "raw/1.0"})
    connection.getresponse().read()
    connection.close()
    own = ssl.create_default_context(cafile=str(server.certificate))
    own.check_hostname = False
    with open_tunnel(proxy, "files.example.com") as tunnel, own.wrap_socket(tunnel) as unread:
        unread.sendall(b"GET / HTTP/1.1\r\nhost: files.example.com\r\n\r\n")
        assert unread.recv(1)
    with open_tunnel(proxy, ANTHROPIC) as tunnel, contextlib.suppress(ssl.SSLError):
        own.wrap_socket(tunnel, server_hostname=ANTHROPIC)


@pytest.fixture
def watched(start_proxy: Callable[..., Mitmdump], upstream: Upstream, tmp_path: Path) -> Iterator[tuple[Ask, Ask]]:
    """What Prometheus answers to a query, and under a path of its API, once it has watched a while."""
    upstream.serve(provider)
    proxy = start_proxy(arguments=("--set", "aitap_metrics_listen=127.0.0.1:0", "--set", "aitap_body_limit=50k"))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(HERE / "alerts.yaml")],
        "scrape_configs": [
            {"job_name": "aitap", "static_configs": [{"targets": [address(proxy).removeprefix("http://")]}]}
        ],
    }
    # JSON is YAML.
    tmp_path.joinpath("prometheus.yaml").write_text(json.dumps(config), "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/data"]
    with tmp_path.joinpath("prometheus.log").open("wb") as log:
        server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

    def api(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=60) as answered:
            return json.load(answered)["data"]

    def ask(query: str) -> list[Any]:
        return list(api(f"query?query={urllib.parse.quote(query)}")["result"])

    def scraped() -> bool:
        with contextlib.suppress(OSError):
            return bool(ask('up{job="aitap"} == 1'))
        return False

    until(scraped, "a first scrape")
    end = time.monotonic() + 90
    # The proxy process tells what it counts every five seconds; a rate wants it told twice.
    while time.monotonic() < end and not ask("rate(aitap_proxy_refusals_total{part='limits'}[60s]) > 0"):
        load(proxy, upstream)
    yield ask, api
    server.terminate()
    server.wait(60)


def exposed(metric: Metric) -> str:
    """The name under which its values are found."""
    return f"{metric.name}_count" if metric.kind == "histogram" else metric.name


def expressions() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard, filled in as Grafana does, after its panel."""
    dashboard = json.loads(files()["aitap-prometheus.json"])
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name in ("instance", "provider", "model", "client"):
                query = query.replace(f"${name}", ".*")
            yield panel["title"], query.replace("$__rate_interval", WINDOW).replace("$__range", WINDOW)


def test_every_query_of_the_dashboard_finds_something_and_every_rule_is_sound(watched: tuple[Ask, Ask]) -> None:
    ask, api = watched
    assert [f"{panel}: {query}" for panel, query in expressions() if not ask(query)] == []
    found = dict(expressions())
    assert ask(found["Records lost"])[0]["value"][1] == "0"
    assert 0.2 < float(ask(found["Failed calls"])[0]["value"][1]) < 0.4
    assert {row["metric"]["type"] for row in ask(found["Connections"])} >= {"tunneled", "mitm"}
    assert {row["metric"]["provider"] for row in ask(found["Cache hit rate"])} == {"anthropic", "openai"}
    empty = {metric.name for metric in metrics() if not ask(f"{PREFIX if metric.prefixed else ''}{exposed(metric)}")}
    assert empty <= set(WITHOUT), "each metric has a value under load, or a reason"
    dashboard = json.loads(files()["aitap-prometheus.json"])
    for variable in dashboard["templating"]["list"][1:]:
        name, label = variable["definition"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        assert api(f"label/{label}/values?match[]={urllib.parse.quote(name.replace('$provider', '.*'))}")
    rules = [rule for group in api("rules")["groups"] for rule in group["rules"]]  # type: ignore[call-overload]
    assert {rule["health"] for rule in rules} == {"ok"}
    firing = {rule["name"]: rule["labels"]["severity"] for rule in rules if rule["state"] == "firing"}
    # A client that does not trust the proxy is part of the load.
    assert set(firing) <= {"AitapNotTrusted"}
