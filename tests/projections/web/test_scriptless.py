"""The operations page in a browser that runs no scripts: everything can be looked at, and decided, all the same."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from infra.event_store import Log
from infra.web.role import Role
from tests.projections.web.conftest import Open, Shown

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def declared(shown: Shown) -> str:
    """The name of a new schedule."""
    name = f"s{uuid4().hex[:8]}"
    body = {"terms": {"task": "report", "timetable": {"kind": "interval", "every_seconds": 86_400}}}
    assert shown.face.ask("PUT", f"/schedules/{name}", body).status == 200
    shown.morgue.project()
    return name


def decided(page: Page, schedule: str, verb: str) -> None:
    """Press a schedule's button, with a reason."""
    page.goto("/ui/schedules")
    row = page.locator("tbody tr", has_text=schedule).first
    row.get_by_label(f"Reason, for {schedule}").fill("stocktaking")
    row.get_by_role("button", name=verb).click()
    expect(page.get_by_text("It is recorded.")).to_be_visible()


def test_tasks_are_filtered_and_one_is_opened(shown: Shown, visiting: Open) -> None:
    run_id = shown.morgue.bury("bill.plain", error="GatewayTimeout", requested=True)
    shown.morgue.project()
    page = visiting(Role.VIEWER, "/ui/tasks", has_scripts=False)
    page.get_by_label("Task").fill("bill.plain")
    page.get_by_label("State").select_option("bad")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody tr a.id").click()
    expect(page.locator(".timeline")).to_contain_text("task.dead_lettered")
    assert page.url.endswith(run_id)


def test_a_dead_letter_is_replayed_and_another_discarded(shown: Shown, visiting: Open) -> None:
    dead = [shown.morgue.bury("bill.still", error="Still", requested=True) for _ in range(2)]
    shown.morgue.project()
    page = visiting(Role.OPERATOR, "/ui/dead-letters", has_scripts=False)
    for verb, done in (("Replay", "Replayed: 1"), ("Discard", "Discarded: 1")):
        page.goto("/ui/dead-letters")
        page.locator("tr", has_text="bill.still").first.get_by_role("link", name=f"{verb}…").click()
        page.get_by_label("How many").fill("1")
        page.get_by_label("Reason").fill("seen")
        page.get_by_role("button", name=verb).click()
        expect(page.get_by_role("heading", name=done)).to_be_visible()
        shown.morgue.project()
    letters = shown.morgue.rows("select run_id, letter_state from analytics.fct_dead_letters")
    assert sorted(each["letter_state"] for each in letters if each["run_id"] in dead) == ["discarded", "replayed"]


def test_a_schedule_is_paused_run_and_resumed(shown: Shown, visiting: Open) -> None:
    name = declared(shown)
    page = visiting(Role.OPERATOR, "/ui/schedules", has_scripts=False)
    decided(page, name, "Pause")
    shown.morgue.project()
    decided(page, name, "Run now")
    expect(page.get_by_role("link", name=re.compile("run [0-9a-f-]{36}"))).to_be_visible()
    decided(page, name, "Resume")
    story = shown.morgue.store.load_recorded(Log.LICENSING, [f"schedule-{name}"])[f"schedule-{name}"]
    names = [each.event.name for each in story]
    assert names == ["schedule.declared", "schedule.paused", "schedule.resumed"]
    assert {each.metadata["actor"] for each in story[1:]} == {"token:a-operator"}


def test_whoever_may_only_look_finds_no_form_on_any_page_and_logs_out(shown: Shown, visiting: Open) -> None:
    declared(shown)
    run_id = shown.morgue.bury("bill.looked", error="Looked", requested=True)
    shown.morgue.project()
    page = visiting(Role.VIEWER, "/ui", has_scripts=False)
    for path in ("/ui", "/ui/tasks", f"/ui/tasks/{run_id}", "/ui/dead-letters", "/ui/schedules", "/ui/projections"):
        page.goto(path)
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("main form[method=post]")).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    page.goto("/ui/tasks")
    expect(page.get_by_label("Token")).to_be_visible()
