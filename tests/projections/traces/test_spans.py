from __future__ import annotations

from datetime import timedelta

import pytest

from domain.run import TaskRun
from infra.tracing import Context, Link, ids, names
from infra.tracing.names import Kind
from projections.traces.attempts import HELD, IS_OPEN
from projections.traces.past import PastRun
from projections.traces.spans import Told, told_of
from tests.projections.histories import at, told
from tests.projections.traces.stories import (
    FAILED,
    ON,
    REPLAY,
    RETRY,
    RUN,
    STORY,
    TRACE,
    asked,
    died,
    drawn,
    facts,
    run,
    succeeded,
    traced,
)

TAKEN_IN = ["process ingest", "  append tasks", "    publish tasks.normal", "      append tasks"]
DIED = [
    *TAKEN_IN,
    "      process tasks.normal !OSError",
    "        append tasks",
    "        append tasks",
    "        append tasks",
    "      process tasks.normal !OSError",
    "        append tasks",
    "        append tasks",
    "        process dead.record",
    "          append tasks",
]


def named(spans: list[Told], name: str) -> list[Told]:
    return [each for each in spans if each.span.name == name]


def test_a_run_that_nobody_traced_is_one_story_all_the_same() -> None:
    spans = told_of([run(died(), source_event_id="77", causation_id="m-1")])
    assert drawn(spans) == {TRACE: DIED}
    first, second = named(spans, "process tasks.normal")
    assert [each.span.context.span_id for each in (first, second)] == [ids.attempted(RUN, 1), ids.attempted(RUN, 2)]
    dispatched = Context(TRACE, ids.dispatched(RUN), is_sampled=True)
    assert first.span.links == [Link(dispatched, names.LINK_PUBLISHED)]
    assert second.span.links == [
        Link(dispatched, names.LINK_PUBLISHED),
        Link(first.span.context, names.LINK_PREVIOUS_ATTEMPT),
    ]


def test_a_traced_run_hangs_under_the_publishing_that_our_emitter_told() -> None:
    spans = told_of([PastRun(RUN, traced(died()))])
    assert drawn(spans) == {TRACE: ["publish events", *(f"  {line}" for line in DIED)]}
    (emitted,) = named(spans, "publish events")
    assert (emitted.service, emitted.span.kind, emitted.span.began) == ("service", Kind.PRODUCER, at(0))


def test_what_a_foreign_sender_told_is_above_and_not_ours_to_tell() -> None:
    theirs = Context("ab" * 16, "cd" * 8, is_sampled=False)
    spans = told_of([run(succeeded(), source_event_id="77", traceparent=theirs.traceparent)])
    (taken_in,) = named(spans, "process ingest")
    assert (taken_in.span.context.trace_id, taken_in.span.parent) == (theirs.trace_id, theirs.span_id)
    assert named(spans, "publish events") == []
    assert all(each.span.context.is_sampled for each in spans), "what is asked for is told"


def test_a_message_that_was_emitted_within_a_trace_of_its_sender_s_is_not_told_as_its_root() -> None:
    emitted = Context("ab" * 16, ids.emitted("m-1"), is_sampled=True)
    spans = told_of([run(succeeded(), source_event_id="77", causation_id="m-1", traceparent=emitted.traceparent)])
    assert named(spans, "publish events") == []
    assert named(spans, "process ingest")[0].span.parent == emitted.span_id


def test_the_publishing_of_a_message_that_began_its_story_is_found_though_it_named_another_cause() -> None:
    emitted = Context(ids.trace_id("m-1"), ids.emitted("m-1"), is_sampled=True)
    told = {"correlation_id": "m-1", "causation_id": "sha256:ab", "traceparent": emitted.traceparent}
    spans = told_of([run(succeeded(), source_event_id="77", **told)])
    (published,) = named(spans, "publish events")
    assert published.span.context.span_id == emitted.span_id


