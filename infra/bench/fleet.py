"""A fleet of live sessions that beat once a minute: how soon each heartbeat can be seen, for minutes on end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self
from uuid import uuid4

import psycopg

from domain.cause import Cause
from domain.session import Session, session_stream
from domain.session_events import SessionStarted
from domain.session_rules import SessionRules
from infra.bench.ingest import SOURCE, outgoing, single_heartbeat
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.cloudevents import encode_batch, encode_structured
from infra.event_store import EventStore, Log, NewEvent, caused
from infra.settings import Settings

GATEWAY_BATCH: Final = 500
"""Heartbeats in a message of a gateway."""
SINGLES_ONE_IN: Final = 10
"""One in so many heartbeats comes in a message of its own."""
TICKS_PER_SECOND: Final = 10
_PATIENCE_SECONDS: Final = 180.0
_SEED_BATCH: Final = 1000
_LOOK_EVERY_SECONDS: Final = 0.01
_WITHIN: Final = timedelta(seconds=60)
_CAUGHT_UP_WITHIN_SECONDS: Final = 900.0
_LAST_HEARTBEATS: Final = "select session_id, last_heartbeat_at from analytics.fct_sessions where session_id = any(%s)"
_BEATEN: Final = "select coalesce(sum(heartbeat_count), 0) from analytics.fct_sessions"


class Probe(NamedTuple):
    """A heartbeat that is looked for: of which session, and when it was sent by the monotonic clock, in seconds."""

    session_id: str
    at: datetime
    sent: float


class Watcher(threading.Thread):
    """Asks the way an analyst does, until each probe can be seen.

    Attributes:
        lags_seconds: from the emit of each probe until it was seen.
    """

    def __init__(self, database_url: str) -> None:
        super().__init__(daemon=True)
        self._database = psycopg.connect(database_url, autocommit=True)
        self._open: list[Probe] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.lags_seconds: list[float] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look until all are seen, a minute at most."""
        deadline = time.monotonic() + _WITHIN.total_seconds()
        while self.pending() and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_SECONDS)
        self._closing.set()
        self.join()
        self._database.close()

    def expect(self, probes: list[Probe]) -> None:
        """Look for these."""
        with self._lock:
            self._open.extend(probes)

    def pending(self) -> int:
        """How many have not been seen."""
        with self._lock:
            return len(self._open)

    def run(self) -> None:
        """Look again and again."""
        while not self._closing.wait(_LOOK_EVERY_SECONDS):
            with self._lock:
                looked_for = list(self._open)
            if looked_for:
                self._look(looked_for)

    def _look(self, looked_for: list[Probe]) -> None:
        rows = self._database.execute(_LAST_HEARTBEATS, ([probe.session_id for probe in looked_for],)).fetchall()
        now = time.monotonic()
        last: dict[str, datetime | None] = dict(rows)
        seen = [probe for probe in looked_for if (last.get(probe.session_id) or probe.at) > probe.at]
        self.lags_seconds += [now - probe.sent for probe in seen]
        with self._lock:
            self._open = [probe for probe in self._open if probe not in seen]


