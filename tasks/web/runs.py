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
from tasks.web.recorded import Because, Recorded, now

SOURCE: Final = "/ledgerq/http"
REQUEST: Final = "task.requested"
_KEY: Final = "Idempotency-Key"
_LONGEST_KEY: Final = 200
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
    wanted, key = call.body, _key(call)
    event = _event(wanted, key=key, actor=call.bearer.actor)
    run_id = requested_run_id(event.unique_id)
    known = _known(call, run_id) if key is not None else None
    if known is not None:
        _compare(known, wanted)
        return Requested(run_id=run_id, position=known.position)
    call.desk.emit([event])
    return Requested(run_id=run_id, position=_position(call, run_id, within_seconds=call.query.wait_seconds))


def show(call: Call) -> RunStory:
    """Tell a run's story from the log: it is never behind."""
    run_id = call.path["run_id"]
    stream = run_stream(run_id)
    story = Story.of(call.desk.store.load_recorded(Log.TASKS, [stream]).get(stream, []))
    if story is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"nothing is recorded of a run {run_id}")
    return msgspec.convert({**story_values(story.run), "trace_id": story.trace_id}, RunStory)


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


def _key(call: Call) -> str | None:
    key = call.headers.get(_KEY.lower())
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{_KEY} is 1 to {_LONGEST_KEY} printable ASCII characters")
    return key


def _event(wanted: Request, *, key: str | None, actor: str) -> CloudEvent:
    try:
        data = {name: value for name, value in msgspec.to_builtins(wanted).items() if value is not None}
        decode_data(REQUEST, msgspec.Raw(msgspec.json.encode(data)))
        event = new_event(REQUEST, source=SOURCE, data=data, time=now())
    except ValueError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"body: {error}") from error
    named = {} if key is None else {"id": key, "source": f"{SOURCE}/{actor}"}
    return msgspec.structs.replace(event, actor=actor, **named)


def _known(call: Call, run_id: UUID) -> RecordedEvent | None:
    stream = run_stream(run_id)
    told = call.desk.store.load_recorded(Log.TASKS, [stream]).get(stream, [])
    return next((each for each in told if isinstance(each.event, TaskRequested)), None)


def _compare(known: RecordedEvent, wanted: Request) -> None:
    event = known.event
    assert isinstance(event, TaskRequested)  # noqa: S101  that is what is looked for
    before = (event.task, list(event.args), event.kwargs, event.tier, event.priority, event.license_id)
    after = (wanted.task, wanted.args, wanted.kwargs, wanted.tier.value, wanted.priority, wanted.license_id)
    if before != after:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"another request was made with this {_KEY}: run {event.originator_id.removeprefix(run_stream(''))}",
            code="idempotency_key_reused",
        )


def _position(call: Call, run_id: UUID, *, within_seconds: float) -> int | None:
    """Where the log has the run; None: not in time, or so many wait already that nobody else would be served."""
    if not within_seconds or not call.desk.waiting.acquire(blocking=False):
        return None
    try:
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            if (known := _known(call, run_id)) is not None:
                return known.position
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
        request_headers={_KEY: f"1 to {_LONGEST_KEY} printable ASCII characters; the same token's are compared"},
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
