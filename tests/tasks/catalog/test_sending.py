"""What comes of a notice finds its place in the notice's stream, whoever writes there at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import pytest

from domain.cause import Cause
from domain.notice import NoticeFailed
from infra.database import Leadership
from infra.event_store import EventStore, Log, LostRaceError
from infra.mail import Mailer
from tasks.catalog import sending
from tasks.catalog.sending import Errand, Notice, NoticeBusyError, about, record, send_once
from tasks.wiring import Wiring
from tests.tasks.catalog.fleet import CAUSE, NOON

NOTICE = Notice("welcome", "Desk/account-1", "ada@example.org")


def failed(attempt: int = 1) -> NoticeFailed:
    return NoticeFailed(error_type="E", error="e", **about(NOTICE, run_id="R1", attempt=attempt, at=NOON))


def cause() -> Cause:
    return Cause(id=uuid4(), at=NOON, actor="test")


def versions(store: EventStore) -> list[int]:
    return [fact.originator_version for fact in store.load(Log.LICENSING, [NOTICE.stream])[NOTICE.stream]]


def test_several_runs_at_once_each_record_what_came_of_theirs(store: EventStore) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: record(failed(), store, cause()), range(3)))
    assert versions(store) == [1, 2, 3]


def test_the_same_attempt_told_twice_is_one_fact_and_another_attempt_is_another(store: EventStore) -> None:
    run = cause()
    for attempt in (1, 1, 2, 1, 2):
        record(failed(attempt), store, run)
    assert versions(store) == [1, 2]


def test_where_every_place_is_taken_the_fault_is_told(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def taken(*_: Any) -> None:
        looks.append(1)
        raise LostRaceError(NOTICE.stream, 1)

    monkeypatch.setattr(store, "append", taken)
    with pytest.raises(LostRaceError):
        record(failed(), store, cause())
    assert len(looks) == sending.LOOKS


def test_who_waits_for_too_long_for_another_s_turn_comes_back_later(
    wired: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TURN_SECONDS", 0.1)
    errand = Errand(wired, Mailer.from_settings(wired.settings), CAUSE, "R1")
    with Leadership(wired.settings, NOTICE.stream) as other:
        assert other.acquire()
        with pytest.raises(NoticeBusyError, match=NOTICE.stream):
            send_once(NOTICE, errand, EmailMessage)
