"""Two proxies that share one PostgreSQL, behind the load balancers of deploy/."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from aitap.storage.database import open_database
from aitap.storage.queries import Filter, iter_interceptions
from tests import postgres
from tests.proxy.client import ANTHROPIC, exchange
from tests.proxy.mitmdump import CHECKOUT, Mitmdump, until
from tests.proxy.test_observe_metrics import address
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import MESSAGES, ask_messages, message_json

DEPLOY = CHECKOUT / "deploy"
BALANCERS = ("haproxy", "nginx")
ROUNDS = 4


class Pair(NamedTuple):
    """Two proxies, and the URL of their database."""

    proxies: tuple[Mitmdump, Mitmdump]
    url: str


class Front:
    """A load balancer, where a client expects a proxy."""

    def __init__(self, port: int, proxy: Mitmdump) -> None:
        self.port = port
        self.trust = proxy.trust


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Pair]:
    """Both are started at once, on a database that is empty."""
    url = postgres.fresh(empty=True)
    started: dict[int, Mitmdump] = {}

    def start(number: int) -> None:
        folder = tmp_path_factory.mktemp(f"proxy{number}")
        arguments = ("--set", "aitap_metrics_listen=127.0.0.1:0")
        arguments += ("--set", "aitap_proxy_protocol=127.0.0.1", "--set", "aitap_auth=none")
        started[number] = Mitmdump(folder, confdir, _provider, arguments=arguments, database_url=url)

    threads = [threading.Thread(target=start, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(started) == [1, 2]
    yield Pair((started[1], started[2]), url)
    for proxy in started.values():
        proxy.stop()
    postgres.drop(url)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def haproxy(folder: Path, pair: Pair, port: int) -> list[str]:
    """The example with our addresses in it."""
    text = DEPLOY.joinpath("haproxy.cfg").read_text("utf-8").replace("bind :8080", f"bind 127.0.0.1:{port}")
    for number, proxy in enumerate(pair.proxies, 11):
        health = address(proxy).rpartition(":")[2]
        text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{proxy.port} port {health}")
    path = folder / "haproxy.cfg"
    path.write_text(text)
    return ["haproxy", "-db", "-f", str(path)]


def nginx(folder: Path, pair: Pair, port: int) -> list[str]:
    """The example with our addresses in it."""
    text = DEPLOY.joinpath("nginx.conf").read_text("utf-8").replace("listen 8080", f"listen 127.0.0.1:{port}")
    for number, proxy in enumerate(pair.proxies, 11):
        text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{proxy.port}")
    module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    text = text.replace("modules/ngx_stream_module.so", str(module)) if module.exists() else text.partition(";")[2]
    text = text.replace("worker_processes auto", "worker_processes 1").replace("16384", "256").replace("65536", "1024")
    path = folder / "nginx.conf"
    path.write_text(f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr;\n{text}")
    return ["nginx", "-p", str(folder), "-c", str(path), "-e", "stderr"]


COMMANDS: dict[str, Callable[[Path, Pair, int], list[str]]] = {"haproxy": haproxy, "nginx": nginx}


@pytest.fixture(params=BALANCERS)
def front(request: pytest.FixtureRequest, pair: Pair, tmp_path: Path) -> Iterator[Front]:
    if shutil.which(request.param) is None:
        pytest.skip(f"needs {request.param}")
    port = free_port()
    log = tmp_path / "balancer.log"
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        command = COMMANDS[request.param](tmp_path, pair, port)
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        until(listens, "a load balancer")
        yield Front(port, pair.proxies[0])


def turn(session: str, number: int) -> bytes:
    """The request that brings the result of the tool call before, if there is one."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"start {session}"}]
    for before in range(number):
        call = {"type": "tool_use", "id": f"toolu_{session}_{before}", "name": "look", "input": {}}
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "seen"}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return ask_messages("", messages=messages)


def ended(pair: Pair) -> list[dict[str, Any]]:
    """The ended records, oldest first."""
    database = open_database(pair.url, read_only=True)
    try:
        return [record for record in iter_interceptions(database, Filter()) if record["ended_at"]]
    finally:
        database.close()


