"""Replays: a new run for each dead letter, once, by whoever and however often it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from domain.dead_letter import GENERATION_LIMIT, ReplayRequested, replay_stream
from infra.event_store import EventStore, Log
from tasks.dead_letters.letter import load_letters
from tasks.dead_letters.replay import Replayer, Tally, request_replay
from tasks.dispatch.celery_message import celery_message
from tests.tasks.dead_letters.morgue import NOW, WHY, Morgue
from tests.waiting import eventually


def now() -> datetime:
    return datetime.now(UTC)


def batch_of(store: EventStore, *run_ids: str, per_second: float | None = None, is_again: bool = False) -> UUID:
    asked = ReplayRequested(
        originator_id=replay_stream(uuid4()),
        originator_version=1,
        timestamp=now(),
        reason="because",
        chosen_by={},
        run_ids=run_ids,
        per_second=per_second,
        is_again=is_again,
    )
    return request_replay(store, asked, actor="ada@desk")


def test_a_replay_is_a_new_run_of_the_same_story_caused_by_the_dead_letter(morgue: Morgue) -> None:
    dead = morgue.bury("bill.charge", 7, month=5)
    replayed = morgue.replay("--run", dead)
    (new_run,) = replayed.values()
    recorded, request = morgue.requested(new_run), morgue.request(new_run)
    letter = next(load_letters(morgue.store, [dead]))
    assert (request.task, request.args, request.kwargs) == ("bill.charge", (7,), {"month": 5})
    assert (request.tier, request.priority) == ("high", 4)
    assert (request.replay_of, request.generation) == (dead, 1)
    assert recorded.metadata["correlation_id"] == f"story-{dead}"
    assert recorded.metadata["causation_id"] == str(letter.fact.event_id)
    assert "@" in recorded.metadata["actor"]
    assert morgue.listed() == []


def test_nothing_of_the_old_message_s_deaths_and_attempts_goes_along(morgue: Morgue) -> None:
    chain = {"chain": [{"task": "bill.print", "args": [], "kwargs": {}}]}
    carried = {"timelimit": [60, 50], "expires": "2026-01-01T00:00:00+00:00", "tenant-hint": "acme"}
    dead = morgue.bury(headers=carried, body=json.dumps([[], {}, chain]).encode())
    (new_run,) = morgue.replay("--run", dead).values()
    message = celery_message(morgue.requested(new_run))
    assert [name for name in message.headers if name.startswith("x-")] == []
    assert (message.headers["id"], message.headers["retries"], message.headers["ledgerq-attempt"]) == (new_run, 0, 1)
    assert message.headers["expires"] is None
    assert (message.headers["timelimit"], message.headers["tenant-hint"]) == ([60, 50], "acme")
    assert message.headers["root_id"] == dead
    assert json.loads(message.body)[2]["chain"] == chain["chain"]


def test_what_was_replayed_is_not_replayed_again_unless_asked(morgue: Morgue) -> None:
    dead = morgue.bury()
    assert morgue.replay("--run", dead)
    assert morgue.replay("--run", dead) == {}
    assert morgue.replay("--task", "bill.*") == {}
    assert morgue.requests() == 1
    assert list(morgue.replay("--run", dead, "--again")) == [dead]
    assert morgue.requests() == 2


def test_the_same_batch_twice_counts_once(morgue: Morgue) -> None:
    batch = str(uuid4())
    morgue.bury()
    first = morgue.replay("--all", "--batch-id", batch)
    morgue.bury()
    assert morgue.replay("--all", "--batch-id", batch) == first
    assert morgue.requests() == 1


def test_an_interrupted_batch_is_gone_on_with_where_it_stopped(morgue: Morgue) -> None:
    dead = [morgue.bury(number=number) for number in range(5)]
    batch = batch_of(morgue.store, *dead)

    def interrupt(tally: Tally) -> None:
        if len(tally.done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Replayer(morgue.store, clock=now).carry_out(batch, tell=interrupt)
    assert morgue.requests() == 2
    (row,) = morgue.rows("select * from analytics.fct_replays")
    assert (row["letter_count"], row["replayed_count"], row["finished_at"]) == (5, 2, None)
    done = morgue.call("replay", "--resume", str(batch))
    assert done.exit_code == 0, done.output
    assert "5 replayed" in done.output
    assert morgue.requests() == 5
    (row,) = morgue.rows("select * from analytics.fct_replays")
    assert (row["replayed_count"], row["left_out_count"], row["finished_at"] is not None) == (5, 0, True)


def test_a_replay_killed_half_way_is_resumed_and_every_letter_is_replayed_once(morgue: Morgue) -> None:
    dead = [morgue.bury(number=number) for number in range(20)]
    morgue.project()
    command = (sys.executable, "-m", "infra.cli", "dlq", "replay", "--all", "--yes", "--rate", "10/s", *WHY)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: morgue.requests() >= 3)
    finally:
        process.kill()
        process.wait()
    assert morgue.requests() < 20
    (batch,) = morgue.rows("select * from analytics.fct_replays")
    assert (batch["letter_count"], batch["finished_at"]) == (20, None)
    done = morgue.call("replay", "--resume", batch["replay_id"])
    assert "20 replayed" in done.output
    assert morgue.requests() == 20
    replayed = morgue.rows("select run_id, new_run_id from analytics.fct_replayed_runs")
    assert {row["run_id"] for row in replayed} == set(dead)
    assert len({row["new_run_id"] for row in replayed}) == 20


def test_two_people_who_replay_the_same_letters_at_once_make_one_run_of_each(morgue: Morgue) -> None:
    dead = [morgue.bury(number=number) for number in range(20)]
    batches = [batch_of(morgue.store, *dead) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        tallies = list(pool.map(lambda batch: Replayer(morgue.store, clock=now).carry_out(batch), batches))
    assert sum(len(tally.done) for tally in tallies) == 20
    assert {why for tally in tallies for why in tally.left.values()} <= {"it is replayed already"}
    assert morgue.requests() == 20


def test_a_failing_task_replayed_by_filter_again_and_again_stops(morgue: Morgue) -> None:
    origin = morgue.bury("bill.hopeless")
    replays = 0
    while replayed := morgue.replay("--task", "bill.hopeless"):
        replays += 1
        assert replays < 10
        for new_run in replayed.values():
            morgue.bury("bill.hopeless", run_id=new_run)
    assert replays == GENERATION_LIMIT
    (last,) = morgue.rows("select * from analytics.fct_dead_letters where letter_state = 'open'")
    assert (last["generation"], last["run_id"] == origin) == (GENERATION_LIMIT, False)
    assert list(morgue.replay("--run", last["run_id"])) == [last["run_id"]]


def test_the_generation_is_the_log_s_even_while_the_read_model_does_not_know_of_replays(morgue: Morgue) -> None:
    dead = morgue.bury()
    for _ in range(GENERATION_LIMIT):
        (dead,) = morgue.replay("--run", dead).values()
        morgue.bury(run_id=dead)
    morgue.project()
    with morgue.store.transaction() as transaction:
        transaction.connection.execute("delete from read_model.replayed_runs")
    assert morgue.replay("--task", "*") == {}


def test_the_outcome_of_each_item_and_of_the_batch_can_be_queried(morgue: Morgue) -> None:
    good, bad, waiting = (morgue.bury(number=number) for number in range(3))
    replayed = morgue.replay("--all")
    morgue.tell(replayed[good], "succeeded", "bill.charge", attempt=1, result="7")
    morgue.bury(run_id=replayed[bad], error="OSError")
    outcomes = {
        row["run_id"]: (row["outcome"], row["error_type"])
        for row in morgue.rows("select * from analytics.fct_replayed_runs")
    }
    assert outcomes == {good: ("succeeded", None), bad: ("failed", "OSError"), waiting: ("requested", None)}
    (batch,) = morgue.rows("select * from analytics.fct_replays")
    assert (batch["succeeded_count"], batch["unsuccessful_count"], batch["open_count"]) == (1, 1, 1)
    assert (batch["reason"], batch["requested_by"]) == (
        "the gateway is back",
        morgue.requested(replayed[good]).metadata["actor"],
    )
    told = morgue.call("replays", batch["replay_id"])
    assert "OSError" in told.output
    assert "the gateway" in morgue.call("replays").output


def test_arguments_can_be_changed_and_what_was_changed_is_recorded(morgue: Morgue) -> None:
    dead = morgue.bury(amount=5, to="ada")
    (new_run,) = morgue.replay("--run", dead, "--set", "amount=6", "--set", "cc=null", "--priority", "9").values()
    assert morgue.request(new_run).kwargs == {"amount": 6, "to": "ada", "cc": None}
    assert morgue.request(new_run).priority == 9
    (row,) = morgue.rows("select patch, priority from analytics.fct_replayed_runs")
    assert json.loads(row["patch"]) == [
        {"op": "test", "path": "/kwargs/amount", "value": 5},
        {"op": "replace", "path": "/kwargs/amount", "value": 6},
        {"op": "add", "path": "/kwargs/cc", "value": None},
    ]
    (batch,) = morgue.rows("select edit, priority from analytics.fct_replays")
    assert (json.loads(batch["edit"]), batch["priority"]) == ({"assign": {"amount": 6, "cc": None}}, 9)


def test_a_rate_is_kept_to(morgue: Morgue) -> None:
    dead = [morgue.bury(number=number) for number in range(6)]
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    began = time.monotonic()
    Replayer(morgue.store, clock=now, pause=pause).carry_out(batch_of(morgue.store, *dead, per_second=10))
    assert time.monotonic() - began >= 0.5
    assert waits


def test_a_letter_without_a_body_that_can_be_called_is_left_alone_and_says_why(morgue: Morgue) -> None:
    broken = morgue.bury(body=b"\xff{", number=1)
    nameless = morgue.bury(headers={"task": None})
    sound = morgue.bury()
    tally = Replayer(morgue.store, clock=now).carry_out(batch_of(morgue.store, broken, nameless, sound, "no-such-run"))
    assert list(tally.done) == [sound]
    assert "its body is none" in tally.left[broken]
    assert tally.left["no-such-run"] == "the log has no dead letter of it"


def test_a_body_too_large_to_be_kept_is_replayed_from_the_request_if_there_was_one(morgue: Morgue) -> None:
    large = "x" * 70_000
    asked, observed = morgue.bury(requested=True, text=large), morgue.bury(text=large)
    replayed = morgue.replay("--all")
    assert list(replayed) == [asked]
    assert morgue.request(replayed[asked]).kwargs == {"text": large}
    done = morgue.call("replay", "--run", observed, "--dry-run")
    assert "bytes) was not kept" in done.output


def test_a_discarded_letter_is_found_no_more_and_who_and_why_is_recorded(morgue: Morgue) -> None:
    dead = morgue.bury()
    done = morgue.call("discard", "--run", dead, "--reason", "paid by hand")
    assert (done.exit_code, "1 discarded" in done.output) == (0, True), done.output
    assert morgue.listed() == []
    assert morgue.listed("--state", "discarded") == [dead]
    assert morgue.replay("--task", "*") == {}
    (row,) = morgue.rows("select * from analytics.fct_dead_letters")
    assert (row["letter_state"], row["decision_reason"], "@" in row["decided_by"]) == (
        "discarded",
        "paid by hand",
        True,
    )
    assert morgue.replay("--run", dead) == {}
    assert morgue.replay("--run", dead, "--again")


def test_a_decision_leaves_the_run_s_own_end_alone(morgue: Morgue) -> None:
    dead = morgue.bury()
    morgue.replay("--run", dead)
    (row,) = morgue.rows(f"select state, ended_at from analytics.fct_task_runs where run_id = '{dead}'")  # noqa: S608
    assert row["state"] == "failed"
    assert row["ended_at"] < NOW
    positions = morgue.store.read(Log.TASKS, after=0, limit=100, names=("task.failed",)).events
    assert len(positions) == 1
