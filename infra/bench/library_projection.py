"""The peer: the stock library's projection runner, one row per event, beside which ours is measured."""

from __future__ import annotations

import time
from typing import Any, Final

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner

from infra.bench.library import library_environment

TABLE: Final = "read_model.bench_library"
_INSERT: Final = f"""
    insert into {TABLE} (message_id, reason, detail, message_type, source, source_event_id, fragment, dead_lettered_at)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
"""  # noqa: S608  a constant
_WAIT_SECONDS: Final = 120.0


class Message(Aggregate):
    """What the projection makes a row of: the fields of ``ingest.message_dead_lettered``."""

    class Refused(Aggregate.Created):
        """A message was put aside."""

        reason: str
        detail: str
        message_type: str
        source: str
        source_event_id: str
        fragment: str

    def __init__(
        self, reason: str, detail: str, message_type: str, source: str, source_event_id: str, fragment: str
    ) -> None:
        self.told = (reason, detail, message_type, source, source_event_id, fragment)


class Messages(Application[Any]):
    """The library's application, as its examples write one."""

    name = "bench_library"


class Rows(PostgresTrackingRecorder):
    """The read model: a row and its tracking record in one transaction."""

    def insert(self, values: tuple[Any, ...], tracking: Tracking) -> None:
        """Insert one row."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(_INSERT, values, prepare=True)


class RowPerEvent(Projection[Rows]):
    """The library's projection, as its examples write one."""

    name = "bench_rows"
    topics = ()

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Insert the row of one event."""
        told = domain_event
        values = (told.reason, told.detail, told.message_type, told.source, told.source_event_id, told.fragment)
        self.view.insert((str(told.originator_id), *values, told.timestamp), tracking)


def rows_per_second(database_url: str, *, events: int) -> float:
    """Events a second that the library's runner makes rows of; :data:`TABLE` has to exist."""
    environment = {**library_environment(database_url), "POSTGRES_SCHEMA": "bench"}
    del environment["POSTGRES_POOL_SIZE"]  # its runner needs several
    with Messages(environment) as app:
        for first in range(0, events, 500):
            app.save(*(_message(number) for number in range(first, min(events, first + 500))))
        last = app.recorder.max_notification_id()
    began = time.monotonic()
    with ProjectionRunner(
        application_class=Messages, projection_class=RowPerEvent, view_class=Rows, env=environment
    ) as runner:
        runner.wait(last, timeout=_WAIT_SECONDS)
        return events / (time.monotonic() - began)


def _message(number: int) -> Message:
    return Message("invalid", "session_id: is required", "session.started", "/bench", str(number), "x" * 100)
