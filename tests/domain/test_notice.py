"""Notices are named after what they are and what brought them about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.notice import NoticeFailed, NoticeSent, is_sent, notice_id, notice_stream

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TOLD: dict[str, Any] = {
    "originator_id": notice_stream(notice_id("welcome", "account-1")),
    "timestamp": NOW,
    "template": "welcome",
    "cause": "account-1",
    "recipient": "a@example.org",
    "run_id": "R1",
    "attempt": 1,
}


def test_the_same_letter_for_the_same_cause_is_the_same_notice_and_no_other() -> None:
    assert notice_id("welcome", "account-1") == notice_id("welcome", "account-1")
    others = {notice_id("welcome", "account-2"), notice_id("verification", "account-1")}
    assert notice_id("welcome", "account-1") not in others


def test_the_id_of_a_notice_is_the_one_it_has_always_had() -> None:
    assert str(notice_id("welcome", "account-1")) == "fb7f5b2c-d350-5b03-aebd-4cbc20b2b10e"


def test_only_a_notice_that_was_sent_is_done_with() -> None:
    failed = NoticeFailed(originator_version=1, error_type="E", error="e", **TOLD)
    sent = NoticeSent(originator_version=2, message_id="<1@example.org>", reply_code=250, reply="ok", **TOLD)
    assert not is_sent([])
    assert not is_sent([failed])
    assert is_sent([failed, sent])
    assert is_sent([sent, failed])
