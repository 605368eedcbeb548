"""The variables mean the same in every shell's words."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest

from aitap.certs.environment import container_arguments, proxy_variables, render

ODD = '/tmp/it\'s a "folder" with $HOME `x` \\ and ü/ca.pem'
VARIABLES = proxy_variables("http://ann:se%20cret@127.0.0.1:8080", ODD, "/tmp/plain/bundle.pem")


def test_every_variable_that_a_client_was_seen_to_need_is_there() -> None:
    assert set(VARIABLES) >= {
        *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "NODE_USE_ENV_PROXY"),
        *("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CODEX_CA_CERTIFICATE"),
    }
    assert VARIABLES["NO_PROXY"] == "127.0.0.1,localhost,::1"
    assert VARIABLES["NODE_USE_ENV_PROXY"] == "1"


def test_only_what_adds_to_a_store_gets_the_ca_alone() -> None:
    assert [name for name, value in VARIABLES.items() if value == ODD] == ["NODE_EXTRA_CA_CERTS", "DENO_CERT"]
    assert VARIABLES["SSL_CERT_FILE"] == VARIABLES["AWS_CA_BUNDLE"] == "/tmp/plain/bundle.pem"


def seen_by_child(argv: list[str]) -> dict[str, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return dict(item.split("=", 1) for item in done.stdout.split("\0") if "=" in item)


SHOW = f"{shlex.quote(sys.executable)} -c 'import os; print(end=chr(0).join(k+\"=\"+v for k, v in os.environ.items()))'"


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
def test_sh_sets_exactly_these_values() -> None:
    found = seen_by_child(["sh", "-c", f"{render(VARIABLES, 'sh')}\n{SHOW}"])
    assert {name: found[name] for name in VARIABLES} == VARIABLES


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_sets_exactly_these_values() -> None:
    found = seen_by_child(["fish", "-c", f"{render(VARIABLES, 'fish')}\n{SHOW}"])
    assert {name: found[name] for name in VARIABLES} == VARIABLES


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("fish", r"set -gx X 'it\'s a \\ $b'"),
        ("powershell", r"$env:X = 'it''s a \ $b'"),
        ("dotenv", r'X="it' + r"'s a \\ \$b" + '"'),
    ],
)
def test_quotes_of_each_shell(shell: str, line: str) -> None:
    assert render({"X": r"it's a \ $b"}, shell) == line + "\n"


def test_dotenv_is_bare_where_docker_would_take_quotes_literally() -> None:
    variables = proxy_variables("http://127.0.0.1:8080", "/home/ann/.mitmproxy/ca.pem", "/home/ann/b.pem")
    assert render(variables, "dotenv") == "".join(f"{name}={value}\n" for name, value in variables.items())


def test_a_container_gets_the_files_and_reaches_the_host() -> None:
    words = shlex.split(container_arguments("http://ann:pw@127.0.0.1:8080", ODD, "/b.pem"))
    assert "--add-host=host.docker.internal:host-gateway" in words
    assert f"--volume={ODD}:/etc/aitap/ca.pem:ro" in words
    assert "--volume=/b.pem:/etc/aitap/ca-bundle.pem:ro" in words
    assert "--env=HTTPS_PROXY=http://ann:pw@host.docker.internal:8080" in words
    assert "--env=NODE_EXTRA_CA_CERTS=/etc/aitap/ca.pem" in words
    assert "--env=SSL_CERT_FILE=/etc/aitap/ca-bundle.pem" in words


def test_a_proxy_elsewhere_keeps_its_name_in_a_container() -> None:
    assert "--env=HTTPS_PROXY=http://proxy.example:3128\n" in container_arguments("http://proxy.example:3128", "a", "b")
