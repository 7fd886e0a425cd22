"""The open runs of a license that ends its work are revoked, each once, however often it is looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from domain.aggregate import Event
from domain.cause import Cause
from domain.license import License
from domain.license_policy import Expiry, LicensePolicy
from domain.task_run import SLOT_REQUESTED, TaskRequested, TaskRevocationRequested, run_stream, task_event
from infra.event_store import EventStore, Log, caused
from tasks.dispatch import license_work, policies
from tasks.dispatch.policies import PolicyFollower

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def issued(license_id: str = "L1", expiry: Expiry = Expiry.RESTRICT) -> License:
    """A license whose term has just ended; nobody has recorded that yet."""
    policy = LicensePolicy(expiry=expiry)
    return License.issue(license_id, valid_until=NOW, at=NOW - timedelta(minutes=1), policy=policy)


def record(store: EventStore, license_: License) -> str:
    """Append what happened to the license; id of the last event."""
    events = [event for event in license_.collect_events() if isinstance(event, Event)]
    new = caused(events, Cause(id=uuid4(), at=NOW, actor="test"))
    store.append(Log.LICENSING, new)
    return str(new[-1].event_id)


def request(store: EventStore, license_id: str | None = "L1", task: str = "bill", **told: Any) -> str:
    """Accept a run; its stream."""
    stream = run_stream(uuid4())
    event = TaskRequested(
        originator_id=stream,
        originator_version=SLOT_REQUESTED,
        timestamp=NOW,
        task=task,
        license_id=license_id,
        **told,
    )
    store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOW, actor="test")))
    return stream


def tell(store: EventStore, stream: str, name: str, **data: Any) -> None:
    event = task_event(name, stream.removeprefix(run_stream("")), at=NOW, data={"task": "bill", **data})
    store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOW, actor="test")))


def follow(store: EventStore, *, page_events: int = 100) -> PolicyFollower:
    """A follower that has looked at everything."""
    made = PolicyFollower(store, clock=lambda: NOW, page_events=page_events)
    made.take_over()
    while made.step():
        pass
    return made


def revoked(store: EventStore) -> dict[str, TaskRevocationRequested]:
    events = [recorded.event for recorded in store.read(Log.TASKS, after=0, limit=10_000).events]
    return {event.originator_id: event for event in events if isinstance(event, TaskRevocationRequested)}


def test_a_revoked_license_ends_its_open_runs_and_no_others(store: EventStore) -> None:
    waiting, running, ended, taken_back = (request(store) for _ in range(4))
    tell(store, running, "task.started", attempt=1)
    tell(store, ended, "task.succeeded", attempt=1)
    tell(store, taken_back, "task.revocation_requested", reason="ordered twice")
    request(store, "L2")
    request(store, None)
    notice = request(store, task="send_license_notice")
    license_ = issued()
    license_.revoke(reason="terminated", at=NOW)
    by = record(store, license_)
    follow(store)
    found = revoked(store)
    assert set(found) == {waiting, running, taken_back}
    assert notice not in found
    assert found[taken_back].reason == "ordered twice"
    assert found[waiting].decided_by == found[running].decided_by == by
    assert (found[waiting].error_type, found[waiting].reason) == ("LicenseRevoked", "license L1 has been revoked")
    (told,) = [each for each in store.load_recorded(Log.TASKS, [waiting])[waiting] if each.event == found[waiting]]
    assert (told.metadata["causation_id"], told.metadata["actor"]) == (by, "policy:end_its_work")


@pytest.mark.parametrize("expiry", list(Expiry), ids=[expiry.value for expiry in Expiry])
def test_an_expired_license_ends_its_open_runs_where_its_policy_says_so(store: EventStore, expiry: Expiry) -> None:
    stream = request(store)
    license_ = issued(expiry=expiry)
    license_.judge_term(now=NOW)
    record(store, license_)
    follow(store)
    assert list(revoked(store)) == ([stream] if expiry is Expiry.REVOKE else [])


def test_a_license_that_was_renewed_before_anybody_looked_keeps_its_work(store: EventStore) -> None:
    request(store)
    license_ = issued(expiry=Expiry.REVOKE)
    license_.judge_term(now=NOW)
    license_.renew(valid_until=NOW + timedelta(days=9), at=NOW)
    record(store, license_)
    follow(store)
    assert not revoked(store)


def test_others_are_published_while_many_runs_end(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who publishes waits for a step, so each ends a part; and one that failed is done again."""
    monkeypatch.setattr(policies, "end_work", partial(license_work.end_work, runs_at_once=3))
    streams = {request(store) for _ in range(7)}
    license_ = issued()
    license_.revoke(reason="terminated", at=NOW)
    record(store, license_)
    follower = PolicyFollower(store, clock=lambda: NOW, page_events=100)
    follower.take_over()
    assert follower.step()
    assert len(revoked(store)) == 3
    with monkeypatch.context() as patch:
        patch.setattr(store, "open_licensed_runs", _is_away)
        with pytest.raises(ConnectionError):
            follower.step()
    assert follower.place.position == 0
    while follower.step():
        pass
    assert set(revoked(store)) == streams
    assert follower.place.position == store.safe_position(Log.LICENSING)


def _is_away(*_arguments: Any, **_named: Any) -> Any:
    raise ConnectionError("away")


def test_more_runs_than_a_transaction_appends_are_all_revoked_and_once(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two transactions, the next one to look goes on where it was and does nothing twice."""
    streams = {request(store) for _ in range(7)}
    license_ = issued()
    license_.revoke(reason="terminated", at=NOW)
    record(store, license_)
    (fact,) = store.read(Log.LICENSING, after=0, limit=9, names=("license.revoked",)).events
    append, seen = store.append_each, []

    def dies_after_the_first(log: Log, events: Any) -> Any:
        if seen:
            raise ConnectionError("killed")
        seen.append(len(events))
        return append(log, events)

    with monkeypatch.context() as patch:
        patch.setattr(store, "append_each", dies_after_the_first)
        with pytest.raises(ConnectionError):
            list(license_work.end_work(store, fact, at=NOW, runs_at_once=3))
    assert len(revoked(store)) == 3
    assert sum(license_work.end_work(store, fact, at=NOW, runs_at_once=3)) == 4
    assert set(revoked(store)) == streams
    assert sum(license_work.end_work(store, fact, at=NOW, runs_at_once=3)) == 0
    assert follow(store).place.position == store.safe_position(Log.LICENSING)
