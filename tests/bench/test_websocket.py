from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from bench import websocket

SIZES = [0, 1, 3, 4, 125, 126, 65535, 65536]


def test_the_accept_of_the_standard_s_example_is_the_standard_s():
    """RFC 6455, 1.3."""
    assert websocket.accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("client", [False, True])
def test_another_implementation_reads_what_is_written(size, client):
    protocol = FrameProtocol(client=not client, extensions=[])
    protocol.receive_bytes(websocket.text(b"x" * size, b"\x01\x02\xf3\x04" if client else b""))
    (frame,) = protocol.received_frames()
    assert (frame.opcode, frame.message_finished, frame.payload) == (Opcode.TEXT, True, "x" * size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("client", [False, True])
def test_what_another_implementation_writes_is_read(size, client):
    data = FrameProtocol(client=client, extensions=[]).send_data("x" * size)
    assert websocket.frame_at(b"before" + data, 6) == (websocket.TEXT, True, b"x" * size, 6 + len(data))


@given(st.binary(max_size=300), st.sampled_from([b"", b"mask"]))
def test_a_frame_is_read_when_its_last_byte_has_come(payload, mask):
    data = websocket.text(payload, mask)
    assert all(websocket.frame_at(data[:end]) is None for end in range(len(data)))
    frame = websocket.frame_at(data)
    assert frame is not None
    assert frame.payload == payload
