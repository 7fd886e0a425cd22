"""A notice whose run has died is recorded as failed, whatever the run died of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.cause import Cause
from domain.kept_message import KeptMessage
from domain.license import License
from domain.notice import NOTICE_TASKS, NoticeFailed, NoticeSent, notice_id, notice_stream
from domain.task_run import TaskEvent, TaskRequested, run_stream, task_event
from infra.event_store import EventStore, Log, caused
from tasks.app import app
from tasks.catalog import sending, unsent
from tasks.catalog.unsent import record_failed_notice, record_failure
from tasks.wiring import Wiring
from tests.tasks.catalog.fleet import NOON, Fleet

WELCOME = {"to": "ada@example.org", "cause_id": "account-1", "service": "Desk"}
STREAM = notice_stream(notice_id("welcome", "Desk/account-1"))
FAILURE = {"attempt": 6, "error_type": "MailUnavailableError", "error": "451 later\n" + "x" * 1000}


def tell(store: EventStore, *events: TaskEvent) -> None:
    for event in events:
        store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOON, actor="test")))


def die(
    store: EventStore, *, task: str = "send_welcome", kwargs: dict[str, Any] | None = None, failed: bool = True
) -> str:
    """A run of the task that has died; its id."""
    run_id = str(uuid4())
    told = {"task": task, "kwargs": WELCOME if kwargs is None else kwargs}
    tell(store, TaskRequested(originator_id=run_stream(run_id), originator_version=1, timestamp=NOON, **told))  # type: ignore[arg-type]
    if failed:
        tell(store, task_event("task.failed", run_id, at=NOON, data={"task": task, **FAILURE}))
    dead = {"task": task, "reason": "rejected" if failed else "maxlen", "queue": "tasks.high"}
    tell(store, task_event("task.dead_lettered", run_id, at=NOON, data=dead))
    return run_id


def record(wired: Wiring, run_id: str) -> str:
    return record_failure(run_id, wired, Cause(id=uuid4(), at=NOON, actor="task:record_failed_notice"))


def story(store: EventStore, stream: str = STREAM) -> list[Any]:
    return list(store.load(Log.LICENSING, [stream]).get(stream, []))


def test_a_run_that_failed_is_told_with_its_last_error_and_attempt(wired: Wiring) -> None:
    run_id = die(wired.store)
    assert record(wired, run_id) == "recorded"
    (fact,) = story(wired.store)
    assert isinstance(fact, NoticeFailed)
    assert (fact.run_id, fact.attempt, fact.recipient) == (run_id, 6, "ada@example.org")
    assert fact.error_type == "MailUnavailableError"
    assert fact.error.startswith("451 later xxx")
    assert len(fact.error) == 300


def test_a_run_that_the_broker_ended_is_told_with_the_reason(wired: Wiring) -> None:
    assert record(wired, die(wired.store, failed=False)) == "recorded"
    (fact,) = story(wired.store)
    assert (fact.error_type, fact.attempt) == ("dead_lettered", 1)
    assert "maxlen" in fact.error


def test_a_run_that_a_client_published_itself_is_known_by_its_message(wired: Wiring) -> None:
    run_id = str(uuid4())
    body = b'[[], {"to": "ada@example.org", "cause_id": "account-1", "service": "Desk"}, null]'
    kept = KeptMessage.of(body, headers={}, content_type="application/json", limit_bytes=10_000)
    dead = {"task": "send_welcome", "reason": "rejected", "queue": "tasks.high", "message": kept}
    tell(wired.store, task_event("task.dead_lettered", run_id, at=NOON, data=dead))
    assert record(wired, run_id) == "recorded"
    assert [fact.recipient for fact in story(wired.store)] == ["ada@example.org"]


def test_told_twice_it_is_one_failure(wired: Wiring) -> None:
    run_id = die(wired.store)
    assert [record(wired, run_id), record(wired, run_id)] == ["recorded", "known"]
    assert len(story(wired.store)) == 1


def test_each_run_that_died_is_a_failure_of_its_own(wired: Wiring) -> None:
    assert [record(wired, die(wired.store)) for _ in range(2)] == ["recorded"] * 2
    assert [fact.originator_version for fact in story(wired.store)] == [1, 2]


def test_what_was_sent_all_the_same_has_not_failed(wired: Wiring) -> None:
    run_id = die(wired.store)
    told = sending.about(
        sending.Notice("welcome", "Desk/account-1", "ada@example.org"), run_id=str(uuid4()), attempt=1, at=NOON
    )
    sent = NoticeSent(message_id="<1@example.org>", reply_code=250, reply="ok", **told)
    sending.record(sent, wired.store, Cause(id=uuid4(), at=NOON, actor="test"))
    assert record(wired, run_id) == "sent"
    assert [fact.TOPIC for fact in story(wired.store)] == ["notice.sent"]


def test_a_license_s_notice_is_told_with_its_holder(wired: Wiring, fleet: Fleet) -> None:
    until = NOON + timedelta(days=9)
    fleet.record(License.issue("lic-7", valid_until=until, at=NOON, holder_email="holder@example.org"))
    kwargs = {"license_id": "lic-7", "notice_id": "n", "days_left": 7, "valid_until": until.isoformat()}
    assert record(wired, die(wired.store, task="send_license_notice", kwargs=kwargs)) == "recorded"
    (fact,) = story(wired.store, notice_stream(notice_id("license_expiring", "lic-7/n")))
    assert (fact.recipient, fact.license_id) == ("holder@example.org", "lic-7")


def test_an_alert_is_told_with_who_was_to_be_told(wired: Wiring) -> None:
    kwargs = {
        "task": "pay",
        "run_id": "R1",
        "ended": "failed",
        "error_type": "E",
        "error": "e",
        "worker": None,
        "failed_at": NOON.isoformat(),
        "window_start": NOON.isoformat(),
        "window_seconds": 900.0,
    }
    alerted = Wiring(wired.settings.model_copy(update={"alert_email": "ops@example.org"}))
    alerted.__dict__.update(store=wired.store, engine=wired.engine)
    assert record(alerted, die(wired.store, task="send_failure_alert", kwargs=kwargs)) == "recorded"
    (fact,) = story(wired.store, notice_stream(notice_id("failure_alert", f"alert-pay@{NOON.isoformat()}")))
    assert (fact.template, fact.recipient) == ("failure_alert", "ops@example.org")


@pytest.mark.parametrize("task", [*sorted(NOTICE_TASKS), "report"])
def test_a_run_whose_arguments_make_no_notice_is_none(wired: Wiring, task: str) -> None:
    assert record(wired, die(wired.store, task=task, kwargs={"odd": 1})) == "no notice"


def test_a_run_that_has_not_died_is_left_alone(wired: Wiring) -> None:
    assert record(wired, str(uuid4())) == "not dead"


def test_the_task_takes_what_its_policy_tells(wired: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsent, "wiring", lambda: wired)
    assert "record_failed_notice" in app.tasks
    run_id = die(wired.store)
    assert record_failed_notice.apply(kwargs={"run_id": run_id}, throw=True).get() == {"outcome": "recorded"}
