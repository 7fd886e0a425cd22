from __future__ import annotations

from pathlib import Path

from infra import database
from infra.event_store import EventStore, Log
from infra.events.seals import SealTable
from infra.events.verifying import verify
from infra.settings import Settings
from tests.infra.event_store.facts import facts
from tests.tasks.processes import Process
from tests.waiting import eventually


def test_the_scheduler_seals_what_has_waited_and_tells_the_head(
    fresh_platform: Settings, store: EventStore, tmp_path: Path
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 4)))
    with (
        Process("scheduler", fresh_platform, log=tmp_path / "log", LEDGERQ_SEAL_INTERVAL_SECONDS="0.1") as scheduler,
        database.connect(fresh_platform, name="test") as connection,
    ):
        seals = SealTable(connection)
        upto = store.safe_position(Log.TASKS)
        eventually(lambda: (last := seals.last(Log.TASKS)) and last.upto_position == upto)
        last = seals.last(Log.TASKS)
        assert last is not None
        eventually(lambda: last.head in scheduler.log)
        assert verify(seals, Log.TASKS).findings == []
