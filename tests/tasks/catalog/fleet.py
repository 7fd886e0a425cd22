"""What tests about the catalog need of a fleet: licenses, sessions, heartbeats, and read models that know of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import sqlalchemy as sa

from domain.aggregate import Aggregate, Event, replay
from domain.blindness import BlindWindowPassed
from domain.cause import Cause
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from domain.license import License
from domain.session import Session, session_stream
from infra.event_store import EventStore, Log, NewEvent
from projections.catalog import PROJECTIONS
from projections.runner import Runner

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATIENCE = timedelta(minutes=6)
CAUSE = Cause(id=uuid4(), at=NOON, actor="task:test", correlation_id="story")


def after(minutes: float) -> datetime:
    """So many minutes past noon."""
    return NOON + timedelta(minutes=minutes)


class Fleet:
    """One license, any number of sessions."""

    def __init__(self, store: EventStore, engine: sa.Engine) -> None:
        self.store = store
        self.engine = engine
        self._license = License.issue("lic-1", valid_until=after(50_000_000), at=after(-1_000_000))
        self.record(self._license)

    def record(self, aggregate: Aggregate) -> None:
        """Store what an aggregate has decided."""
        facts = [fact for fact in aggregate.collect_events() if isinstance(fact, Event)]
        self.store.append(Log.LICENSING, [NewEvent(fact, uuid4(), {}) for fact in facts])

    def start(self, *names: str, minutes: float = 0, under: License | None = None) -> None:
        """Start sessions so many minutes past noon."""
        licensed = under or self._license
        for name in names:
            self.record(Session.start(name, under=licensed, default_patience=PATIENCE, at=after(minutes)))

    def end(self, name: str, *, minutes: float) -> None:
        """A session signs out so many minutes past noon."""
        session = replay(self.events(name))
        assert isinstance(session, Session)
        session.end(reason="signed out", at=after(minutes))
        self.record(session)

    def beat(self, names: Iterable[str], *, minutes: float, clock_behind: float = 0) -> None:
        """A heartbeat of each session, stored so many minutes past noon; its own clock may be behind by minutes."""
        heartbeats = [Heartbeat(name, after(minutes - clock_behind)) for name in names]
        self.tell(HeartbeatsReceived.of(heartbeats, batch_id=uuid4()), at=after(minutes))

    def pass_time(self, *, minutes: float) -> None:
        """Log time comes to be so many minutes past noon, and the read models know it."""
        self.tell(WatermarkPassed.at(after(minutes), marker_id=uuid4()), at=after(minutes))
        self.project()

    def blind(self, *, since: float, until: float) -> None:
        """Log time jumps, and ingest says so; the read models know it."""
        window = BlindWindowPassed.between(after(since), after(until), marker_id=uuid4())
        self.tell(window, at=after(until))
        self.pass_time(minutes=until)

    def project(self) -> None:
        """Let every read model look at everything there is."""
        with self.engine.connect() as connection:
            for projection in PROJECTIONS.values():
                runner = Runner(projection, self.store, batch_events=1000)
                runner.recall(connection)
                while runner.step(connection):
                    pass

    def events(self, name: str) -> list[Event]:
        """The facts of a session."""
        return self.store.load(Log.LICENSING, [session_stream(name)])[session_stream(name)]

    def names(self, name: str) -> list[str]:
        """The names of a session's facts."""
        return [event.name for event in self.events(name)]

    def spoil(self, name: str) -> None:
        """Store a fact of a session that this version of the code cannot read."""
        spoilt = (
            b"insert into event_store.licensing_events (stream_id, version, name, data, event_id, occurred_at)"
            b" values (%s, 99, 'session.unheard_of', '{}', gen_random_uuid(), now())"
        )
        with self.store.transaction() as transaction:
            connection: psycopg.Connection[tuple[object, ...]] = transaction.connection
            connection.execute(spoilt, (session_stream(name),))

    def session(self, name: str) -> Session:
        """A session as its facts have it."""
        found = replay(self.events(name))
        assert isinstance(found, Session)
        return found

    def tell(self, event: Event, *, at: datetime) -> None:
        """Store a fact as if it were so late: the log's own clock is the server's."""
        stored_then = b"update event_store.heartbeat_events set recorded_at = %s where position = %s"
        with self.store.transaction() as transaction:
            (position,) = transaction.append(Log.HEARTBEATS, [NewEvent(event, uuid4(), {})])
            transaction.connection.execute("set local ledgerq.maintenance = on")
            transaction.connection.execute(stored_then, (at, position))
