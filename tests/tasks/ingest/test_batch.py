from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from domain.aggregate import Event
from domain.cause import Cause
from domain.heartbeat import Heartbeat, HeartbeatsReceived
from domain.ingest import MessageDeadLettered
from domain.session import Session, Silence
from domain.task_run import TaskRequested
from infra.cloudevents import CloudEvent, encode_batch
from infra.event_store import EventStore, Log, LostRaceError, Transaction, caused
from infra.settings import Settings
from tasks.ingest.batch import Batches
from tasks.ingest.delivery import Delivery
from tasks.ingest.isolation import Isolation
from tasks.ingest.rejection import Rejected
from tasks.ingest.watermark import marker_message
from tests.tasks.ingest.deliveries import NOW, delivery, told
from tests.tasks.ingest.remembering import remembering


@pytest.fixture
def batches(store: EventStore, place: Settings) -> Batches:
    return Batches(store, place, **remembering())


class Names:
    """Ids that no other test uses."""

    def __init__(self) -> None:
        mark = uuid4().hex[:12]
        self.license, self.session = f"L-{mark}", f"S-{mark}"
        self.streams = {"license": f"license-{self.license}", "session": f"session-{self.session}"}

    def issued(self) -> CloudEvent:
        return told("license.issued", license_id=self.license, valid_until="2030-01-01T00:00:00Z")

    def started(self) -> CloudEvent:
        return told("session.started", session_id=self.session, license_id=self.license)

    def ended(self) -> CloudEvent:
        return told("session.ended", session_id=self.session)


def stream(store: EventStore, stream_id: str, log: Log = Log.LICENSING) -> list[str]:
    return [event.TOPIC for event in store.load(log, [stream_id]).get(stream_id, [])]


def test_later_messages_of_a_batch_are_decided_on_what_earlier_ones_brought_about(
    batches: Batches, store: EventStore
) -> None:
    names = Names()
    story = [names.issued(), names.started(), names.ended()]
    assert batches.take([delivery(event) for event in story]) == []
    assert stream(store, names.streams["license"]) == ["license.issued"]
    assert stream(store, names.streams["session"]) == ["session.started", "session.ended"]


def test_a_message_twice_in_a_batch_and_once_more_later_is_stored_once_and_never_refused(
    batches: Batches, store: EventStore
) -> None:
    names = Names()
    story = [delivery(event) for event in (names.issued(), names.started(), names.ended())]
    assert batches.take([*story, *story]) == []
    assert batches.take(story) == []
    assert stream(store, names.streams["session"]) == ["session.started", "session.ended"]


def test_what_is_refused_is_recorded_in_the_same_transaction_and_the_rest_goes_through(
    batches: Batches, store: EventStore
) -> None:
    names, unknown = Names(), told("session.ended", session_id=uuid4().hex)
    beat = told("session.heartbeat", session_id=names.session)
    (rejected,) = batches.take([delivery(encode_batch([names.issued(), unknown, beat, names.started()]))])
    assert (rejected.reason, rejected.message_id) == ("SessionUnknown", unknown.unique_id)
    assert stream(store, names.streams["session"]) == ["session.started"]
    assert stream(store, f"dead_message-{unknown.unique_id}") == ["ingest.message_dead_lettered"]


def test_a_refused_message_that_comes_again_is_not_decided_again(batches: Batches, store: EventStore) -> None:
    names = Names()
    early = names.started()
    (first,) = batches.take([delivery(early)])
    batches.take([delivery(names.issued())])
    (second,) = batches.take([delivery(early, redelivered=True)])
    assert (second.reason, second.detail) == (first.reason, first.detail) == ("LicenseUnknown", first.detail)
    assert stream(store, names.streams["session"]) == []
    assert stream(store, f"dead_message-{early.unique_id}") == ["ingest.message_dead_lettered"]


def test_a_refused_message_that_is_sent_anew_has_its_chance(batches: Batches, store: EventStore) -> None:
    names = Names()
    early = names.started()
    batches.take([delivery(early)])
    assert batches.take([delivery(names.issued()), delivery(early)]) == []
    assert stream(store, names.streams["session"]) == ["session.started"]


