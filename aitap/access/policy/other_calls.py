"""Calls of a model that nobody records: batches, embeddings, images and the like. The policy holds for them too.

Which paths these are is data (``data/other_calls.toml``). A model is looked for in the path and as ``model`` in the
body; where there is none, as in a batch or a form, the call counts as one whose model cannot be read.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import unquote

from aitap.capture.called import Called
from aitap.capture.routes import Route, plain_path

if TYPE_CHECKING:
    from mitmproxy import http

    from aitap.capture.routes import Router

__all__ = ["OtherCalls", "in_other_path"]

_MODEL = re.compile(r"/(?:models?|deployments|engines)/([^/:]+)")


class OtherCalls:
    """Knows them by their paths."""

    def __init__(self) -> None:
        text = resources.files("aitap.access.policy").joinpath("data/other_calls.toml").read_text("utf-8")
        table = tomllib.loads(text)
        self._fits = re.compile("|".join(map(fnmatch.translate, table["paths"])), re.IGNORECASE).match
        self._dialects: dict[str, str] = table["dialects"]

    def find(self, router: Router, flow: http.HTTPFlow) -> Called | None:
        """The call that begins with this request's head; None where it is none. Ask for recorded calls first."""
        request = flow.request
        socket = request.data.method == b"GET" and request.headers.get("upgrade", "").lower() == "websocket"
        if not socket and request.data.method.upper() != b"POST":
            return None
        path, _, query = request.data.path.decode("utf-8", "replace").partition("?")
        if not self._fits(plain_path(path)):
            return None
        for name in (request.data.host, flow.client_conn.sni or "", request.pretty_host):
            host = name.lower().rstrip(".")
            if provider := router.knows(host, request.data.port):
                kind, provider_name = provider
                api = self._dialects.get(kind, "openai.chat_completions")
                # Of a WebSocket no message is looked at here: it is decided once, like a POST.
                return Called(Route(kind, provider_name, api, "auxiliary"), host, path, query, post=True)
        return None


def in_other_path(path: str) -> tuple[str, ...]:
    """The models that the path of such a call names."""
    return tuple(dict.fromkeys(_MODEL.findall(unquote(path))))
