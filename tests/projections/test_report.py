from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from infra.event_store import Log
from projections.questions import ENDS
from projections.report import Conservation, Report, make_report
from tests.projections.histories import at, changes, minted, requested, told
from tests.projections.test_notices import FAILED, REFUSED
from tests.projections.test_sessions import LICENSE, heartbeats, started, watermark
from tests.projections.world import World
from tests.waiting import eventually

Connection = psycopg.Connection[tuple[object, ...]]


def section(found: Report, key: str) -> list[dict[str, Any]]:
    return {question.key: answer for question, answer in found.answers}[key]


def ended(run: object, end: str = "succeeded") -> list[Any]:
    failure = {} if end == "succeeded" else {"error_type": "ValueError", "error": "no"}
    return [requested(run), told(run, "started", 2, attempt=1), told(run, end, 5, attempt=1, **failure)]


def test_an_empty_platform_balances(asking: Connection) -> None:
    assert make_report(asking).conservation == Conservation(0, dict.fromkeys(ENDS, 0), 0, 0)
    assert make_report(asking).conservation.is_balanced


def test_it_balances_when_every_accepted_run_has_ended(world: World, asking: Connection) -> None:
    ends = ["succeeded", "failed", "timed_out", "lost", "rejected", "revoked", "expired"]
    for end in ends:
        world.record(Log.TASKS, *ended(minted(end), end))
    world.record(Log.TASKS, requested(minted("b")), told(minted("b"), "dead_lettered", 9, reason="maxlen"))
    world.catch_up()
    found = make_report(asking).conservation
    assert found.is_balanced
    assert found.sentence() == (
        "accepted 8 = succeeded 1 + failed 1 + timed out 1 + lost 1 + rejected 1 + revoked 1 + expired 1 "
        "+ dead-lettered 1 (open 0)"
    )


def test_it_does_not_balance_while_a_run_is_open(world: World, asking: Connection) -> None:
    world.record(Log.TASKS, *ended(minted("a")), requested(minted("b")))
    world.catch_up()
    found = make_report(asking)
    assert not found.conservation.is_balanced
    assert found.conservation.sentence().startswith("accepted 2 ≠ succeeded 1")
    assert [(row["state"], row["runs"]) for row in section(found, "open_tasks")] == [("requested", 1)]


def test_it_does_not_balance_when_the_read_model_does_not_know_what_the_log_knows(
    world: World, asking: Connection
) -> None:
    world.record(Log.TASKS, *ended(minted("a")))
    found = make_report(asking).conservation
    assert (found.accepted, found.disagreeing, found.is_balanced) == (1, 1, False)


def test_it_does_not_balance_when_the_read_model_invents_a_run(world: World, asking: Connection) -> None:
    world.record(Log.TASKS, *ended(minted("a")))
    world.catch_up()
    asking.execute("update read_model.task_runs set run_id = 'somebody else'")
    found = make_report(asking).conservation
    assert (found.accepted, sum(found.ends.values()), found.disagreeing) == (1, 1, 2)
    assert not found.is_balanced


def test_runs_accepted_after_it_was_asked_for_do_not_count(world: World, asking: Connection) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    world.catch_up()
    found: list[Report] = []
    waiting = threading.Thread(target=lambda: found.append(make_report(asking, wait=timedelta(seconds=20))))
    waiting.start()
    has_asked = (
        "select from pg_stat_activity where datname = current_database() "
        "and application_name = 'ledgerq asking' and query like '%%not is_ended%%'"
    )
    eventually(lambda: len(world.rows(has_asked)))
    world.record(Log.TASKS, requested(minted("later")))
    world.record(Log.TASKS, *ended(minted("a"))[1:])
    world.catch_up()
    waiting.join()
    assert found[0].conservation.is_balanced
    assert found[0].conservation.accepted == 1


def test_waiting_ends_at_the_deadline_with_what_there_is(world: World, asking: Connection) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    world.catch_up()
    assert make_report(asking, wait=timedelta(seconds=0.5)).conservation.open == 1


def test_every_section_says_what_the_views_say(world: World, asking: Connection) -> None:
    world.record(Log.LICENSING, *changes(LICENSE), *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(1), heartbeats(2), watermark(3))
    world.record(Log.TASKS, *ended(minted("a")), *ended(minted("b"), "failed"))
    world.record(Log.TASKS, told(minted("b"), "dead_lettered", 6, reason="rejected"))
    world.catch_up()
    found = make_report(asking)
    assert section(found, "sessions") == [{"state": "active", "sessions": 1, "heartbeats": 2, "lapses": 0}]
    assert section(found, "licenses") == [{"state": "active", "licenses": 1, "renewals": 0, "notices": 0}]
    tasks = [(row["tier"], row["outcome"], row["runs"], row["wait_p50_seconds"]) for row in section(found, "tasks")]
    assert tasks == [("normal", "failed", 1, 2), ("normal", "succeeded", 1, 2)]
    (letter,) = section(found, "dead_letters")
    assert letter == {"task": "bill", "reason": "rejected", "end": "failed", "error": "ValueError", "letters": 1}
    assert section(found, "ingest_dead_letters") == []
    events = {row["event"]: row["events"] for row in section(found, "events")}
    assert events["session.heartbeats_received"] == 2
    assert {row["events_behind"] for row in section(found, "lag")} == {0}


def test_the_report_view_says_the_same(world: World) -> None:
    world.record(Log.TASKS, *ended(minted("a")), requested(minted("b")))
    world.catch_up()
    row = world.row("select accepted_runs, succeeded_runs, open_runs, is_balanced from analytics.rpt_conservation")
    assert row == {"accepted_runs": 2, "succeeded_runs": 1, "open_runs": 1, "is_balanced": False}
    world.record(Log.TASKS, *ended(minted("b"))[1:])
    world.catch_up()
    assert world.row("select is_balanced from analytics.rpt_conservation") == {"is_balanced": True}


def test_percentiles_are_those_of_the_tier_and_outcome(world: World, asking: Connection) -> None:
    for number, seconds in enumerate([1, 2, 3, 4, 100]):
        run = minted(number)
        world.record(Log.TASKS, requested(run, tier="high"), told(run, "started", seconds, attempt=1))
        world.record(Log.TASKS, told(run, "succeeded", 200, attempt=1, runtime_seconds=seconds * 10.0))
    world.catch_up()
    (row,) = section(make_report(asking), "tasks")
    assert (row["wait_p50_seconds"], row["run_p50_seconds"]) == (3, 30)
    assert row["wait_p95_seconds"] == pytest.approx(80.8)
    assert at(0) < make_report(asking).accepted_until


def test_it_tells_what_came_of_e_mails(world: World, asking: Connection) -> None:
    world.record(Log.LICENSING, FAILED, REFUSED)
    world.catch_up()
    assert section(make_report(asking), "notices") == [
        {"letter": "license_expiring", "outcome": "refused", "reason": "server_refused", "notices": 1}
    ]
