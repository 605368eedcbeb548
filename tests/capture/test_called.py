"""Which model call a flow is."""

from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from aitap.capture.called import called
from aitap.capture.routes import Router

ROUTER = Router()


def flow(method: str, url: str, **headers: str) -> http.HTTPFlow:
    made = tflow.tflow()
    made.client_conn.sni = None
    made.request = http.Request.make(method, url, b"{}", dict(headers))
    return made


def test_a_post_to_a_path_of_the_table_is_a_call() -> None:
    found = called(ROUTER, flow("POST", "https://api.ANTHROPIC.com/v1/messages?beta=true"))
    assert found is not None
    assert (found.route.provider_name, found.route.api) == ("anthropic", "anthropic.messages")
    assert (found.host, found.path, found.query, found.post) == ("api.anthropic.com", "/v1/messages", "beta=true", True)


def test_a_dot_after_the_host_and_small_letters_in_the_method_change_nothing() -> None:
    found = called(ROUTER, flow("post", "https://api.anthropic.com./v1/messages"))
    assert found is not None
    assert (found.route.provider_name, found.host, found.post) == ("anthropic", "api.anthropic.com", True)


def test_a_host_of_no_table_is_guessed_by_its_path() -> None:
    found = called(ROUTER, flow("POST", "https://llm.example.com/serve/v1/chat/completions"))
    assert found is not None
    assert (found.route.provider, found.host) == ("unknown", "llm.example.com")


def test_where_traffic_was_redirected_the_name_of_the_handshake_or_the_head_tells() -> None:
    redirected = flow("POST", "https://127.0.0.1:8443/v1/messages")
    redirected.request.host_header = "api.anthropic.com"
    found = called(ROUTER, redirected)
    assert found is not None
    assert found.host == "api.anthropic.com"
    redirected = flow("POST", "https://127.0.0.1:8443/v1/messages")
    redirected.client_conn.sni = "API.anthropic.com"
    found = called(ROUTER, redirected)
    assert found is not None
    assert found.host == "api.anthropic.com"


def test_a_get_is_a_call_only_where_it_asks_for_a_websocket() -> None:
    url = "https://api.openai.com/v1/responses"
    assert called(ROUTER, flow("GET", url)) is None
    found = called(ROUTER, flow("GET", url, upgrade="WebSocket"))
    assert found is not None
    assert not found.post


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PUT", "https://api.anthropic.com/v1/messages"),
        ("POST", "https://api.openai.com/v1/files"),
        ("POST", "https://api.openai.com/v1/realtime"),
        ("POST", "https://www.example.com/v1/files"),
    ],
)
def test_all_else_is_none(method: str, url: str) -> None:
    assert called(ROUTER, flow(method, url)) is None
