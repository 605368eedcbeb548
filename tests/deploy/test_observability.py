"""The files in deploy/observability/ fit each other, the dashboards, and the settings that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aitap import settings
from dashboards.__main__ import HERE
from dashboards.dialects import POSTGRESQL

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / "deploy" / "observability"
KNOWN = {f"AITAP_{name.upper()}" for name in settings.SETTINGS}


def yaml(name: str) -> Any:
    return YAML(typ="safe").load(FOLDER.joinpath(name).read_text("utf-8"))


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml("compose.yaml")["services"]
    return found


def test_the_proxy_wants_keys_and_all_its_settings_exist(services: dict[str, dict[str, Any]]) -> None:
    environment = services["proxy"]["environment"]
    assert environment["AITAP_AUTH"] == "required"
    ours = {name: value for name, value in environment.items() if name.startswith("AITAP_")}
    assert set(ours) <= KNOWN
    loaded = settings.load(environ=ours)
    assert loaded.trace_enable
    assert loaded.metrics_listen == ("0.0.0.0", 9464)


def test_only_the_proxy_is_reached_from_other_machines(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published.pop("proxy") == ["8080:8080"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    proxy = services["proxy"]
    assert (proxy["read_only"], proxy["cap_drop"]) == (True, ["ALL"])


def test_every_file_that_is_mounted_is_there_and_every_volume_is_named(services: dict[str, dict[str, Any]]) -> None:
    volumes = yaml("compose.yaml")["volumes"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    assert len(mounted) > 8
    for place in mounted:
        assert FOLDER.joinpath(place).resolve().is_file() if place.startswith(".") else place in volumes


def test_images_have_versions(services: dict[str, dict[str, Any]]) -> None:
    others = [service["image"] for service in services.values() if "build" not in service]
    assert all(re.search(r":v?\d+", image) for image in others)


def test_every_address_is_of_a_service(services: dict[str, dict[str, Any]]) -> None:
    names = ("prometheus.yaml", "collector.yaml", "grafana/datasources.yaml", "compose.yaml")
    text = "\n".join(FOLDER.joinpath(name).read_text("utf-8") for name in names)
    hosts = set(re.findall(r"(?:\[|\"|//|@|: )([a-z]{4,}):\d{4,5}\b", text)) | set(re.findall(r"@([a-z]+)/", text))
    assert hosts == {"proxy", "collector", "jaeger", "postgres", "prometheus"}
    assert hosts < set(services)


def test_prometheus_watches_the_address_and_job_that_the_rules_name() -> None:
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in yaml("prometheus.yaml")["scrape_configs"]}
    assert jobs["aitap"] == ["proxy:9464"]
    assert jobs["collector"] == ["collector:8888"]
    assert 'job="aitap"' in HERE.joinpath("alerts.yaml").read_text("utf-8")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_promtool_takes_the_configuration_with_the_rules(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "prometheus.yaml", tmp_path / "prometheus.yml")
    shutil.copy(HERE / "alerts.yaml", tmp_path)
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_grafana_reads_the_records_as_the_reader_and_shows_what_is_mounted(services: dict[str, dict[str, Any]]) -> None:
    sources = {source["type"]: source for source in yaml("grafana/datasources.yaml")["datasources"]}
    assert set(sources) == {POSTGRESQL.plugin, "prometheus", "jaeger"}
    role = re.search(r"CREATE ROLE (\w+)", HERE.joinpath("reader.sql").read_text("utf-8"))
    assert role is not None
    assert sources[POSTGRESQL.plugin]["user"] == role[1]
    (provider,) = yaml("grafana/dashboards.yaml")["providers"]
    shown = [volume for volume in services["grafana"]["volumes"] if provider["options"]["path"] in volume]
    assert [Path(volume.split(":")[0]).name for volume in shown] == ["aitap-sql.json", "aitap-prometheus.json"]


def test_traces_go_from_the_proxy_through_the_collector_to_jaeger(services: dict[str, dict[str, Any]]) -> None:
    collector = yaml("collector.yaml")
    (port,) = re.findall(r":(\d+)$", collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"])
    assert services["proxy"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://collector:{port}"
    (pipeline,) = collector["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(collector[kind])


def test_the_image_has_what_this_needs(services: dict[str, dict[str, Any]]) -> None:
    assert services["proxy"]["build"]["dockerfile"] == "deploy/Dockerfile"
    text = (CHECKOUT / "deploy" / "Dockerfile").read_text("utf-8")
    extras = re.search(r"^ARG EXTRAS=(\S+)$", text, re.MULTILINE)
    assert extras is not None
    assert {"postgres", "otel"} <= set(extras[1].split(","))