def recorded(pair: Pair, session: str) -> list[dict[str, Any]]:
    """Those of this session's answers."""
    return [
        record
        for record in ended(pair)
        if any(usage["provider_response_id"].startswith(f"msg_{session}_") for usage in record["token_usages"])
    ]


def runs(pair: Pair, ids: list[str]) -> set[int]:
    with psycopg.connect(pair.url) as connection:
        rows = connection.execute("SELECT DISTINCT proxy_id FROM aibridge_interceptions WHERE id = ANY(%s)", (ids,))
        return {run for (run,) in rows.fetchall()}


def test_a_session_whose_calls_go_through_both_proxies_is_one_thread(
    front: Front, pair: Pair, upstream: Upstream, request: pytest.FixtureRequest
) -> None:
    session = request.node.callspec.params["front"]
    for number in range(ROUNDS):
        call = (f"toolu_{session}_{number}", "look", {})
        upstream.serve(answer(message_json(f"msg_{session}_{number}", call=call)))
        # A connection for each call, so that the load balancer chooses each time.
        assert exchange(front, ANTHROPIC, MESSAGES, turn(session, number))[0] == 200  # type: ignore[arg-type]
        until(lambda count=number + 1: len(recorded(pair, session)) == count, "the record before the next call")
    records = sorted(recorded(pair, session), key=lambda record: record["started_at"])
    ids = [record["id"] for record in records]
    assert len(runs(pair, ids)) == 2
    assert [record["thread_parent_id"] for record in records] == [None, *ids[:-1]]
    assert {record["thread_root_id"] for record in records[1:]} == {ids[0]}
    assert len({record["session_id"] for record in records}) == 1


def test_what_one_proxy_saw_fail_is_repeated_by_way_of_the_other(
    front: Front, pair: Pair, upstream: Upstream, request: pytest.FixtureRequest
) -> None:
    status = 500 + BALANCERS.index(request.node.callspec.params["front"])
    body = ask_messages(f"what is answered with {status}")
    upstream.serve(answer(b'{"type": "error", "error": {"type": "api_error", "message": "Sorry"}}', status=status))

    def failed() -> list[dict[str, Any]]:
        return [record for record in ended(pair) if record["status_code"] == status]

    for number in range(ROUNDS):
        assert exchange(front, ANTHROPIC, MESSAGES, body)[0] == status  # type: ignore[arg-type]
        until(lambda count=number + 1: len(failed()) == count, "the record before the next attempt")
    records = sorted(failed(), key=lambda record: record["started_at"])
    ids = [record["id"] for record in records]
    assert len(runs(pair, ids)) == 2
    assert [record["retry_of"] for record in records] == [None, *ids[:-1]]
    assert [len(record["user_prompts"]) for record in records] == [1, 0, 0, 0]
    assert len({record["session_id"] for record in records}) == 1


def test_the_schema_was_made_once_by_two_that_started_at_once(pair: Pair) -> None:
    with psycopg.connect(pair.url) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM aitap_migrations").fetchall()]
    assert names
    assert sorted(names) == sorted(set(names))
    assert not any("Error" in proxy.said() or "error" in proxy.said() for proxy in pair.proxies)


def test_what_is_used_on_a_day_is_summed_over_both(front: Front, pair: Pair, upstream: Upstream) -> None:
    def used() -> int:
        with psycopg.connect(pair.url) as connection:
            row = connection.execute("SELECT coalesce(sum(interceptions), 0) FROM aitap_daily_usage").fetchone()
        assert row is not None
        return int(row[0])

    before = used()
    upstream.serve(answer(message_json("msg_sum", text="Hello")))

    def send() -> None:
        for _ in range(5):
            exchange(front, ANTHROPIC, MESSAGES, ask_messages("hi"))  # type: ignore[arg-type]

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    until(lambda: used() - before == 10, "ten more on the day's sheet")


def test_whoever_reaches_a_proxy_past_the_load_balancer_is_told_nothing(pair: Pair) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        exchange(pair.proxies[0], ANTHROPIC, MESSAGES, ask_messages("hi"))
    until(lambda: "sent no header of it" in pair.proxies[0].said(), "a line in the log")
