"""A call asks for one run if its caller knows the secret and has just signed it; whatever else comes asks for none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from standardwebhooks import Webhook as Signer
from starlette.applications import Starlette

from domain.hook import Hook
from domain.task_run import TaskRequested
from infra.database.pool import ConnectionPool
from infra.event_store import Log
from infra.settings import Settings
from infra.web.admission import Admission
from infra.webhooks.secrets import hook_secret
from tasks.web.inbound import HOOKS
from tasks.webhooks.reading import hook
from tasks.webhooks.receiving import BODY_LIMIT_BYTES
from tests.tasks.webhooks.desk import Desk

BODY = b'{"type": "payment.made", "data": {"amount": 7}}'


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    told: dict[str, Any]


def call(desk: Desk, name: str, body: bytes, headers: dict[str, str], *, client: str = "192.0.2.1") -> Answer:
    """What the HTTP face answers, without a server around it."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/hooks/{name}",
        "raw_path": f"/hooks/{name}".encode(),
        "query_string": b"",
        "root_path": "",
        "client": (client, 1),
        "headers": [(key.encode(), value.encode("latin-1")) for key, value in headers.items()],
    }
    route = HOOKS[0].route(desk)  # type: ignore[arg-type]  # it has what is needed
    asyncio.run(Starlette(routes=[route])(scope, receive, send))
    start, *rest = sent
    answered = {key.decode(): value.decode() for key, value in start["headers"]}
    return Answer(start["status"], answered, msgspec.json.decode(b"".join(each.get("body", b"") for each in rest)))


@pytest.fixture
def hooked(desk: Desk) -> Desk:
    """A desk with a hook."""
    known = Hook(desk.name)
    desk.append(known.declare("book_payment", at=datetime.now(UTC), tier="high", kwargs={"provider": "acme"}))
    return desk


def signed(
    desk: Desk, body: bytes = BODY, *, webhook_id: str = "msg_1", generation: int = 1, minutes: float = 0
) -> Any:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    signature = Signer(hook_secret(desk.settings, desk.name, generation)).sign(webhook_id, at, body.decode())
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def runs(desk: Desk) -> list[TaskRequested]:
    found = [each.event for each in desk.recorded(Log.TASKS)]
    return [each for each in found if isinstance(each, TaskRequested)]


def test_a_signed_call_asks_for_one_run_however_often_it_is_sent(hooked: Desk) -> None:
    first = call(hooked, hooked.name, BODY, signed(hooked))
    again = call(hooked, hooked.name, BODY, signed(hooked))
    assert (first.status, first.told["repeat"], again.status, again.told["repeat"]) == (202, False, 202, True)
    assert first.told["run_id"] == again.told["run_id"]
    (run,) = runs(hooked)
    assert (run.task, run.tier, run.originator_id) == ("book_payment", "high", f"task_run-{first.told['run_id']}")
    assert run.kwargs == {"provider": "acme", "payload": {"type": "payment.made", "data": {"amount": 7}}}
    (accepted,) = hooked.recorded(Log.TASKS)
    assert accepted.metadata["actor"] == f"webhook:{hooked.name}"
    call(hooked, hooked.name, BODY, signed(hooked, webhook_id="msg_2"))
    assert len(runs(hooked)) == 2


