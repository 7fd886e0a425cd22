"""There is no Docker engine where these tests run: a program of that name writes down what it is asked to do."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.infra.local.runs import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the stand-in for docker writes to."""
    log = tmp_path / "asked"
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$RABBITMQ_PORT $*" >>{log}\n[ ! -e {tmp_path}/broken ]\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    return log


def test_containers_are_up_for_the_command_and_gone_with_their_data_after_it(tmp_path: Path, asked: Path) -> None:
    status, out, said = Run(tmp_path, "exec", "--docker", "--", "sh", "-c", "echo $LEDGERQ_BROKER_URL").end()
    assert status == 0, said
    before, up, after = asked.read_text().splitlines()
    port = up.split()[0]
    assert f"@127.0.0.1:{port}/%2F" in out
    assert "docker-compose.yml up --detach --wait rabbitmq postgres" in up
    assert before == after
    assert "down --volumes" in after
    project = up.partition("--project-name ")[2].split()[0]
    assert project.startswith("ledgerq-")
    assert project in after


def test_an_engine_that_refuses_is_reported_and_the_command_does_not_run(tmp_path: Path, asked: Path) -> None:
    (tmp_path / "broken").touch()
    status, out, said = Run(tmp_path, "exec", "--docker", "echo", "ran").end()
    assert (status, out) == (1, "")
    assert "docker compose down failed with status 1" in said
    assert "Traceback" not in said
    assert asked.exists()


def test_docker_that_is_not_there_is_missed_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, said = Run(tmp_path, "exec", "--docker", "true").end()
    assert (status, said) == (1, "ledgerq: --docker was asked for, but there is no docker on PATH\n")
