"""What is appended comes back in order, also in another process's hands, until it is done."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path

import pytest

from aitap.record import StoredMessage, message_digest
from aitap.storage.losses import FAILED, FULL
from aitap.storage.spool import segments
from aitap.storage.spool.folders import Folder, left_behind, make_folder
from aitap.storage.spool.own import take_over
from aitap.storage.spool.segments import Spool
from tests.storage.making import T0, interception, prompt
from tests.storage.spool.making import URL, drained, spool_in


@pytest.mark.parametrize("sync", [True, False])
def test_records_come_back_in_order_from_however_many_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    monkeypatch.setattr(segments, "_SEGMENT", 20_000)
    spool = spool_in(tmp_path, sync=sync)
    records = [interception(T0 + number) for number in range(200)]
    for start in range(0, 200, 10):
        assert spool.append(records[start : start + 10]).count == 10
    assert len(list(tmp_path.glob("*/*/*.spool"))) > 3
    assert spool.size == sum(path.stat().st_size for path in tmp_path.glob("*/*/*.spool"))
    assert drained(spool) == [record.id for record in records]
    assert spool.empty
    assert list(tmp_path.glob("*/*/*.spool")) == []


def test_the_oldest_comes_again_until_it_is_done_and_appending_goes_on_meanwhile(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    first, second = interception(T0), interception(T0 + 1)
    spool.append([first])
    for _ in range(2):
        batch = spool.oldest()
        assert batch is not None
        assert ([record.id for record in batch.records], batch.inherited) == ([first.id], False)
    spool.append([second])
    spool.done(batch)
    assert drained(spool) == [second.id]


def test_what_a_dead_process_left_in_the_folder_comes_first_and_is_known_as_inherited(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, URL)
    before = Spool(folder, limit=1 << 30, sync=False)
    old, new = interception(T0), interception(T0 + 1)
    before.append([old])
    before.close()
    spool = Spool(folder, limit=1 << 30, sync=False)
    spool.append([new])
    batch = spool.oldest()
    assert batch is not None
    assert (batch.inherited, spool.inherits) == (True, True)
    assert drained(spool) == [old.id, new.id]
    assert not spool.inherits


def test_an_adopted_folder_comes_before_our_own_and_goes_when_it_is_done(tmp_path: Path) -> None:
    left = spool_in(tmp_path)
    old = interception(T0)
    left.append([old])
    left.close()
    place = left._folder.path
    spool = spool_in(tmp_path)
    new = interception(T0 + 1)
    spool.append([new])
    spool.adopt(Folder(place, os.open(place / "lock", os.O_RDWR)))
    assert drained(spool) == [old.id, new.id]
    assert not place.exists()


def test_the_bound_holds_and_what_fits_is_kept(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, limit=30_000)
    kept: list[str] = []
    while True:
        record = interception(T0 + len(kept), user_prompts=[prompt("x" * 2000)])
        taken = spool.append([record])
        if not taken.count:
            break
        kept.append(record.id)
    assert (taken.reason, len(kept) > 5) == (FULL, True)
    assert spool.size <= 30_000
    assert drained(spool) == kept
    assert spool.append([record]).count == 1


def test_a_disk_that_fills_up_loses_nothing_that_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is there whole or not at all."""
    spool = spool_in(tmp_path)
    first, second, third = (interception(T0 + number) for number in range(3))
    spool.append([first])
    write = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(file, bytes(data)[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    taken = spool.append([second])
    assert (taken.count, taken.reason, taken.error) == (0, FAILED, "No space left on device")
    monkeypatch.setattr(os, "write", write)
    spool.append([third])
    assert drained(spool) == [first.id, third.id]
    assert spool.damaged == 0


def test_what_cannot_be_synced_counts_as_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_in(tmp_path, sync=True)
    record = interception(T0)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    spool.append([interception(T0 - 1)])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        assert (spool.append([record]).count, spool.append([record]).reason) == (0, FAILED)
    assert spool.append([record]).count == 1


def test_one_record_that_no_file_holds_is_told_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = spool_in(tmp_path)
    good, bad = interception(T0), interception(T0, request_bytes=1 << 70)
    taken = spool.append([bad, good])
    assert (taken.count, taken.refused) == (2, {bad.id})
    assert bad.id in caplog.text
    assert drained(spool) == [good.id]


def test_a_damaged_tail_is_told_counted_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = spool_in(tmp_path)
    whole, cut = interception(T0), interception(T0 + 1)
    left.append([whole])
    left.append([cut])
    left.close()
    [segment] = left._folder.segments()
    segment.write_bytes(segment.read_bytes()[:-10])
    spool = Spool(left._folder, limit=1 << 30, sync=False)
    with caplog.at_level(logging.ERROR):
        assert drained(spool) == [whole.id]
    assert spool.damaged == 1
    assert "1 records in them are lost: it is cut off" in caplog.text


def test_a_message_is_kept_once_a_segment(tmp_path: Path) -> None:
    """A client sends its whole conversation each time."""
    said = [StoredMessage(message_digest(None, "user", b"x"), None, "user", "x" * 100_000, T0)]
    spool = spool_in(tmp_path)
    for number in range(10):
        record = interception(T0 + number, contents=said, request_digest=said[0].digest)
        spool.append([record])
        assert record.contents == said
    assert spool.size < 200_000
    batch = spool.oldest()
    assert batch is not None
    assert [len(record.contents) for record in batch.records] == [1] + [0] * 9


def test_a_spool_that_is_removed_while_it_is_in_use_keeps_what_it_has_open_and_is_made_anew(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    records = [interception(T0 + number) for number in range(3)]
    spool.append(records[:1])
    shutil.rmtree(tmp_path)
    assert spool.append(records[1:2]).count == 1
    assert left_behind(tmp_path, URL)[0].live, "and locked: no other takes it for a dead one's"
    shutil.rmtree(tmp_path)
    assert drained(spool) == [record.id for record in records[:2]]
    assert spool.append(records[2:]).count == 1
    assert drained(spool) == [records[2].id]
    assert spool.damaged == 0


def test_what_goes_with_a_segment_that_somebody_removed_is_counted_to_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(segments, "_SEGMENT", 5_000)
    spool = spool_in(tmp_path)
    for number in range(40):
        spool.append([interception(T0 + number)])
    shutil.rmtree(tmp_path)
    kept = drained(spool)
    assert 0 < len(kept) < 10
    assert spool.damaged == 40 - len(kept)
    assert "No such file" in caplog.text


def test_a_segment_that_cannot_be_read_now_is_read_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is none the worse for there being no file descriptors."""
    spool = spool_in(tmp_path)
    record = interception(T0)
    spool.append([record])

    def exhausted(path: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", exhausted)
        with pytest.raises(OSError, match="Too many open files"):
            spool.oldest()
    assert drained(spool) == [record.id]
    assert spool.damaged == 0


def test_a_segment_that_cannot_be_removed_is_stored_once_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its disk takes no writes any more."""
    left = spool_in(tmp_path)
    left.append([interception(T0)])
    left.close()
    left._folder.release()
    spool = spool_in(tmp_path)
    own = interception(T0 + 1)
    spool.append([own])

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    take_over(tmp_path, URL, spool.adopt)
    assert len(drained(spool)) == 2
    assert spool.empty
    assert "is stored, but cannot be removed: Read-only file system" in caplog.text
    take_over(tmp_path, URL, spool.adopt)
    assert spool.empty, "or it would be stored again and again"
    spool.close()


def test_what_a_newer_version_wrote_is_left_to_it_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = spool_in(tmp_path)
    left.append([interception(T0)])
    left.close()
    [segment] = left._folder.segments()
    newer = segment.read_bytes().replace(b"aitap spool 2", b"aitap spool 3")
    segment.write_bytes(newer)
    left._folder.release()
    spool = spool_in(tmp_path)
    for _ in range(2):
        take_over(tmp_path, URL, spool.adopt)
        assert spool.empty
    assert segment.read_bytes() == newer
    assert caplog.text.count("a newer aitap wrote it") == 1
    assert not left_behind(tmp_path, URL)[0].live, "whoever is newer may take it"
