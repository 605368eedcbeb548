"""Who runs the proxy by ``aitap run`` reads what matters, and not who came and went."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from aitap.observe.proxy_lines import tell_what_matters

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def connections() -> Iterator[logging.Logger]:
    """The logger by which mitmproxy tells of connections."""
    logger = logging.getLogger("mitmproxy.proxy.server")
    before = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(before)


@pytest.mark.parametrize("arguments", [(), ("--set", "aitap_auth=none"), ("--flow-detail", "1")])
def test_warnings_of_connections_are_told_and_nothing_less(
    connections: logging.Logger, arguments: tuple[str, ...]
) -> None:
    tell_what_matters(arguments)
    assert not connections.isEnabledFor(logging.INFO)
    assert connections.isEnabledFor(logging.WARNING)


@pytest.mark.parametrize(
    "arguments", [("-v",), ("--verbose",), ("--set", "termlog_verbosity=debug"), ("--set=termlog_verbosity=info",)]
)
def test_who_asks_for_more_gets_all(connections: logging.Logger, arguments: tuple[str, ...]) -> None:
    tell_what_matters(arguments)
    assert connections.level == logging.NOTSET
