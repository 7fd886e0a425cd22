"""The example queries of docs/analytics.md, asked about the sample fleet that really ran."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from infra import database
from infra.event_store import EventStore
from infra.local.platform import Platform, platform
from infra.local.run import SAMPLE_PACE
from infra.settings import Settings
from projections.queries import aggregate_usage, count_heartbeat_minutes
from tests.projections.facts import Facts
from tests.projections.test_example_queries import ANSWERS, QUERIES, Rows, as_found, as_said
from tests.projections.world import World

pytestmark = pytest.mark.timeout(300)

UNANSWERED = {"denials_and_peaks_by_hour", "sessions_known_by_then", "what_became_of_replays"}
"""Questions about what does not happen within a fleet's half a minute."""


def told(built: Platform, *arguments: str) -> str:
    """What a command says, while the platform is kept up; it has to succeed."""
    command = (sys.executable, "-m", "infra.cli", *arguments)
    with subprocess.Popen(
        command,
        env=built.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        while process.poll() is None:
            built.supervisor.look()
            time.sleep(0.05)
        said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def asked(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facts, dict[str, Rows]]]:
    """What the fleet left in the logs, and what the queries say of it."""
    settings = servers.model_copy(update={"state_dir": tmp_path_factory.mktemp("sample")})
    with platform(settings, label="questions", tell=lambda _: None, pace=SAMPLE_PACE) as built:
        built.start()
        built.wait_until_ready()
        told(built, "fleet", "--seed", "5")
        told(built, "report", "--wait", "120")
        built.supervisor.stop()
        engine = database.engine(built.settings, name="test")
        url = built.settings.database_url.get_secret_value()
        with EventStore(url, name="test") as store, engine.connect() as connection:
            world = World(store, connection)
            world.catch_up()
            aggregate_usage(world.psycopg)
            count_heartbeat_minutes(world.psycopg, within=timedelta(minutes=1))
            with connection.begin():
                said = {file.stem: world.psycopg.execute(file.read_bytes()).fetchall() for file in QUERIES}
            yield Facts(store), said
        engine.dispose()


@pytest.mark.parametrize("file", QUERIES, ids=[file.stem for file in QUERIES])
def test_a_query_s_answer_is_what_the_fleet_left_in_the_logs(asked: tuple[Facts, dict[str, Rows]], file: Path) -> None:
    facts, said = asked
    expected = ANSWERS[file.stem](facts)
    assert [tuple(map(as_found, row)) for row in expected] == [tuple(map(as_said, row)) for row in said[file.stem]]


def test_most_of_them_have_something_to_say(asked: tuple[Facts, dict[str, Rows]]) -> None:
    _, said = asked
    unanswered = {name for name, rows in said.items() if not rows}
    assert unanswered <= UNANSWERED
