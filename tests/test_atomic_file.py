"""A file appears whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aitap.atomic_file import atomic_file


def test_nothing_is_there_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file(path) as file:
        file.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_permissions_are_those_of_the_old_file_or_of_the_umask(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"")
    old.chmod(0o640)
    mask = os.umask(0o027)
    try:
        for path in (old, tmp_path / "new"):
            with atomic_file(path) as file:
                file.write(b"x")
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(mask)


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_new_file_may_have_permissions_of_its_own(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "new", mode=0o600) as file:
        file.write(b"x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with atomic_file(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs /dev/null")
def test_a_device_takes_the_bytes_and_stays_a_device() -> None:
    with atomic_file(Path("/dev/null")) as file:
        file.write(b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
def test_a_pipe_of_the_shell_takes_the_bytes() -> None:
    """What ``/dev/stdout`` and ``>(...)`` are where they are no file."""
    read, write = os.pipe()
    with atomic_file(Path(f"/dev/fd/{write}")) as file:
        file.write(b"x")
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"x"


@pytest.mark.skipif(os.name != "posix", reason="a name's length is POSIX's")
def test_a_name_may_be_as_long_as_names_may_be(tmp_path: Path) -> None:
    with atomic_file(tmp_path / ("n" * 255)) as file:
        file.write(b"x")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no files without a name")
def test_who_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither half a file in its place nor one beside it, which would hold what people typed and nobody looks for."""
    script = (
        "import os, pathlib, sys\n"
        "from aitap.atomic_file import atomic_file\n"
        "with atomic_file(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half')\n"
        "    file.flush()\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "file")], check=False).returncode == 9
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["open", "link"])
def test_a_system_without_files_that_have_no_name_will_do(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(95, "not supported")

    if missing == "open":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    else:
        monkeypatch.setattr(os, "link", refused)
    with atomic_file(tmp_path / "file") as file:
        file.write(b"all of it")
    assert (tmp_path / "file").read_bytes() == b"all of it"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
