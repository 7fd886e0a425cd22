"""Runs over HTTP: ask for one, take one back, and read the story of one."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from domain.message_data import Id
from domain.messages import TaskName, UniqueFor, UniqueKey, decode_data
from domain.run_id import requested_run_id
from domain.task_run import TaskRequested, run_stream
from domain.tier import Tier
from infra.cloudevents import CloudEvent, new_event
from infra.event_store import Log, LostRaceError
from infra.event_store import Recorded as RecordedEvent
from infra.web.operation import Call, Operation
from infra.web.problem import Problem
from infra.web.role import Role
from tasks.revoking import NothingRecordedError, ask_for_revocation
from tasks.run_story import Story, story_values
from tasks.web.idempotency import HEADER, LONGEST, check_same, key_of, named, recorded
from tasks.web.recorded import Because, Recorded, now

SOURCE: Final = "/ledgerq/http"
REQUEST: Final = "task.requested"
_LOOK_EVERY_SECONDS: Final = 0.05


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task that is asked for. Ids and small values only: the arguments live in the log."""

    task: TaskName
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    tier: Tier = Tier.NORMAL
    priority: Annotated[int, msgspec.Meta(ge=0, le=10)] | None = None
    license_id: Id | None = None
    unique_key: UniqueKey | None = None
    unique_for_seconds: UniqueFor | None = None


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """The broker has the request.

    ``position`` is where the log has it, as far as that was waited for (``wait_seconds``).
    """

    run_id: UUID
    position: int | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to wait until the log has what was asked for."""

    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=30)] = 0.0


class RunStory(msgspec.Struct, frozen=True, kw_only=True):
    """All that the log has of a run, in the order of the run's own logic."""

    run_id: str
    task: str | None
    state: str
    attempts: int
    events: list[dict[str, Any]]
    trace_id: str | None = None


def request(call: Call) -> Requested:
    """Ask for a run. With an Idempotency-Key the same request asks for the same run, however often it is sent."""
    wanted, key = call.body, key_of(call)
    event = _event(wanted, key=key, actor=call.bearer.actor)
    run_id = requested_run_id(event.unique_id)
    known = recorded(call.desk.store, run_id, event.unique_id) if key is not None else None
    if known is None:
        call.desk.emit([event])
        known = _awaited(call, run_id, event.unique_id, within_seconds=call.query.wait_seconds)
    if known is not None and key is not None:
        check_same(known, event, run_id)
    is_accepted = known is not None and isinstance(known.event, TaskRequested)
    return Requested(run_id=run_id, position=known.position if known is not None and is_accepted else None)


def show(call: Call) -> RunStory:
    """Tell a run's story from the log: it is never behind. Secrets are hidden."""
    run_id = call.path["run_id"]
    stream = run_stream(run_id)
    story = Story.of(call.desk.store.load_recorded(Log.TASKS, [stream]).get(stream, []))
    if story is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"nothing is recorded of a run {run_id}")
    told = {**story_values(story.run), "trace_id": story.trace_id}
    return msgspec.convert(call.desk.redact.value(told), RunStory)


def revoke(call: Call) -> Recorded:
    """Take a run back: what waits is not executed, what runs is ended."""
    run_id = call.path["run_id"]
    try:
        position = ask_for_revocation(
            call.desk.store, run_id, reason=call.body.reason, task=None, actor=call.bearer.actor, at=now()
        )
    except NothingRecordedError as error:
        raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error
    except LostRaceError as error:
        raise Problem(HTTPStatus.CONFLICT, "somebody asks for that at the same moment") from error
    return Recorded(log=Log.TASKS.value, position=position, run_id=run_id)


def _event(wanted: Request, *, key: str | None, actor: str) -> CloudEvent:
    try:
        data = {name: value for name, value in msgspec.to_builtins(wanted).items() if value is not None}
        decode_data(REQUEST, msgspec.Raw(msgspec.json.encode(data)))
        event = new_event(REQUEST, source=SOURCE, data=data, time=now())
    except ValueError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"body: {error}") from error
    event = msgspec.structs.replace(event, actor=actor)
    return event if key is None else named(event, key, wanted, source=f"{SOURCE}/{actor}")


def _awaited(call: Call, run_id: UUID, message_id: UUID, *, within_seconds: float) -> RecordedEvent | None:
    """What has come of it; None: nothing in time, or so many wait already that nobody else would be served."""
    if not within_seconds or not call.desk.waiting.acquire(blocking=False):
        return None
    try:
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            if (known := recorded(call.desk.store, run_id, message_id)) is not None:
                return known
            time.sleep(_LOOK_EVERY_SECONDS)
    finally:
        call.desk.waiting.release()
    return None


RUNS: Final = (
    Operation(
        method="POST",
        path="/runs",
        name="requestRun",
        summary="Ask for a task; the same Idempotency-Key asks for the same run.",
        role=Role.EMITTER,
        handle=request,
        body=Request,
        query=Waiting,
        answer=Requested,
        status=HTTPStatus.ACCEPTED,
        request_headers={HEADER: f"1 to {LONGEST} printable ASCII characters; the same token's are compared"},
    ),
    Operation(
        method="GET",
        path="/runs/{run_id}",
        name="showRun",
        summary="A run's state and history, from the log.",
        role=Role.VIEWER,
        handle=show,
        answer=RunStory,
    ),
    Operation(
        method="POST",
        path="/runs/{run_id}/revocation",
        name="revokeRun",
        summary="Take a run back.",
        role=Role.OPERATOR,
        handle=revoke,
        body=Because,
        answer=Recorded,
        status=HTTPStatus.ACCEPTED,
        problems=(HTTPStatus.CONFLICT,),
    ),
)
