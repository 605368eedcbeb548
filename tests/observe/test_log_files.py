"""Log lines land in a file that only its owner reads and that never grows without bound."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from aitap.observe.log_files import LogFile


def test_no_line_is_lost_or_cut_where_files_are_put_aside(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "aitap.log", size=100, keep=9)
    lines = [f"line {number:03}\n".encode() for number in range(50)]
    for line in lines:
        log.write(line)
    log.close()
    files = [tmp_path / f"aitap.log.{number}" for number in range(9, 0, -1)] + [tmp_path / "aitap.log"]
    assert b"".join(path.read_bytes() for path in files if path.exists()) == b"".join(lines)
    assert max(path.stat().st_size for path in files if path.exists()) <= 100


@pytest.mark.parametrize("keep", [0, 2])
def test_no_more_files_are_kept_than_asked_for(tmp_path: Path, keep: int) -> None:
    log = LogFile(tmp_path / "aitap.log", size=10, keep=keep)
    for _ in range(10):
        log.write(b"a line\n")
    log.close()
    assert len(list(tmp_path.iterdir())) == keep + 1


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "aitap.log", size=0, keep=0)
    log.write(b"a line\n")
    log.close()
    assert stat.S_IMODE((tmp_path / "aitap.log").stat().st_mode) == 0o600


def test_a_file_that_somebody_moved_away_is_begun_anew(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "aitap.log", size=0, keep=0)
    log.write(b"one\n")
    (tmp_path / "aitap.log").rename(tmp_path / "old")
    log.write(b"two\n")
    log.close()
    assert ((tmp_path / "old").read_bytes(), (tmp_path / "aitap.log").read_bytes()) == (b"one\n", b"two\n")


def test_a_folder_that_is_gone_fails_the_line_and_not_the_next(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs" / "aitap.log", size=0, keep=0)
    with pytest.raises(OSError):
        log.write(b"one\n")
    (tmp_path / "logs").mkdir()
    log.write(b"two\n")
    log.close()
    assert (tmp_path / "logs" / "aitap.log").read_bytes() == b"two\n"
