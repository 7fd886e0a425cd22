from datetime import timedelta

import pytest
from celery import Celery

from tasks import app as declaring
from tasks.catalog.notices import send_license_notice
from tasks.worker.policies import BY_NAME, E_MAIL, FILES, INTEGRATIONS, PAYROLL, PoliciesByName
from tasks.worker.retry import DEFAULT_RETRY_POLICY, AttemptRules, RetryPolicy


def idle() -> None: ...


def longest_waits(policy: RetryPolicy) -> list[float]:
    """What each retry waits at most, in seconds: the draw is as near to 1 as makes no difference."""
    return [round(policy.delay(number, lambda: 1.0).total_seconds()) for number in range(1, policy.max_retries + 1)]


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (DEFAULT_RETRY_POLICY, [60, 120, 240]),
        (PAYROLL, [30, 60, 120, 240, 300]),
        (INTEGRATIONS, [300, 1800]),
        (E_MAIL, [30, 60, 120, 240, 480]),
        (FILES, [60, 120, 240]),
    ],
)
def test_each_policy_waits_at_most_as_it_says_and_draws_evenly(policy: RetryPolicy, waits: list[float]) -> None:
    assert longest_waits(policy) == waits
    assert policy.jitter
    assert policy.delay(1, lambda: 0.25) == timedelta(seconds=waits[0] / 4)


def test_the_default_doubles_up_to_an_hour_and_e_mail_never_waits_longer_than_ten_minutes() -> None:
    assert DEFAULT_RETRY_POLICY.delay(50, lambda: 1.0) == timedelta(hours=1)
    assert E_MAIL.delay(50, lambda: 1.0) == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("payroll.close_month", PAYROLL),
        ("integrations.crm.push", INTEGRATIONS),
        ("email.welcome", E_MAIL),
        ("files.convert", FILES),
        ("payrolls.close", DEFAULT_RETRY_POLICY),
    ],
)
def test_a_task_of_ours_without_a_policy_has_that_of_its_name(name: str, policy: RetryPolicy) -> None:
    @declaring.task(name)
    def work() -> None: ...

    try:
        assert AttemptRules.of(work) == AttemptRules(policy, policy.max_retries)
        assert work.max_retries == policy.max_retries
    finally:
        declaring.app.tasks.pop(name)


def test_a_policy_of_its_own_comes_before_that_of_the_name() -> None:
    @declaring.task("payroll.once", retry_policy=FILES)
    def once() -> None: ...

    try:
        assert AttemptRules.of(once).policy is FILES
    finally:
        declaring.app.tasks.pop("payroll.once")


def test_a_stock_task_gets_one_by_annotation() -> None:
    app = Celery("stock", set_as_current=False)
    app.conf.task_annotations = [PoliciesByName({**BY_NAME, "vendor.*": INTEGRATIONS})]
    vendor = app.task(name="vendor.sync")(idle)
    other = app.task(name="sync")(idle)
    app.finalize()
    assert AttemptRules.of(vendor).policy is INTEGRATIONS
    assert not AttemptRules.of(other).retries_exceptions


def test_notices_are_e_mail() -> None:
    assert AttemptRules.of(send_license_notice).policy is E_MAIL
