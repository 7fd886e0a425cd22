from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from infra.event_store import Log
from infra.event_store.payloads import DROPPED_AT_ONCE
from infra.retention.parts import parts
from tasks.retention.keeping import Keeping
from tests.infra.retention.past import MONTHS, Past
from tests.tasks.processes import Process
from tests.waiting import eventually


def test_the_leader_makes_months_ahead_once_an_hour(past: Past) -> None:
    with Keeping(past.settings) as keeping:
        keeping.step(datetime(2031, 10, 31, 23, 59, tzinfo=UTC))
        assert [part.name for part in parts(past.connection)][-1] == "2031_12"
        keeping.step(datetime(2031, 11, 1, tzinfo=UTC))
        assert [part.name for part in parts(past.connection)][-1] == "2031_12"
        keeping.step(datetime(2031, 11, 1, 1, tzinfo=UTC))
        assert [part.name for part in parts(past.connection)][-1] == "2032_01"


def test_results_whose_time_is_up_are_dropped_a_part_at_a_step(past: Past) -> None:
    kept = """
        insert into results.payloads (run_id, stored_at, encoding, body)
        select number::text, now() - interval '1 day', 'identity', '1' from generate_series(1, %s) as number
    """
    past.connection.execute(kept, [2 * DROPPED_AT_ONCE + 1])
    past.connection.execute("insert into results.payloads (run_id, encoding, body) values ('new', 'identity', '1')")
    left, now = [], datetime.now(UTC)
    with Keeping(past.settings) as keeping:
        for _ in range(4):
            keeping.step(now)
            left.append(past.connection.execute("select count(*) from results.payloads").fetchall()[0][0])
    assert left == [DROPPED_AT_ONCE + 2, 2, 1, 1]


def test_where_it_is_switched_on_it_archives_and_drops_what_may_go(past: Past) -> None:
    settings = past.settings.model_copy(update={"retention_interval_seconds": 1.0})
    with Keeping(settings):
        eventually(lambda: past.names() == [])
    assert past.verified().findings == []
    assert past.connection.execute("select distinct dropped_by from event_store.drops").fetchall() == [("scheduler",)]


def test_where_it_is_not_nothing_goes(past: Past) -> None:
    assert past.settings.retention_interval_seconds is None
    with Keeping(past.settings) as keeping:
        keeping.step(datetime.now(UTC))
        assert not keeping._thread.is_alive()
    assert past.names() == [*MONTHS]


def test_what_cannot_be_done_is_told_and_tried_again(past: Past, tmp_path: Path) -> None:
    later = tmp_path / "later"
    settings = past.settings.model_copy(update={"retention_interval_seconds": 1.0, "archive_dir": later})
    with capture_logs() as told, Keeping(settings):
        eventually(lambda: any(each["event"] == "not dropped" for each in told))
        assert f"there is no directory {later}" in told[0]["reason"]
        assert past.names() == [*MONTHS]
        later.mkdir()
        eventually(lambda: past.names() == [])


@pytest.mark.system
def test_the_scheduler_s_leader_keeps_months_and_drops(past: Past, tmp_path: Path) -> None:
    changed = {
        "LEDGERQ_ARCHIVE_DIR": str(past.settings.archive_dir),
        "LEDGERQ_KEEP_HEARTBEATS_DAYS": "30",
        "LEDGERQ_RETENTION_INTERVAL_SECONDS": "1",
    }
    with (
        Process("projector", past.settings, log=tmp_path / "projector.log"),
        Process("scheduler", past.settings, log=tmp_path / "scheduler.log", **changed) as process,
    ):
        eventually(lambda: past.names() == [], seconds=60)
        assert process.stop() == 0
    assert process.log.count('"dropped"') == len(MONTHS)
    assert process.log.count('"archived"') == 1
    assert past.store.safe_position(Log.HEARTBEATS) > 0
