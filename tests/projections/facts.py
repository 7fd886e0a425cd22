"""What happened, told from the logs alone: for answers that no read model had a hand in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace

from domain.aggregate import Event, replay
from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from domain.ingest import MessageDeadLettered
from domain.license import License
from domain.license_policy import OnLapse
from domain.run import TaskRun
from domain.session import SessionEnded, SessionLapsed, SessionResumed, SessionStarted
from domain.task_run import TaskEvent
from infra.event_store import EventStore, Log, Recorded

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Lapse(NamedTuple):
    """A lapse of a session."""

    alive_since: datetime
    at: datetime
    judged_at: datetime
    back_at: datetime | None = None


class SessionFacts(NamedTuple):
    """A session as its transitions tell it."""

    session_id: str
    license_id: str
    started_at: datetime
    state: str = "active"
    ended_at: datetime | None = None
    lapses: tuple[Lapse, ...] = ()
    keeps_seat: bool = False

    def has_seat(self, instant: datetime) -> bool:
        """Whether it has a seat while it is open: not between a lapse by which it gave its seat back and its return."""
        away = [each for each in self.lapses if each.at <= instant and (each.back_at is None or instant < each.back_at)]
        return self.keeps_seat or not away


class RunFacts(NamedTuple):
    """A run, its state by the domain's own rule, and its events in order of slot."""

    run_id: str
    state: str
    events: list[Any]

    def named(self, *names: str) -> list[Any]:
        """The events of these names, without ``task.``."""
        return [event for event in self.events if event.name.removeprefix("task.") in names]

    @property
    def license_id(self) -> str | None:
        """The license whose business it is."""
        return max((found for event in self.events if (found := getattr(event, "license_id", None))), default=None)


class Facts:
    """Everything that the logs of a store tell."""

    def __init__(self, store: EventStore) -> None:
        self.licensing, self.tasks, self.heartbeats = (
            store.read(log, after=0, limit=100_000).events for log in (Log.LICENSING, Log.TASKS, Log.HEARTBEATS)
        )
        passed = [each.event.timestamp for each in self.heartbeats if isinstance(each.event, WatermarkPassed)]
        self.log_time = max(passed, default=None)
        self.sessions = sessions_told(self.licensing)
        self.runs = _runs(self.tasks)
        self.refused = [each.event for each in self.licensing if isinstance(each.event, MessageDeadLettered)]
        self.beats = [
            (beat, each.recorded_at)
            for each in self.heartbeats
            if isinstance(each.event, HeartbeatsReceived)
            for beat in each.event
        ]

    def licenses(self, *, until: datetime | None = None) -> dict[str, License]:
        """Licenses as the domain has them after all events, or after those that had happened by then.

        An expiry happened when the term ended, however late it was found: others may have happened between, which stand
        before it in the stream.
        """
        streams: dict[str, list[Any]] = {}
        for each in self.licensing:
            if each.event.originator_id.startswith("license-") and (until is None or each.event.timestamp <= until):
                streams.setdefault(each.event.originator_id, []).append(each.event)
        found = [replay(_closed_up(events)) for events in streams.values()]
        return {each.license_id: each for each in found if isinstance(each, License)}

    def span(self, session: SessionFacts) -> tuple[datetime, datetime]:
        """From its start to its end, or to log time while it is active."""
        return session.started_at, max(session.started_at, session.ended_at or self.log_time or session.started_at)

    def pieces(self, session: SessionFacts, width: timedelta) -> dict[datetime, tuple[datetime, datetime]]:
        """The session cut along stretches of time, by their beginning."""
        begins, ends = self.span(session)
        found = {}
        at = binned(begins, width)
        while at < ends or at <= begins:
            found[at] = max(begins, at), min(ends, at + width)
            at += width
        return found


def binned(moment: datetime, width: timedelta) -> datetime:
    """Beginning of the stretch of time that the moment is in, counted from 1970."""
    return moment - (moment - EPOCH) % width


def sessions_told(events: list[Recorded]) -> list[SessionFacts]:
    """The sessions that these events tell of."""
    found: dict[str, SessionFacts] = {}
    for each in events:
        event, stream = each.event, each.event.originator_id
        known = found.get(stream, SessionFacts(stream.removeprefix("session-"), "", event.timestamp))
        match event:
            case SessionStarted():
                keeps = event.rules.on_lapse is OnLapse.KEEP
                found[stream] = SessionFacts(event.session_id, event.license_id, event.timestamp, keeps_seat=keeps)
            case SessionLapsed():
                since = [known.started_at, *(lapse.back_at for lapse in known.lapses if lapse.back_at)][-1]
                lapses = (*known.lapses, Lapse(since, event.timestamp, event.judged_at))
                ended_at = None if known.keeps_seat else event.timestamp
                found[stream] = known._replace(state="lapsed", ended_at=ended_at, lapses=lapses)
            case SessionResumed():
                back = tuple(lapse._replace(back_at=event.timestamp) for lapse in known.lapses[-1:])
                found[stream] = known._replace(state="active", ended_at=None, lapses=(*known.lapses[:-1], *back))
            case SessionEnded():
                found[stream] = known._replace(state="ended", ended_at=event.timestamp)
    return list(found.values())


def _closed_up(events: list[Event]) -> list[Event]:
    """A stream's events in order, as if there had never been others between them."""
    ordered = sorted(events, key=lambda event: event.originator_version)
    return [replace(event, originator_version=number) for number, event in enumerate(ordered, 1)]


def _runs(told: list[Recorded]) -> list[RunFacts]:
    streams: dict[str, list[TaskEvent]] = {}
    for each in told:
        if isinstance(each.event, TaskEvent):
            streams.setdefault(each.event.originator_id, []).append(each.event)
    return [
        RunFacts(
            stream.removeprefix("task_run-"),
            TaskRun.fold(events).state.value,
            sorted(events, key=lambda event: event.originator_version),
        )
        for stream, events in streams.items()
    ]
