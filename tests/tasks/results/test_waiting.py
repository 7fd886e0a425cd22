"""How a client waits for results: how often it asks, and what it makes of a database that is away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import ImproperlyConfigured
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, GroupResult, ResultSet

from infra.database import DatabaseUnreachableError
from infra.settings import Settings
from tasks.results import backend as waiting
from tasks.results.backend import LedgerBackend
from tasks.results.meta import ResultNotKept
from tasks.results.outcomes import FoundRun, Outcomes
from tests.tasks.results.test_meta import FOUND


class Answers:
    """A database that is asked and answers by script, in order; the last answer stays."""

    def __init__(self, *script: Callable[[str], FoundRun | None] | Exception) -> None:
        self.script = list(script)
        self.asked: list[int] = []
        self.have_been_asked = True

    def find(self, run_ids: Collection[str]) -> dict[str, FoundRun]:
        self.asked.append(len(run_ids))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return {run_id: found for run_id in run_ids if (found := answer(run_id)) is not None}

    def close(self) -> None:
        """Nothing is open."""


def nothing(_run_id: str) -> None:
    """Of no run is anything recorded."""


def running(run_id: str) -> FoundRun:
    return FOUND._replace(run_id=run_id, state="running")


def succeeded(run_id: str) -> FoundRun:
    return FOUND._replace(run_id=run_id, result=f'"{run_id}"')


def failed(run_id: str) -> FoundRun:
    return FOUND._replace(run_id=run_id, state="failed", error_type="ValueError", error="no x")


def not_kept(run_id: str) -> FoundRun:
    return FOUND._replace(run_id=run_id, result="[" + 3000 * "1")


AWAY = DatabaseUnreachableError("connection refused")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were made, in seconds; none takes any time."""
    made: list[float] = []
    monkeypatch.setattr(waiting.time, "sleep", made.append)
    return made


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery(backend="tasks.results.backend:LedgerBackend", set_as_current=False)
    yield made
    made.backend.close()


def answering(app: Celery, *script: Callable[[str], FoundRun | None] | Exception) -> Answers:
    answers = Answers(*script)
    backend: Any = app.backend
    backend._outcomes = answers
    return answers


def members(app: Celery, count: int) -> list[AsyncResult]:
    return [app.AsyncResult(f"run-{number}") for number in range(count)]


@pytest.mark.parametrize("kind", [ResultSet, lambda results, app: GroupResult("g", results, app=app)])
def test_a_thousand_runs_are_asked_for_at_once(app: Celery, pauses: list[float], kind: Any) -> None:
    half = lambda run_id: succeeded(run_id) if int(run_id[4:]) % 2 else running(run_id)  # noqa: E731
    answers = answering(app, nothing, half, succeeded)
    values = kind(members(app, 1000), app=app).get(timeout=60)
    assert values == [f"run-{number}" for number in range(1000)]
    assert answers.asked == [1000, 1000, 500]
    assert len(pauses) == 2


def test_pauses_grow_from_ten_milliseconds_to_half_a_second(app: Celery, pauses: list[float]) -> None:
    answering(app, *[running] * 9, succeeded)
    assert app.AsyncResult("r").get() == "r"
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5]


def test_what_does_not_end_is_given_up_when_it_is_time(app: Celery) -> None:
    answering(app, running)
    with pytest.raises(CeleryTimeoutError):
        app.AsyncResult("r").get(timeout=0.05)


def test_a_database_that_goes_away_is_waited_for(app: Celery, pauses: list[float]) -> None:
    answers = answering(app, running, AWAY, AWAY, succeeded)
    assert app.AsyncResult("r").get(timeout=60) == "r"
    assert (len(answers.asked), len(pauses)) == (4, 3)


def test_a_database_that_stays_away_is_named_when_it_is_time(app: Celery) -> None:
    answering(app, running, AWAY)
    with pytest.raises(DatabaseUnreachableError, match="refused"):
        app.AsyncResult("r").get(timeout=0.05)


