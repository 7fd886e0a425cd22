"""Messages: what others may tell us, by the type of their CloudEvent, with the shape of its data.

The data of a lifecycle message (``task.started`` …) is the event's own fields and the run's id, so those shapes are
made from the events.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from domain import chain, task_run, wait
from domain.aggregate import ENVELOPE_FIELDS, Event
from domain.choices import allowed_by
from domain.fan_in import FanInDeclaredData
from domain.license_messages import LICENSE_MESSAGES
from domain.message_data import Id, MessageData, Moment, Text, TimedData
from domain.task_group import GroupSavedData
from domain.tier import Tier

RunId = Annotated[
    UUID,
    msgspec.Meta(
        description="UUID that no run has yet, a UUIDv7 serves best; without it, one derived from `source` and `id`"
    ),
]
UniqueKey = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        description="a second request for the same task with this key is folded into the run of the first",
    ),
]
UniqueFor = Annotated[
    float,
    msgspec.Meta(gt=0, le=31_536_000, description="for how long from its acceptance on; without it until the run ends"),
]
Force = Annotated[bool, msgspec.Meta(description="accepted although the backlog of its tier is full")]
TaskName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class MessageInvalid(ValueError):  # noqa: N818  the name is the reason stated in `ingest.dead`
    """The data of a message does not have the shape that its type asks for; the text says where and what."""


class MessageTypeUnknown(LookupError):  # noqa: N818
    """No message of that type is known; the text lists those that are."""


class SessionStartedData(MessageData, frozen=True, kw_only=True):
    """A session began."""

    session_id: Id
    license_id: Id
    host: Text | None = None


class SessionHeartbeatData(MessageData, frozen=True, kw_only=True):
    """A session is alive."""

    session_id: Id


class SessionEndedData(MessageData, frozen=True, kw_only=True):
    """Somebody signed out."""

    session_id: Id
    reason: Text = "signed out"


class TaskRequestedData(TimedData, frozen=True, kw_only=True):
    """A service asks for a task. Ids and small values only: the arguments live in the log."""

    task: TaskName
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = msgspec.field(default_factory=dict)
    tier: Tier = Tier.NORMAL
    priority: Annotated[int, msgspec.Meta(ge=0, le=10)] | None = None
    run_id: RunId | None = None
    license_id: Id | None = None
    expires_at: Moment | None = None
    force: Force = False
    unique_key: UniqueKey | None = None
    unique_for_seconds: UniqueFor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unique_for_seconds is not None and self.unique_key is None:
            raise ValueError("unique_for_seconds: says for how long a unique_key holds, and there is none")


class SignalReceivedData(MessageData, frozen=True, kw_only=True):
    """Something happened that somebody may wait for: a payment came, a person agreed."""

    signal: Id
    key: Text | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class WatermarkData(MessageData, frozen=True, kw_only=True):
    """Ingest's own marker; see :class:`domain.heartbeat.WatermarkPassed`."""


_PAYLOAD: Final = Annotated[
    msgspec.Raw | msgspec.UnsetType,
    msgspec.Meta(description="the whole value where `result` is cut; kept for a time, and not in the log"),
]
_BESIDE: Final[dict[str, list[Any]]] = {
    task_run.TaskSucceeded.TOPIC: [("payload", _PAYLOAD, msgspec.UNSET)],
}
"""What a lifecycle message carries beside the event."""


def _lifecycle_data(event: type[Event]) -> type[msgspec.Struct]:
    told = [field for field in msgspec.structs.fields(event) if field.name not in ENVELOPE_FIELDS]
    fields: list[Any] = [("run_id", Id)]
    fields += [
        (field.name, field.type) if field.required else (field.name, field.type, field.default) for field in told
    ]
    fields += _BESIDE.get(event.TOPIC, [])
    return msgspec.defstruct(
        f"{event.__name__}Data",
        fields,
        bases=(TimedData,),
        namespace={"__doc__": (event.__doc__ or "").splitlines()[0]},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


LIFECYCLE: Final[dict[str, type[Event]]] = {
    event.TOPIC: event
    for event in (
        task_run.TaskReceived,
        task_run.TaskStarted,
        task_run.TaskRetryScheduled,
        wait.TaskWaitBegan,
        chain.TaskChainRecorded,
        task_run.TaskSucceeded,
        task_run.TaskFailed,
        task_run.TaskTimedOut,
        task_run.TaskLost,
        task_run.TaskRejected,
        task_run.TaskRevoked,
        task_run.TaskExpired,
    )
}
"""What workers tell of runs."""

MESSAGES: Final[dict[str, type[msgspec.Struct]]] = {
    "session.started": SessionStartedData,
    "session.heartbeat": SessionHeartbeatData,
    "session.ended": SessionEndedData,
    **LICENSE_MESSAGES,
    "task.requested": TaskRequestedData,
    "signal.received": SignalReceivedData,
    "ingest.watermark": WatermarkData,
    "fan_in.declared": FanInDeclaredData,
    "group.saved": GroupSavedData,
    **{name: _lifecycle_data(event) for name, event in LIFECYCLE.items()},
}
"""Every message that ingest takes, by its CloudEvents type."""

_DECODERS: Final = {name: msgspec.json.Decoder(shape) for name, shape in MESSAGES.items()}


def decode_data(message_type: str, data: bytes | msgspec.Raw) -> msgspec.Struct:
    """The data of a message, checked.

    Raises:
        MessageTypeUnknown: no message has that type.
        MessageInvalid: the data is not JSON or does not have the type's shape.
    """
    try:
        decoder = _DECODERS[message_type]
    except KeyError:
        raise MessageTypeUnknown(f"{message_type!r} is none of {', '.join(MESSAGES)}") from None
    try:
        decoded: msgspec.Struct = decoder.decode(data)
    except msgspec.DecodeError as error:
        allowed = allowed_by(MESSAGES[message_type], str(error))
        raise MessageInvalid(f"{message_type}: {error}{f'; allowed are {allowed}' if allowed else ''}") from None
    return decoded
