from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from domain.session import session_stream
from infra.event_store import EventStore, Log
from infra.settings import Settings
from infra.tracing.ids import trace_id
from tests.infra.event_store.facts import facts
from tests.infra.events.conftest import Connection, Run
from tests.infra.events.happenings import beats, license_issued, record, started, told
from tests.tasks.processes import Process
from tests.waiting import eventually


def test_tail_shows_the_last_events_and_ends_when_it_is_not_to_follow(store: EventStore, run: Run) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(5)))
    done = run("tail", "--no-follow", "-n", "2")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert "tasks:4" in lines[0]
    assert "2026-03-01 12:00:00.000Z" in lines[1]
    assert "task.started" in lines[1]
    assert "task_run-r4 v" in lines[1]
    assert "worker=w1" in lines[1]


def test_tail_in_json_gives_an_object_a_line_with_everything(store: EventStore, run: Run) -> None:
    (new,) = record(store, Log.TASKS, started("r1"), correlation_id="c1")
    done = run("tail", "--no-follow", "--json")
    (line,) = done.stdout.splitlines()
    told_ = json.loads(line)
    assert told_["log"] == "tasks"
    assert told_["event_id"] == str(new.event_id)
    assert told_["metadata"] == {"correlation_id": "c1"}
    assert told_["data"]["worker"] == "w1"
    assert told_["stream_id"] == "task_run-r1"


def test_an_event_whose_data_is_no_object_is_shown_as_it_is(
    store: EventStore, run: Run, connection: Connection
) -> None:
    (new,) = record(store, Log.TASKS, started("r1"))
    with connection.transaction():
        connection.execute("set local ledgerq.maintenance = on")
        connection.execute("""update event_store.task_events set data = '["by", "hand"]', metadata = '7'""")

    tail, show = run("tail", "--no-follow"), run("show", str(new.event_id))

    assert tail.exit_code == 0, tail.output
    assert tail.stdout.rstrip().endswith("[by, hand]")
    assert show.exit_code == 0, show.output
    assert '"hand"' in show.stdout


def test_tail_filters_by_log_name_and_stream(store: EventStore, run: Run) -> None:
    record(store, Log.TASKS, started("r1"), told("r1", "succeeded", attempt=1), started("q1"))
    record(store, Log.LICENSING, license_issued("l1"))
    asked = [
        (["--log", "licensing"], ["license.issued"]),
        (["--name", "task.succeeded"], ["task.succeeded"]),
        (["--name", "task.*", "--stream", "task_run-r"], ["task.started", "task.succeeded"]),
        (["--since", "1h", "--name", "license.*", "--name", "task.succeeded"], ["task.succeeded", "license.issued"]),
    ]
    for options, expected in asked:
        done = run("tail", "--no-follow", "--json", *options)
        assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == expected, options


def test_a_name_that_no_event_has_is_refused_with_those_there_are(run: Run) -> None:
    done = run("tail", "--no-follow", "--name", "session.updated")
    assert done.exit_code == 2
    assert "session.updated" in done.stderr
    assert "session.lapsed" in done.stderr


def test_a_time_that_is_none_is_refused_with_what_is_allowed(run: Run) -> None:
    done = run("tail", "--no-follow", "--since", "yesterday")
    assert done.exit_code == 2
    assert "allowed are 45s" in done.stderr


@pytest.mark.parametrize(("since", "lines"), [("0001-01-01", 1), ("9999-12-31T23:59:59", 0)])
def test_tail_may_begin_at_the_ends_of_time(store: EventStore, run: Run, since: str, lines: int) -> None:
    record(store, Log.TASKS, started("r1"))
    done = run("tail", "--no-follow", "--since", since)
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, lines), done.exception


def test_tail_follows_until_it_is_told_to_stop(store: EventStore, settings: Settings, tmp_path: Path) -> None:
    record(store, Log.TASKS, started("before"))
    process = Process("events tail", settings, log=tmp_path / "tail.log")
    try:
        eventually(lambda: "task_run-before" in process.log)
        record(store, Log.HEARTBEATS, beats("s1", "s2", "s3"))
        eventually(lambda: "session_ids=[s1, s2, … 3 in all]" in process.log)
        assert process.stop() == 0
    finally:
        process.kill()


def test_show_tells_everything_of_an_event_and_what_caused_it(store: EventStore, run: Run) -> None:
    (cause,) = record(store, Log.LICENSING, license_issued("l1"))
    (new,) = record(store, Log.TASKS, started("r1"), correlation_id="c1", actor="me", causation_id=str(cause.event_id))
    done = run("show", str(new.event_id))
    assert done.exit_code == 0, done.output
    for expected in ("task.started", "task_run-r1", "tasks, position 1", "c1", "me", '"worker": "w1"'):
        assert expected in done.stdout
    assert f"{cause.event_id} (license.issued, licensing:1)" in done.stdout
    assert ["trace", trace_id("c1")] in [line.split() for line in done.stdout.splitlines()]
    assert json.loads(run("show", str(new.event_id), "--json").stdout)["position"] == 1


def test_an_event_that_no_log_has_is_an_error(run: Run) -> None:
    done = run("show", str(uuid4()))
    assert (done.exit_code, "no log has an event" in done.stderr) == (1, True)
    assert run("show", "17").exit_code == 2


@pytest.mark.parametrize("asked", ["r1", "task_run-r1"])
def test_a_stream_is_shown_by_its_id_or_by_that_of_its_thing(store: EventStore, run: Run, asked: str) -> None:
    record(store, Log.TASKS, told("r1", "succeeded", 9, attempt=1), started("r1", 5))
    done = run("stream", asked, "--json")
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == ["task.started", "task.succeeded"]


def test_an_id_that_two_things_have_is_refused_with_their_streams(store: EventStore, run: Run) -> None:
    record(store, Log.TASKS, started("x"))
    store.append(Log.LICENSING, facts(session_stream("x"), [1]))
    done = run("stream", "x")
    assert done.exit_code == 1
    assert "session-x, task_run-x" in done.stderr
    assert run("stream", "session-x").exit_code == 0


def test_a_stream_that_no_log_has_is_an_error_that_names_what_was_tried(run: Run) -> None:
    done = run("stream", "nobody")
    assert done.exit_code == 1
    assert "session-nobody, license-nobody, task_run-nobody" in done.stderr


def test_a_story_is_shown_and_what_is_left_out_is_said(store: EventStore, run: Run) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(3)), correlation_id="c")
    assert len(run("correlation", "c").stdout.splitlines()) == 3
    cut = run("correlation", "c", "--limit", "2")
    assert len(cut.stdout.splitlines()) == 2
    assert "there may be more" in cut.stderr
    missing = run("correlation", "d")
    assert (missing.exit_code, "no log has an event of a story d" in missing.stderr) == (1, True)


def test_without_a_database_there_is_one_line_and_a_status_of_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    for command in (["tail"], ["show", str(uuid4())], ["stream", "x"], ["correlation", "x"]):
        done = run(*command)
        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "the database cannot answer" in done.stderr
