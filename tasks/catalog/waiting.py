"""Steps that wait: for an event, for a moment, for some time. See docs/waiting.md.

While such a step waits it is in no queue and no worker knows of it: the log keeps its message until what it waits for
has come, and then its next attempt, told what came, returns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from celery import Task

import domain
from domain.aggregate import EVENT_CLASSES
from domain.moment import BOUNDS, is_within_bounds
from domain.wait import WaitTerms
from tasks.app import task
from tasks.worker.waiting import Wait

assert domain.wait  # noqa: S101  importing the domain makes every event's name known
FAIL: Final = "fail"
NONE: Final = "none"
CAME: Final = "came"
"""The argument by which the attempt after a wait is told how it ended: ``{"event": …}`` or ``{"timed_out": …}``."""


class WaitTimedOut(Exception):  # noqa: N818  the fact of it
    """the event that was waited for did not come in time."""


class WaitingTask(Task):  # type: ignore[misc]  # Celery is untyped
    """Takes moments and lengths of time where it is asked for, and says at once what is wrong with them."""

    def signature(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """As Celery's, with arguments that JSON holds."""
        return super().signature(tuple(map(_plain, args or ())), _plain(kwargs or {}), **options)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """As Celery's, with arguments that JSON holds."""
        return super().apply_async(tuple(map(_plain, args or ())), _plain(kwargs or {}), **options)


@task("wait_for_event", base=WaitingTask, no_retry_for=(WaitTimedOut, ValueError, TypeError))
def wait_for_event(
    *given: Any,
    match: Mapping[str, Any] | None = None,
    timeout: Any = None,
    since: Any = None,
    on_timeout: str = FAIL,
    came: Mapping[str, Any] | None = None,
) -> Any:
    """Wait for an event and return it.

    Args:
        given: its stored name (``license.renewed``), the last of them; in a chain, after what the step before returned.
        match: values of the event's fields; all have to be equal.
        timeout: seconds, or an ISO 8601 date-time, until when it may come; None: for ever.
        since: events that were recorded before this do not count: an ISO 8601 date-time, or seconds before the
            workflow's beginning; None: that beginning.
        on_timeout: ``fail``, or ``none``: return None.
        came: how the wait ended, told by dispatch.

    Returns:
        the event: id, name, stream, data and times; and under ``given`` what the step before returned, if one did.

    Raises:
        WaitTimedOut: it did not come in time.
        ValueError: an argument is not allowed; the text says which.
    """
    terms = event_terms(given, match=match, timeout=timeout, since=since, on_timeout=on_timeout)
    if came is None:
        raise Wait(terms)
    if "timed_out" in came:
        if on_timeout == NONE:
            return None
        raise WaitTimedOut(f"{terms.event} did not come before {came['timed_out']}")
    return {**came["event"], "given": given[0]} if len(given) > 1 else came["event"]


@task("wait_until", base=WaitingTask, no_retry_for=(ValueError, TypeError))
def wait_until(*given: Any, came: Mapping[str, Any] | None = None) -> Any:
    """Wait until a moment and return what the step before returned.

    Args:
        given: an ISO 8601 date-time with its offset, the last of them.
        came: how the wait ended, told by dispatch.

    Raises:
        ValueError: that is no moment.
    """
    until = _moment("wait_until", _last("wait_until", "a date-time", given))
    if came is None:
        raise Wait(WaitTerms(until=until))
    return given[0] if len(given) > 1 else None


@task("wait_for", base=WaitingTask, no_retry_for=(ValueError, TypeError))
def wait_for(*given: Any, came: Mapping[str, Any] | None = None) -> Any:
    """Wait for some time, from when the step begins, and return what the step before returned.

    Args:
        given: seconds, the last of them.
        came: how the wait ended, told by dispatch.

    Raises:
        ValueError: that is no length of time.
    """
    seconds = _seconds("wait_for", _last("wait_for", "seconds", given))
    if came is None:
        raise Wait(WaitTerms(until=_after(seconds, "wait_for")))
    return given[0] if len(given) > 1 else None


def event_terms(
    given: tuple[Any, ...], *, match: Mapping[str, Any] | None, timeout: Any, since: Any, on_timeout: str
) -> WaitTerms:
    """What a step waits for.

    Raises:
        ValueError: an argument is not allowed; the text says which, and what is.
    """
    name = _last("wait_for_event", "an event's name", given)
    _check_name(name)
    if match is not None and not isinstance(match, Mapping):
        raise ValueError(f"match: {match!r} is no mapping of fields to values")
    if on_timeout not in {FAIL, NONE}:
        raise ValueError(f"on_timeout: {on_timeout!r} is neither {FAIL!r} nor {NONE!r}")
    is_moment = isinstance(since, str)
    return WaitTerms(
        event=name,
        match=msgspec.to_builtins(dict(match or {})),
        since=_moment("since", since) if is_moment else None,
        lookback_seconds=0.0 if since is None or is_moment else _seconds("since", since),
        until=None if timeout is None else _deadline(timeout),
    )


def _check_name(name: object) -> None:
    if not isinstance(name, str) or name not in EVENT_CLASSES:
        raise ValueError(f"no event is called {name!r}; docs/events.md lists those there are")


def _deadline(timeout: Any) -> datetime:
    if isinstance(timeout, str):
        return _moment("timeout", timeout)
    return _after(_seconds("timeout", timeout), "timeout")


def _after(seconds: float, what: str) -> datetime:
    try:
        return _bounded(what, datetime.now(UTC) + timedelta(seconds=seconds))
    except OverflowError:
        raise ValueError(f"{what}: {seconds} seconds from now is no moment {BOUNDS}") from None


def _last(step: str, what: str, given: tuple[Any, ...]) -> Any:
    if not given or len(given) > 2:  # noqa: PLR2004  its own argument, and what the step before it returned
        raise ValueError(f"{step}: takes {what} (and, in a chain, the result before it), not {len(given)} arguments")
    return given[-1]


def _seconds(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError(f"{what}: {value!r} is no number of seconds from 0 on")
    return float(value)


def _moment(what: str, text: Any) -> datetime:
    try:
        moment = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: {text!r} is no ISO 8601 date-time") from None
    if moment.tzinfo is None:
        raise ValueError(f"{what}: {text!r} has no offset (write 2026-12-01T09:00:00+00:00)")
    return _bounded(what, moment)


def _bounded(what: str, moment: datetime) -> datetime:
    if not is_within_bounds(moment):
        raise ValueError(f"{what}: {moment.isoformat()} is not {BOUNDS}")
    return moment.astimezone(UTC)


def _plain(value: Any) -> Any:
    """The same with lengths of time as seconds and moments as text, as JSON holds them."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return _moment("a date-time", value).isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value
