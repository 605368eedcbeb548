"""Frames give back what was put in, and of damaged ones whatever is whole."""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.storage.spool.frames import MAGIC, Damage, Frame, pack, packed, unpack
from tests.storage.making import T0, interception, lineage, prompt, tokens, tool

RECORDS = [
    interception(
        T0 + number,
        user_prompts=[prompt(f"prompt {number}")],
        token_usages=[tokens()],
        tool_usages=[tool(f"call {number}")],
        lineage=lineage(f"call {number - 1}"),
        metadata={"a": [1, None, "\u00fc"]},
    )
    for number in range(12)
]
FRAMES = [pack([packed(record) for record in RECORDS[at : at + 3]], at) for at in range(0, 12, 3)]
SEGMENT = MAGIC + b"".join(FRAMES)


def ids(data: bytes) -> list[str]:
    return [record.id for part in unpack(data) if isinstance(part, Frame) for record in part.records]


def damages(data: bytes) -> list[Damage]:
    return [part for part in unpack(data) if isinstance(part, Damage)]


def test_records_come_back_as_they_were() -> None:
    assert [record for part in unpack(SEGMENT) if isinstance(part, Frame) for record in part.records] == RECORDS


@given(st.integers(0, len(SEGMENT)))
def test_a_segment_cut_off_anywhere_keeps_its_whole_frames_and_tells_of_the_rest(cut: int) -> None:
    whole, end = 0, len(MAGIC)
    while whole < len(FRAMES) and end + len(FRAMES[whole]) <= cut:
        end += len(FRAMES[whole])
        whole += 1
    data = SEGMENT[:cut]
    assert ids(data) == [record.id for record in RECORDS[: 3 * whole]]
    assert len(damages(data)) == (cut > max(end, len(MAGIC)))


@given(st.integers(len(MAGIC), len(SEGMENT) - 1), st.integers(1, 255))
def test_a_changed_byte_costs_its_frame_alone_and_never_gives_a_wrong_record(at: int, change: int) -> None:
    data = bytearray(SEGMENT)
    data[at] ^= change
    hurt, end = 0, len(MAGIC)
    while end + len(FRAMES[hurt]) <= at:
        end += len(FRAMES[hurt])
        hurt += 1
    expected = [record.id for number, record in enumerate(RECORDS) if number // 3 != hurt]
    assert ids(bytes(data)) == expected
    assert sum(damage.records for damage in damages(bytes(data))) >= 1


@given(st.integers(0, len(SEGMENT)), st.integers(0, 3000), st.sampled_from(["zeros", "gone", "doubled", "noise"]))
def test_whatever_becomes_of_a_part_what_is_read_and_what_is_told_as_lost_is_all_there_was(
    at: int, length: int, what: str
) -> None:
    end = min(at + length, len(SEGMENT))
    part = {"zeros": bytes(end - at), "gone": b"", "doubled": SEGMENT[at:end] * 2, "noise": b"\xa5" * (end - at)}
    data = SEGMENT[:at] + part[what] + SEGMENT[end:]
    found = set(ids(data))
    told = sum(damage.records for damage in unpack(data, 12) if isinstance(damage, Damage))
    assert found <= {record.id for record in RECORDS}
    assert len(found) + told >= 12


def test_a_hole_over_many_frames_is_told_as_all_their_records() -> None:
    start = len(MAGIC) + len(FRAMES[0]) - 5
    end = len(SEGMENT) - len(FRAMES[-1])
    data = SEGMENT[:start] + bytes(end - start) + SEGMENT[end:]
    assert sum(damage.records for damage in damages(data)) == 9
    assert ids(data) == [record.id for record in RECORDS[9:]]


def test_a_tail_that_is_not_there_is_told_by_whoever_knows_how_long_it_was() -> None:
    data = MAGIC + FRAMES[0]
    assert [part.records for part in unpack(data, 12) if isinstance(part, Damage)] == [9]
    assert [part.records for part in unpack(b"", 12) if isinstance(part, Damage)] == [12]
    assert damages(data) == []


def test_what_version_1_of_the_format_wrote_is_read() -> None:
    payload = b"\xdc" + (2).to_bytes(2) + b"".join(map(packed, RECORDS[:2]))
    head = struct.pack(">IIII", 0xA17A9F0B, len(payload), 2, crc32(payload))
    frame = head + crc32(head).to_bytes(4) + payload
    data = b"aitap spool 1\n" + frame * 2
    assert ids(data) == [record.id for record in RECORDS[:2]] * 2
    assert damages(data) == []
    assert [damage.records for damage in damages(data[:-3])] == [2]


@given(st.binary(max_size=200))
def test_anything_may_stand_in_a_file(data: bytes) -> None:
    assert ids(MAGIC + data) == []
    assert ids(data + SEGMENT[len(MAGIC) :]) == [record.id for record in RECORDS]


def test_a_version_that_knows_more_and_one_that_knows_less_are_read() -> None:
    plain = msgspec.to_builtins(RECORDS[0])
    more = {**plain, "of_a_later_version": [1, 2]}
    less = {name: value for name, value in plain.items() if name not in ("request_digest", "contents", "wire")}
    data = MAGIC + pack([msgspec.msgpack.encode(more), msgspec.msgpack.encode(less)])
    assert ids(data) == [RECORDS[0].id] * 2


def test_a_record_of_another_form_costs_itself_alone() -> None:
    bad = msgspec.msgpack.encode({"id": 1})
    data = MAGIC + pack([packed(RECORDS[0]), bad, packed(RECORDS[1])])
    assert ids(data) == [RECORDS[0].id, RECORDS[1].id]
    assert [damage.records for damage in damages(data)] == [1]


def test_half_a_surrogate_pair_can_be_kept() -> None:
    record = interception(user_prompts=[prompt("smile \ud83d")])
    data = MAGIC + pack([packed(record)])
    assert ids(data) == [record.id]


def test_a_number_that_no_file_holds_is_refused() -> None:
    with pytest.raises(OverflowError):
        packed(interception(request_bytes=1 << 70))
