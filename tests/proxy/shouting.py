"""Loaded into mitmdump beside the addon: says in capitals whatever passes as raw TCP."""

from __future__ import annotations

from mitmproxy.tcp import TCPFlow


def tcp_message(flow: TCPFlow) -> None:
    message = flow.messages[-1]
    message.content = message.content.upper()
