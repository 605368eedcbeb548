"""All that TLS has to send is fetched, whatever its size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.proxy.layers.tls import TLSLayer
from OpenSSL import SSL

from aitap.access.grafts import Grafts
from aitap.pace.records import fetch_once


class Memory:
    """OpenSSL's outgoing bytes."""

    def __init__(self, size: int) -> None:
        self.left = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        self.asked = 0

    def bio_read(self, size: int) -> bytes:
        self.asked += 1
        if not self.left:
            raise SSL.WantReadError
        data, self.left = self.left[:size], self.left[size:]
        return data


def fetched(size: int) -> tuple[list[bytes], int]:
    memory = Memory(size)
    layer: Any = SimpleNamespace(tls=memory, conn=None)
    return [command.data for command in TLSLayer.tls_interact(layer)], memory.asked  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [0, 1, 65534, 65535, 65536, 131070, 200_000])
def test_the_pieces_are_mitmproxys_and_none_is_asked_for_that_cannot_be(size: int) -> None:
    alone, asked = fetched(size)
    grafts = Grafts()
    fetch_once(grafts)
    try:
        pieces, fewer = fetched(size)
    finally:
        grafts.remove()
    assert pieces == alone
    assert fewer == asked - (size % 65535 > 0)
