from queue import SimpleQueue
from uuid import uuid4

import pytest

from domain.cause import Cause
from domain.task_run import TaskEvent, task_event
from infra.event_store import EventStore, Log, NewEvent
from infra.settings import Settings
from tasks.worker.attempt import Attempt
from tasks.worker.inquiry import SPARED_AT_MOST, Answer, Inquiry
from tests.tasks.dispatch.recorded import NOW

RUN = "0192d7a5-0000-7000-8000-000000000001"


def told(name: str, **data: object) -> TaskEvent:
    return task_event(f"task.{name}", RUN, at=NOW, data={"task": "lab.add", **data})


def retry(attempt: int, *, spared: bool, spent_by: str = "redelivered") -> TaskEvent:
    why = {"spent_by": spent_by, "error_type": "Redelivered", "error": "", "delay_seconds": 0.0}
    return told("retry_scheduled", attempt=attempt, is_spared=spared, **why)


def asked(inquiry: Inquiry, attempt: int) -> Answer:
    answers: SimpleQueue[Answer] = SimpleQueue()
    inquiry.ask(Attempt(RUN, attempt, "lab.add", "tasks.high", "high@lab:1"), answers.put)
    return answers.get(timeout=20)


STORIES: dict[str, tuple[list[TaskEvent], int, Answer]] = {
    "nothing": ([], 1, Answer.NOT_BEGUN),
    "started": ([told("started", attempt=1)], 1, Answer.BEGUN),
    "another attempt follows": ([told("started", attempt=1), retry(1, spared=False)], 1, Answer.GONE_ON),
    "a later attempt began": ([told("started", attempt=2)], 1, Answer.GONE_ON),
    "only the attempt before": ([told("started", attempt=1), retry(1, spared=False)], 2, Answer.NOT_BEGUN),
    "started with a later copy": ([told("started", attempt=1, copy=2)], 1, Answer.GONE_ON),
    "held until it was time": ([told("received", attempt=1)], 1, Answer.NOT_BEGUN),
    "an end": ([told("started", attempt=1), told("succeeded", attempt=1)], 1, Answer.ENDED),
    "an end as a dead letter": ([told("failed", attempt=2, error_type="E", error="")], 2, Answer.ENDED_DEAD),
    "an end of another attempt": ([told("failed", attempt=2, error_type="E", error="")], 1, Answer.ENDED),
    "spared as often as may be": ([retry(n, spared=True) for n in range(1, SPARED_AT_MOST + 1)], 4, Answer.BEGUN),
    "spared for other reasons": ([retry(n, spared=True, spent_by="snooze") for n in range(1, 9)], 9, Answer.NOT_BEGUN),
}


@pytest.mark.parametrize("known", STORIES)
def test_an_attempt_counts_that_began_or_was_spared_too_often(store: EventStore, known: str) -> None:
    facts, attempt, answer = STORIES[known]
    cause = Cause(id=uuid4(), at=NOW, actor="test")
    store.append_each(Log.TASKS, [NewEvent(fact, uuid4(), cause.metadata()) for fact in facts])
    assert asked(Inquiry(lambda: store), attempt) is answer


def test_where_the_log_cannot_be_read_the_attempt_counts(servers: Settings) -> None:
    with EventStore(servers.database_url.get_secret_value(), connections=1) as without_tables:
        assert asked(Inquiry(lambda: without_tables), 1) is Answer.BEGUN


def test_while_the_database_is_away_it_is_asked_again_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.worker.inquiry.PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("tasks.worker.inquiry._PAUSE_SECONDS", 0.05)
    with EventStore("postgresql://127.0.0.1:1/nothing", connections=1) as away:
        assert asked(Inquiry(lambda: away), 1) is Answer.BEGUN
