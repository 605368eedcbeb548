"""A response body: decompress, frame, decode."""

from __future__ import annotations

import gzip
import zlib

import pytest

from aitap.capture.facts import ResponseFacts
from aitap.capture.response import MessageBody, ResponseBody


class Notes:
    """A decoder that writes down what it is given."""

    def __init__(self) -> None:
        self.skip: tuple[bytes, ...] = ()
        self.events: list[tuple[bytes, bytes, float]] = []
        self.documents: list[bytes] = []

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        self.events.append((kind, data, at))

    def document(self, data: bytes) -> None:
        self.documents.append(data)

    def facts(self) -> ResponseFacts:
        return ResponseFacts(response_id="noted")


def body(
    *pieces: bytes, content_type: str = "", content_encoding: str = "", failed: bool = False
) -> tuple[Notes, ResponseBody]:
    notes = Notes()
    found = ResponseBody(notes, content_type=content_type, content_encoding=content_encoding, failed=failed)
    for at, piece in enumerate(pieces):
        found.feed(piece, float(at))
    assert found.finish(99.0).response_id == "noted"
    return notes, found


def events(*pieces: bytes, content_type: str = "text/event-stream") -> list[tuple[bytes, bytes]]:
    return [(kind, data) for kind, data, _ in body(*pieces, content_type=content_type)[0].events]


@pytest.mark.parametrize(
    "content_type", ["text/event-stream", "Text/Event-Stream; charset=utf-8", "", "text/plain", "application/x-ndjson"]
)
def test_an_event_stream_is_cut_into_events_whatever_it_is_called(content_type: str) -> None:
    for first in (b"data: 1\n\n", b"event: message\ndata: 1\n\n", b": hi\n\ndata: 1\n\n", b"\n\n id: 1\ndata: 1\n\n"):
        assert (b"message", b"1") in events(first, content_type=content_type)


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "", "text/html"])
def test_a_json_document_is_one_whatever_it_is_called(content_type: str) -> None:
    notes, _ = body(b' \n{"a"', b": 1}", content_type=content_type)
    assert (notes.documents, notes.events) == ([b' \n{"a": 1}'], [])


def test_what_the_body_is_shows_in_its_first_byte_also_after_blanks_in_pieces_of_their_own() -> None:
    assert events(b"\xef", b"\xbb\xbf", b"\r\n", b"da", b"ta: 1\n\n", content_type="") == [(b"message", b"1")]
    assert body(b" ", b"\n", b'{"a": 1}')[0].documents == [b' \n{"a": 1}']


def test_events_carry_the_time_of_the_piece_that_completed_them() -> None:
    notes, _ = body(b"data: 1\n", b"\ndata: 2\n\ndata: 3", content_type="text/event-stream")
    assert [at for _, _, at in notes.events] == [1.0, 1.0, 99.0]


def test_what_the_decoder_skips_is_not_given_to_it() -> None:
    notes = Notes()
    found = ResponseBody(notes, content_type="text/event-stream", content_encoding="", failed=False)
    found.feed(b"data: 1\n\n", 1.0)
    notes.skip = (b"data: 2",)
    found.feed(b"", 2.0)
    found.feed(b"data: 2\n\ndata: 3\n\n", 2.0)
    assert [data for _, data, _ in notes.events] == [b"1", b"3"]


def test_a_coded_body_is_decoded_first() -> None:
    coded = gzip.compress(b"data: 1\n\n")
    notes, _ = body(coded[:7], coded[7:], content_type="text/event-stream", content_encoding="gzip")
    assert [data for _, data, _ in notes.events] == [b"1"]


def test_a_body_that_breaks_its_coding_keeps_what_was_read_and_says_so() -> None:
    coder = zlib.compressobj(wbits=31)
    pieces = (coder.compress(b"data: 1\n\n") + coder.flush(zlib.Z_SYNC_FLUSH), b"\xff" * 50)
    notes, found = body(*pieces, content_type="text/event-stream", content_encoding="gzip")
    assert [data for _, data, _ in notes.events] == [b"1"]
    assert "decompressing" in (found.problem() or "")


def test_a_coding_nobody_knows_is_a_problem_and_no_error() -> None:
    notes, found = body(b"anything", content_encoding="lzma")
    assert (notes.events, notes.documents) == ([], [])
    assert "lzma" in (found.problem() or "")


def test_a_stream_that_stops_says_so() -> None:
    assert body(b"data: 1\n\n", content_type="text/event-stream")[1].problem()
    assert body(b"{", content_type="application/json")[1].problem()
    assert body()[1].problem() is None


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_the_start_of_an_error_is_kept_as_text_however_it_comes(content_type: str) -> None:
    first = b'{"error": ' if content_type == "application/json" else b"data: "
    whole = first + b"x" * 200_000
    at_once = body(whole, content_type=content_type, failed=True)[1].text()
    in_pieces = body(whole[:100], whole[100:90_000], whole[90_000:], content_type=content_type, failed=True)[1].text()
    assert at_once == in_pieces == whole[: 64 * 1024]


def test_the_text_of_an_answer_is_not_kept() -> None:
    assert body(b"data: 1\n\n", content_type="text/event-stream")[1].text() == b""


def test_messages_are_events_as_they_come() -> None:
    notes = Notes()
    messages = MessageBody(notes)
    messages.message(b"response.created", b"{}", 5.0)
    assert messages.finish(6.0).response_id == "noted"
    assert notes.events == [(b"response.created", b"{}", 5.0)]
    assert (messages.problem(), messages.text()) == (None, b"")
