from __future__ import annotations

import json

import pytest

from infra.database import Leadership
from tasks.retention.retaining import LEADERSHIP
from tests.infra.retention.past import MONTHS, Past, on
from tests.tasks.retention.conftest import Run


def test_what_may_go_is_archived_dropped_and_still_counted(past: Past, run: Run) -> None:
    """Read models rebuilt after a drop, in place and beside, are those before it, and the log is as it was sealed."""
    before, heartbeats, sealed = past.dump(), past.heartbeats(), past.verified()
    found = json.loads(run("events", "retain", "--json").stdout)
    assert [part["name"] for part in found if not part["reasons"]] == [*MONTHS]
    done = run("events", "retain", "--apply")
    assert done.exit_code == 0, done.output
    assert past.names() == []
    verified = past.verified()
    assert (verified.findings, verified.events, verified.upto) == ([], sealed.events, sealed.upto)
    assert verified.dropped == sum(beats[0].at < on(4, 1) for _, beats in heartbeats) > 20
    assert past.heartbeats() == heartbeats
    assert past.dump() == before

    rebuilt = run("projection", "rebuild", "sessions", "--in-place")
    assert rebuilt.exit_code == 0, rebuilt.output
    assert past.dump() == before
    for command in ("rebuild", "diff", "switch"):
        beside = run("projection", command, "sessions")
        assert beside.exit_code == 0, beside.output
    assert past.dump() == before


def test_without_being_told_to_it_says_what_may_go_and_does_nothing(past: Past, run: Run) -> None:
    said = run("events", "retain")
    assert said.exit_code == 0
    lines = {line.split()[0]: line for line in said.stdout.splitlines()}
    assert all("may go (not archived yet)" in lines[month] for month in MONTHS)
    assert "there is nothing in it" in lines["before"]
    assert "log time is read from it" not in said.stdout
    assert "nothing was done: --apply archives and drops what may go" in said.stdout
    assert past.names() == [*MONTHS]
    assert past.settings.archive_dir is not None
    assert list(past.settings.archive_dir.iterdir()) == []


def test_an_archive_that_is_gone_is_named_and_nothing_is_rebuilt_without_it(past: Past, run: Run) -> None:
    before = past.dump()
    assert run("events", "retain", "--apply").exit_code == 0
    assert past.settings.archive_dir is not None
    (file,) = past.settings.archive_dir.iterdir()
    hidden = file.rename(file.with_suffix(".away"))
    for command in (("--in-place",), ()):
        refused = run("projection", "rebuild", "sessions", *command)
        assert refused.exit_code == 1
        assert refused.stderr.count("\n") == 1
        assert f"are not in {past.settings.archive_dir}: {file.name}" in refused.stderr
    assert past.dump() == before
    hidden.rename(file)
    assert run("projection", "rebuild", "sessions").exit_code == 0
    assert run("projection", "diff", "sessions").exit_code == 0


def test_who_was_not_told_where_archives_are_is_told_what_to_set(
    past: Past, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("events", "retain", "--apply").exit_code == 0
    monkeypatch.delenv("LEDGERQ_ARCHIVE_DIR")
    refused = run("projection", "rebuild", "sessions", "--in-place")
    assert (refused.exit_code, "set LEDGERQ_ARCHIVE_DIR to where" in refused.stderr) == (1, True)
    assert past.dump() == past.dump()


def test_answers_as_of_an_instant_need_no_heartbeats_and_stay_the_same(run: Run) -> None:
    asked = [
        ("session", "show", f"s{number}", "--as-of", moment, "--json")
        for number in (1, 2)
        for moment in ("2026-01-10T18:00", "2026-02-10T18:00", "2026-03-01")
    ]
    before = [(done.exit_code, done.stdout) for done in (run(*each) for each in asked)]
    assert run("events", "retain", "--apply").exit_code == 0
    assert [(done.exit_code, done.stdout) for done in (run(*each) for each in asked)] == before
    assert {code for code, _ in before} == {0, 1}


def test_only_one_at_a_time_archives_and_drops(past: Past, run: Run) -> None:
    with Leadership(past.settings, LEADERSHIP) as other:
        assert other.acquire()
        refused = run("events", "retain", "--apply")
    assert (refused.exit_code, "somebody else is archiving" in refused.stderr) == (1, True)
    assert past.names() == [*MONTHS]


def test_a_directory_that_is_not_there_is_named(past: Past, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_ARCHIVE_DIR", "/nowhere/at all")
    refused = run("events", "retain", "--apply")
    assert (refused.exit_code, "there is no directory /nowhere/at all" in refused.stderr) == (1, True)
    assert past.names() == [*MONTHS]


def test_json_does_not_go_with_apply(past: Past, run: Run) -> None:
    refused = run("events", "retain", "--apply", "--json")
    assert (refused.exit_code, past.names()) == (2, [*MONTHS])


def test_the_archive_command_says_where_dropped_events_are(past: Past, run: Run) -> None:
    assert run("events", "retain", "--apply").exit_code == 0
    assert past.settings.archive_dir is not None
    (file,) = past.settings.archive_dir.iterdir()
    refused = run("events", "archive", str(file.with_name("mine.gz")), "--log", "heartbeats")
    assert (refused.exit_code, f"in the archive {file.name}; nothing is archived" in refused.stderr) == (1, True)
    assert run("events", "verify", "--archive", str(file)).exit_code == 0
    said = run("events", "verify", "--log", "heartbeats")
    assert (said.exit_code, "were dropped from the log: their digests agree" in said.stdout) == (0, True)


def test_what_was_dropped_can_be_put_back_and_counts_once(past: Past, run: Run) -> None:
    before, heartbeats = past.dump(), past.heartbeats()
    assert run("events", "retain", "--apply").exit_code == 0
    assert past.settings.archive_dir is not None
    (file,) = past.settings.archive_dir.iterdir()
    back = run("events", "restore", str(file))
    assert back.exit_code == 0, back.output
    verified = past.verified()
    assert (verified.findings, verified.dropped) == ([], 0)
    assert past.heartbeats() == heartbeats
    assert run("projection", "rebuild", "sessions", "--in-place").exit_code == 0
    assert past.dump() == before
