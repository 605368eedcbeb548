"""Running agents, out of a /proc made by hand and out of the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aitap.checkup.processes import check_processes
from tests.checkup.making import situation
from tests.proxy.mitmdump import until

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def process(proc: Path, pid: int, *words: str, **environ: str) -> Path:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
    (folder / "environ").write_bytes(b"".join(f"{name}={value}\0".encode() for name, value in environ.items()))
    return folder


posix = pytest.mark.skipif(os.name != "posix", reason="users as POSIX has them")


@posix
@pytest.mark.parametrize(
    "words", [("claude",), ("/usr/bin/node", "/opt/bin/gemini", "-p"), ("node", "--x", "/a/copilot.js")]
)
def test_an_agent_without_the_variables_is_a_warning(words: tuple[str, ...], tmp_path: Path) -> None:
    process(tmp_path, 77, *words, ANTHROPIC_API_KEY="planted-secret")
    findings = list(check_processes(situation(tmp_path), tmp_path))
    assert [finding.check for finding in findings] == ["processes.variables", "processes.seen"]
    assert "process 77" in findings[0].what
    assert "planted-secret" not in str(findings)


@posix
def test_an_agent_with_the_variables_is_none(tmp_path: Path) -> None:
    process(tmp_path, 77, "claude", https_proxy="http://alice:k@localhost:8080")
    assert [finding.check for finding in check_processes(situation(tmp_path), tmp_path)] == ["processes.seen"]


@posix
def test_other_programs_are_not_looked_at(tmp_path: Path) -> None:
    process(tmp_path, 77, "vim", "claude")
    process(tmp_path, 78, "python", "train.py")
    assert list(check_processes(situation(tmp_path), tmp_path)) == []


@pytest.mark.skipif(sys.byteorder != "little" or os.name != "posix", reason="addresses as this machine writes them")
def test_a_connection_past_the_proxy_is_a_warning(tmp_path: Path) -> None:
    folder = process(tmp_path, 77, "claude", HTTPS_PROXY="http://127.0.0.1:8080")
    (folder / "fd" / "9").symlink_to("socket:[4711]")
    (tmp_path / "net").mkdir()
    line = (
        "   0: 0100007F:A1B2 050200C0:01BB 01 00000000:00000000 00:00000000 00000000  1000  0 4711 1 0 20 0 0 10 -1\n"
    )
    (tmp_path / "net" / "tcp").write_text(HEADER + line)
    findings = list(check_processes(situation(tmp_path), tmp_path))
    assert [finding.check for finding in findings] == ["processes.direct", "processes.seen"]
    assert "192.0.2.5:443" in findings[0].what


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_process_is_seen(tmp_path: Path) -> None:
    agent = tmp_path / "opencode"
    agent.symlink_to(Path(sys.executable).resolve())
    running = subprocess.Popen([str(agent), "-c", "import time; time.sleep(60)"], env={"PATH": os.environ["PATH"]})
    try:
        until(lambda: any(f"process {running.pid})" in one.what for one in check_processes(situation(tmp_path))), "it")
    finally:
        running.kill()
        running.wait()
    assert not any(f"process {running.pid})" in one.what for one in check_processes(situation(tmp_path)))
