"""``ledgerq dlq`` at the keyboard."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.dead_letters.choice import moment, per_second
from tests.tasks.dead_letters.morgue import NOW, WHY, Morgue


def test_the_list_is_filtered_by_task_error_time_queue_and_license(morgue: Morgue) -> None:
    old = morgue.bury("bill.charge", error="OSError", died_at=NOW - timedelta(hours=5))
    low = morgue.bury("bill.print", queue="tasks.low")
    licensed = morgue.bury("report_all", headers={"ledgerq-license-id": "L1"}, error="100%_odd")
    assert morgue.listed("--task", "bill.*") == [low, old]
    assert morgue.listed("--task", "report?all") == [licensed]
    assert morgue.listed("--task", "report%") == []
    assert morgue.listed("--error", "oserr") == [old]
    assert morgue.listed("--error", "%_O") == [licensed]
    assert morgue.listed("--since", "2h", "--queue", "tasks.low") == [low]
    assert morgue.listed("--until", (NOW - timedelta(hours=1)).isoformat()) == [old]
    assert morgue.listed("--license", "L1") == [licensed]
    assert morgue.listed("--run", low, "--run", old) == [low, old]
    table = morgue.call("list", "--limit", "1")
    assert "3 dead letters, 1 of them shown" in table.output


def test_the_list_says_what_a_person_needs_to_judge(morgue: Morgue) -> None:
    dead = morgue.bury()
    (row,) = json.loads(morgue.call("list", "--json").stdout)
    assert (row["task"], row["reason"], row["error_type"], row["worker"]) == (
        "bill.charge",
        "rejected",
        "ValueError",
        "w1",
    )
    assert (row["attempt_count"], row["code_version"], row["letter_state"]) == (1, "v7", "open")
    table = morgue.call("list").output
    assert dead in table
    assert "ValueError: ValueError: no" in table


def test_show_tells_the_story_the_message_and_the_arguments(morgue: Morgue) -> None:
    dead = morgue.bury(month=5)
    shown = morgue.call("show", dead).output
    assert f"bill.charge · failed · 1 attempt · run {dead}" in shown
    assert '"month": 5' in shown
    assert "ledgerq-attempt: 3" in shown
    assert "letter open" in shown
    values = json.loads(morgue.call("show", dead, "--json").stdout)
    assert [event["name"] for event in values["events"]] == ["task.started", "task.failed", "task.dead_lettered"]
    assert f"  trace {values['trace_id']}" in shown.splitlines()
    missing = morgue.call("show", "nobody")
    assert (missing.exit_code, "nobody" in missing.output) == (1, True)


def test_a_dry_run_says_how_many_and_shows_samples_and_writes_nothing(morgue: Morgue) -> None:
    for number in range(12):
        morgue.bury(error="OSError" if number % 3 else "ValueError", number=number)
    morgue.bury(body=b"{")
    done = morgue.call("replay", "--all", "--dry-run", "--set", "number=7")
    assert done.exit_code == 0, done.output
    assert "would replay 12 dead letters; nothing is written" in done.output
    assert "OSError" in done.output
    assert '"number":7' in done.output
    assert "1 left alone: its body is none" in done.output
    assert morgue.requests() == 0
    assert morgue.rows("select * from analytics.fct_replays") == []
    told = json.loads(morgue.call("replay", "--all", "--dry-run", "--json").stdout)
    assert told["would_replay"] == 12
    assert {(group["error"], group["letters"]) for group in told["groups"]} == {("OSError", 8), ("ValueError", 4)}
    assert len(told["samples"]) == 5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("replay", "--all"), "--reason"),
        (("replay", "--all", "--reason", " "), "--reason"),
        (("replay", *WHY), "which letters"),
        (("discard", *WHY), "which letters"),
        (("discard", "--all"), "--reason"),
        (("replay", "--all", *WHY, "--rate", "often"), "5/s"),
        (("replay", "--all", *WHY, "--since", "yesterday"), "ISO 8601"),
        (("replay", "--all", *WHY, "--set", "amount"), "NAME=JSON"),
        (("replay", "--all", *WHY, "--set", "to=ada"), "NAME=JSON"),
        (("replay", "--all", *WHY, "--edit"), "one letter"),
    ],
)
def test_what_is_missing_or_wrong_is_said_before_anything_is_done(
    morgue: Morgue, arguments: tuple[str, ...], complaint: str
) -> None:
    morgue.bury()
    morgue.bury()
    done = morgue.call(*arguments)
    assert (done.exit_code, complaint in done.output) == (2, True), done.output
    assert len(morgue.listed()) == 2


def test_many_letters_are_asked_about_first(morgue: Morgue) -> None:
    for number in range(11):
        morgue.bury(number=number)
    assert morgue.call("replay", "--all", *WHY, answer="n\n").exit_code == 1
    assert morgue.call("discard", "--all", *WHY, answer="n\n").exit_code == 1
    assert len(morgue.listed()) == 11
    assert morgue.call("replay", "--all", *WHY, "--yes").exit_code == 0
    assert morgue.listed() == []


def test_a_merge_patch_changes_every_payload(morgue: Morgue, tmp_path: Path) -> None:
    dead = morgue.bury("bill.charge", 1, to={"name": "ada", "fax": "1"}, draft=True)
    patch = tmp_path / "patch.json"
    patch.write_text('{"args": [2], "kwargs": {"to": {"fax": null, "mail": "a@example.org"}, "draft": null}}')
    (new_run,) = morgue.replay("--run", dead, "--merge", str(patch)).values()
    request = morgue.request(new_run)
    assert (request.args, request.kwargs) == ((2,), {"to": {"name": "ada", "mail": "a@example.org"}})


def test_one_letter_can_be_changed_in_an_editor(
    morgue: Morgue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/"ada"/"bob"/\' "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    dead = morgue.bury(to="ada")
    (new_run,) = morgue.replay("--run", dead, "--edit").values()
    assert morgue.request(new_run).kwargs == {"to": "bob"}


def test_a_run_that_is_no_dead_letter_is_named(morgue: Morgue) -> None:
    done = morgue.call("replay", "--run", "nobody", *WHY)
    assert (done.exit_code, "nobody" in done.output) == (1, True)
    assert morgue.call("replay", "--resume", "0192d7a5-0000-7000-8000-00000000dead").exit_code == 1


def test_times_and_rates_are_read_as_people_write_them() -> None:
    assert moment("90m", now=NOW, option="--since") == NOW - timedelta(minutes=90)
    assert moment("2026-03-01", now=NOW, option="--since").isoformat() == "2026-03-01T00:00:00+00:00"  # type: ignore[union-attr]
    assert (per_second("6/s"), per_second("30/m"), per_second(None)) == (6, 0.5, None)
