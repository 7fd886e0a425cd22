"""The HTTP interface whole: a process of its own, a real broker and a real database behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from infra import database
from infra.web.role import Role
from infra.web.token import make, revoke
from tests.infra.web.face import Face
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def event(kind: str, data: dict[str, Any], **changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/t",
        "type": kind,
        "time": now,
        "data": data,
        **changed,
    }


def test_what_was_emitted_is_stored_in_the_tokens_name_and_read_back(served: Face) -> None:
    license_id, session_id = f"l-{uuid4()}", f"s-{uuid4()}"
    expires = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    issued = event("license.issued", {"license_id": license_id, "valid_until": expires, "seats": 3})
    told = served.post("/events", json.dumps(issued).encode(), role=Role.EMITTER, content_type=STRUCTURED)
    assert (told.status, told.value) == (202, {"count": 1})
    both = [event("session.started", {"session_id": session_id, "license_id": license_id})]
    both.append(event("session.heartbeat", {"session_id": session_id}))
    assert served.post("/events", json.dumps(both).encode(), content_type=BATCH).value == {"count": 2}
    found = eventually(lambda: served.get(f"/sessions/{session_id}").value.get("state") == "active")
    assert found
    listed = eventually(lambda: served.get(f"/sessions?license_id={license_id}", role=Role.VIEWER).value["rows"])
    assert [row["session_id"] for row in listed] == [session_id]
    assert served.get(f"/licenses/{license_id}").value["seats"] == 3
    early = served.get(f"/licenses/{license_id}?as_of=2020-01-01T00:00:00Z")
    assert (early.status, "by then" in early.value["detail"]) == (404, True)


def test_one_unsound_event_keeps_its_whole_batch_back_and_is_named(served: Face) -> None:
    batch = [
        event("session.heartbeat", {"session_id": "s"}),
        event("session.heartbeat", {"session": "s"}),
        event("task.succeeded", {"run_id": "r"}),
        {"specversion": "1.0"},
    ]
    told = served.post("/events", json.dumps(batch).encode(), content_type=BATCH)
    assert (told.status, [each["index"] for each in told.value["problems"]]) == (422, [1, 2, 3])
    assert "platform's own processes" in told.value["problems"][1]["reason"]
    assert told.headers["content-type"] == "application/problem+json"


def test_the_same_request_with_the_same_key_is_one_run(served: Face) -> None:
    key, asked = str(uuid4()), {"task": "sample.nothing", "kwargs": {"n": 1}}
    first = served.post("/runs?wait_seconds=20", asked, role=Role.EMITTER, idempotency_key=key)
    assert first.status == 202
    again = served.post("/runs", asked, role=Role.EMITTER, idempotency_key=key)
    assert again.value["run_id"] == first.value["run_id"]
    assert again.value["position"] == first.value["position"]
    other = served.post("/runs", {"task": "sample.nothing"}, role=Role.EMITTER, idempotency_key=key)
    assert (other.status, other.value["code"]) == (422, "idempotency_key_reused")
    for more in ({"unique_key": "k"}, {"tier": "high"}, {"priority": 3}, {"license_id": "l"}, {"kwargs": {"n": 2}}):
        other = served.post("/runs", {**asked, **more}, role=Role.EMITTER, idempotency_key=key)
        assert (other.status, other.value["code"]) == (422, "idempotency_key_reused"), more
    elsewhere = served.post("/runs?wait_seconds=20", asked, role=Role.ADMIN, idempotency_key=key)
    assert elsewhere.value["run_id"] != first.value["run_id"]


def test_a_key_is_one_request_also_where_a_unique_key_made_it_another_ones_run(served: Face) -> None:
    unique, key = str(uuid4()), str(uuid4())
    asked = {"task": "sample.nothing", "unique_key": unique, "unique_for_seconds": 3600}
    first = served.post("/runs?wait_seconds=20", asked, idempotency_key=str(uuid4()))
    assert first.value["position"] is not None
    folded = served.post("/runs?wait_seconds=20", asked, idempotency_key=key)
    assert (folded.status, folded.value["position"]) == (202, None)
    again = served.post("/runs", asked, idempotency_key=key)
    assert again.value == folded.value
    for other in ({"task": "sample.nothing"}, {**asked, "unique_for_seconds": 60}, {**asked, "unique_key": "other"}):
        told = served.post("/runs", other, idempotency_key=key)
        assert (told.status, told.value["code"]) == (422, "idempotency_key_reused"), other


def test_secrets_that_tasks_are_called_with_are_shown_to_nobody(served: Face) -> None:
    kwargs = {"password": "hunter2!", "card": {"api_key": "k-123"}, "url": "https://a:sesame@host/", "n": 7}
    asked = served.post("/runs?wait_seconds=20", {"task": "sample.nothing", "kwargs": kwargs}).value
    for role in (Role.VIEWER, Role.ADMIN):
        [requested] = served.get(f"/runs/{asked['run_id']}", role=role).value["events"]
        hidden = {"password": "***", "card": {"api_key": "***"}, "url": "https://a:***@host/", "n": 7}
        assert requested["kwargs"] == hidden


def test_a_run_is_followed_to_its_revocation_by_position(served: Face) -> None:
    asked = served.post("/runs?wait_seconds=20", {"task": "sample.nothing"}).value
    run_id = asked["run_id"]
    page = served.get(f"/runs?task=sample.nothing&limit=500&min_position={asked['position']}").value
    assert run_id in [row["run_id"] for row in page["rows"]]
    told = served.post(f"/runs/{run_id}/revocation", {"reason": "a mistake"}, role=Role.OPERATOR)
    assert (told.status, told.value["log"], told.value["position"] > asked["position"]) == (202, "tasks", True)
    story = served.get(f"/runs/{run_id}").value
    assert [each["name"] for each in story["events"]] == ["task.requested", "task.revocation_requested"]
    again = served.post(f"/runs/{run_id}/revocation", {"reason": "a mistake"})
    assert (again.status, again.value["code"]) == (409, "RevocationAlreadyRequested")


def test_a_story_is_taken_back_once_and_a_run_of_another_story_is_none(served: Face) -> None:
    story = str(uuid4())
    told = served.post(f"/stories/{story}/revocation", {"reason": "a mistake"}, role=Role.OPERATOR)
    assert (told.status, told.value["log"]) == (202, "tasks")
    again = served.post(f"/stories/{story}/revocation", {"reason": "a mistake"})
    assert (again.status, again.value["code"]) == (409, "StoryRevocationAlreadyRequested")
    run_id = served.post("/runs?wait_seconds=20", {"task": "sample.nothing"}).value["run_id"]
    run = served.post(f"/stories/{run_id}/revocation", {"reason": "a mistake"})
    assert (run.status, run.value["code"]) == (409, "RunBelongsToStory")


def test_a_workflow_is_read_by_its_story_and_by_its_runs_once_the_read_models_have_it(served: Face) -> None:
    story = f"order-{uuid4()}"
    batch = [{**event("task.requested", {"task": "sample.nothing"}), "correlationid": story} for _ in range(2)]
    assert served.post("/events", json.dumps(batch).encode(), content_type=BATCH).status == 202
    runs = eventually(lambda: len(rows := served.get(f"/runs?correlation_id={story}").value["rows"]) == 2 and rows)
    position = served.post("/runs?wait_seconds=20", {"task": "sample.nothing"}).value["position"]
    told = served.get(f"/workflows/{story}?min_position={position}", role=Role.VIEWER)
    assert (told.status, told.value["kind"], told.value["state"], told.value["step_count"]) == (
        200,
        "runs",
        "running",
        2,
    )
    assert {step["run_id"] for step in told.value["steps"]} == {row["run_id"] for row in runs}
    assert served.get(f"/workflows/{runs[0]['run_id']}").value["workflow_id"] == story
    assert served.get("/workflows/nobodys").status == 404
    behind = served.get(f"/workflows/{story}?min_position={2**62}")
    assert (behind.status, behind.value["code"]) == (409, "still_behind")


def test_a_position_that_does_not_come_is_said_after_a_while(served: Face) -> None:
    told = served.get(f"/runs?min_position={2**62}")
    assert (told.status, told.value["code"]) == (409, "still_behind")


def test_pages_follow_each_other_without_gap_or_repeat(served: Face) -> None:
    for number in range(5):
        last = served.post("/runs?wait_seconds=20", {"task": "sample.paged", "kwargs": {"n": number}}).value
    seen: list[str] = []
    path = f"/runs?task=sample.paged&limit=2&min_position={last['position']}"
    page = served.get(path).value
    while True:
        seen += [row["run_id"] for row in page["rows"]]
        if page["next"] is None:
            break
        page = served.get(f"/runs?task=sample.paged&limit=2&after={page['next']}").value
    assert len(seen) == len(set(seen)) == 5


def test_a_schedule_is_put_paused_run_and_removed(served: Face) -> None:
    terms = {"task": "sample.nothing", "timetable": {"kind": "interval", "every_seconds": 86400}}
    name = f"/schedules/s{uuid4()}"
    assert served.ask("PUT", name, {"terms": terms, "reason": "new"}, role=Role.OPERATOR).status == 200
    assert served.post(f"{name}/pause", {"reason": "night"}).status == 200
    assert served.get(name).value["state"] == "paused"
    assert served.post(f"{name}/run", {"reason": "now"}).value["run_id"]
    assert served.post(f"{name}/removal", {"reason": "over"}).status == 200
    assert served.post(f"{name}/pause", {"reason": "night"}).status == 404
    history = [(each["name"], each["actor"]) for each in served.get(name).value["history"]]
    assert history[0] == ("schedule.declared", "token:a-operator")
    bad = {"terms": {**terms, "timetable": {"kind": "cron", "expression": "61 * * * *"}}}
    assert served.ask("PUT", name, bad).status == 422


def test_of_a_dead_letter_that_is_none_it_is_said(served: Face) -> None:
    told = served.post("/dead-letters/replays", {"run_ids": ["nobody"], "reason": "why not"})
    assert (told.status, told.value["left"]) == (200, {"nobody": "the log has no dead letter of it"})
    assert served.post("/dead-letters/discards", {"run_ids": ["nobody"], "reason": "x"}).value["done"] == {}
    assert served.get("/dead-letters/nobody").status == 404
    assert served.get("/dead-letters?state=open").value == []


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        (None, "GET", "/runs", 401),
        (Role.EMITTER, "GET", "/runs", 403),
        (Role.VIEWER, "POST", "/runs", 403),
        (Role.VIEWER, "POST", "/schedules/x/pause", 403),
        (Role.OPERATOR, "POST", "/events", 403),
        (Role.OPERATOR, "GET", "/runs", 200),
        (Role.ADMIN, "GET", "/schedules", 200),
    ],
)
def test_a_token_does_what_its_role_may(served: Face, role: Role | None, method: str, path: str, status: int) -> None:
    assert served.ask(method, path, None if method == "GET" else {}, role=role).status == status


def test_a_token_that_is_wrong_expired_or_revoked_is_nobodys(served: Face) -> None:
    good = served.tokens[Role.VIEWER]
    with database.connect(served.settings, name="test") as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        expired = make(connection, name="late", role=Role.VIEWER, expires_at=past, by="test")
        revoked = make(connection, name="out", role=Role.VIEWER, expires_at=None, by="test")
        assert revoke(connection, name="out", by="test")
    for wrong in (good[:-1] + ("a" if good[-1] != "a" else "b"), good[:-3], "", "x", expired, revoked, f"{good} "[1:]):
        told = served.get("/runs", authorization=f"Bearer {wrong}")
        assert (told.status, told.headers["www-authenticate"]) == (401, "Bearer"), wrong
    assert served.get("/runs", authorization=f"Basic {good}").status == 401
    assert served.get("/runs", authorization=f"bearer {good}").status == 200


def test_a_request_has_an_id_its_own_or_one_of_ours(served: Face) -> None:
    assert served.get("/runs", x_request_id="mine-1").headers["x-request-id"] == "mine-1"
    odd = served.get("/nowhere", x_request_id="not {one}")
    assert odd.headers["x-request-id"] == odd.value["request_id"] != "not {one}"
    assert (odd.status, odd.headers["x-content-type-options"]) == (404, "nosniff")


def test_bodies_that_are_too_large_or_none_are_refused(served: Face) -> None:
    assert served.post("/runs", b"x" * 1_048_577).status == 413
    assert served.post("/runs", b"{").status == 400
    assert served.post("/runs", {"task": 5}).status == 422
    assert served.post("/runs", b"a=b", content_type="application/x-www-form-urlencoded").status == 415
    assert served.post("/runs", {"task": "a\0b"}).status == 422
    assert served.post("/runs", {"task": "t", "kwargs": {"a": "b\0"}}).status == 422
    assert served.get("/runs?limit=0").status == served.get("/runs?nothing=1").status == 400
    assert served.get("/runs?task=a%00").status == served.get("/runs?after=bm90aGluZw").status == 400


def test_the_document_says_what_there_is_and_generated_requests_meet_nothing_else(served: Face, tmp_path: Path) -> None:
    """Schemathesis makes requests out of the document, sound and unsound, and compares the answers with it.

    ``WEB_EXAMPLES=25`` is the long version, with the phase that walks every edge of every schema: a minute and more.
    """
    examples = os.environ.get("WEB_EXAMPLES")
    command = (sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json")
    phases = "examples,coverage,fuzzing" if examples else "examples,fuzzing"
    options = (
        *("--header", f"Authorization: Bearer {served.tokens[Role.ADMIN]}", "--max-examples", examples or "5"),
        *("--phases", phases, "--seed", "7", "--no-color", "--suppress-health-check", "all"),
        *("--exclude-checks", "positive_data_acceptance,unsupported_method"),
    )
    done = subprocess.run(
        (*command, *options), cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
