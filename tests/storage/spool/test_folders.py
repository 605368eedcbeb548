"""Each proxy has a folder; that of a dead one is taken over by one other, and only for the same database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aitap.storage.spool.folders import adoptable, left_behind, left_elsewhere, make_folder
from aitap.storage.spool.ledger import PROXYS, RECORDERS, Ledger
from aitap.storage.spool.own import take_over
from aitap.storage.spool.segments import Spool
from tests.storage.making import interception
from tests.storage.spool.making import URL

LEAVE = """
import os, signal, sys
from pathlib import Path
from aitap.storage.spool.folders import make_folder
from aitap.storage.spool.ledger import Ledger
from aitap.storage.spool.segments import Spool
from tests.storage.making import interception

folder = make_folder(Path(sys.argv[1]), sys.argv[2])
ledger = Ledger(folder.ledger)
ledger.begun(9)
ledger.received(7)
ledger.opened(7)
ledger.safe(4)
Spool(folder, limit=1 << 30, sync=True).append([interception()])
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave(root: Path, url: str = URL) -> None:
    """What a proxy leaves that is killed."""
    subprocess.run([sys.executable, "-c", LEAVE, str(root), url], check=False)


def test_a_folder_is_its_owners_as_long_as_it_lives(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, URL)
    assert list(adoptable(tmp_path, URL)) == []
    folder.release()
    [found] = adoptable(tmp_path, URL)
    assert found.path == folder.path
    assert list(adoptable(tmp_path, URL)) == []
    found.release()


def test_what_a_killed_process_left_is_listed_and_taken_over_with_what_it_lost(tmp_path: Path) -> None:
    leave(tmp_path)
    [left] = left_behind(tmp_path, URL)
    assert (left.live, left.segments, left.bytes > 100) == (False, 1, True)
    adopted = []
    assert take_over(tmp_path, URL, adopted.append) == {"proxy_killed": 2 + 3}
    assert [folder.path for folder in adopted] == [left.folder]
    assert [left.live for left in left_behind(tmp_path, URL)] == [True]
    adopted[0].release()
    assert take_over(tmp_path, URL, adopted.append) == {}, "a loss is told once"


def test_a_spool_for_another_database_is_left_alone(tmp_path: Path) -> None:
    leave(tmp_path, "postgresql://ann:secret@db.example.com/aitap")
    assert left_behind(tmp_path, URL) == []
    assert list(adoptable(tmp_path, URL)) == []
    # The password may change; the folder's name has none of it.
    assert len(left_behind(tmp_path, "postgresql://ann:another@db.example.com/aitap")) == 1


def test_nobody_else_may_read_what_is_in_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "new", URL)
    Spool(folder, limit=1 << 30, sync=False).append([interception()])
    for path in (folder.path, folder.path.parent, *folder.segments()):
        assert path.stat().st_mode & 0o077 == 0


def test_a_ledger_says_what_dies_with_a_recorder_but_not_what_waits_for_the_next(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.begun(10)
    ledger.received(8)
    ledger.opened(8)
    ledger.safe(7)
    assert (ledger.unsent, ledger.unsafe) == (2, 1)
    assert ledger.settle(but=1) == 2
    assert (ledger.unsent, ledger.unsafe) == (1, 0)
    assert Ledger(tmp_path / "ledger").received_so_far == 9


def test_what_waits_for_a_database_of_another_name_is_told_with_that_name(tmp_path: Path) -> None:
    leave(tmp_path, "postgresql://ann:s3cret@old/aitap")
    leave(tmp_path)
    [other] = left_elsewhere(tmp_path, URL)
    assert (other.database, other.bytes > 100) == ("postgresql://ann@old/aitap", True)
    assert left_elsewhere(tmp_path, "postgresql://ann@old/aitap")[0].database == URL


def test_a_root_that_is_a_file_has_nothing_in_it(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    root.write_text("somebody's")
    assert list(adoptable(root, URL)) == []
    assert left_behind(root, URL) == []


def test_what_a_ledger_says_outlives_its_file(tmp_path: Path) -> None:
    """Whichever of the two processes misses it first."""
    for first, second in ((PROXYS, RECORDERS), (RECORDERS, PROXYS)):
        file = tmp_path / f"ledger{first[0]}"
        ledgers = {PROXYS: Ledger(file), RECORDERS: Ledger(file)}
        ledgers[PROXYS].begun(9)
        ledgers[RECORDERS].opened(5)
        file.unlink()
        ledgers[first].restore(first)
        ledgers[PROXYS].begun(10)
        ledgers[RECORDERS].opened(6)
        ledgers[second].restore(second)
        found = Ledger(file)
        assert (found.begun_so_far, found.opened_so_far) == (10, 6)
        ledgers[PROXYS].begun(11)
        ledgers[RECORDERS].safe(2)
        assert (found.begun_so_far, found.unsafe) == (11, 4)
