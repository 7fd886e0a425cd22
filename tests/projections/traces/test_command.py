"""``ledgerq trace`` at the keyboard, and what a collector gets of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from domain.license import License
from infra.event_store import Log
from infra.tracing import ids
from projections.traces import command
from projections.traces.otlp import document
from projections.traces.past import PastRun
from projections.traces.spans import told_of
from tests.infra.tracing.collector import Collector, grpc_collector, http_collector
from tests.projections.conftest import Run
from tests.projections.histories import at, changes, told
from tests.projections.traces.stories import ON, REPLAY, RUN, STORY, TRACE, asked, died, traced
from tests.projections.world import World

REPLAYED = {"number": 1, "reason": "up again", "replay_id": "b", "new_run_id": REPLAY, "generation": 1}
ROOT = ids.replayed(REPLAY, is_sampled=True)


@pytest.fixture
def past(world: World) -> World:
    """A run that died and its replay, which has not ended; nobody traced the first."""
    world.record(Log.TASKS, *died(), told(RUN, "letter_replayed", 60, **REPLAYED), correlation_id=STORY)
    again = [*asked(REPLAY, 60, replay_of=RUN, replay_id="b"), told(REPLAY, "started", 61, attempt=1, **ON)]
    world.record(Log.TASKS, *again, correlation_id=STORY, traceparent=ROOT.traceparent, actor="ada")
    return world


def shown(run: Run, *arguments: str) -> list[tuple[str, str, str | None]]:
    """Trace, span and parent of every span that the command shows."""
    done = run("trace", "show", *arguments, "--json")
    assert done.exit_code == 0, done.output
    spans = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted((each["trace_id"], each["span_id"], each["parent_id"]) for each in spans)


def got(collector: Collector) -> list[tuple[str, str, str | None]]:
    return sorted((each.trace_id, each.span_id, each.parent or None) for each in collector.spans.values())


@pytest.mark.usefixtures("past")
def test_a_run_is_shown_as_trees_with_times_outcomes_and_links(run: Run) -> None:
    done = run("trace", "show", RUN)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("trace ")] == [f"trace {TRACE}", f"trace {ROOT.trace_id}"]
    (first,) = [line for line in lines if "#1 task.retry_scheduled !OSError" in line]
    assert "0.500 s" in first
    assert any(f"→ dead letter: trace {TRACE} span {ids.buried(RUN)}" in line for line in lines)
    assert any("task.held reason=paused" in line for line in lines)
    assert f"run {REPLAY} has not ended" in done.stderr


def test_a_trace_that_takes_too_long_to_find_is_given_up_with_what_to_do_instead(
    past: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOOKED_FOR", timedelta(seconds=0.1))
    with past.connection.begin():
        past.psycopg.execute("lock table read_model.task_runs")
        done = run("trace", "show", TRACE)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "was not found within 0.1 s" in done.stderr
    assert "give the id of one of its runs" in done.stderr


@pytest.mark.usefixtures("past")
def test_the_trace_has_its_address_where_the_settings_say_how(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_TRACE_URL_TEMPLATE", "http://127.0.0.1:16686/trace/{trace_id}")
    lines = run("trace", "show", RUN).stdout.splitlines()
    assert lines[0] == f"trace {TRACE}  http://127.0.0.1:16686/trace/{TRACE}"


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize("width", [20, 60, 90])
def test_lines_fit_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(command, "PIPED_COLUMNS", width)
    lines = [line for line in run("trace", "show", RUN).stdout.splitlines() if not line.startswith("trace ")]
    assert max(map(len, lines)) <= max(width, 40)
    assert any(line.endswith("…") for line in lines)
    assert any("process tasks.normal" in line for line in lines)


def test_the_event_that_a_policy_followed_is_above_the_run(world: World, run: Run) -> None:
    license_events = changes(License.issue("l1", valid_until=at(86_400), at=at(0), seats=5))
    world.record(Log.LICENSING, *license_events, correlation_id=STORY, source_event_id="7", causation_id="m-1")
    issued = world.store.read(Log.LICENSING, after=0, limit=1).events[0].event_id
    world.record(Log.TASKS, *asked(), correlation_id=STORY, actor="policy:welcome", causation_id=str(issued))
    spans = [json.loads(line) for line in run("trace", "show", RUN, "--json").stdout.splitlines()]
    by_id = {each["span_id"]: each for each in spans}
    request = next(each for each in spans if each["attributes"].get("ledgerq.event.name") == "task.requested")
    above = by_id[request["parent_id"]]
    assert (above["name"], above["attributes"]["ledgerq.event.name"]) == ("append licensing", "license.issued")
    assert (by_id[above["parent_id"]]["name"], by_id[above["parent_id"]]["parent_id"]) == ("process ingest", None)


def test_a_trace_that_a_late_attempt_began_is_found_by_its_id(world: World, run: Run) -> None:
    root = ids.retried(RUN, 2, is_sampled=True)
    world.record(Log.TASKS, *died(delay_seconds=900)[:5], correlation_id=STORY)
    world.record(Log.TASKS, *died(delay_seconds=900)[5:], correlation_id=STORY, traceparent=root.traceparent)
    world.catch_up("task_runs", "task_attempts")
    assert shown(run, root.trace_id) == shown(run, RUN)
    assert {trace for trace, *_ in shown(run, RUN)} == {TRACE, root.trace_id}


def test_a_trace_is_found_by_its_id_told_or_derived(past: World, run: Run) -> None:
    past.catch_up("task_runs", "task_attempts")
    assert shown(run, TRACE) == shown(run, RUN)
    assert shown(run, ROOT.trace_id) == [each for each in shown(run, RUN) if each[0] == ROOT.trace_id]


@pytest.mark.parametrize("collecting", [http_collector, grpc_collector])
@pytest.mark.usefixtures("past")
def test_what_is_exported_is_what_is_shown_and_the_same_each_time(
    run: Run, monkeypatch: pytest.MonkeyPatch, collecting: Callable[[], AbstractContextManager[Collector]]
) -> None:
    protocol = "grpc" if collecting is grpc_collector else "http/protobuf"
    monkeypatch.setenv("LEDGERQ_TRACING_PROTOCOL", protocol)
    with collecting() as collector:
        first = run("trace", "export", RUN, "--endpoint", collector.endpoint)
        assert first.exit_code == 0, first.output
        once = dict(collector.spans)
        monkeypatch.setenv("LEDGERQ_TRACING_ENDPOINT", collector.endpoint)
        assert run("trace", "export", RUN).exit_code == 0
        assert got(collector) == shown(run, RUN)
        assert (collector.spans, collector.repeats) == (once, len(once))
        assert collector.texts[0] == collector.texts[1]
        assert {each.service for each in once.values()} == {f"ledgerq-{name}" for name in SERVICES}
        assert collector.tree(ROOT.trace_id) == REPLAY_TREE
    assert f"{len(once)} spans to {collector.endpoint}" in first.stderr
    assert f"run {REPLAY} has not ended" in first.stderr


SERVICES = ("command", "dispatch", "ingest", "worker")
REPLAY_TREE = [
    *("INTERNAL replay dead", "  INTERNAL append tasks"),
    *("    PRODUCER publish tasks.normal", "      INTERNAL append tasks"),
    *("      CONSUMER process tasks.normal", "        INTERNAL append tasks"),
]


@pytest.mark.usefixtures("past")
def test_a_file_has_the_same_as_otlp_in_json(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    assert run("trace", "export", RUN, "--to", str(path)).exit_code == 0
    once = path.read_bytes()
    assert once.count(b"\n") == 1
    spans = list(_spans(json.loads(once)))
    assert sorted((each["traceId"], each["spanId"], each.get("parentSpanId")) for each in spans) == shown(run, RUN)
    assert {type(each["kind"]) for each in spans} == {int}
    assert {link["traceId"] for each in spans for link in each.get("links", [])} == {TRACE, ROOT.trace_id}
    run("trace", "export", RUN, "--to", str(path))
    assert path.read_bytes() == once


def _spans(told: dict[str, list[dict[str, list[dict[str, list[dict[str, object]]]]]]]) -> Iterator[dict[str, object]]:
    for resource in told["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            yield from scope["spans"]


def test_a_document_has_no_payload() -> None:
    """What tasks are called with, and what they return or say when they fail, is in the log and in no span."""
    events = [*asked(kwargs={"card": "4111"}), *died()[2:]]
    assert b"4111" not in document(told_of([PastRun(RUN, traced(events))]))
    assert b"busy" not in document(told_of([PastRun(RUN, traced(events))]))


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["show", "nobody"], 1, "nothing is recorded of a run or a trace nobody"),
        (["show", "ab" * 16], 1, "nothing is recorded of a run or a trace abab"),
        (["export", RUN], 2, "LEDGERQ_TRACING_ENDPOINT"),
        (["export", RUN, "--endpoint", "127.0.0.1:4318"], 2, "does not begin with http:// or https://"),
        (["export", RUN, "--endpoint", "http://127.0.0.1:9"], 1, "http://127.0.0.1:9 did not take the spans"),
        (["export", RUN, "--to", "/no/such/directory/x"], 1, "cannot be written: No such file or directory"),
        (["export", RUN, "--to", "x", "--endpoint", "http://127.0.0.1:9"], 2, "are two ways: give one"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, arguments: list[str], status: int, said: str) -> None:
    done = run("trace", *arguments)
    assert (done.exit_code, said in " ".join(done.stderr.split())) == (status, True), done.output


def test_a_database_that_is_away_is_said_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    done = run("trace", "show", RUN)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.stderr
