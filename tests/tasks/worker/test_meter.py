from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from domain.task_run import HoldReason
from domain.tier import Tier
from domain.wait import WaitTerms
from infra.metrics.catalog import SHOWN
from infra.metrics.instruments import Instruments
from infra.process_name import ProcessName
from tasks.worker import outcome as outcomes
from tasks.worker.attempt import Attempt
from tasks.worker.meter import WorkerMeter
from tasks.worker.outcome import Died, Failure, NotRun, Outcome, Raised, Refused, Returned, Snoozed, TimedOut
from tasks.worker.retry import AttemptRules, RetryPolicy
from tasks.worker.verdict import Trial, judge
from tests.infra.metrics.scraping import Shown

FAILURE = Failure("ValueError", "no")
ONE_MORE = AttemptRules(policy=RetryPolicy(max_retries=1), max_retries=1)


class Metered:
    """A meter and what it shows."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        instruments = Instruments(self._registry, SHOWN[ProcessName.WORKER_HIGH])
        self.meter = WorkerMeter(instruments, tier=Tier.HIGH, tasks={"a.task": None, "celery.chord": None})

    def come_to(self, outcome: Outcome, *, attempt: int = 2, task: str = "a.task") -> None:
        verdict = judge(outcome, Trial(attempt, ONE_MORE, lambda: 0.5))
        self.meter.concluded(Attempt("run", attempt, task, "tasks.high", "w"), verdict, runtime_seconds=0.3)

    @property
    def shown(self) -> Shown:
        self.meter.fold()
        return Shown(generate_latest(self._registry).decode())


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Returned("3"), "succeeded"),
        (Raised(FAILURE), "failed"),
        (TimedOut(FAILURE), "timed_out"),
        (Died(FAILURE), "lost"),
        (Refused(FAILURE), "rejected"),
        (NotRun("task.revoked", FAILURE), "revoked"),
        (NotRun("task.expired", FAILURE), "expired"),
        (outcomes.HandedOver(), "handed_over"),
        (Snoozed(FAILURE, 3.0), "retried"),
        (outcomes.Waiting(WaitTerms()), "waited"),
    ],
)
def test_each_outcome_has_its_name(outcome: Outcome, name: str) -> None:
    metered = Metered()
    metered.come_to(outcome)
    (found,) = [
        s.labels["outcome"] for s in metered.shown.samples if s.name == "ledgerq_attempts_total" and s.value == 1
    ]
    assert found == name


def test_every_kind_of_outcome_has_a_test_above() -> None:
    told = {Returned, Raised, TimedOut, Died, Refused, NotRun, outcomes.HandedOver, Snoozed, outcomes.Waiting}
    assert set(get_args(Outcome)) - told == {outcomes.RetryAsked}, "what asks for a retry is told below"


@pytest.mark.parametrize(
    ("outcome", "spent_by"),
    [
        (Raised(FAILURE), "exception"),
        (outcomes.RetryAsked(FAILURE, 1.0), "exception"),
        (Died(FAILURE), "worker_lost"),
        (Died(FAILURE, "shutdown", is_spared=True), "shutdown"),
        (Snoozed(FAILURE, 3.0), "snooze"),
        (Died(FAILURE, "something_new", is_spared=True), "something_new"),
    ],
)
def test_a_retry_is_counted_by_what_spent_the_attempt(outcome: Outcome, spent_by: str) -> None:
    metered = Metered()
    metered.come_to(outcome, attempt=1)
    assert metered.shown.value("ledgerq_retries_total", task="a.task", spent_by=spent_by) == 1


def test_a_task_that_the_worker_does_not_know_counts_as_other() -> None:
    metered = Metered()
    for number in range(3):
        metered.come_to(Raised(FAILURE), task=f"invented.{number}")
    assert metered.shown.value("ledgerq_attempts_total", task="other", outcome="failed") == 3
    assert {s.labels["task"] for s in metered.shown.samples if "task" in s.labels} == {"a.task", "other"}


def test_failures_stand_at_0_before_the_first_so_that_it_is_a_rise() -> None:
    assert Metered().shown.value("ledgerq_attempts_total", task="a.task", outcome="failed") == 0


def test_beginnings_and_holds_are_counted() -> None:
    metered = Metered()
    metered.meter.started(Attempt("run", 1, "a.task", "tasks.high", "w"), waited=timedelta(seconds=2))
    for because in (None, *HoldReason):
        metered.meter.held(because)
    shown = metered.shown
    assert shown.value("ledgerq_attempts_started_total", task="a.task", tier="high") == 1
    assert shown.value("ledgerq_attempt_prefetched_seconds_sum", tier="high") == 2
    assert {s.labels["because"]: s.value for s in shown.samples if s.name == "ledgerq_held_total"} == {
        "eta": 1,
        **{each.value: 1 for each in HoldReason},
    }


def test_nothing_but_a_success_is_a_success() -> None:
    metered = Metered()
    metered.come_to(Raised(FAILURE))
    name = "ledgerq_task_last_success_timestamp_seconds"
    assert not [s for s in metered.shown.samples if s.name == name]
    metered.come_to(Returned(None))
    assert metered.shown.value(name, task="a.task") > 1.7e9
