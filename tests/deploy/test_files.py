"""The files in deploy/ are what they look like, and name only settings and commands that there are."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aitap import settings
from aitap.certs.environment import proxy_variables
from tests.commands import code_blocks, commands_in, exists, shell_commands

CHECKOUT = Path(__file__).parents[2]
DEPLOY = CHECKOUT / "deploy"
TEXTS = sorted(path for path in DEPLOY.iterdir() if path.is_file())
KNOWN = {f"AITAP_{name.upper()}" for name in settings.SETTINGS} | {"AITAP_CONFIG", "AITAP_PROXY"}
OTHERS = {"AITAP_KEY", "AITAP_CA"}
"""Not ours: what a dev container and a workflow keep the key and the certificate in."""


def yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)


def check_values(values: dict[str, str]) -> None:
    """Settings with these values are settings the proxy starts with."""
    settings.load(environ={name: value for name, value in values.items() if name in KNOWN - {"AITAP_CONFIG"}})


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_variable_of_ours_is_one_that_is_known(path: Path) -> None:
    named = set(re.findall(r"\bAITAP_[A-Z_]+", path.read_text("utf-8")))
    assert named <= KNOWN | OTHERS


def test_the_image_is_not_root_writes_in_one_place_and_starts_the_proxy() -> None:
    text = DEPLOY.joinpath("Dockerfile").read_text("utf-8")
    final = text.rpartition("\nFROM ")[2].replace("\\\n", " ")
    lines = dict(line.split(maxsplit=1) for line in final.splitlines() if re.match(r"[A-Z]+ ", line))
    assert lines["USER"].split(":")[0].isdecimal()
    assert lines["USER"].split(":")[0] != "0"
    assert lines["VOLUME"] == "/data"
    assert "--require-hashes -r runtime.txt" in text
    command = json.loads(lines["ENTRYPOINT"]) + json.loads(lines["CMD"])
    assert exists(shlex.join(command))
    assert command[command.index("--port") + 1] == lines["EXPOSE"]
    variables = dict(word.split("=", 1) for word in shlex.split(lines["ENV"]))
    assert variables["AITAP_AUTH"] == "required"
    check_values(variables)


def test_the_health_check_is_python_that_asks_the_port() -> None:
    text = DEPLOY.joinpath("Dockerfile").read_text("utf-8")
    command = json.loads(re.search(r"^HEALTHCHECK .*? CMD (\[.*\])$", text, re.MULTILINE)[1])  # type: ignore[index]
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    nobody = command[2].replace("8080", "1")
    assert subprocess.run([sys.executable, "-c", nobody], stderr=subprocess.DEVNULL, check=False).returncode == 1


def test_the_image_gets_nothing_that_it_does_not_copy() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DEPLOY.joinpath("Dockerfile").read_text("utf-8"), re.MULTILINE)
    ignored = DEPLOY.joinpath("Dockerfile.dockerignore").read_text("utf-8").splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert {name for names in copied for name in names.split()} == sent
    assert all((CHECKOUT / name).exists() for name in sent)


def test_the_compose_file_asks_for_keys_and_gives_nothing_away() -> None:
    proxy = yaml(DEPLOY.joinpath("compose.yaml").read_text("utf-8"))["services"]["proxy"]
    assert proxy["environment"]["AITAP_AUTH"] == "required"
    assert all(isinstance(value, str) for value in proxy["environment"].values())
    check_values(proxy["environment"])
    assert settings.load(environ=proxy["environment"]).connection_limit > 0
    assert (proxy["read_only"], proxy["cap_drop"], "privileged" in proxy) == (True, ["ALL"], False)
    assert proxy["security_opt"] == ["no-new-privileges:true"]
    assert (CHECKOUT / proxy["build"]["dockerfile"]).is_file()
    assert [volume.split(":")[1] for volume in proxy["volumes"]] == ["/data"]


class Unit(configparser.RawConfigParser):
    """A unit file: keys may come more than once, and their case counts."""

    def __init__(self, text: str) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#", ";"), interpolation=None)
        self.pairs = [
            tuple(line.split("=", 1)) for line in text.splitlines() if "=" in line and not line.startswith(("#", ";"))
        ]
        self.read_string(text)

    def optionxform(self, optionstr: str) -> str:
        return optionstr

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.pairs if name == key]


@pytest.fixture
def unit() -> Unit:
    return Unit(DEPLOY.joinpath("aitap.service").read_text("utf-8"))


def test_the_unit_starts_the_proxy_with_keys_required_as_a_user_of_its_own(unit: Unit) -> None:
    (start,) = unit.all("ExecStart")
    assert exists("aitap " + start.partition(" ")[2])
    assert unit.all("User") == ["aitap"]
    variables = dict(value.split("=", 1) for value in unit.all("Environment"))
    assert variables["AITAP_AUTH"] == "required"
    check_values(variables)
    name = variables["AITAP_CONFIG"].removeprefix("%d/")
    assert [value.split(":")[0] for value in unit.all("LoadCredential")] == [name]


def test_the_unit_is_shut_in(unit: Unit) -> None:
    for key, value in {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "CapabilityBoundingSet": "",
        "StateDirectoryMode": "0700",
        "UMask": "0077",
    }.items():
        assert unit.all(key) == [value], key


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_takes_the_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    path = tmp_path / "aitap.service"
    text = DEPLOY.joinpath("aitap.service").read_text("utf-8")
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "unrecognized option" not in done.stderr:
        assert done.returncode == 0, done.stdout


def test_the_settings_file_is_one_the_proxy_takes() -> None:
    path = DEPLOY / "aitap.toml"
    assert set(tomllib.loads(path.read_text("utf-8"))) <= set(settings.SETTINGS)
    settings.load(environ={"AITAP_CONFIG": str(path)})


def blocks(language: str) -> list[str]:
    return [text for name, text in code_blocks(DEPLOY.joinpath("README.md").read_text("utf-8")) if name == language]


def test_every_command_of_ours_in_the_steps_exists() -> None:
    text = DEPLOY.joinpath("README.md").read_text("utf-8")
    named = [words for block in blocks("sh") for words in shell_commands(block)] + commands_in(text)
    assert len(named) > 8
    assert [words for words in named if not exists(words)] == []


def test_the_shell_blocks_are_shell() -> None:
    for block in blocks("sh"):
        subprocess.run(["sh", "-n"], input=block, text=True, check=True)


def test_what_a_workspace_exports_by_hand_is_what_env_sets() -> None:
    (block,) = (block for block in blocks("sh") if "export HTTPS_PROXY" in block)
    done = subprocess.run(
        ["sh", "-c", f"PWD=/w\n{block}\nenv"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    expected = proxy_variables("http://alice:KEY@proxy.example:8080", "/w/aitap-ca.pem", "/w/aitap-ca-bundle.pem")
    assert {name: found.get(name) for name in expected} == expected


def test_the_kubernetes_objects_are_whole_and_shut_in() -> None:
    manifest, pod = (yaml(text) for text in blocks("yaml")[:2])
    spec = manifest["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert manifest["kind"] == "StatefulSet"
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    claims = {claim["metadata"]["name"] for claim in manifest["spec"]["volumeClaimTemplates"]}
    assert mounted == claims | {volume["name"] for volume in spec["volumes"]}
    values = {item["name"]: item["value"] for item in container["env"]}
    assert values["AITAP_AUTH"] == "required"
    check_values(values)
    assert {mount["name"] for mount in pod["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_dev_container_and_the_workflow_set_variables_of_ours() -> None:
    known = set(proxy_variables("http://x:1", "a", "b"))
    (container,) = (json.loads(text) for text in blocks("json"))
    assert set(container["remoteEnv"]) <= known
    steps = yaml(blocks("yaml")[2])["steps"]
    assert set(steps[-1]["env"]) <= known