def test_what_brought_two_runs_about_is_told_once_and_above_both() -> None:
    (cause,) = facts([told("r-0", "lost", 0, attempt=1, **FAILED)], source_event_id="r-0/1")
    by_policy = {"actor": "policy:alert", "causation_id": str(cause.event_id)}
    runs = [PastRun(each, facts(asked(each, 1), **by_policy), causes=[cause]) for each in ("r-1", "r-2")]
    spans = told_of(runs)
    asked_for = ["  append tasks", "    publish tasks.normal", "      append tasks"]
    assert drawn(spans) == {TRACE: ["append tasks", *asked_for, *asked_for]}


def test_what_a_task_recorded_hangs_under_the_attempt_that_did() -> None:
    again = {**RETRY, "delay_seconds": 1.0}
    tried = [told(RUN, "started", 1, attempt=1, **ON), told(RUN, "retry_scheduled", 2, attempt=1, **again)]
    tried += [told(RUN, "started", 4, attempt=2, **ON), told(RUN, "succeeded", 6, attempt=2, **ON)]
    sweep = run([*asked(), *tried])
    (cause,) = facts([told("r-0", "lost", 5, attempt=1, **FAILED)], actor="task:sweep", causation_id=RUN)
    by_policy = {"actor": "policy:alert", "causation_id": str(cause.event_id)}
    followed = PastRun("r-9", facts(asked("r-9", 5), **by_policy), causes=[cause])
    assert followed.origin == RUN
    spans = told_of([followed, sweep])
    stored = next(each for each in spans if each.span.context.span_id == ids.appended(cause.event_id))
    assert (stored.service, stored.span.parent) == ("worker", ids.attempted(RUN, 2))
    assert len(drawn(spans)) == 1
    alone = told_of([followed])
    assert drawn(alone)[TRACE][0] == "append tasks", "without its run it is a root"


def test_an_attempt_lasts_as_long_as_it_ran_and_says_what_it_came_to() -> None:
    (attempt,) = named(told_of([run(succeeded())]), "process tasks.normal")
    span = attempt.span
    assert (attempt.service, span.kind, span.error) == ("worker", Kind.CONSUMER, None)
    assert (span.began, span.ended) == (at(1), at(1.75))
    assert span.attributes[names.OUTCOME] == "task.succeeded"
    assert (span.attributes[names.RUN_ID], span.attributes[names.ATTEMPT]) == (RUN, 1)
    assert span.attributes[names.CONVERSATION_ID] == STORY


def test_waits_and_the_death_of_its_message_are_marks_of_an_attempt() -> None:
    first, second = (each.span for each in named(told_of([run(died())]), "process tasks.normal"))
    assert [(mark.name, mark.at) for mark in first.marks] == [(HELD, at(0.5)), (names.RETRY_SCHEDULED, at(1.5))]
    assert first.marks[0].attributes[names.REASON] == "paused"
    assert first.marks[1].attributes[names.DELAY_SECONDS] == 5.0
    assert [mark.name for mark in second.marks] == [names.DEAD_LETTERED]


def test_an_attempt_that_began_a_trace_of_its_own_is_there_and_linked() -> None:
    events = died(delay_seconds=900)
    root = ids.retried(RUN, 2, is_sampled=True)
    later = [fact for event in events[5:] for fact in facts([event], traceparent=root.traceparent)]
    spans = told_of([PastRun(RUN, [*facts(events[:5]), *later])])
    trees = drawn(spans)
    assert list(trees) == [TRACE, root.trace_id]
    assert trees[root.trace_id] == [
        "publish tasks.normal",
        "  process tasks.normal !OSError",
        *("    append tasks", "    append tasks"),
        *("    process dead.record", "      append tasks"),
    ]
    first, second = (each.span for each in named(spans, "process tasks.normal"))
    assert [link.to for link in second.links] == [root], "its root has the link to the attempt before"
    begun = next(each.span for each in spans if each.span.context == root)
    assert (begun.parent, begun.began) == (None, at(2))
    assert Link(first.context, names.LINK_PREVIOUS_ATTEMPT) in begun.links
    assert first.marks[-1].attributes[names.NEXT_TRACE] == root.trace_id


