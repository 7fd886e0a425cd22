"""What becomes of the entries of Celery's beat."""

from __future__ import annotations

import importlib
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab, solar
from click.testing import CliRunner

from domain.timetable import Cron, Interval, Timetable, slots
from infra.cli import ledgerq
from infra.settings import Settings
from tasks.schedules.beat import BeatEntryRefused, schedule_name, terms_of

BERLIN = Celery("theirs", broker="memory://", set_as_current=False)
BERLIN.conf.timezone = "Europe/Berlin"
SUNSET = solar.__new__(solar)  # making one takes a library that nobody here needs
PROJECT = """
from celery import Celery
from celery.schedules import crontab
app = Celery("theirs", broker="memory://", set_as_current=False)
app.conf.beat_schedule = {
    "every minute!": {"task": "t.often", "schedule": 60.0},
    "at night": {"task": "t.nightly", "schedule": crontab(minute=30, hour=2), "kwargs": {"x": 1}},
    "by place": {"task": "t.often", "schedule": 60.0, "args": (1,)},
    "sync a!": {"task": "t.a", "schedule": 60.0},
    "sync a?": {"task": "t.b", "schedule": 60.0},
    "-sync b": {"task": "t.a", "schedule": 60.0},
    "sync b": {"task": "t.b", "schedule": 60.0},
    "for ever": {"task": "t.often", "schedule": 1e308},
    "a line": "x",
    "!?": {"task": "t.often", "schedule": 60.0},
    "-nightly": {"task": "t.nightly", "schedule": 60.0},
    "a null": {"task": "t.often", "schedule": 60.0, "kwargs": {"x": "\\0"}},
    7: {"task": "t.often", "schedule": 60.0},
}
"""


def terms(schedule: Any, **entry: Any) -> Any:
    return terms_of({"task": "t", "schedule": schedule, **entry}, BERLIN)


@pytest.mark.parametrize(
    ("schedule", "timetable"),
    [
        (30, Interval(30.0)),
        (timedelta(minutes=5), Interval(300.0)),
        (crontab(), Cron("* * * * *", "Europe/Berlin")),
        (crontab(minute="*/15"), Cron("*/15 * * * *", "Europe/Berlin")),
        (crontab(minute=0, hour="8-10,17"), Cron("0 8,9,10,17 * * *", "Europe/Berlin")),
        (crontab(0, 7, day_of_week="mon-fri"), Cron("0 7 * * 1,2,3,4,5", "Europe/Berlin")),
        (crontab(0, 0, day_of_month="2-30/14"), Cron("0 0 2,16,30 * *", "Europe/Berlin")),
        (crontab(0, 0, day_of_month="1", month_of_year="*/3"), Cron("0 0 1 */3 *", "Europe/Berlin")),
    ],
)
def test_an_entry_becomes_terms_that_mean_the_same(schedule: Any, timetable: Timetable) -> None:
    assert terms(schedule).timetable == timetable


def test_an_imported_crontab_comes_when_beat_would_have_sent_it() -> None:
    entry = crontab(minute="*/20", hour="6,18", day_of_week="sun,wed", app=BERLIN)
    start = datetime(2027, 3, 20, tzinfo=UTC)
    shown = [start + timedelta(minutes=minute) for minute in range(14 * 24 * 60)]
    fits = [
        moment
        for moment in shown
        if (local := moment.astimezone(ZoneInfo("Europe/Berlin"))).minute in entry.minute
        and local.hour in entry.hour
        and local.isoweekday() % 7 in entry.day_of_week
    ]
    found = slots(terms(entry).timetable, after=start - timedelta(seconds=1), upto=shown[-1])
    assert list(found) == fits
    assert len(fits) == 24


def test_its_arguments_and_its_tier_come_along() -> None:
    found = terms(30, kwargs={"x": 1}, options={"queue": "tasks.high"})
    assert (found.kwargs, found.tier) == ({"x": 1}, "high")