def test_heartbeats_of_a_batch_are_one_event_however_often_it_comes(batches: Batches, store: EventStore) -> None:
    before = store.safe_position(Log.HEARTBEATS)
    sessions = [uuid4().hex for _ in range(5)]
    beats = [told("session.heartbeat", session_id=name) for name in sessions]
    batch = [delivery(encode_batch(beats[:3])), *map(delivery, beats[3:])]
    batches.take(batch)
    batches.take(batch, again=True)
    (recorded,) = store.read(Log.HEARTBEATS, after=before, limit=10).events
    assert isinstance(recorded.event, HeartbeatsReceived)
    assert list(recorded.event) == [Heartbeat(name, NOW) for name in sessions]


def test_a_marker_is_stored_after_the_heartbeats_that_came_before_it(batches: Batches, store: EventStore) -> None:
    before = store.safe_position(Log.HEARTBEATS)
    marker = marker_message(now=NOW - timedelta(seconds=1))
    came = delivery(marker.body, content_type=marker.content_type)
    batches.take([delivery(told("session.heartbeat", session_id="S1")), came])
    recorded = store.read(Log.HEARTBEATS, after=before, limit=10).events
    assert [each.event.TOPIC for each in recorded] == ["session.heartbeats_received", "ingest.watermark_passed"]
    assert recorded[1].event.timestamp == NOW - timedelta(seconds=1)


def test_a_second_request_for_a_run_is_refused_and_recorded(batches: Batches, store: EventStore) -> None:
    run_id = str(uuid4())
    second = told("task.requested", task="b", run_id=run_id)
    rejected = batches.take([delivery(told("task.requested", task="a", run_id=run_id)), delivery(second)])
    assert [each.reason for each in rejected] == ["RunAlreadyRequested"]
    (fact,) = store.load(Log.LICENSING, [f"dead_message-{second.unique_id}"])[f"dead_message-{second.unique_id}"]
    assert isinstance(fact, MessageDeadLettered)
    assert fact.reason == "RunAlreadyRequested"


def request(task: str, *, at: datetime = NOW, message_id: str = "", **data: Any) -> CloudEvent:
    """A request; with a message id of the sender's, as one that sends again keeps it."""
    asked = told("task.requested", at=at, task=task, **data)
    return msgspec.structs.replace(asked, id=message_id or asked.id)


def runs_of(store: EventStore, task: str) -> list[str]:
    """Streams of the runs of ``task``."""
    found = store.read(Log.TASKS, after=0, limit=100_000, names=["task.requested"]).events
    return [
        each.event.originator_id for each in found if isinstance(each.event, TaskRequested) if each.event.task == task
    ]


@pytest.mark.parametrize("together", [True, False])
def test_a_request_sent_again_with_the_time_of_its_sending_is_one_run(
    batches: Batches, store: EventStore, *, together: bool
) -> None:
    task = uuid4().hex
    sent = [delivery(request(task, message_id=f"req-{task}", at=NOW + n * timedelta(seconds=7))) for n in range(3)]
    for part in [sent] if together else [[each] for each in sent]:
        assert batches.take(part) == []
    assert len(runs_of(store, task)) == 1


def test_a_request_sent_again_with_another_run_id_or_task_is_one_run(batches: Batches, store: EventStore) -> None:
    task = uuid4().hex
    again: list[dict[str, Any]] = [{"run_id": str(uuid4())}, {"run_id": str(uuid4())}, {}]
    for data in again:
        assert batches.take([delivery(request(task, message_id=f"req-{task}", **data))]) == []
    assert batches.take([delivery(request(f"{task}-2", message_id=f"req-{task}"))]) == []
    assert runs_of(store, task) == [f"task_run-{again[0]['run_id']}"]
    assert runs_of(store, f"{task}-2") == []


