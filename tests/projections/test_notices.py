from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec

from domain.aggregate import Event
from domain.failure_alert import AlertSent, alert_stream
from domain.license_events import LicenseNoticeSent
from domain.notice import (
    NoticeFailed,
    NoticeRefusalReason,
    NoticeRefused,
    NoticeSent,
    alert_notice,
    license_notice,
    notice_id,
    notice_stream,
)
from infra.event_store import Log
from projections.notices import Notices
from tests.projections.histories import at, recorded
from tests.projections.world import World

KNOWN_AS = "license.expiring_soon:2026-06-08T12:00:00+00:00:7"
NAMED = license_notice("l1", KNOWN_AS)


def about(version: int, named: tuple[str, str] = NAMED, **different: Any) -> dict[str, Any]:
    return {
        "originator_id": notice_stream(notice_id(*named)),
        "originator_version": version,
        "timestamp": at(version * 60),
        "template": named[0],
        "cause": named[1],
        "recipient": "a@example.org",
        "license_id": "l1",
        "run_id": f"R{version}",
        "attempt": version,
        **different,
    }


FAILED = NoticeFailed(error_type="MailUnavailableError", error="451 later", **about(1))
REFUSED = NoticeRefused(
    reason=NoticeRefusalReason.SERVER_REFUSED, detail="550 no such mailbox", reply_code=550, **about(2)
)
SENT = NoticeSent(message_id="<1@example.org>", reply_code=250, reply="queued", **about(3, recipient="b@example.org"))
REMEMBERED = LicenseNoticeSent(
    originator_id="license-l1", originator_version=9, timestamp=at(181), notice_id=KNOWN_AS, recipient="b@example.org"
)


def test_a_notice_is_told_with_its_last_outcome_and_what_came_before_is_counted(world: World) -> None:
    world.record(Log.LICENSING, FAILED, REFUSED)
    world.catch_up("notices")
    assert world.row("select * from analytics.fct_notices") == {
        "notice_id": str(notice_id(*NAMED)),
        "template": "license_expiring",
        "cause": f"l1/{KNOWN_AS}",
        "license_id": "l1",
        "recipient": "a@example.org",
        "state": "refused",
        "is_sent": False,
        "sent_at": None,
        "last_outcome_at": at(120),
        "message_id": None,
        "reply_code": 550,
        "reply": None,
        "reason": "server_refused",
        "detail": "550 no such mailbox",
        "run_id": "R2",
        "attempt": 2,
        "refusal_count": 1,
        "failure_count": 1,
        "trace_id": None,  # nothing else is told of the run
    }


def test_a_notice_that_was_sent_is_told_with_the_server_s_answer(world: World) -> None:
    world.record(Log.LICENSING, FAILED, REFUSED, SENT, REMEMBERED)
    world.catch_up("notices")
    row = world.row("select * from analytics.fct_notices")
    assert (row["state"], row["is_sent"], row["sent_at"]) == ("sent", True, at(180))
    assert (row["reply_code"], row["reply"], row["message_id"]) == (250, "queued", "<1@example.org>")
    assert (row["reason"], row["detail"], row["recipient"]) == (None, None, "b@example.org")
    assert (row["refusal_count"], row["failure_count"]) == (1, 1)


def test_the_order_in_which_it_is_told_does_not_matter() -> None:
    late = msgspec.structs.replace(FAILED, originator_version=4)
    told: list[Event] = [FAILED, REFUSED, SENT, REMEMBERED, late]
    rows = {msgspec.json.encode(list(Notices().folded(recorded(order)).values())) for order in permutations(told)}
    ((row,),) = map(msgspec.json.decode, rows)
    assert (row["state"], row["reply_code"], row["recipient"], row["failures"]) == ("sent", 250, "b@example.org", 2)


def test_what_was_sent_before_notices_were_recorded_is_known_by_those_who_remember_it(world: World) -> None:
    alert = AlertSent(
        originator_id=alert_stream("bill", at(0)),
        originator_version=1,
        timestamp=at(5),
        task="bill",
        run_id="dead",
        recipient="ops@example.org",
        window_start=at(0),
        unannounced=0,
    )
    world.record(Log.LICENSING, REMEMBERED)
    world.record(Log.TASKS, alert)
    world.catch_up("notices")
    rows = world.rows("select * from analytics.fct_notices order by template")
    assert [(row["template"], row["recipient"], row["sent_at"], row["run_id"]) for row in rows] == [
        ("failure_alert", "ops@example.org", at(5), None),
        ("license_expiring", "b@example.org", at(181), None),
    ]
    assert [row["notice_id"] for row in rows] == [
        str(notice_id(*alert_notice(alert.originator_id))),
        str(notice_id(*NAMED)),
    ]