@pytest.mark.parametrize(
    ("schedule", "entry", "why"),
    [
        (SUNSET, {}, "by the sun"),
        (crontab(0, 0, day_of_month=1, day_of_week="mon"), {}, "beat wants both to fit"),
        (crontab(nowfun=datetime.now), {}, "a clock of its own"),
        (30, {"args": (1,)}, "positional arguments"),
        (30, {"options": {"queue": "celery"}}, "tasks.normal"),
        (30, {"options": {"expires": 5}}, "expires"),
        (1e308, {}, "OverflowError"),
        ("soon", {}, "cannot be read"),
        (30, {"task": 5}, "its task is no name but int"),
        (30, {"kwargs": {"day": datetime(2027, 1, 1, tzinfo=UTC)}}, "datetime is not JSON serializable"),
    ],
)
def test_what_no_schedule_can_do_is_refused_with_the_reason(schedule: Any, entry: dict[str, Any], why: str) -> None:
    with pytest.raises(BeatEntryRefused, match=why):
        terms(schedule, **entry)


@pytest.mark.parametrize(
    ("entry", "why"),
    [("x", "no dictionary but str"), ({"task": "t"}, "it has no schedule"), ({}, "it has no schedule and no task")],
)
def test_what_is_no_entry_is_refused_with_what_is_missing(entry: Any, why: str) -> None:
    with pytest.raises(BeatEntryRefused, match=why):
        terms_of(entry, BERLIN)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("raise RuntimeError('no\\nway')", "RuntimeError: no way"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("class App:\n    def __getattr__(self, name): raise KeyError(name)\napp = App()", "KeyError: 'conf'"),
        ("app = 5", "no attribute 'conf'"),
        (PROJECT + "app.conf.beat_schedule = ['x']", "is no dictionary but list"),
    ],
)
def test_an_application_that_cannot_be_read_is_a_usage_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "brokenproject", raising=False)
    (tmp_path / "brokenproject.py").write_text(module)
    importlib.invalidate_caches()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    done = CliRunner().invoke(ledgerq, ["schedule", "import-beat", "brokenproject:app"])
    assert (done.exit_code, why in re.sub(r"[\s│]+", " ", done.output)) == (2, True), done.output


def test_a_name_is_made_one_that_a_schedule_may_have() -> None:
    assert schedule_name("add every 30 seconds!") == "add-every-30-seconds-"
    assert schedule_name("(--nightly)") == "nightly-"


def test_an_applications_entries_are_shown_first_and_then_added_once(
    fresh_platform: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", fresh_platform.database_url.get_secret_value())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirproject.py").write_text(PROJECT)

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(ledgerq, ["schedule", *arguments])
        assert isinstance(done.exception, SystemExit | None), done.output
        return done.output

    assert "nothing was done" in call("import-beat", "theirproject:app")
    assert call("list") == ""
    said = call("import-beat", "theirproject:app", "--apply")
    assert "schedule every-minute- added: every 60 s, t.often" in said
    assert "for ever: refused: it cannot be read: OverflowError" in said
    assert "a line: refused: it is no dictionary but str" in said
    assert "a null: refused: it holds the character U+0000" in said
    assert "!?: refused: '' is no name of a schedule" in said
    assert "7: refused: its name is no text but int" in said
    assert "by place: refused: it has positional arguments" in said
    assert "sync a!: refused: its schedule would be called sync-a-, as that of sync a?; rename one" in said
    assert "-sync b: refused: its schedule would be called sync-b, as that of sync b; rename one" in said
    assert "sync a?: refused: its schedule would be called sync-a-, as that of sync a!; rename one" in said
    assert [line.split()[0] for line in call("list").splitlines()] == ["at-night", "every-minute-", "nightly"]
    again = call("import-beat", "theirproject:app", "--apply")
    assert again.count("is so already") == 3
    assert "wanted is MODULE:APP" in call("import-beat", "theirproject:nothing")