def test_a_request_sent_twice_is_one_run_though_two_processes_take_it_in_at_once(
    batches: Batches, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = uuid4().hex
    monkeypatch.setattr(store, "known_event_ids", lambda *_: set())  # each asks before the other one has stored it
    for n in range(2):
        assert batches.take([delivery(request(task, message_id=f"req-{task}", at=NOW + n * timedelta(hours=1)))]) == []
    assert len(runs_of(store, task)) == 1


@pytest.mark.parametrize("together", [True, False])
def test_a_request_for_a_run_that_goes_on_already_is_refused(
    batches: Batches, store: EventStore, *, together: bool
) -> None:
    run_id, task = str(uuid4()), uuid4().hex
    observed = delivery(told("task.started", run_id=run_id, task=task, attempt=1))
    asked = delivery(request(task, run_id=run_id))
    parts = [[observed, asked]] if together else [[observed], [asked]]
    rejected = [each for part in parts for each in batches.take(part)]
    assert [each.reason for each in rejected] == ["RunAlreadyRequested"]
    assert stream(store, f"task_run-{run_id}", Log.TASKS) == ["task.started"]


def test_a_request_that_comes_again_after_its_run_has_begun_is_a_repeat(batches: Batches, store: EventStore) -> None:
    run_id, task = str(uuid4()), uuid4().hex
    asked = delivery(request(task, run_id=run_id))
    batches.take([asked, delivery(told("task.started", run_id=run_id, task=task, attempt=1))])
    assert batches.take([asked]) == []
    assert stream(store, f"task_run-{run_id}", Log.TASKS) == ["task.requested", "task.started"]


class Racing(EventStore):
    """A store where somebody else is faster: after the first load, ``session.lapsed`` is written by another."""

    def __init__(self, place: Settings) -> None:
        super().__init__(place.database_url.get_secret_value(), name="test, racing")
        self.races = 0
        self.lost = 0

    def _on(self, connection: Any) -> Transaction:
        racing = self

        class Overtaken(Transaction):
            def load(self, log: Log, stream_ids: Collection[str]) -> dict[str, list[Event]]:
                loaded = super().load(log, stream_ids)
                for stream_id in stream_ids:
                    if stream_id.startswith("session-") and racing.lost < racing.races:
                        racing.lost += 1
                        racing._lapse_or_resume(loaded[stream_id])
                return loaded

        return Overtaken(connection, self._tables, self._mapper)

    def _lapse_or_resume(self, events: list[Event]) -> None:
        session: Any = None
        for event in events:
            session = event.mutate(session)
        assert isinstance(session, Session)
        at = NOW + timedelta(seconds=len(events))
        if not session.lapse(Silence(at + timedelta(hours=1), last_heartbeat_at=at)):
            session.resume(heartbeat_at=at)
        facts = [event for event in session.collect_events() if isinstance(event, Event)]
        self.append(Log.LICENSING, caused(facts, Cause(id=uuid4(), at=at, actor="sweep")))


@pytest.fixture
def racing(place: Settings, batches: Batches) -> Racing:
    del batches
    return Racing(place)


def taken(racing: Racing, place: Settings, deliveries: Sequence[Delivery]) -> list[Rejected]:
    batches = Batches(racing, place, **remembering())
    isolation = Isolation(reject=batches.reject, database_answers=lambda: True, pause=lambda _: None)
    return isolation.see_through(batches.take, deliveries)


def test_a_lost_race_stores_nothing(racing: Racing, place: Settings, batches: Batches) -> None:
    names, others = Names(), Names()
    batches.take([delivery(names.issued()), delivery(names.started())])
    racing.races = 1
    with racing, pytest.raises(LostRaceError):
        Batches(racing, place, **remembering()).take([delivery(others.issued()), delivery(names.ended())])
    assert stream(racing, others.streams["license"]) == []


def test_after_a_lost_race_it_is_decided_on_what_the_winner_wrote(
    racing: Racing, place: Settings, batches: Batches
) -> None:
    names, others = Names(), Names()
    batches.take([delivery(names.issued()), delivery(names.started())])
    racing.races = 2
    with racing:
        assert taken(racing, place, [delivery(others.issued()), delivery(names.ended())]) == []
        assert stream(racing, names.streams["session"]) == [
            "session.started",
            "session.lapsed",
            "session.resumed",
            "session.ended",
        ]
        assert stream(racing, others.streams["license"]) == ["license.issued"]
        assert racing.lost == 2
