"""``env`` and ``exec`` with keys, with proxies elsewhere, with notes on a client."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aitap.certs.authority import ensure_authority
from aitap.certs.bundle import bundle_path
from aitap.certs.fetched import certificate_file, fetched_path, save
from aitap.certs.proxy_address import parse
from aitap.export.proxy_options import with_key
from tests.checkup.making import make_ca
from tests.export.conftest import Invoke
from tests.export.test_exec import listening

KEY = "aitap_planted-KEY_0123456789"


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    ensure_authority(folder)
    return folder


@pytest.fixture(autouse=True)
def _own_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_key_comes_from_a_file(invoke: Invoke, confdir: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    out = invoke(
        *("env", "--shell", "dotenv", "--proxy", "http://alice@localhost:9"),
        *("--key-file", "key", "--confdir", str(confdir)),
    ).stdout
    assert variables(out)["https_proxy"] == f"http://alice:{KEY}@localhost:9"


def test_a_key_comes_from_stdin(invoke: Invoke, confdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aitap.export.proxy_options.sys.stdin", io.StringIO(f"{KEY}\n"))
    assert with_key(parse("localhost:9"), Path("-")).url == f"http://key:{KEY}@localhost:9"


def test_a_proxy_with_its_key_comes_from_the_environment(
    invoke: Invoke, confdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITAP_PROXY", "http://alice:p@ss/word@localhost:9")
    out = invoke("env", "--shell", "dotenv", "--confdir", str(confdir)).stdout
    assert variables(out)["HTTPS_PROXY"] == "http://alice:p%40ss%2Fword@localhost:9"
    invoke("models")  # it is no setting, and no wrong one


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff\xfe"])
def test_a_key_file_that_holds_no_key_is_one_line(content: bytes | None, invoke: Invoke, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    assert "--key-file" in invoke("env", "--key-file", "key", status=1).stderr


def test_a_wrong_address_is_not_repeated(invoke: Invoke) -> None:
    assert KEY not in invoke("env", "--proxy", f"socks5://alice:{KEY}@localhost:9", status=2).stderr


def test_a_proxy_elsewhere_needs_its_own_ca(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    message = invoke("env", "--proxy", "http://192.0.2.7:8080", status=1).stderr
    assert "aitap ca fetch http://192.0.2.7:8080" in message
    assert not (tmp_path / ".mitmproxy").exists()


def test_a_proxy_elsewhere_with_its_ca_in_a_file(invoke: Invoke, tmp_path: Path) -> None:
    der = make_ca(tmp_path / "there")
    file = tmp_path / "corp.pem"
    file.write_bytes((tmp_path / "there" / "mitmproxy-ca-cert.pem").read_bytes())
    out = variables(invoke("env", "--shell", "dotenv", "--proxy", "http://192.0.2.7:8080", "--ca", str(file)).stdout)
    assert out["NODE_EXTRA_CA_CERTS"] == str(file)
    assert certificate_file(Path(out["SSL_CERT_FILE"])).der == der


def test_a_ca_file_with_a_key_in_it_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    make_ca(tmp_path / "there")
    message = invoke("env", "--ca", str(tmp_path / "there" / "mitmproxy-ca.pem"), status=1).stderr
    assert "holds a private key" in message


def test_a_ca_that_was_fetched_is_found(invoke: Invoke, tmp_path: Path) -> None:
    path = fetched_path(parse("192.0.2.7:8080"))
    save(make_ca(tmp_path / "there"), path, replace=False)
    out = variables(invoke("env", "--shell", "dotenv", "--proxy", "192.0.2.7:8080").stdout)
    assert out["NODE_EXTRA_CA_CERTS"] == str(path)
    assert out["SSL_CERT_FILE"] == str(bundle_path(certificate_file(path)))


def test_a_proxy_at_the_end_of_a_tunnel_signs_with_the_ca_that_was_fetched(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address is one of this machine, where a CA of one's own may be, too."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    path = fetched_path(parse("127.0.0.1:8081"))
    save(make_ca(tmp_path / "there"), path, replace=False)
    out = variables(invoke("env", "--shell", "dotenv", "--proxy", "127.0.0.1:8081").stdout)
    assert out["NODE_EXTRA_CA_CERTS"] == str(path)
    assert not (tmp_path / "home").exists()
    looked = json.loads(invoke("doctor", "--offline", "--proxy", "127.0.0.1:8081").stdout)["findings"]
    assert [one["what"] for one in looked if one["check"] == "ca.file"] == [str(path)]
    assert not [one for one in looked if one["check"].startswith("database.")]
    own = variables(invoke("env", "--shell", "dotenv", "--proxy", "127.0.0.1:8080").stdout)
    assert own["NODE_EXTRA_CA_CERTS"] == str(tmp_path / "home" / ".mitmproxy" / "mitmproxy-ca-cert.pem")


def test_a_copy_of_this_machines_own_ca_does_not_stand_for_it(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    der = make_ca(tmp_path / ".mitmproxy")
    save(der, fetched_path(parse("127.0.0.1:8080")), replace=False)
    out = variables(invoke("env", "--shell", "dotenv").stdout)
    assert out["NODE_EXTRA_CA_CERTS"] == str(tmp_path / ".mitmproxy" / "mitmproxy-ca-cert.pem")
    monkeypatch.setattr("aitap.export.ca_fetch.fetch", lambda _: der)
    fetched = invoke("ca", "fetch", "127.0.0.1:8080")
    assert fetched.stdout.strip() == str(tmp_path / ".mitmproxy" / "mitmproxy-ca-cert.pem")
    assert not fetched_path(parse("127.0.0.1:8080")).exists()


def test_a_no_proxy_of_ones_own_stays(invoke: Invoke, confdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", ".corp.example,api.openai.com")
    out = variables(invoke("env", "--shell", "dotenv", "--proxy", "localhost:9", "--confdir", str(confdir)).stdout)
    assert out["NO_PROXY"] == out["no_proxy"] == "127.0.0.1,localhost,::1,.corp.example"


def test_the_help_has_a_line_for_each_shell(invoke: Invoke) -> None:
    lines = [line.split()[0] for line in invoke("env", "--help").stdout.splitlines() if "aitap env" in line]
    assert lines[-5:] == ["sh,", "fish", "PowerShell", "Docker", "with"]


def test_notes_on_a_client_go_to_stderr(invoke: Invoke, confdir: Path) -> None:
    plain = invoke("env", "--proxy", "localhost:9", "--confdir", str(confdir))
    noted = invoke("env", "--proxy", "localhost:9", "--confdir", str(confdir), "--client", "codex")
    assert noted.stdout == plain.stdout
    assert "Codex: heeds HTTPS_PROXY or ALL_PROXY, trusts CODEX_CA_CERTIFICATE or SSL_CERT_FILE" in noted.stderr
    assert "did you mean 'codex'?" in invoke("env", "--client", "codx", status=2).stderr


def test_exec_gives_the_key_to_the_command_alone(tmp_path: Path, confdir: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    with listening() as place:
        parent = "open(f'/proc/{os.getppid()}/cmdline').read()" if sys.platform == "linux" else "''"
        code = f"import json, os; print(json.dumps([os.environ['HTTPS_PROXY'], {parent}]))"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "aitap", "exec", "--proxy", f"alice@{place}", "--key-file", tmp_path / "key"),
                *("--confdir", confdir, "--", sys.executable, "-c", code),
            ],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
    given, command_line = json.loads(done.stdout)
    assert given == f"http://alice:{KEY}@{place}"
    assert KEY not in command_line
