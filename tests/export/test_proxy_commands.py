"""``run``, ``env`` and ``ca``: the proxy and what clients need to use it."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aitap.certs.authority import ensure_authority
from aitap.export import run
from tests.export.conftest import Invoke


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    ensure_authority(folder)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_env_names_the_proxy_and_files_that_exist(invoke: Invoke, confdir: Path) -> None:
    text = invoke("env", "--shell", "dotenv", "--proxy", "localhost:9", "--confdir", str(confdir)).stdout
    found = dict(line.split("=", 1) for line in text.splitlines())
    assert found["HTTPS_PROXY"] == "http://localhost:9"
    assert Path(found["NODE_EXTRA_CA_CERTS"]).is_file()
    assert Path(found["SSL_CERT_FILE"]).is_file()


def test_ca_show_gives_the_facts(invoke: Invoke, confdir: Path) -> None:
    found = json.loads(invoke("ca", "show", "--confdir", str(confdir)).stdout)
    assert set(found) >= {"path", "subject", "sha256", "not_before", "not_after", "kind", "signer", "root_key"}
    assert found["path"] == str(confdir / "mitmproxy-ca-cert.pem")


def test_ca_bundle_writes_the_file_and_prints_its_path(invoke: Invoke, confdir: Path, tmp_path: Path) -> None:
    path = Path(invoke("ca", "bundle", "--confdir", str(confdir)).stdout.strip())
    ssl.create_default_context(cafile=path)
    other = invoke("ca", "bundle", "--confdir", str(confdir), "-o", "own.pem").stdout.strip()
    assert (tmp_path / other).read_bytes() == path.read_bytes()
    assert invoke("ca", "bundle", "--confdir", str(confdir), "-o", "-").stdout_bytes == path.read_bytes()


def test_a_ca_that_cannot_be_made_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (["ca", "show"], ["ca", "bundle"], ["env"]):
        invoke(*command, "--confdir", "file/conf", status=1)


def test_run_hands_its_choices_and_the_rest_to_mitmdump(
    invoke: Invoke, confdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[str] = []
    monkeypatch.setattr(run, "_mitmdump", lambda arguments, options: handed.extend([*arguments, "|", *options]))
    port, url = free_port(), f"sqlite:///{tmp_path}/new.db"
    text = invoke(
        *("run", "--port", str(port), "--confdir", str(confdir), "--database-url", url),
        *("--", "--flow-detail", "2", "--", "~u x"),
    ).stdout
    cut = handed.index("|")
    assert handed[cut + 1 :] == ["--flow-detail", "2", "--", "~u x"]
    assert Path(handed[handed.index("-s") + 1]).name == "script.py"
    assert handed[handed.index("--listen-port") + 1] == str(port)
    assert f"aitap_database_url={url}" in handed
    assert f"confdir={confdir}" in handed
    for words in (f"http://127.0.0.1:{port}", str(confdir / "mitmproxy-ca-cert.pem"), url):
        assert words in text


@pytest.mark.parametrize(("host", "all_of_them"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_run_says_that_others_reach_it_where_they_do(
    invoke: Invoke, confdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, all_of_them: bool
) -> None:
    monkeypatch.setattr(run, "_mitmdump", lambda arguments, options: None)
    options = ["--port", str(free_port()), "--confdir", str(confdir), "--database-url", f"sqlite:///{tmp_path}/new.db"]
    first = invoke("run", "--host", host, *options).stdout.splitlines()[0]
    assert first.endswith("and every other address of this machine") == all_of_them


@pytest.mark.parametrize(
    ("proxy", "upstream", "told"),
    [
        ("http://me:planted-SECRET@corp.example:3128", "", "straight, past corp.example:3128 in HTTPS_PROXY"),
        ("http://corp.example:3128", "http://corp.example:3128", None),
        ("http://127.0.0.1:8080", "", None),
        ("", "", None),
    ],
)
def test_run_says_that_it_does_not_take_a_companys_proxy_unless_it_is_told_to(
    invoke: Invoke,
    confdir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
    upstream: str,
    told: str | None,
) -> None:
    monkeypatch.setattr(run, "_mitmdump", lambda arguments, options: None)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("AITAP_UPSTREAM", upstream)
    options = ["--port", str(free_port()), "--confdir", str(confdir), "--database-url", f"sqlite:///{tmp_path}/new.db"]
    text = invoke("run", *options).stdout
    assert ("goes out" in text) == (told is not None)
    assert (told or "") in text
    assert "planted-SECRET" not in text


def test_run_names_itself_by_its_path_where_the_shell_would_not_find_it(
    invoke: Invoke, confdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_mitmdump", lambda arguments, options: None)
    monkeypatch.setattr(sys, "argv", [".venv/bin/aitap", "run"])
    (tmp_path / "aitap").touch(0o700)
    options = ["--port", str(free_port()), "--confdir", str(confdir), "--database-url", f"sqlite:///{tmp_path}/new.db"]
    for path, name in ((str(tmp_path), "aitap"), ("", ".venv/bin/aitap")):
        monkeypatch.setenv("PATH", path)
        assert f"try         {name} exec" in invoke("run", *options).stdout


def test_run_says_when_its_port_is_taken(invoke: Invoke, confdir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        message = invoke("run", "--port", port, "--confdir", str(confdir), status=1).stderr
    assert f"cannot listen on 127.0.0.1:{port}" in message
    assert "--port" in message


def test_run_says_when_its_host_or_database_cannot_be_used(invoke: Invoke, confdir: Path, tmp_path: Path) -> None:
    common = ["run", "--port", str(free_port()), "--confdir", str(confdir)]
    assert "--host" in invoke(*common, "--host", "no.such.host.invalid", status=1).stderr
    (tmp_path / "file").write_text("no database")
    assert "not a database" in invoke(*common, "--database-url", f"sqlite:///{tmp_path}/file", status=1).stderr


@pytest.mark.skipif(os.name != "posix", reason="stops it by a signal")
def test_a_real_proxy_answers_tells_at_once_what_it_does_and_stops(confdir: Path, tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"AITAP_DATABASE_URL": f"sqlite:///{tmp_path}/records.db"}
    aitap = [sys.executable, "-m", "aitap"]
    options = ["--confdir", str(confdir)]
    told = tmp_path / "told"
    with told.open("wb") as output:
        process = subprocess.Popen(
            [*aitap, "run", "--port", str(port), *options], env=environment, stdout=output, stderr=output
        )
    try:
        asked = [*aitap, "exec", "--proxy", f"127.0.0.1:{port}", *options, "--", sys.executable, "-c", "print('ran')"]
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
            if done.returncode == 0 or time.monotonic() > deadline:
                break
        assert done.stdout == "ran\n", done.stderr
        assert f"listening at 127.0.0.1:{port}" in told.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert process.returncode == 0, told.read_text()
    assert "Traceback" not in told.read_text()
    checked = subprocess.run([*aitap, "db", "check"], env=environment, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "ok\n")
