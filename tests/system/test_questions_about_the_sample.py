"""The example queries of docs/analytics.md, asked about the sample fleet that really ran."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra import database
from infra.event_store import EventStore
from infra.events.reading import LogReader
from infra.local.platform import Platform, platform
from infra.local.run import SAMPLE_PACE
from infra.settings import Settings
from infra.tracing import names
from projections.queries import aggregate_usage, count_heartbeat_minutes
from projections.traces.past import past_runs
from projections.traces.spans import Told, told_of
from tests.projections.facts import Facts
from tests.projections.test_example_queries import ANSWERS, QUERIES, Rows, as_found, as_said
from tests.projections.test_task_waits import PARTS
from tests.projections.world import World

pytestmark = pytest.mark.timeout(300)

UNANSWERED = {
    "chains_by_first_task",
    "denials_and_peaks_by_hour",
    "sessions_known_by_then",
    "what_became_of_replays",
    "where_chains_stop",
}
"""Questions about what the fleet does not do within half a minute; it asks for no chains at all."""


class Asked(NamedTuple):
    """What the fleet left in the logs, what the queries say of it, where the time of its runs went, and their spans."""

    facts: Facts
    said: dict[str, Rows]
    waits: list[dict[str, Any]]
    spans: list[Told]


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
def asked(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A fleet that ran to its end."""
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
            waits = world.rows("select * from analytics.fct_task_waits")
            runs = past_runs(store, LogReader(world.psycopg), [row["run_id"] for row in waits])
            yield Asked(Facts(store), said, waits, told_of(runs))
        engine.dispose()


@pytest.mark.parametrize("file", QUERIES, ids=[file.stem for file in QUERIES])
def test_a_query_s_answer_is_what_the_fleet_left_in_the_logs(asked: Asked, file: Path) -> None:
    facts, said = asked.facts, asked.said
    expected = ANSWERS[file.stem](facts)
    assert [tuple(map(as_found, row)) for row in expected] == [tuple(map(as_said, row)) for row in said[file.stem]]


def test_most_of_them_have_something_to_say(asked: Asked) -> None:
    said = asked.said
    unanswered = {name for name, rows in said.items() if not rows}
    assert unanswered <= UNANSWERED


def test_the_time_of_every_run_that_ended_is_split_without_rest(asked: Asked) -> None:
    ended = [row for row in asked.waits if row["is_ended"]]
    assert len(ended) > 100
    for row in ended:
        split = [row[f"{part}_seconds"] for part in PARTS]
        assert min(split) >= 0, row
        assert sum(split) == pytest.approx((row["ended_at"] - row["accepted_at"]).total_seconds(), abs=1e-6), row
        assert row["most_moved_seconds"] < 1, "it all ran on one machine"
    for part in ("dispatch", "queue", "prefetched", "running", "retry_wait"):
        assert any(row[f"{part}_seconds"] for row in ended), part


def test_every_run_of_the_sample_which_nobody_traced_has_its_past_trace(asked: Asked) -> None:
    spans = {told.span.context: told.span for told in asked.spans}
    orphans = [each for each in spans.values() if each.parent and each.context.at(each.parent) not in spans]
    assert orphans == []
    attempts = {each.attributes[names.RUN_ID]: each for each in spans.values() if names.ATTEMPT in each.attributes}
    for row in asked.waits:
        if row["attempt_count"]:
            assert attempts[row["run_id"]].context.trace_id == row["trace_id"], row["run_id"]
    recorded = [event for run in asked.facts.runs for event in run.events]
    assert len([each for each in spans.values() if each.name == "append tasks"]) == len(recorded)
    assert {each.error for each in spans.values()} > {None, "TimeLimitExceeded", "WorkerLostError"}
