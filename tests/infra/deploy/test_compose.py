"""docker-compose.yml, as far as it can be checked without an engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.tier import Tier
from infra.broker.roles import ROLES
from infra.cli import COMMANDS
from infra.metrics.catalog import SHOWN, port_offset
from infra.metrics.platform import WITHIN_SECONDS
from infra.settings import Settings

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


def test_it_is_what_the_compose_specification_allows() -> None:
    checked = subprocess.run(
        [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE],
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_nobody_else_on_the_network_reaches_a_port(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_without_a_profile_only_the_servers_start(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "profiles" not in service} == {"rabbitmq", "postgres"}


def test_passwords_come_from_the_environment() -> None:
    passwords = re.findall(r"(?:PASS\w*:|//ledgerq[\w-]*:)\s*(.+?)(?:@|\n)", FILE.read_text())
    assert passwords
    assert [password for password in passwords if not password.startswith("${")] == []


def test_every_process_logs_in_as_its_role_and_setup_gives_each_its_password(services: dict[str, Any]) -> None:
    urls = {
        name: service["environment"]["LEDGERQ_BROKER_URL"] for name, service in services.items() if _is_ours(service)
    }
    logins = {name: re.findall(r"//([\w-]+):(\$\{.+?\})@", url) for name, url in urls.items()}
    assert {name: login[0][0] for name, login in logins.items()} == {
        **{name: f"ledgerq-{name}" for name in ("ingest", "dispatch", "scheduler")},
        **{f"worker-{tier}": "ledgerq-worker" for tier in Tier},
        "projector": "ledgerq-scheduler",  # both work in the log alone
        "monitor": "ledgerq-monitoring",
        "web": "ledgerq-emitter",
        "setup": "ledgerq",
    }
    setup = services["setup"]
    for role in ROLES:
        variable = f"{role.name.upper()}_PASSWORD"
        assert f'"{role.name} $${variable}"' in setup["command"][0]
        given = setup["environment"][variable]
        assert {login[0][1] for login in logins.values() if login[0][0] == f"ledgerq-{role.name}"} <= {given}


def _is_ours(service: dict[str, Any]) -> bool:
    return service.get("image") == "ledgerq"


def test_the_files_and_commands_that_it_names_exist(services: dict[str, Any]) -> None:
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    assert [path for path in mounted if path.startswith("./") and not (ROOT / path).exists()] == []
    ours = [service for service in services.values() if _is_ours(service)]
    assert (ROOT / ours[0]["build"]["dockerfile"]).is_file()
    assert {service["command"][0] for service in ours if "entrypoint" not in service} <= set(COMMANDS)


def test_the_tests_containers_are_of_the_same_images(services: dict[str, Any]) -> None:
    text = (ROOT / "tests/containers.py").read_text()
    for name in ("rabbitmq", "postgres"):
        assert f'"{services[name]["image"]}"' in text


def test_prometheus_looks_at_every_process_at_the_port_it_shows_its_metrics_at(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "infra/deploy/prometheus/prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    port = Settings.model_fields["metrics_port"].default
    assert sorted(targets["ledgerq"]) == sorted(f"{process.value}:{port + port_offset(process)}" for process in SHOWN)
    assert {target.split(":")[0] for target in targets["ledgerq"]} <= set(services)
    assert services["ingest"]["environment"]["LEDGERQ_METRICS_HOST"] == "0.0.0.0"  # noqa: S104  of its container


def test_prometheus_waits_for_the_monitor_longer_than_a_frozen_server_keeps_it_waiting() -> None:
    config = yaml.safe_load((ROOT / "infra/deploy/prometheus/prometheus.yml").read_text())
    (platform,) = [job for job in config["scrape_configs"] if job["job_name"] == "ledgerq-platform"]
    assert float(platform["scrape_timeout"].removesuffix("s")) > WITHIN_SECONDS
