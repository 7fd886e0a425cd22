"""Unique keys: what is asked for twice within a window runs once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Final, Self
from uuid import UUID, uuid5

from domain.aggregate import Event

NAMESPACE: Final = UUID("0192d7a5-c0de-7a11-8e42-756e69717565")
"""Namespace (RFC 9562, name-based UUIDs) of the streams of keys."""


def key_stream(task: str, key: str) -> str:
    """Stream of the claims on ``key`` among the requests for ``task``."""
    named = f"{len(task)}:{task}{key}"  # no other task and key are written alike
    return f"unique_key-{uuid5(NAMESPACE, named)}"


def folded_stream(message_id: UUID) -> str:
    """Stream of the one fact there is about a request that was folded into another."""
    return f"folded_request-{message_id}"


class KeyClaimed(Event, frozen=True, kw_only=True):
    """The run took the key for its task, until a moment or (``until`` is none) until it ends, however it ends."""

    TOPIC: ClassVar[str] = "key.claimed"
    task: str
    key: str
    run_id: str
    until: datetime | None = None

    @classmethod
    def record(cls, number: int, *, task: str, key: str, run_id: str, lasting: timedelta | None, at: datetime) -> Self:
        """The ``number``-th claim on the key, from 1.

        Args:
            number: its place in the key's stream.
            task: whose key it is.
            key: as the sender wrote it.
            run_id: whose it is now.
            lasting: for how long; None: until the run ends.
            at: from when on.
        """
        return cls(
            originator_id=key_stream(task, key),
            originator_version=number,
            timestamp=at,
            task=task,
            key=key,
            run_id=run_id,
            until=None if lasting is None else at + lasting,
        )


class RequestFolded(Event, frozen=True, kw_only=True):
    """A request was not accepted as a run of its own, because ``run_id`` had taken its key."""

    TOPIC: ClassVar[str] = "request.folded"
    task: str
    key: str
    run_id: str
    asked_run_id: str

    @classmethod
    def record(cls, message_id: UUID, *, task: str, key: str, run_id: str, asked_run_id: str, at: datetime) -> Self:
        """The fact for the request known as ``message_id``."""
        return cls(
            originator_id=folded_stream(message_id),
            originator_version=1,
            timestamp=at,
            task=task,
            key=key,
            run_id=run_id,
            asked_run_id=asked_run_id,
        )
