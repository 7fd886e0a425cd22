"""What the log makes of a run is what its processes sent while it happened."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.database import connect
from infra.event_store import EventStore
from infra.events.reading import LogReader
from infra.tracing import ids, names
from infra.tracing.span import Span
from projections.traces.past import past_runs
from projections.traces.spans import Told, told_of
from tests.infra.tracing.collector import Got
from tests.infra.tracing.test_whole import Asked, Fleet, fleet
from tests.waiting import eventually

__all__ = ["fleet"]

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
LIVE_ONLY = frozenset({names.BODY_SIZE, names.MESSAGE_ID})
"""Attributes that only those know who had the message in hand; a task may set others on its attempt's span."""


class Seen(NamedTuple):
    """What two tellings of a span have to agree on."""

    service: str
    name: str
    kind: str
    parent: str
    links: frozenset[tuple[str, str, str]]
    marks: frozenset[str]
    error: str | None


def past(fleet: Fleet, run_id: str) -> list[Told]:
    url = fleet.settings.database_url.get_secret_value()
    with EventStore(url, name="test") as store, connect(fleet.settings, name="test") as connection:
        return told_of(past_runs(store, LogReader(connection), [run_id]))


def as_seen(told: Told) -> Seen:
    span = told.span
    links = frozenset((link.to.trace_id, link.to.span_id, link.what) for link in span.links)
    marks = frozenset(mark.name for mark in span.marks)
    return Seen(f"ledgerq-{told.service}", span.name, span.kind.name, span.parent or "", links, marks, span.error)


def as_sent(got: Got) -> Seen:
    links = frozenset((trace, span, said[names.LINK]) for trace, span, said in got.links)
    without_batches = frozenset(link for link in links if link[2] != names.LINK_BATCH)
    error = got.attributes.get(names.ERROR_TYPE) if got.is_error else None
    return Seen(got.service, got.name, got.kind, got.parent, without_batches, frozenset(got.marks), error)


def agree(fleet: Fleet, run_id: str, *, is_there: Callable[[list[Told]], bool]) -> list[Told]:
    """Wait until the run is ``is_there``, and all that the log tells of it was sent; then both have to be the same."""

    def both() -> tuple[list[Told], dict[tuple[str, str], Got]]:
        found = past(fleet, run_id)
        assert is_there(found)
        sent = dict(fleet.collector.spans)
        missing = [told.span for told in found if key(told.span) not in sent]
        assert missing == []
        return found, sent

    found, sent = eventually(both, seconds=60)
    assert {key(told.span): as_seen(told) for told in found} == {
        key(told.span): as_sent(sent[key(told.span)]) for told in found
    }
    for told in found:
        said = {name: value for name, value in told.span.attributes.items() if value is not None}
        live = sent[key(told.span)].attributes
        assert {name: live.get(name) for name in said} == said, told.span.name
        ours = {name for name in live if name.startswith(("messaging.", "ledgerq."))}
        assert ours - set(said) <= LIVE_ONLY, told.span.name
    traces = {told.span.context.trace_id for told in found}
    ours = {key_ for key_, got in sent.items() if key_[0] in traces and got.service != "ledgerq-projector"}
    by_tasks = {key_ for key_ in ours if sent[key_].name in {"by hand", "select"}}
    assert ours - by_tasks == {key(told.span) for told in found}
    return found


def key(span: Span) -> tuple[str, str]:
    return span.context.trace_id, span.context.span_id


def has(*events: str) -> Callable[[list[Told]], bool]:
    """Whether these events are recorded, the last as often as it is named."""

    def is_there(found: list[Told]) -> bool:
        recorded = [told.span.attributes.get(names.EVENT_NAME) for told in found if told.span.name.startswith("append")]
        return all(recorded.count(event) >= events.count(event) for event in events)

    return is_there


def test_a_run_that_succeeds(fleet: Fleet) -> None:
    asked = fleet.request("traced.looks")
    found = agree(fleet, asked.run_id, is_there=has("task.published", "task.succeeded"))
    assert {told.span.context.trace_id for told in found} == {asked.trace_id}
    live = {each.span_id: each for each in fleet.collector.trace(asked.trace_id)}
    attempt = next(told.span for told in found if told.span.name == "process tasks.normal")
    sent = live[attempt.context.span_id]
    assert abs(attempt.began.timestamp() - sent.began / 1e9) < 0.01
    assert abs(attempt.ended.timestamp() - sent.ended / 1e9) < 0.05


def test_a_run_that_is_tried_again(fleet: Fleet, tmp_path: Path) -> None:
    asked = fleet.request("traced.flaky", path=str(tmp_path / "tries"))
    agree(fleet, asked.run_id, is_there=has("task.published", "task.retry_scheduled", "task.succeeded"))


def test_a_run_that_dies_and_is_replayed(fleet: Fleet) -> None:
    asked = fleet.request("traced.hopeless", secret="x")  # noqa: S106  not one
    agree(fleet, asked.run_id, is_there=has("task.published", "task.dead_lettered"))
    new_run = eventually(lambda: replayed(fleet, asked), seconds=60)
    found = agree(fleet, asked.run_id, is_there=has("task.published", *["task.dead_lettered"] * 2))
    root = ids.replayed(new_run, is_sampled=True)
    assert {told.span.context.trace_id for told in found} == {asked.trace_id, root.trace_id}


def replayed(fleet: Fleet, asked: Asked) -> str:
    environment = {
        "LEDGERQ_BROKER_URL": fleet.settings.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": fleet.settings.database_url.get_secret_value(),
        "LEDGERQ_TRACING_ENDPOINT": fleet.collector.endpoint,
    }
    command = ["dlq", "replay", "--run", asked.run_id, "--reason", "test", "--json"]
    done = subprocess.run(
        (sys.executable, "-m", "infra.cli", *command), env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return str(said["replayed"][asked.run_id])


def test_a_run_whose_sender_had_a_trace_of_its_own(fleet: Fleet) -> None:
    run_id, trace_id, span_id = secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(8)
    headers = {"id": run_id, "task": "traced.looks", "root_id": run_id, "lang": "py"}
    headers["traceparent"] = f"00-{trace_id}-{span_id}-01"
    fleet.send("tasks", "tasks.normal", b"[[], {}, {}]", headers, "application/json")
    found = agree(fleet, run_id, is_there=has("task.started", "task.succeeded"))
    attempt = next(told.span for told in found if told.span.name == "process tasks.normal")
    assert (attempt.context.trace_id, attempt.parent) == (trace_id, span_id)