def test_a_snooze_is_no_error() -> None:
    snoozed = {**RETRY, "spent_by": "snooze", "delay_seconds": 60.0}
    events = [*asked(), told(RUN, "started", 1, attempt=1, **ON), told(RUN, "retry_scheduled", 2, attempt=1, **snoozed)]
    (attempt,) = named(told_of([run(events)]), "process tasks.normal")
    assert attempt.span.error is None


def test_an_attempt_that_has_not_ended_is_told_as_open_and_the_same_each_time() -> None:
    events = succeeded()[:-1]
    (attempt,) = named(told_of([run(events)]), "process tasks.normal")
    assert attempt.span.attributes[IS_OPEN] is True
    assert attempt.span.began == attempt.span.ended == at(1)
    assert told_of([run(events)]) == told_of([run(events)])


def test_what_an_attempt_reported_too_late_does_not_count_against_what_counted() -> None:
    late = told(RUN, "outcome_ignored", 4, attempt=1, outcome="task.succeeded", **ON)
    first, _ = named(told_of([run([*died(), late])]), "process tasks.normal")
    assert first.span.attributes[names.OUTCOME] == "task.retry_scheduled"


def test_an_end_that_no_child_lived_to_see_has_no_length() -> None:
    events = [*asked(), told(RUN, "expired", 30, attempt=1, error_type="Expired", error="late", **ON)]
    (attempt,) = named(told_of([run(events)]), "process tasks.normal")
    assert (attempt.span.began, attempt.span.ended, attempt.span.error) == (at(30), at(30), "Expired")
    assert attempt.span.marks == [], "an expired message is no dead letter"


def test_a_worker_whose_clock_went_back_gives_no_span_of_negative_length() -> None:
    events = [*asked(), told(RUN, "started", 9, attempt=1, **ON), told(RUN, "succeeded", 2, attempt=1, **ON)]
    assert all(each.span.ended >= each.span.began for each in told_of([run(events)]))


def test_a_replay_is_a_root_of_its_own_linked_to_what_died() -> None:
    before = PastRun(RUN, facts(died()))
    root = ids.replayed(REPLAY, is_sampled=True)
    again = asked(REPLAY, 60, replay_of=RUN, replay_id="b", generation=1)
    after = PastRun(REPLAY, facts(again, traceparent=root.traceparent, actor="ada"), replaced=before)
    spans = told_of([before, after])
    assert drawn(spans)[root.trace_id] == [
        *("replay dead", "  append tasks"),
        *("    publish tasks.normal", "      append tasks"),
    ]
    (replay,) = named(spans, "replay dead")
    assert replay.span.attributes[names.ACTOR] == "ada"
    assert [link.to for link in replay.span.links] == [
        Context(TRACE, ids.buried(RUN), is_sampled=True),
        Context(TRACE, ids.dispatched(RUN), is_sampled=True),
    ]


def test_a_run_that_only_a_worker_told_us_of_has_its_attempt_as_root() -> None:
    spans = told_of([run([told(RUN, "started", 1, attempt=1, **ON), told(RUN, "succeeded", 2, attempt=1, **ON)])])
    assert drawn(spans) == {TRACE: ["process tasks.normal", "  append tasks", "  append tasks"]}


@pytest.mark.parametrize("events", [succeeded(), died()])
def test_every_event_of_a_run_has_its_span(events: list[object]) -> None:
    assert TaskRun.fold(events).is_ended  # type: ignore[arg-type]  # they are
    spans = told_of([run(events)])  # type: ignore[arg-type]
    assert len(named(spans, "append tasks")) == len(events)
    assert spans[-1].span.began - spans[0].span.began < timedelta(seconds=20)
