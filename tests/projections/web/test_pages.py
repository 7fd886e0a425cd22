"""The operations page as a person sees it: a real browser, a real process, a real database."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from playwright.sync_api import expect

from domain.cause import Cause
from domain.task_run import task_event
from infra.event_store import Log, caused
from infra.web.role import Role
from infra.web.session import COOKIE
from tests.projections.histories import chord, signature
from tests.projections.web.conftest import Open, Shown

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
LETTERS = "/ui/dead-letters"
BUSY = {"error_type": "Busy", "error": "not now"}
ADDRESS = "amqp://guest:hunter2@localhost"
SCRIPT = "<script>document.title='taken'</script>"


def test_a_filtered_list_of_tasks_is_shared_by_its_address(shown: Shown, visiting: Open) -> None:
    shared = shown.morgue.bury("bill.shared", error="GatewayTimeout", requested=True)
    shown.morgue.bury("bill.other", error="OutOfMemory")
    shown.morgue.project()
    page = visiting(Role.VIEWER, "/ui/tasks")
    page.get_by_label("Task").fill("bill.shared")
    page.get_by_label("State").select_option("bad")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    address = page.url.removeprefix(shown.face.url)
    assert "task=bill.shared" in address
    other = visiting(Role.OPERATOR, address)  # led back there by the login
    expect(other.locator("tbody tr")).to_have_count(1)
    other.locator("tbody tr a.id").click()
    expect(other.get_by_role("heading", level=1)).to_contain_text("bill.shared")
    expect(other.locator(".timeline")).to_contain_text("task.failed")
    expect(other.locator(".timeline")).to_contain_text("task.dead_lettered")
    assert other.url.endswith(shared)


def test_a_dead_letter_is_replayed_from_its_dialog_in_the_tokens_name(shown: Shown, visiting: Open) -> None:
    dead = [shown.morgue.bury("bill.dead", error="NoRouteToHost", requested=True) for _ in range(2)]
    shown.morgue.project()
    page = visiting(Role.OPERATOR, "/ui/dead-letters")
    row = page.locator("tr", has_text="bill.dead")
    expect(row.locator("td").first).to_have_text("2")
    row.get_by_role("link", name="Replay…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 are open")
    dialog.get_by_label("How many").fill("1")
    dialog.get_by_label("Reason").fill("the route is back")
    dialog.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("heading", name="Replayed: 1")).to_be_visible()
    page.get_by_role("link", name=re.compile("new run")).click()
    expect(page.locator(".timeline")).to_contain_text("task.requested")
    shown.morgue.project()
    page.reload()
    expect(page.get_by_text("A replay of")).to_be_visible()
    letters = shown.morgue.rows("select * from analytics.fct_dead_letters")
    decided = [each for each in letters if each["run_id"] in dead]
    assert sorted(each["letter_state"] for each in decided) == ["open", "replayed"]
    assert {each["decided_by"] for each in decided} == {None, "token:a-operator"}


def test_a_tasks_page_tells_its_attempts_and_where_its_time_went(shown: Shown, visiting: Open) -> None:
    run_id, began = str(uuid4()), datetime.now(UTC) - timedelta(seconds=60)
    told: list[tuple[float, str, dict[str, Any]]] = [
        (0, "requested", {"tier": "high"}),
        (1, "published", {"attempt": 1, "queue": "tasks.high", "priority": 4}),
        (11, "started", {"attempt": 1, "queue": "tasks.high", "worker": "w1"}),
        (12, "retry_scheduled", {"attempt": 1, "delay_seconds": 20.0, "spent_by": "exception", **BUSY}),
        (33, "started", {"attempt": 2, "queue": "tasks.high", "worker": "w2"}),
        (43, "succeeded", {"attempt": 2, "runtime_seconds": 10.0}),
    ]
    for seconds, name, data in told:
        at = began + timedelta(seconds=seconds)
        event = task_event(f"task.{name}", run_id, at=at, data={"task": "bill.slow", **data})
        shown.morgue.store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=at, actor="test")))
    shown.morgue.project()
    page = visiting(Role.VIEWER, f"/ui/tasks/{run_id}")
    expect(page.locator(".legend")).to_contain_text("retry_wait 20.0 s")
    expect(page.locator("svg.split rect.queue")).to_be_visible()
    expect(page.locator(".timeline > li")).to_have_count(len(told))
    expect(page.locator("main table tbody tr")).to_have_count(2)
    expect(page.locator("a[href^='http://traces.example/']")).to_be_visible()


def test_a_viewer_sees_no_buttons_and_is_refused(shown: Shown, visiting: Open) -> None:
    dead = shown.morgue.bury("bill.seen", error="Seen", requested=True)
    shown.morgue.project()
    page = visiting(Role.VIEWER, "/ui/dead-letters")
    expect(page.get_by_text("bill.seen")).to_be_visible()
    expect(page.locator("main").get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("link", name="Replay…")).to_have_count(0)
    form = {"run_id": dead, "reason": "mine"}
    told = _sent(shown, Role.VIEWER, "/ui/dead-letters/discard", form, origin=shown.face.url)
    assert (told.status_code, "needs operator" in told.text) == (403, True)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/ui/dead-letters/replay", {"run_id": "x"}),
        ("/ui/dead-letters/discard", {"run_id": "x"}),
        ("/ui/tasks/x/revocation", {}),
        ("/ui/schedules/x", {"verb": "run"}),
    ],
)
def test_whatever_form_a_viewer_sends_is_refused(shown: Shown, path: str, form: dict[str, str]) -> None:
    told = _sent(shown, Role.VIEWER, path, {"reason": "mine", **form}, **{"sec-fetch-site": "same-origin"})
    assert (told.status_code, "needs operator" in told.text) == (403, True)


def test_secrets_that_tasks_are_called_with_are_on_no_page(shown: Shown) -> None:
    secrets = {"password": "hunter2!", "headers": {"Authorization": "Bearer very-secret-indeed"}, "amount": 4711}
    body = b'[[], {"client_secret": "sesame"}, {}]'
    run_id = f"ffffffff{str(uuid4())[8:]}"  # the first of those that failed at the same moment, on the overview
    error = "NoRoute: cannot reach https://me:mellon@host"
    shown.morgue.bury("bill.secret", run_id=run_id, error=error, body=body, requested=True, **secrets)
    shown.morgue.project()
    of_run = (f"/ui/tasks/{run_id}", f"/ui/streams/tasks/task_run-{run_id}")
    for path in ("/ui", "/ui/tasks?task=bill.secret", LETTERS, *of_run):
        told = _asked(shown, Role.OPERATOR, path)
        assert (told.status_code, "***" in told.text) == (200, True), path
        for secret in ("hunter2!", "very-secret-indeed", "sesame", "mellon"):
            assert secret not in told.text, (path, secret)
    assert "4711" in told.text


def test_a_form_that_is_sent_twice_counts_once(shown: Shown) -> None:
    shown.morgue.bury("bill.twice", error="Twice", requested=True)
    shown.morgue.project()
    dialog = re.search(
        r'href="(/ui/dead-letters/replay\?task=bill.twice[^"]+)"', _asked(shown, Role.OPERATOR, LETTERS).text
    )
    assert dialog
    told = _asked(shown, Role.OPERATOR, dialog[1].replace("&amp;", "&")).text
    form = dict(re.findall(r'<input type="\w+" name="(\w+)"(?: min="1" max="100")? value="([^"]*)"', told))
    form |= {"reason": "again"}
    answers = []
    for _ in range(2):
        answer = _sent(shown, Role.OPERATOR, "/ui/dead-letters/replay", form, **{"sec-fetch-site": "same-origin"})
        assert answer.status_code == 200, answer.text
        answers.append(re.findall(r"new run ([0-9a-f-]+)", answer.text))
        shown.morgue.project()
    assert answers[0] == answers[1] != []


def test_what_another_site_sends_is_refused(shown: Shown) -> None:
    dead = shown.morgue.bury("bill.csrf", error="Csrf", requested=True)
    shown.morgue.project()
    form = {"run_id": dead, "reason": "mine"}
    for headers in ({"origin": "http://evil.example"}, {}, {"sec-fetch-site": "cross-site"}):
        told = _sent(shown, Role.OPERATOR, "/ui/dead-letters/discard", form, **headers)
        assert (told.status_code, "another site" in told.text) == (403, True)
    told = _sent(shown, Role.OPERATOR, "/ui/dead-letters/discard", form, **{"sec-fetch-site": "same-origin"})
    assert (told.status_code, "Discarded: 1" in told.text) == (200, True)


def test_a_link_on_another_site_leads_whoever_is_logged_in_to_the_page(shown: Shown) -> None:
    told = requests.get(f"{shown.face.url}/ui/tasks?state=bad", headers={"sec-fetch-site": "cross-site"}, timeout=10)
    assert 'http-equiv="refresh"' in told.text  # the browser asks again, from here, and sends the cookie


def test_what_tasks_and_errors_are_called_is_text(shown: Shown, visiting: Open) -> None:
    first = f"ffffffff{str(uuid4())[8:]}"  # of those that failed at the same moment, on the overview
    run_id = shown.morgue.bury("bill.script", error=SCRIPT, run_id=first, requested=True, note=SCRIPT)
    shown.morgue.project()
    page = visiting(Role.OPERATOR, "/ui/dead-letters")
    expect(page.locator("tr", has_text="bill.script").first).to_contain_text(SCRIPT)
    for path in ("/ui", "/ui/tasks?task=bill.script", f"/ui/tasks/{run_id}", f"/ui/streams/tasks/task_run-{run_id}"):
        page.goto(path)
        expect(page.get_by_text(SCRIPT).first).to_be_attached()
        assert page.title() != "taken"


def test_the_overview_keeps_up_without_losing_the_focus(shown: Shown, visiting: Open) -> None:
    shown.morgue.project()
    page = visiting(Role.VIEWER, "/ui")
    letters = page.locator("#letters")
    before = letters.inner_text()
    letters.focus()
    shown.morgue.bury("bill.new", error="New")
    shown.morgue.project()
    expect(page.locator("#letters")).not_to_have_text(before)
    expect(page.locator("#letters")).to_be_focused()


@pytest.mark.parametrize(
    "path", ["/ui/streams", "/ui/streams?log=licensing", "/ui/schedules", "/ui/projections", "/ui/workflows"]
)
def test_a_page_is_there_for_whoever_may_look_and_for_nobody_else(shown: Shown, path: str) -> None:
    told = _asked(shown, Role.VIEWER, path)
    assert told.status_code == 200
    assert "default-src 'self'" in told.headers["content-security-policy"]
    assert "a-viewer" in told.text
    assert 'name="token"' in requests.get(f"{shown.face.url}{path}", timeout=10).text
    assert _asked(shown, Role.EMITTER, path).status_code == 403


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/ui/tasks?state=nonsense", 400, "allowed are open, bad, requested"),
        ("/ui/tasks?since=soon", 400, "allowed are 30m, 2h, 7d ago"),
        ("/ui/tasks?after=nonsense", 400, "no `next` that was given"),
        ("/ui/tasks?task=%00", 400, "U+0000"),
        ("/ui/tasks/%00", 400, "U+0000"),
        ("/ui/workflows/%00", 400, "U+0000"),
        ("/ui/tasks/no-such-run", 404, "nothing is recorded of a run no-such-run"),
        ("/ui/workflows?state=nonsense", 400, "allowed are running, waiting"),
        ("/ui/workflows?after=nonsense", 400, "no `next` that was given"),
        ("/ui/workflows/no-such", 404, "the read models know no workflow no-such"),
        ("/ui/streams?before=-1", 400, "no number from 0"),
        ("/ui/streams/elsewhere/x", 404, "there are licensing, tasks, heartbeats"),
        ("/ui/dead-letters/replay", 400, "run_id is wanted, or task, error_type and fingerprint"),
    ],
)
def test_what_cannot_be_shown_is_said(shown: Shown, path: str, status: int, text: str) -> None:
    told = _asked(shown, Role.VIEWER, path)
    assert (told.status_code, text in told.text) == (status, True)


def test_forms_take_runs_back_and_treat_schedules(shown: Shown) -> None:
    run_id = shown.morgue.bury("bill.ended", error="Ended", requested=True)
    ours = {"sec-fetch-site": "same-origin"}
    told = _sent(shown, Role.OPERATOR, f"/ui/tasks/{run_id}/revocation", {"reason": "late"}, **ours)
    assert told.status_code == 409
    assert _sent(shown, Role.OPERATOR, f"/ui/tasks/{run_id}/revocation", {"reason": ""}, **ours).status_code == 422
    told = _sent(shown, Role.OPERATOR, "/ui/schedules/none", {"reason": "x", "verb": "pause"}, **ours)
    assert told.status_code == 404
    body = {"terms": {"task": "report", "timetable": {"kind": "interval", "every_seconds": 90}}}
    declared = shown.face.ask("PUT", "/schedules/report", body)
    assert declared.status == 200, declared.value
    told = _sent(shown, Role.OPERATOR, "/ui/schedules/report", {"reason": "stocktaking", "verb": "pause"}, **ours)
    assert told.status_code == 200
    story = shown.morgue.store.load_recorded(Log.LICENSING, ["schedule-report"])["schedule-report"]
    assert [each.event.name for each in story] == ["schedule.declared", "schedule.paused"]
    assert story[-1].metadata["actor"] == "token:a-operator"


def test_a_workflow_is_found_from_the_list_and_from_its_runs_and_shown_as_a_tree(shown: Shown, visiting: Open) -> None:
    story, members = flow_of(shown)
    page = visiting(Role.VIEWER, "/ui/workflows")
    page.get_by_label("Kind").select_option("mixed")
    page.get_by_label("State").select_option("failed")
    page.get_by_label("First task").fill("order.charge")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody tr a.id").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Workflow order.charge failed")
    rows = page.locator("table.tree tbody tr")
    expect(rows.nth(1)).to_contain_text("chord of 12: 11 succeeded, 1 failed")
    expect(rows).to_have_text(
        [
            re.compile(each)
            for each in ("order.charge", "chord", *["order.pick"] * 4, "8 more", "order.pack", "order.ship")
        ]
    )
    expect(page.get_by_text("not_reached")).to_have_count(1)
    expect(page.get_by_text(SCRIPT)).to_be_visible()
    assert page.title() != "taken"
    expect(page.get_by_text("hunter2")).to_have_count(0)
    assert "hunter2" not in json.dumps(shown.face.get(f"/workflows/{story}").value)
    page.locator("table.tree a.id").nth(1).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("order.pick")
    page.get_by_role("link", name="its story as a tree").click()
    assert page.url.endswith(f"/ui/workflows/{story}")
    assert _asked(shown, Role.VIEWER, f"/ui/workflows/{members[0]}").status_code == 200


def test_a_story_is_found_whatever_a_service_calls_it(shown: Shown) -> None:
    story, at = "order/17 & more", datetime.now(UTC)
    for _ in range(2):
        event = task_event("task.started", str(uuid4()), at=at, data={"task": "order.told", "attempt": 1})
        cause = Cause(id=uuid4(), at=at, actor="test", correlation_id=story)
        shown.morgue.store.append(Log.TASKS, caused([event], cause))
    shown.morgue.project()
    listed = _asked(shown, Role.VIEWER, "/ui/workflows?task=order.told").text
    [link] = re.findall(r'href="(/ui/workflows/[^"?]+)"', listed)
    told = _asked(shown, Role.VIEWER, link)
    assert (told.status_code, told.text.count("order.told") >= 2) == (200, True)


def flow_of(shown: Shown) -> tuple[str, list[str]]:
    """A chain whose second step is a chord, one of whose members fails; its story and the members."""
    story, body, last, *members = [str(uuid4()) for _ in range(15)]
    header = [signature("order.pick", run) for run in members]
    links = [chord(f"g-{story}", header, signature("order.pack", body)), signature("order.ship", last)]
    told: list[tuple[str, str, str, dict[str, Any]]] = [
        (story, "order.charge", "started", {}),
        (story, "order.charge", "chain_recorded", {"links": links, "args": [], "kwargs": {}}),
        (story, "order.charge", "succeeded", {}),
        *((run, "order.pick", "started", {}) for run in members),
        *((run, "order.pick", "succeeded", {"runtime_seconds": 1.5}) for run in members[1:]),
        (members[0], "order.pick", "failed", {"error_type": "OutOfStock", "error": f"{SCRIPT} {ADDRESS}"}),
        (body, "order.pack", "failed", {"error_type": "ChordError", "error": "1 of 12 members ended badly"}),
    ]
    for number, (run, task_name, name, data) in enumerate(told):
        at = datetime.now(UTC) - timedelta(seconds=60 - number)
        event = task_event(f"task.{name}", run, at=at, data={"task": task_name, "attempt": 1, **data})
        shown.morgue.store.append(
            Log.TASKS, caused([event], Cause(id=uuid4(), at=at, actor="test", correlation_id=story))
        )
    shown.morgue.project()
    return story, members


def _asked(shown: Shown, role: Role, path: str) -> requests.Response:
    return requests.get(f"{shown.face.url}{path}", cookies={COOKIE: shown.face.tokens[role]}, timeout=20)


def _sent(shown: Shown, role: Role, path: str, form: dict[str, str], **headers: str) -> requests.Response:
    cookies = {COOKIE: shown.face.tokens[role]}
    return requests.post(f"{shown.face.url}{path}", data=form, cookies=cookies, headers=headers, timeout=20)