@pytest.mark.usefixtures("pauses")
def test_of_a_group_the_first_failure_is_raised_unless_asked_otherwise(app: Celery) -> None:
    answering(app, lambda run_id: failed(run_id) if run_id == "run-1" else succeeded(run_id))
    with pytest.raises(ValueError, match="no x"):
        GroupResult("g", members(app, 3), app=app).get()
    values = GroupResult("g", members(app, 3), app=app).get(propagate=False)
    assert (values[0], str(values[1]), values[2]) == ("run-0", "no x", "run-2")


def test_a_group_says_how_far_it_is(app: Celery) -> None:
    answering(app, lambda run_id: {"run-0": succeeded, "run-1": failed}.get(run_id, running)(run_id))
    group = GroupResult("g", members(app, 3), app=app)
    assert (group.completed_count(), group.ready(), group.failed(), group.successful()) == (1, False, True, False)


ASKED: tuple[Callable[[AsyncResult], Any], ...] = (
    lambda result: result.get(timeout=1),
    lambda result: result.get(timeout=1, propagate=False),
    lambda result: result.ready() and result.get(),
    lambda result: result.successful() and result.get(propagate=False),
    lambda result: ResultSet([result], app=result.app).get(timeout=1),
    lambda result: ResultSet([result], app=result.app).join(timeout=1),
    lambda result: [value for _, value in result.collect(timeout=1)],
)


@pytest.mark.parametrize("ask", ASKED)
def test_by_no_way_one_gets_anything_in_place_of_a_value_that_is_not_kept(
    app: Celery, ask: Callable[[AsyncResult], Any]
) -> None:
    answering(app, not_kept)
    result = app.AsyncResult("r")
    with pytest.raises(ResultNotKept, match="longer than 2000"):
        ask(result)
    assert (result.state, result.successful(), result.name) == ("SUCCESS", True, "t")
    assert isinstance(result.info, ResultNotKept)


@pytest.mark.usefixtures("pauses")
def test_a_chain_has_its_value_though_one_before_is_not_kept(app: Celery) -> None:
    answering(app, lambda run_id: not_kept(run_id) if run_id == "first" else succeeded(run_id))
    last = AsyncResult("last", app=app, parent=app.AsyncResult("first"))
    assert last.get(timeout=1) == "last"


@pytest.mark.usefixtures("pauses")
def test_a_chain_fails_by_the_failure_of_one_before(app: Celery) -> None:
    answering(app, lambda run_id: failed(run_id) if run_id == "first" else nothing(run_id))
    last = AsyncResult("last", app=app, parent=app.AsyncResult("first"))
    with pytest.raises(ValueError, match="no x"):
        last.get(timeout=1)


@pytest.mark.usefixtures("pauses")
def test_of_many_all_values_come_before_it_is_said_that_one_is_not_kept(app: Celery) -> None:
    answering(app, lambda run_id: not_kept(run_id) if run_id == "run-0" else succeeded(run_id))
    outcomes = iter(ResultSet(members(app, 3), app=app).iter_native())
    assert {next(outcomes)[0] for _ in range(2)} == {"run-1", "run-2"}
    with pytest.raises(ResultNotKept, match="run-0"):
        next(outcomes)


def test_a_client_without_a_usable_database_is_told_at_once(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://127.0.0.1:9/nowhere")
    with pytest.raises(DatabaseUnreachableError, match=r"LEDGERQ_DATABASE_URL names; .* HTTP interface"):
        app.AsyncResult("r").get()  # without a timeout: it would wait for ever
    with pytest.raises(DatabaseUnreachableError, match="LEDGERQ_DATABASE_URL"):
        app.AsyncResult("r").state  # noqa: B018  it asks


def test_a_database_without_results_is_no_outage(
    app: Celery, servers: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", servers.database_url.get_secret_value())
    with pytest.raises(ImproperlyConfigured, match=r"results\.outcomes"):
        app.AsyncResult("r").get()


def test_what_an_app_asks_with_is_made_when_it_asks(app: Celery) -> None:
    backend: LedgerBackend = app.backend
    assert isinstance(backend._outcomes, Outcomes)
    assert backend._outcomes._connection is None
