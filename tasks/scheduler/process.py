"""The scheduler process: one fires, seals and keeps months, any number stand by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from infra.database import Leadership
from infra.event_store import EventStore
from infra.events.sealing import Sealing
from infra.process_name import ProcessName
from infra.running import running
from infra.settings import Settings, load_settings
from tasks.leading import LEADS, lead
from tasks.retention.keeping import Keeping
from tasks.scheduler.firing import Firing
from tasks.scheduler.meter import SlotMeter
from tasks.scheduler.shipped import declare, shipped

LEADERSHIP: Final = "scheduler"
LONGEST_PAUSE_SECONDS: Final = 0.5
"""How long the leader waits before it looks again: whether it still leads, and what was done about schedules."""


def run(settings: Settings | None = None) -> None:
    """Fire schedules, seal the logs, make their months and drop what may go, until SIGTERM.

    Args:
        settings: None: those of the environment.
    """
    settings = settings or load_settings()
    url = settings.database_url.get_secret_value()
    with (
        running(settings, ProcessName.SCHEDULER) as (stop, pulse, instruments),
        EventStore(url, connections=1, name="ledgerq scheduler") as store,
    ):

        def work(leadership: Leadership) -> None:
            wanted = shipped(settings)
            declare(store, wanted, at=_now())
            firing = Firing(store, meter=None if instruments is None else SlotMeter(instruments, wanted))
            with (
                Sealing(settings, instruments=instruments) as sealing,
                Keeping(settings, instruments=instruments) as keeping,
            ):
                while not stop and leadership.still_held():
                    pulse.beat(ready=True, state=LEADS.copy)
                    firing.step(_now())
                    keeping.step(_now())
                    there_is_more = sealing.step(_now())
                    stop.wait(0.0 if there_is_more else _pause_seconds(firing.next_due()))

        lead(settings, LEADERSHIP, stop=stop, pulse=pulse, work=work, instruments=instruments)


def _pause_seconds(next_due: datetime | None) -> float:
    if next_due is None:
        return LONGEST_PAUSE_SECONDS
    return min(max(0.0, (next_due - _now()).total_seconds()), LONGEST_PAUSE_SECONDS)


def _now() -> datetime:
    return datetime.now(UTC)
