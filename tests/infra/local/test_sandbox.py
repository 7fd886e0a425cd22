"""A sandbox is nobody else's, and what is not ours is never dropped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pika
import psycopg
import pytest
from pydantic import SecretStr

from infra.local.errors import SandboxError
from infra.local.sandbox import Sandbox, create_sandbox, drop_stale
from infra.settings import Settings


@pytest.fixture
def administrator(servers: Settings, tmp_path: Path) -> Settings:
    """The session's servers, with a state directory of the test's own."""
    return servers.model_copy(update={"state_dir": tmp_path})


@pytest.fixture
def mine(administrator: Settings) -> Iterator[Sandbox]:
    made = create_sandbox(administrator, label="mine")
    yield made
    made.drop()


def abandoned(administrator: Settings) -> str:
    """Name of a sandbox whose owner has ended without dropping it."""
    script = "from infra.local.sandbox import create_sandbox; from infra.settings import load_settings; "
    management = administrator.management_url
    assert management is not None
    done = subprocess.run(
        [sys.executable, "-c", f"{script}print(create_sandbox(load_settings(), label='abandoned').name)"],
        env={
            **os.environ,
            "LEDGERQ_BROKER_URL": administrator.broker_url.get_secret_value(),
            "LEDGERQ_DATABASE_URL": administrator.database_url.get_secret_value(),
            "LEDGERQ_MANAGEMENT_URL": management.get_secret_value(),
            "LEDGERQ_STATE_DIR": str(administrator.state_dir),
        },
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def databases(administrator: Settings) -> set[str]:
    with psycopg.connect(administrator.database_url.get_secret_value()) as connection:
        return {name for (name,) in connection.execute("select datname from pg_database")}


def accepts(url: str) -> bool:
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except (pika.exceptions.AMQPConnectionError, pika.exceptions.ConnectionClosedByBroker):
        return False
    return True


def test_a_sandbox_is_empty_and_nobody_elses(administrator: Settings, mine: Sandbox) -> None:
    other = create_sandbox(administrator, label="mine")
    connection = pika.BlockingConnection(pika.URLParameters(mine.broker_url))
    connection.channel().queue_declare("here")
    connection.close()
    with pika.BlockingConnection(pika.URLParameters(other.broker_url)) as elsewhere:
        channel = elsewhere.channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no queue 'here'"):
            channel.queue_declare("here", passive=True)
    with psycopg.connect(mine.database_url) as made:
        assert made.execute("select current_database()").fetchone() == (mine.database,)
    other.drop()


def test_a_name_that_is_somebodys_is_refused_and_left_alone(administrator: Settings, mine: Sandbox) -> None:
    with pytest.raises(SandboxError, match=f"there is a virtual host {mine.vhost} already"):
        create_sandbox(administrator, label=mine.vhost, is_alone=True)
    assert accepts(mine.broker_url)


def test_a_dropped_sandbox_is_gone_though_somebody_is_still_connected(administrator: Settings) -> None:
    made = create_sandbox(administrator, label="dropped")
    idle = psycopg.connect(made.database_url)
    made.drop()
    made.drop()
    idle.close()
    assert made.database not in databases(administrator)
    assert not accepts(made.broker_url)
    assert not made.record.exists()


def test_only_what_a_dead_owner_left_is_dropped(administrator: Settings, mine: Sandbox) -> None:
    name = abandoned(administrator)
    assert name in databases(administrator)
    assert drop_stale(administrator) == [name]
    assert name not in databases(administrator)
    assert mine.database in databases(administrator)
    assert accepts(mine.broker_url)
    assert drop_stale(administrator) == []


def test_what_was_made_on_other_servers_is_left_alone(administrator: Settings) -> None:
    name = abandoned(administrator)
    record = administrator.state_dir / "sandboxes" / f"{name}.json"
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({**kept, "servers": ["another", "1"]}))
    assert drop_stale(administrator) == []
    assert name in databases(administrator)
    record.write_text(json.dumps(kept))
    assert drop_stale(administrator) == [name]


def test_a_broker_without_a_management_url_is_explained(administrator: Settings) -> None:
    with pytest.raises(SandboxError, match="set LEDGERQ_MANAGEMENT_URL"):
        create_sandbox(administrator.model_copy(update={"management_url": None}), label="x")


def test_a_management_url_that_leads_nowhere_is_named(administrator: Settings) -> None:
    nowhere = administrator.model_copy(update={"management_url": SecretStr("http://127.0.0.1:1")})
    with pytest.raises(SandboxError, match=r"LEDGERQ_MANAGEMENT_URL http://127\.0\.0\.1:1 "):
        create_sandbox(nowhere, label="x")


def test_a_refused_database_leaves_no_virtual_host(administrator: Settings) -> None:
    nowhere = administrator.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:1/x")})
    with pytest.raises(SandboxError, match="database server"):
        create_sandbox(nowhere, label="x")
    assert list((administrator.state_dir / "sandboxes").glob("*")) == []


def test_a_person_is_told_where_to_log_in(mine: Sandbox) -> None:
    told = "\n".join(mine.where_to_look())
    assert "http://" in told
    assert mine.vhost in told
    assert mine.database_url in told
