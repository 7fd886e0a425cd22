"""The library's own contract for recorders, met on our tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from eventsourcing.persistence import Notification, StoredEvent

from infra.event_store.datastore import Datastore
from infra.event_store.recorder import LogRecorder
from infra.settings import Settings
from tests.infra.event_store.library_contract import contract


class BytesRecorder(LogRecorder):
    """Takes the contract's states, which are any bytes, as JSON strings: our column is ``jsonb``."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **rest: Any) -> Sequence[int] | None:
        return super().insert_events([_quoted(event) for event in stored_events], **rest)

    def select_events(self, originator_id: Any, **rest: Any) -> Sequence[StoredEvent]:
        return [
            StoredEvent(row.originator_id, row.originator_version, row.topic, _unquoted(row))
            for row in super().select_events(originator_id, **rest)
        ]

    def select_notifications(self, *args: Any, **rest: Any) -> Sequence[Notification]:
        return [replace(row, state=_unquoted(row)) for row in super().select_notifications(*args, **rest)]


class PlainRecorder(BytesRecorder):
    """As the library asks of recorders of aggregates: what has no positions tells none."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **rest: Any) -> None:
        super().insert_events(stored_events, **rest)


class _OnOurTables:
    @pytest.fixture(autouse=True)
    def _datastore(self, settings: Settings) -> Iterator[None]:
        url = settings.database_url.get_secret_value()
        self.datastore = Datastore(url, name="test", connections=16)  # the contract's own threads
        yield
        self.datastore.close()

    def new_originator_id(self) -> str:
        return str(uuid4())


class TestApplicationRecorder(_OnOurTables, contract.ApplicationRecorderTestCase[LogRecorder]):
    # Subscriptions are an option of the contract (`optional_test_insert_subscribe`) that we do not take.
    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = False

    def create_recorder(self) -> LogRecorder:
        return BytesRecorder(self.datastore, events_table_name="task_events")

    def test_subscriptions_are_not_offered(self) -> None:
        with pytest.raises(NotImplementedError, match="select_notifications"):
            self.create_recorder().subscribe()


class TestAggregateRecorder(_OnOurTables, contract.AggregateRecorderTestCase):
    def create_recorder(self) -> LogRecorder:
        return PlainRecorder(self.datastore, events_table_name="licensing_events")


def _quoted(event: StoredEvent) -> StoredEvent:
    return replace(event, state=msgspec.json.encode(event.state.decode()))


def _unquoted(event: StoredEvent) -> bytes:
    return msgspec.json.decode(event.state, type=str).encode()
