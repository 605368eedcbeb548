"""A real Prometheus scrapes a real proxy and answers questions about what it found."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.client import ANTHROPIC, exchange
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.test_observe_metrics import EVENTS, LISTEN, address
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import MESSAGES, ask_messages, message_sse

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus")


@pytest.fixture
def proxy(start_proxy: Callable[..., Mitmdump]) -> Mitmdump:
    return start_proxy(arguments=LISTEN)


@pytest.fixture
def prometheus(proxy: Mitmdump, tmp_path: Path) -> Iterator[str]:
    """Its address; it scrapes the proxy every 200 ms."""
    target = address(proxy).removeprefix("http://")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: aitap, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        own = f"127.0.0.1:{probe.getsockname()[1]}"
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"),
                f"--web.listen-address={own}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield f"http://{own}"
    process.terminate()
    process.wait(60)


def ask(prometheus: str, query: str) -> list[dict[str, Any]]:
    """The result of an instant query; nothing where it does not answer yet."""
    try:
        with urllib.request.urlopen(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as found:
            return json.load(found)["data"]["result"]
    except (urllib.error.URLError, ConnectionError):
        return []


def test_it_is_up_and_counts_what_has_passed(proxy: Mitmdump, prometheus: str, upstream: Upstream) -> None:
    upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
    for _ in range(3):
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))

    def counted(query: str, wanted: str) -> bool:
        return any(found["value"][1] == wanted for found in ask(prometheus, query))

    until(lambda: counted("up{job='aitap'}", "1"), "a scrape")
    until(lambda: counted("sum(aitap_interceptions_total{status='completed'})", "3"), "three interceptions")
    until(lambda: counted("sum(gen_ai_client_token_usage_sum{gen_ai_token_type='input'})", "57"), "their tokens")
    assert counted("aitap_records_lost_total", "0")