class FleetBench:
    """Measures a running platform with ``sessions`` live sessions, each of which beats once a minute.

    Args:
        settings: of the platform.
        sessions: how many; they are appended to the log directly, a thousand to a commit, before anything is measured.
        tell: gets a line now and then.
    """

    def __init__(self, settings: Settings, *, sessions: int, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._run = uuid4().hex[:6]
        self._sessions = sessions
        self._per_tick = sessions // 60 // TICKS_PER_SECOND
        self._next = 0

    def lags(self, *, seconds: int) -> dict[str, float]:
        """From the emit of a heartbeat until an analyst sees it, in milliseconds, at a steady rate for ``seconds``.

        Two heartbeats of every tenth of a second are looked for: one that came in a message of its own and the last
        of a gateway's batch.
        """
        self._seed()
        url = self._settings.database_url.get_secret_value()
        with psycopg.connect(url, autocommit=True) as database:
            before = _beaten(database)
            with Watcher(url) as watcher, Publisher(self._settings, role="bench") as publisher:
                took, sent = self._beat(publisher, watcher, ticks=seconds * TICKS_PER_SECOND)
            visible = _beaten(database) - before
        lags = sorted(1000 * lag for lag in watcher.lags_seconds)
        return {
            "million_sessions_count": float(self._sessions),
            "million_sessions_heartbeats_per_second": sent / took,
            "million_sessions_lag_p50_ms": _quantile(lags, 0.5),
            "million_sessions_lag_p99_ms": _quantile(lags, 0.99),
            "million_sessions_lag_max_ms": lags[-1],
            "million_sessions_not_seen": float(watcher.pending() + sent - visible),
        }

    def _seed(self) -> None:
        began = time.monotonic()
        at = datetime.now(UTC)
        with EventStore(self._settings.database_url.get_secret_value(), name="bench") as store:
            for first in range(0, self._sessions, _SEED_BATCH):
                store.append(Log.LICENSING, list(self._starts(first, at)))
        self._tell(f"{self._sessions} sessions started in {time.monotonic() - began:.0f} s")
        with psycopg.connect(self._settings.database_url.get_secret_value(), autocommit=True) as database:
            last = self._name(self._sessions - 1)
            deadline = time.monotonic() + _CAUGHT_UP_WITHIN_SECONDS
            while not database.execute(_LAST_HEARTBEATS, ([last],)).fetchall():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the projector did not come to session {last}")
                time.sleep(0.1)
            database.execute("analyze")  # a table that has just grown a thousandfold
        self._tell(f"they are in the read model after {time.monotonic() - began:.0f} s")

    def _starts(self, first: int, at: datetime) -> Iterator[NewEvent]:
        for number in range(first, min(first + _SEED_BATCH, self._sessions)):
            session_id = self._name(number)
            start = SessionStarted(
                originator_id=session_stream(session_id),
                originator_version=1,
                originator_topic=Session.TOPIC,
                timestamp=at,
                session_id=session_id,
                license_id=f"bench-{number % 1000}",
                rules=SessionRules(patience_seconds=_PATIENCE_SECONDS),
                host=None,
            )
            yield from caused([start], Cause(id=uuid4(), at=at, actor=SOURCE, source_event_id=session_id))

    def _beat(self, publisher: Publisher, watcher: Watcher, *, ticks: int) -> tuple[float, int]:
        """Publish at an even pace; how long it took in seconds, and how many heartbeats it was."""
        began = time.monotonic()
        for tick in range(ticks):
            sent, at = time.monotonic(), datetime.now(UTC)
            messages, looked_for = self._tick()
            publisher.publish(messages, timeout=_WITHIN)
            earlier = at - timedelta(milliseconds=2)  # what is stored is cut to milliseconds
            watcher.expect([Probe(session_id, earlier, sent) for session_id in looked_for])
            if tick % (60 * TICKS_PER_SECOND) == 0:
                self._tell(f"minute {tick // (60 * TICKS_PER_SECOND)}: {watcher.pending()} probes under way")
            time.sleep(max(0.0, began + (tick + 1) / TICKS_PER_SECOND - time.monotonic()))
        return time.monotonic() - began, ticks * self._per_tick

    def _tick(self) -> tuple[list[OutgoingMessage], list[str]]:
        names = [self._name((self._next + number) % self._sessions) for number in range(self._per_tick)]
        self._next += self._per_tick
        singles = self._per_tick // SINGLES_ONE_IN
        beats = [single_heartbeat(name) for name in names]
        messages = [outgoing(encode_structured(beat)) for beat in beats[:singles]]
        batches = (beats[first : first + GATEWAY_BATCH] for first in range(singles, len(beats), GATEWAY_BATCH))
        messages += [outgoing(encode_batch(batch)) for batch in batches]
        return messages, [names[0], names[-1]]

    def _name(self, number: int) -> str:
        return f"ses-{self._run}-{number:07d}"


def _beaten(database: psycopg.Connection[tuple[int]]) -> int:
    row = database.execute(_BEATEN).fetchone()
    return int(row[0]) if row else 0


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, round(part * len(ordered)))]
