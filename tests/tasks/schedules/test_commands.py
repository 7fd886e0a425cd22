"""What people see of schedules and do about them, at the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from domain.schedule_events import ScheduleFiredByHand
from domain.task_run import run_stream
from infra.cli import ledgerq
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tasks.dispatch.policies import PolicyFollower

NIGHTLY = ("--task", "sample.work", "--cron", "30 2 * * *", "--zone", "Europe/Berlin")


@pytest.fixture(autouse=True)
def environment(fresh_platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", fresh_platform.database_url.get_secret_value())


def call(*arguments: str) -> Result:
    return CliRunner().invoke(ledgerq, ["schedule", *arguments])


def did(*arguments: str) -> str:
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def shown(name: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(did("show", name, "--json"))
    return found


def refused(*arguments: str) -> str:
    done = call(*arguments)
    assert done.exit_code in {1, 2}, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return re.sub(r"[\s│]+", " ", done.output)


def test_a_schedule_lives_from_its_addition_to_its_removal_as_people_say() -> None:
    did(
        "add",
        "report",
        *NIGHTLY,
        "--kwargs",
        '{"x": 1}',
        "--catch-up",
        "all",
        "--catch-up-for",
        "2h",
        "--reason",
        "new",
    )
    terms = shown("report")["terms"]
    assert terms["timetable"] == {"kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin"}
    assert (terms["kwargs"], terms["catch_up"], terms["catch_up_seconds"]) == ({"x": 1}, "all", 7200.0)

    did("change", "report", "--zone", "America/New_York", "--overlap", "skip")
    terms = shown("report")["terms"]
    assert (terms["timetable"]["zone"], terms["timetable"]["expression"]) == ("America/New_York", "30 2 * * *")
    assert (terms["overlap"], terms["catch_up"], terms["task"]) == ("skip", "all", "sample.work")

    did("pause", "report", "--reason", "stocktaking")
    assert did("next", "report") == ""
    did("resume", "report")
    assert len(did("next", "report", "--count", "3").splitlines()) == 3

    did("remove", "report")
    assert did("list") == ""
    assert "removed" in did("list", "--all")
    did("add", "report", *NIGHTLY)
    history = [(each["name"].removeprefix("schedule."), each["reason"]) for each in shown("report")["history"]]
    assert history == [
        ("declared", "new"),
        ("changed", None),
        ("paused", "stocktaking"),
        ("resumed", None),
        ("removed", None),
        ("declared_again", None),
    ]
    assert "stocktaking" in did("show", "report")


def test_intervals_and_single_moments_are_listed_with_their_next_slot() -> None:
    did("add", "often", "--task", "sample.work", "--every", "90", "--anchor", "2030-01-01T00:00:10")
    did("add", "once", "--task", "sample.work", "--at", "2061-07-28T12:00:00+02:00")
    did("add", "sometime", *NIGHTLY)
    did("pause", "sometime")
    listed = {each["schedule"]: each for each in msgspec.json.decode(did("list", "--json"))}
    assert listed["once"]["next_slot_at"] == "2061-07-28T10:00:00Z"
    often = datetime.fromisoformat(listed["often"]["next_slot_at"])
    assert (often - datetime(2030, 1, 1, 0, 0, 10, tzinfo=UTC)).total_seconds() % 90 == 0
    assert (listed["sometime"]["state"], listed["sometime"]["next_slot_at"]) == ("paused", None)
    assert [line.split()[:2] for line in did("list").splitlines()] == [
        ["often", "active"],
        ["once", "active"],
        ["sometime", "paused"],
    ]


def test_run_by_hand_prints_the_id_of_the_run_that_dispatch_accepts(store: EventStore) -> None:
    did("add", "report", *NIGHTLY)
    did("pause", "report")
    run_id = did("run", "report", "--reason", "the mail was lost").strip()
    (recorded,) = store.read(Log.LICENSING, after=0, limit=10, names=(ScheduleFiredByHand.TOPIC,)).events
    assert recorded.event.data()["reason"] == "the mail was lost"
    policies = PolicyFollower(store, clock=lambda: datetime.now(UTC), page_events=100)
    policies.take_over()
    while policies.step():
        pass
    (requested,) = store.read(Log.TASKS, after=0, limit=10).events
    assert requested.event.originator_id == run_stream(run_id)
    assert [each["run_id"] for each in shown("report")["fired"]] == [run_id]


def test_what_cannot_be_is_refused_with_what_is_allowed() -> None:
    did("add", "report", *NIGHTLY)
    task = ("--task", "sample.work")
    for arguments, says in (
        (("add", "report", *NIGHTLY), "there is a schedule of this name"),
        (("add", "a b", *NIGHTLY), "letters, digits"),
        (("add", *NIGHTLY, "--", "-dash"), "the first no -"),
        (("add", "s", *task, "--cron", "* * * * *", "--zone", ""), "'' is no time zone"),
        (("change", "report", "--zone", ""), "'' is no time zone"),
        (("change", "report", "--cron", ""), "five fields"),
        (("add", "s", *task), "one of --cron, --every and --at"),
        (("add", "s", "--every", "5m"), "needs a --task"),
        (("add", "s", *task, "--every", "5m", "--at", "2061-01-01"), "goes by one of them"),
        (("add", "s", *task, "--every", "often"), "45s, 30m, 2h"),
        (("add", "s", *task, "--every", "0.5"), "0.5 s is no interval; allowed are 1 s to 366 days"),
        (("add", "s", *task, "--every", "99999999999d"), "allowed are 1 s to 366 days"),
        (("add", "s", *task, "--every", "5m", "--zone", "UTC"), "--zone goes with --cron"),
        (("add", "s", *task, "--cron", "61 * * * *"), "minute 0-59"),
        (("add", "s", *task, "--cron", "* * * * *", "--zone", "Mars/Olympus"), "IANA"),
        (("add", "s", *task, "--at", "2001-01-01"), "still to come"),
        (("add", "s", *task, "--at", "tomorrow"), "ISO 8601"),
        (("add", "s", "--task", "sample.wrk", "--every", "5m"), "known are sample."),
        (("add", "s", *task, "--every", "5m", "--kwargs", "[]"), "JSON object"),
        (("add", "s", *task, "--every", "5m", "--kwargs", r'{"a": "\u0000"}'), "U+0000"),
        (("change", "report", "--kwargs", r'{"\u0000": 1}'), "U+0000"),
        (("add", "s", *task, "--every", "5m", "--reason", "r\udcff"), "not UTF-8"),
        (("add", "s", *task, "--every", "5m", "--catch-up", "some"), "'none', 'last', 'all'"),
        (("change", "report", "--cron", "30 2 * * *"), "as asked for already"),
        (("resume", "report"), "not paused"),
        (("pause", "none"), "no such schedule"),
        (("change", "none", "--tier", "low"), "no such schedule"),
        (("show", "none"), "no such schedule"),
        (("next", "none"), "no such schedule"),
        (("run", "none"), "no such schedule"),
    ):
        assert says in refused(*arguments), arguments
    did("add", "abroad", "--task", "another.programs.task", "--every", "5m", "--any-task")
