"""Loaded into mitmdump beside the addon: says what a script gets to see of credentials."""

from __future__ import annotations

import logging

from mitmproxy import http


def http_connect(flow: http.HTTPFlow) -> None:
    _look("connect", flow)


def requestheaders(flow: http.HTTPFlow) -> None:
    _look("request", flow)


def _look(what: str, flow: http.HTTPFlow) -> None:
    shown = "proxyauth" in flow.metadata or "proxy-authorization" in flow.request.headers
    logging.getLogger(__name__).warning("spy: %s", "CREDENTIALS" if shown else what)
