"""What has to be true of every run that came to its end, whatever it died of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.matrix.stage import Sent, Stage, Told

AGAIN = "retry_scheduled"


class Why(NamedTuple):
    """Why a run ended: class of the error, part of its text, and what spent every attempt but the last."""

    error_type: str | None = None
    error: str = ""
    spent_by: str | None = None


NOTHING = Why()


def expect(
    stage: Stage,
    sent: Sent,
    state: str,
    *,
    outcomes: Sequence[str],
    why: Why = NOTHING,
    executions: int | None = None,
    is_dead: bool = True,
) -> Told:
    """The run has ended in ``state``, and the views say why, where, by whom and in which trace.

    Args:
        stage: where it happened.
        sent: the message.
        state: of ``fct_task_runs``.
        outcomes: of each attempt, in order.
        why: the reason that is told.
        executions: how often the side effect happened; as often as attempts were started, if not given.
        is_dead: whether the message is a dead letter; else it is acknowledged.
    """
    told = stage.until(sent, state, dead=is_dead)
    run, started = told.run, [attempt for attempt in told.attempts if attempt["started_at"]]
    assert told.outcomes == list(outcomes)
    assert told.spent_by == [why.spent_by if outcome == "retry_scheduled" else None for outcome in outcomes]
    assert (run["is_ended"], run["attempt_count"]) == (True, len(outcomes))
    assert (run["error_type"], why.error in (run["error"] or "")) == (why.error_type, True), run["error"]
    assert {told.run["trace_id"], *(attempt["trace_id"] for attempt in told.attempts)} == {sent.trace_id}
    assert all(attempt["worker"] and attempt["code_version"] for attempt in told.attempts)
    assert all(attempt["pid"] for attempt in started)
    assert sent.executions == (len(started) if executions is None else executions)
    assert sent.executions <= len(told.attempts)
    assert stage.dead_letter_of(sent) == is_dead
    if is_dead:
        (letter,) = told.letters
        assert (letter["end_state"], letter["error_type"], letter["error"]) == (state, why.error_type, run["error"])
    return told
