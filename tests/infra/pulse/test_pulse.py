import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from infra import database
from infra.process_name import ProcessName
from infra.pulse import Pulse, telling
from infra.settings import Settings
from tests.waiting import eventually


@pytest.fixture
def own(platform: Settings, tmp_path: Path) -> Settings:
    return platform.model_copy(update={"state_dir": tmp_path, "pulse_interval_seconds": 0.1})


@pytest.fixture
def rows(platform: Settings) -> Callable[[], list[Any]]:
    """What is told of pulses of this process."""

    def read() -> list[Any]:
        with database.connect(platform, name="test") as connection:
            return connection.execute(
                "select name, ready, state, extract(epoch from told_at - turned_at) from runtime.processes "
                "where name like %s",
                [f"ingest@%:{os.getpid()}"],
            ).fetchall()

    return read


def test_a_beat_touches_both_files_and_one_that_is_not_ready_leaves_the_first(own: Settings) -> None:
    pulse = Pulse(own, ProcessName.INGEST)
    live, ready = (own.state_dir / "pulse" / f"ingest.{kind}" for kind in ("live", "ready"))
    pulse.beat(ready=True)
    assert abs(live.stat().st_mtime - time.time()) < 2
    assert ready.exists()
    pulse.beat(ready=False)
    assert live.exists()
    assert not ready.exists()


def test_many_beats_touch_once_and_ask_once_for_the_state(own: Settings) -> None:
    asked = []
    pulse = Pulse(own, ProcessName.INGEST)
    for _ in range(1000):
        pulse.beat(ready=True, state=lambda: asked.append(1) or {})  # type: ignore[func-returns-value]
    assert len(asked) == 1


def test_a_beat_for_a_loop_that_turned_long_ago_leaves_old_files(own: Settings) -> None:
    Pulse(own, ProcessName.INGEST).beat(ready=True, turned=time.monotonic() - 100)
    age = time.time() - (own.state_dir / "pulse" / "ingest.live").stat().st_mtime
    assert 99 < age < 102


def test_a_disk_that_takes_nothing_is_told_once_and_stops_nobody(own: Settings, tmp_path: Path) -> None:
    (tmp_path / "pulse").write_text("a file where the directory should be")
    pulse = Pulse(own, ProcessName.INGEST)
    with capture_logs() as lines:
        for ready in (True, False, True, False):
            pulse.beat(ready=ready)
    assert [line["event"] for line in lines] == ["the files for probes cannot be touched; the work goes on"]


def test_the_database_is_told_and_forgets_who_says_goodbye(own: Settings, rows: Callable[[], list[Any]]) -> None:
    with Pulse(own, ProcessName.INGEST) as pulse:
        pulse.beat(ready=True, state={"leads": True}.copy)
        eventually(lambda: [(row[0], row[1], row[2]) for row in rows()] == [(pulse.name, True, {"leads": True})])
    assert rows() == []
    assert not (own.state_dir / "pulse" / "ingest.live").exists()


def test_a_process_started_anew_under_the_name_of_one_that_crashed_counts_from_its_own_start(
    own: Settings, platform: Settings
) -> None:
    name = "ingest@a-container:1"
    with database.connect(platform, name="test") as connection:
        connection.execute(
            "insert into runtime.processes (name, role, started_at, told_at, turned_at, ready, session, state) "
            "values (%s, 'ingest', now() - interval '1 day', now(), now(), true, 0, '{}')",
            [name],
        )
        started = "select count(*) from runtime.processes where name = %s and started_at > now() - interval '1 hour'"
        with Pulse(own, ProcessName.INGEST, name=name):
            eventually(lambda: connection.execute(started, [name]).fetchone() == (1,))


def test_while_the_loop_hangs_its_silence_grows_though_the_thread_goes_on_telling(
    own: Settings, rows: Callable[[], list[Any]]
) -> None:
    with Pulse(own, ProcessName.INGEST) as pulse:
        pulse.beat(ready=True)
        eventually(lambda: [row for row in rows() if row[3] > 1])


def test_a_database_that_is_away_is_told_once_in_the_log(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def trying(settings: Settings, *, name: str) -> Any:
        tries.append(name)
        return database.connect(settings, name=name)

    monkeypatch.setattr(telling, "connect", trying)
    away = own.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:1/x")})
    with capture_logs() as lines, Pulse(away, ProcessName.INGEST):
        eventually(lambda: len(tries) > 3)
    assert [line["event"] for line in lines] == ["the database is not told of this process; the work goes on"]


def test_the_state_is_told_as_json_whatever_is_in_it(own: Settings, rows: Callable[[], list[Any]]) -> None:
    with Pulse(own, ProcessName.INGEST) as pulse:
        pulse.beat(ready=True, state=lambda: {"path": Path("/x")})
        eventually(lambda: [row for row in rows() if json.dumps(row[2]) == '{"path": "/x"}'])