def test_a_call_that_is_not_signed_as_it_has_to_be_asks_for_nothing(hooked: Desk) -> None:
    good = signed(hooked)
    answers = {
        "tampered": call(hooked, hooked.name, BODY.replace(b"7", b"8"), good),
        "unsigned": call(hooked, hooked.name, BODY, {}),
        "other secret": call(hooked, hooked.name, BODY, signed(hooked, generation=2)),
        "stale": call(hooked, hooked.name, BODY, signed(hooked, minutes=-6)),
        "ahead": call(hooked, hooked.name, BODY, signed(hooked, minutes=6)),
        "unknown": call(hooked, "nobody", BODY, good),
        "unknown, unsigned": call(hooked, "nobody", BODY, {}),
        "unknown, stale": call(hooked, "nobody", BODY, signed(hooked, minutes=-6)),
        "odd name": call(hooked, "a\0b", BODY, good),
    }
    assert {why: answer.status for why, answer in answers.items()} == {
        "tampered": 401,
        "unsigned": 401,
        "other secret": 401,
        "stale": 400,
        "ahead": 400,
        "unknown": 401,
        "unknown, unsigned": 401,
        "unknown, stale": 400,
        "odd name": 401,
    }
    assert "more than 5 minutes" in answers["stale"].told["detail"]
    assert answers["unknown"].told["detail"] == answers["tampered"].told["detail"]
    assert answers["tampered"].headers["content-type"] == "application/problem+json"
    assert runs(hooked) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no json", 422),
        (b"", 422),
        (b'{"a": "\\u0000"}', 422),
        (b"[" * 200 + b"]" * 200, 422),
        (b'"' + b"x" * BODY_LIMIT_BYTES + b'"', 413),
    ],
)
def test_a_signed_body_that_cannot_be_an_argument_is_refused(hooked: Desk, body: bytes, status: int) -> None:
    assert call(hooked, hooked.name, body, signed(hooked, body)).status == status
    assert runs(hooked) == []


def test_while_a_secret_is_rotated_either_is_taken_and_afterwards_the_new_one_alone(hooked: Desk) -> None:
    known = hook(hooked.store, hooked.name)
    rotated = known.rotate(previous_for=timedelta(days=1), at=datetime.now(UTC))
    hooked.append(rotated)
    assert [call(hooked, hooked.name, BODY, signed(hooked, generation=each)).status for each in (1, 2)] == [202, 202]
    hooked.append(known.after(rotated).rotate(previous_for=timedelta(0), at=datetime.now(UTC)))
    assert [call(hooked, hooked.name, BODY, signed(hooked, generation=each)).status for each in (1, 2, 3)] == [
        401,
        401,
        202,
    ]


def test_a_hook_that_was_removed_is_unknown(hooked: Desk) -> None:
    hooked.append(hook(hooked.store, hooked.name).remove(at=datetime.now(UTC)))
    assert call(hooked, hooked.name, BODY, signed(hooked)).status == 404


def test_without_a_key_callers_are_told_to_come_again_and_not_why(hooked: Desk) -> None:
    headers = signed(hooked)
    hooked.settings = hooked.settings.model_copy(update={"webhook_key": None})
    answer = call(hooked, hooked.name, BODY, headers)
    assert (answer.status, answer.headers["retry-after"]) == (503, "60")
    assert "KEY" not in answer.told["detail"]


def test_an_address_whose_calls_had_to_be_refused_waits_and_others_do_not(hooked: Desk) -> None:
    hooked.admission = admission(web_stranger_requests_per_second=2)
    answers = [call(hooked, hooked.name, BODY, {}) for _ in range(3)]
    assert [answer.status for answer in answers] == [401, 401, 429]
    assert answers[-1].headers["retry-after"] == "1"
    assert call(hooked, hooked.name, BODY, signed(hooked)).status == 429
    assert call(hooked, hooked.name, BODY, signed(hooked), client="192.0.2.2").status == 202


def test_calls_that_are_taken_have_a_limit_for_each_address_too(hooked: Desk) -> None:
    hooked.admission = admission(web_requests_per_second=2)
    calls = [("192.0.2.1", 3), ("192.0.2.2", 1)]
    statuses = [
        call(hooked, hooked.name, BODY, signed(hooked), client=client).status
        for client, times in calls
        for _ in range(times)
    ]
    assert statuses == [202, 202, 429, 202]


def admission(**limits: float) -> Admission:
    """One whose buckets do not fill again while a test runs."""
    made = Admission(ConnectionPool("", size=1), Settings().model_copy(update=limits))
    for pace in (made._callers, made._strangers):
        pace._clock = lambda: 0.0
    return made
