"""In the pool's children: ``self.retry()`` as Celery has it, up to the point where it would publish.

The next attempt's message is published by the worker's main process, in one confirmed batch with the record of why;
the child only says what should be different about it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from kombu.utils import json

from tasks.worker.outcome import Resend


class RetryDesk:
    """Stands in, within one task, for the signature that ``Task.retry`` makes and publishes.

    ``Task.retry`` asks for a signature first and publishes it (``apply_async``) only if its own limit allows; so a
    signature that was asked for and not published means that another attempt was refused.

    Attributes:
        committed: what was published, if anything was.
        delay_seconds: after what time; None: as the policy says.
    """

    def __init__(self, task: Any) -> None:
        self._task = task
        self._signature_from_request = task.signature_from_request
        self._was_asked = False
        self.committed: Resend | None = None
        self.delay_seconds: float | None = None

    def clear(self) -> None:
        """Forget the attempt before."""
        self._was_asked, self.committed, self.delay_seconds = False, None, None

    @property
    def was_refused(self) -> bool:
        """Whether Celery's own limit stood against another attempt."""
        return self._was_asked and self.committed is None

    def signature_from_request(
        self, request: Any = None, args: Any = None, kwargs: Any = None, queue: Any = None, **options: Any
    ) -> Any:
        """In place of ``Task.signature_from_request``."""
        request = self._task.request if request is None else request
        if request.is_eager:
            return self._signature_from_request(request, args, kwargs, queue=queue, **options)
        self._was_asked = True
        return _Following(self, request, args, kwargs, {"queue": queue, **options})

    def commit(self, resend: Resend, delay_seconds: float | None) -> None:
        """The task wants another attempt, and may have it."""
        self.committed, self.delay_seconds = resend, delay_seconds


class _Following:
    """What ``Task.retry`` takes for a signature."""

    def __init__(self, desk: RetryDesk, request: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> None:
        self._desk = desk
        self._is_changed = args is not None or kwargs is not None
        self._options = options
        self.args = request.args if args is None else args
        self.kwargs = request.kwargs if kwargs is None else kwargs

    def apply_async(self) -> None:
        """Tell the desk, where Celery would publish.

        Raises:
            EncodeError: the arguments cannot be written as JSON.
            TypeError, ValueError, OverflowError: another option is not of its type.
        """
        options = self._options
        queue = options.get("queue")
        resend = {
            "args": _as_json(list(self.args or ())) if self._is_changed else None,
            "kwargs": _as_json(dict(self.kwargs or {})) if self._is_changed else None,
            "queue": None if queue is None else str(getattr(queue, "name", queue)),
            "priority": options.get("priority"),
            "headers": _plain(_headers(options)),
        }
        self._desk.commit(msgspec.convert(resend, Resend), _delay_seconds(options))


def _headers(options: dict[str, Any]) -> dict[str, Any]:
    """Headers for the options of ``retry`` that travel as such."""
    headers = dict(options.get("headers") or {})
    limits = [options.get("time_limit"), options.get("soft_time_limit")]
    if any(limit is not None for limit in limits):
        headers["timelimit"] = limits
    expires = options.get("expires")
    if isinstance(expires, (int, float)):
        expires = datetime.fromtimestamp(datetime.now(UTC).timestamp() + expires, UTC)
    if expires is not None:
        headers["expires"] = expires if isinstance(expires, str) else expires.isoformat()
    return headers


def _delay_seconds(options: dict[str, Any]) -> float | None:
    eta = options.get("eta")
    if isinstance(eta, datetime):
        moment = eta if eta.tzinfo else eta.replace(tzinfo=UTC)
        return (moment - datetime.now(UTC)).total_seconds()
    countdown = options.get("countdown")
    return None if countdown is None else float(countdown)


def _plain(headers: dict[str, Any]) -> dict[str, Any]:
    """``headers`` without anybody's own classes: they are read in the worker's main process."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(headers), type=dict[str, Any])


def _as_json(value: Any) -> str:
    text: str = json.dumps(value)  # type: ignore[no-untyped-call]
    return text
