from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import programs
from infra.local.errors import MissingProgramError


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing is installed but what the test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(programs, "RABBITMQ_PLACES", (f"{tmp_path}/rabbitmq/sbin",))
    monkeypatch.setattr(programs, "POSTGRESQL_PLACES", (f"{tmp_path}/postgresql/*/bin",))
    monkeypatch.setattr(programs, "EPMD_PLACES", ())
    return tmp_path


def install(path: Path, script: str = "exit 0") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_what_is_missing_is_named(machine: Path) -> None:
    with pytest.raises(MissingProgramError, match="rabbitmq-server"):
        programs.find_rabbitmq()
    install(machine / "postgresql/15/bin/psql")
    with pytest.raises(MissingProgramError, match="PostgreSQL server"):
        programs.find_postgresql()


def test_a_wrapper_that_becomes_another_user_is_passed_over(machine: Path) -> None:
    install(machine / "path/rabbitmq-server", 'su rabbitmq -s /bin/sh -c "$SCRIPT"')
    install(machine / "rabbitmq/sbin/rabbitmq-server")
    (machine / "rabbitmq/plugins/rabbit-3.10.8").mkdir(parents=True)
    found = programs.find_rabbitmq()
    assert found.server == machine / "rabbitmq/sbin/rabbitmq-server"
    assert found.control == machine / "rabbitmq/sbin/rabbitmqctl"
    assert found.version == "3.10.8"


def test_a_server_on_the_path_comes_first(machine: Path) -> None:
    install(machine / "path/rabbitmq-server")
    install(machine / "rabbitmq/sbin/rabbitmq-server")
    assert programs.find_rabbitmq().server == machine / "path/rabbitmq-server"


def test_the_newest_postgresql_is_chosen(machine: Path) -> None:
    for version in ("9", "15", "18"):
        install(machine / f"postgresql/{version}/bin/initdb")
        install(machine / f"postgresql/{version}/bin/postgres", f"echo 'postgres (PostgreSQL) {version}.4 (Debian)'")
    assert programs.find_postgresql().version == "18"
