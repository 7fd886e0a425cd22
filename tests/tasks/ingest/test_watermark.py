from __future__ import annotations

from datetime import datetime, timedelta

from domain.heartbeat import WatermarkPassed
from tasks.ingest.delivery import Delivery
from tasks.ingest.reading import Told, read
from tasks.ingest.watermark import HOLD, LogTime, marker_message
from tests.tasks.ingest.deliveries import NOW, delivery

SECOND = timedelta(seconds=1)


def marker(*, sent_at: datetime, received_at: datetime) -> Told:
    message = marker_message(now=sent_at)
    came: Delivery = delivery(message.body, content_type=message.content_type, received_at=received_at)
    (told,) = read([came], limit_bytes=10_000).told
    return told


def passed(log_time: LogTime, *markers: Told, in_company: bool, now: datetime) -> list[datetime]:
    facts = [new.event for new in log_time.passed(markers, in_company=in_company, now=now)]
    assert all(isinstance(fact, WatermarkPassed) for fact in facts)
    return [fact.timestamp for fact in facts]


def test_alone_log_time_is_when_the_marker_was_sent() -> None:
    came = marker(sent_at=NOW - 5 * SECOND, received_at=NOW)
    assert passed(LogTime(), came, in_company=False, now=NOW) == [NOW - 5 * SECOND]


def test_a_clock_that_is_ahead_does_not_put_log_time_into_the_future() -> None:
    came = marker(sent_at=NOW + 500 * SECOND, received_at=NOW)
    assert passed(LogTime(), came, in_company=False, now=NOW) == [NOW]


def test_in_company_a_marker_counts_once_the_others_have_stored_what_came_before_it() -> None:
    log_time = LogTime()
    sent = [NOW + n * 10 * SECOND for n in range(9)]
    told = [
        passed(log_time, marker(sent_at=at, received_at=at + SECOND), in_company=True, now=at + SECOND) for at in sent
    ]
    after = HOLD // (10 * SECOND)
    assert told[:after] == [[]] * after
    assert told[after:] == [[at] for at in sent[: len(sent) - after]]


def test_a_backlog_does_not_make_a_marker_count_sooner() -> None:
    old = marker(sent_at=NOW - timedelta(hours=1), received_at=NOW)
    assert passed(LogTime(), old, in_company=True, now=NOW) == []


def test_company_that_has_just_left_may_have_given_messages_back() -> None:
    log_time = LogTime()
    passed(log_time, in_company=True, now=NOW)
    soon, later = NOW + SECOND, NOW + HOLD
    assert passed(log_time, marker(sent_at=soon, received_at=soon), in_company=False, now=soon) == []
    assert passed(log_time, marker(sent_at=later, received_at=later), in_company=False, now=later) == [later]


def test_asked_again_after_a_lost_race_it_says_the_same() -> None:
    log_time = LogTime()
    old = marker(sent_at=NOW, received_at=NOW)
    passed(log_time, old, in_company=True, now=NOW)
    new = marker(sent_at=NOW + HOLD, received_at=NOW + HOLD)
    first = log_time.passed([new], in_company=True, now=NOW + HOLD)
    assert log_time.passed([new], in_company=True, now=NOW + HOLD) == first
