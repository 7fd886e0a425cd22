"""What the operations page's forms do: the same as the operations do. `infra.web.process` finds it by name."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from domain.dead_letter import ReplayRequested, replay_stream
from infra.event_store import Log
from infra.web.operation import Call
from infra.web.page import Drawn, Page, Pages, Visit, said
from infra.web.problem import Problem
from infra.web.role import Role
from projections.queries import LetterGroup, letters_of
from tasks.web import letters, runs, schedules
from tasks.web.recorded import Because

LETTERS: Final = "/ui/dead-letters"
VERBS: Final = {"pause": schedules.pause, "resume": schedules.resume, "run": schedules.run}


def replay(visit: Visit) -> Drawn:
    """A new run for each letter; the same form sent twice counts once."""
    batch_id = visit.form.get("batch_id") or None
    run_ids = _batch(visit, batch_id) or _letters(visit)
    body = _body(visit, letters.Replay, run_ids=run_ids, replay_id=batch_id)
    treated = letters.replay(_call(visit, body))
    lines = {f"new run {new}": _run(new) for new in treated.done.values()}
    return said(
        f"Replayed: {len(treated.done)}", lines | _left(treated), back=LETTERS, note=f"Batch {treated.replay_id}"
    )


def discard(visit: Visit) -> Drawn:
    """Nothing more is to be done about these."""
    treated = letters.discard(_call(visit, _body(visit, letters.Chosen, run_ids=_letters(visit))))
    lines = {f"run {run_id}": _run(run_id) for run_id in treated.done}
    return said(f"Discarded: {len(treated.done)}", lines | _left(treated), back=LETTERS)


def revoke(visit: Visit) -> Drawn:
    """Take a run back."""
    run_id = visit.path["run_id"]
    runs.revoke(_call(visit, _body(visit, Because)))
    note = "Whoever has the run in hand hears of it within about a second."
    return said("The revocation is asked for", back=_run(run_id), note=note)


def schedule(visit: Visit) -> Drawn:
    """Pause a schedule, resume it, or ask for its task now.

    Raises:
        Problem: it is none of these, or cannot be done.
    """
    verb = visit.form.get("verb", "")
    if verb not in VERBS:
        raise Problem(HTTPStatus.BAD_REQUEST, f"verb {verb!r}; allowed are {', '.join(VERBS)}")
    recorded = VERBS[verb](_call(visit, _body(visit, Because)))
    lines = {f"run {recorded.run_id}": _run(recorded.run_id)} if recorded.run_id else {}
    return said(f"Schedule {visit.path['name']}: {verb}", lines, back="/ui/schedules", note="It is recorded.")


def _batch(visit: Visit, batch_id: str | None) -> list[str]:
    """Letters of a batch that was asked for before: of a form that is sent once more. Empty: it is new."""
    if batch_id is None:
        return []
    stream = replay_stream(batch_id)
    told = visit.desk.store.load(Log.TASKS, [stream]).get(stream, [])
    return next((list(event.run_ids) for event in told if isinstance(event, ReplayRequested)), [])


def _letters(visit: Visit) -> list[str]:
    """Run ids of the letter, or of the group's letters, that the form names.

    Raises:
        Problem: it names none, or there is none (any more).
    """
    if run_id := visit.form.get("run_id"):
        return [run_id]
    group, limit = LetterGroup.read(visit.form), visit.form.get("limit", "")
    if group is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "run_id is wanted, or task, error_type and fingerprint")
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= letters.AT_ONCE):
        raise Problem(HTTPStatus.BAD_REQUEST, f"limit {limit!r}; allowed is 1 to {letters.AT_ONCE}")
    with visit.desk.reading() as connection:
        found = letters_of(connection, group, limit=int(limit))
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "there is no open dead letter of this kind any more")
    return found


def _body(visit: Visit, kind: type[msgspec.Struct], **more: Any) -> Any:
    values = {"reason": visit.form.get("reason", "").strip(), **more}
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"form: {error}") from error


def _call(visit: Visit, body: Any) -> Call:
    return Call(visit.desk, visit.bearer, visit.path, None, body, {})


def _left(treated: letters.Treated) -> dict[str, str]:
    return {f"not done, {run_id}: {why}": _run(run_id) for run_id, why in treated.left.items()}


def _run(run_id: str) -> str:
    return f"/ui/tasks/{quote(run_id, safe='')}"


def _form(path: str, handle: Any) -> Page:
    return Page(path=path, handle=handle, method="POST", role=Role.OPERATOR)


PAGES: Final = Pages(
    (
        _form("/dead-letters/replay", replay),
        _form("/dead-letters/discard", discard),
        _form("/tasks/{run_id}/revocation", revoke),
        _form("/schedules/{name}", schedule),
    ),
    Path(__file__).parent,
)
