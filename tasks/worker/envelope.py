"""The envelope of a task message: headers and body, checked before Celery looks at them.

Celery's own reading of a malformed message acknowledges some, dies of others and holds a few for ever; here each of
them is one error with a reason. The format is Celery's message protocol 2 (Celery documentation, "Message Protocol").
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, field

from domain.message_data import Id
from domain.messages import TaskName
from domain.task_run import LAST_ATTEMPT, LAST_COPY
from infra.broker.odd_headers import UNREADABLE

JSON: Final = "application/json"
DEEPEST: Final = 100
"""How deep headers may be nested; the pool's pickle fails at a few hundred."""
MOST_RETURNS: Final = 1_000_000_000
"""How often one message of an attempt is put back at most, as far as it is counted."""
Limit = Annotated[float, Meta(ge=0)]
Label = Annotated[str, Meta(max_length=255)]
AttemptNumber = Annotated[int, Meta(ge=1, le=LAST_ATTEMPT)]
SparedNumber = Annotated[int, Meta(ge=0, le=LAST_ATTEMPT)]
SparedText = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,5})$")]
AttemptText = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,5}$")]


class MalformedMessageError(ValueError):
    """A task message cannot be read; ``reason`` is a stable name for why, the text says where and what."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The headers of a task message that we or Celery read. Others may be there."""

    id: Id
    task: TaskName
    shadow: str | None = None
    root_id: Label | None = None
    parent_id: Label | None = None
    group: str | None = None
    group_index: int | None = None
    retries: Annotated[int, Meta(ge=0, le=1_000_000)] | None = 0
    replaced_task_nesting: Annotated[int, Meta(ge=0, le=1_000_000)] | None = 0
    eta: str | None = None
    expires: str | None = None
    timelimit: tuple[Limit | None, Limit | None] | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    attempt_header: AttemptNumber | AttemptText | None = field(name="ledgerq-attempt", default=None)
    spared_header: SparedNumber | SparedText = field(name="ledgerq-spared", default=0)
    copy_header: Annotated[int, Meta(ge=0, le=LAST_COPY)] | None = field(name="ledgerq-copy", default=None)
    returned_header: Annotated[int, Meta(ge=0, le=MOST_RETURNS)] | None = field(name="ledgerq-returned", default=None)
    correlation_header: Label | None = field(name="ledgerq-correlation-id", default=None)
    causation_header: Label | None = field(name="ledgerq-causation-id", default=None)
    held_header: Label | None = field(name="ledgerq-held", default=None)
    chain_id: Label | None = field(name="ledgerq-chain", default=None)
    license_id: Label | None = field(name="ledgerq-license-id", default=None)
    tenant: Label | None = field(name="ledgerq-tenant", default=None)
    traceparent: Label | None = None
    tracestate: Annotated[str, Meta(max_length=512)] | None = None

    def texts(self) -> tuple[str | None, ...]:
        """What of it is told with events; py-amqp lets halves of surrogate pairs through, JSON does not."""
        context = (self.correlation_id, self.causation_id, self.license_id, self.tenant)
        return (self.task, *context, self.traceparent, self.tracestate)

    @property
    def attempt(self) -> int:
        """Which attempt this message is, from 1 to the last there can be: what we said, else what Celery counted."""
        if self.attempt_header is not None:
            return int(self.attempt_header)
        return min(1 + (self.retries or 0) + (self.replaced_task_nesting or 0), LAST_ATTEMPT)

    @property
    def spared(self) -> int:
        """How many of the attempts before this one did not count against the budget."""
        return min(int(self.spared_header), self.attempt - 1)

    @property
    def copy(self) -> int:
        """Which message of its attempt this is; 0 is the first one."""
        return self.copy_header or 0

    @property
    def returned(self) -> int:
        """How often a worker put this message back, to come again as the same attempt."""
        return self.returned_header or 0

    @property
    def correlation_id(self) -> str:
        """Names the whole story: given, else Celery's root task, else the run."""
        return self.correlation_header or self.root_id or self.id

    @property
    def causation_id(self) -> str | None:
        """What brought this run about: given, else the task that called it."""
        return self.causation_header or self.parent_id or None


class Embed(msgspec.Struct, frozen=True):
    """The third part of a body: what Celery does with the result."""

    callbacks: list[Any] | None = None
    errbacks: list[Any] | None = None
    chain: list[Any] | None = None
    chord: dict[str, Any] | None = None


class TaskMessage(NamedTuple):
    """A task message that can be executed."""

    envelope: Envelope
    eta: datetime | None
    expires: datetime | None


def read(message: Any) -> TaskMessage:
    """The envelope of ``message`` (a kombu message), after its body has been found to be well-formed too.

    Raises:
        MalformedMessageError: something about it is not as the protocol says.
    """
    envelope = read_headers(message.headers)
    eta, expires = _moment("eta", envelope.eta), _moment("expires", envelope.expires)
    _check_body(message)
    return TaskMessage(envelope, eta, expires)


def read_headers(headers: Mapping[str, Any]) -> Envelope:
    """The headers, checked.

    Raises:
        MalformedMessageError: one is missing or is not of its type.
    """
    if UNREADABLE in headers:
        raise MalformedMessageError("HeaderInvalid", "headers: cannot be read, or another property cannot")
    if "task" not in headers:
        raise MalformedMessageError("NoTaskHeader", "no task header; Celery's message protocol 2 is required")
    if _is_too_deep(list(headers.values())):
        raise MalformedMessageError("HeaderInvalid", f"headers: nested more than {DEEPEST} deep")
    try:
        envelope = msgspec.convert({k: v for k, v in headers.items() if isinstance(k, str)}, Envelope)
        "".join(filter(None, envelope.texts())).encode()
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise MalformedMessageError("HeaderInvalid", f"headers: {error}") from None
    return envelope


def _is_too_deep(level: list[Any]) -> bool:
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _moment(name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedMessageError("HeaderInvalid", f"headers: {name} is no ISO 8601 date-time: {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check_body(message: Any) -> None:
    if message.content_type != JSON:
        raise MalformedMessageError("ContentTypeRefused", f"content type {message.content_type!r} is not {JSON}")
    try:
        body = message.payload
    except Exception as error:  # noqa: BLE001  whatever a decoder raises, the message is what is wrong
        raise MalformedMessageError("BodyUndecodable", f"body: {type(error).__name__}: {error}") from None
    match body:
        case [list(), dict(), dict() as embed]:
            _check_embed(embed)
        case [list(), dict(), None]:
            return
        case _:
            raise MalformedMessageError("BodyInvalid", "body: is not [list of arguments, mapping, mapping]")


def _check_embed(embed: dict[str, Any]) -> None:
    try:
        msgspec.convert(embed, Embed)
    except msgspec.ValidationError as error:
        raise MalformedMessageError("BodyInvalid", f"body: third part: {error}") from None
