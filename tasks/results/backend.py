"""Celery's result backend: reads what the log's read model has of a run, and writes nothing.

Outcomes are recorded by the worker's main process, whatever the backend; so there is nothing to store here, and a
client that never asks for a result needs no database. What a client alone knows (chords, groups) it tells as events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import ImproperlyConfigured, TimeoutError  # noqa: A004  Celery's own is what its users catch
from celery.result import ResultSet

from infra.database import DatabaseUnreachableError
from tasks.results.groups import Groups
from tasks.results.meta import NotKept, meta_of, unknown
from tasks.results.outcomes import Outcomes
from tasks.workflows.declaring import FanIn
from tasks.workflows.error_callbacks import ErrorCallbacks

SHORTEST_PAUSE_SECONDS: Final = 0.01
LONGEST_PAUSE_SECONDS: Final = 0.5
"""Between two looks for results that are waited for: each is twice as long as the one before."""

Meta = dict[str, Any]


class LedgerBackend(FanIn, ErrorCallbacks, Groups, BaseBackend):  # type: ignore[misc]  # Celery is untyped
    """What ``AsyncResult`` asks. Ids of which nothing is recorded are UNKNOWN."""

    supports_native_join = True
    persistent = True
    supports_autoexpire = True

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._outcomes = Outcomes()

    def store_result(self, task_id: str, result: Any, *_given: Any, **_named: Any) -> Any:
        """Nothing: what became of a run is recorded by the worker's main process."""
        del task_id
        return result

    def mark_as_started(self, task_id: str, **_meta: Any) -> None:
        """Likewise."""

    def forget(self, task_id: str) -> None:
        """Drop what this process remembers; the fact stays in the log, and a long value until its time is up."""
        self._cache.pop(task_id, None)

    def close(self) -> None:
        """Close its connection to the database; it is opened anew when it is needed."""
        self._outcomes.close()

    def cleanup(self) -> None:
        """Nothing: the scheduler drops what is kept no longer."""

    def _get_task_meta_for(self, task_id: str) -> Meta:
        return self._look([task_id])[task_id]

    def task_result_exists(self, task_id: str) -> bool:
        """Whether anything is recorded of a run."""
        return bool(self._outcomes.find([str(task_id)]))

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = LONGEST_PAUSE_SECONDS,
        no_ack: bool = True,  # noqa: FBT001, FBT002  Celery's signature
        on_interval: Callable[[], object] | None = None,
    ) -> Meta:
        """What became of a run, once it has ended.

        Args:
            task_id: the run.
            timeout: how long to wait, in seconds; None: for ever.
            interval: longest pause between two looks, in seconds.
            no_ack: as others have it; means nothing.
            on_interval: called before each pause.

        Raises:
            TimeoutError: Celery's: it has not ended within that time.
            ResultNotKept: it succeeded, and its value is not to be had.
            DatabaseUnreachableError: the database did not answer, at the first look ever or at that time's end.
        """
        del no_ack
        ended = self._ended([task_id], timeout=timeout, interval=interval, on_interval=on_interval)
        meta = next(meta for _, meta in ended)
        if isinstance(meta, NotKept):
            raise meta["result"]
        return meta

    def iter_native(
        self,
        result: Any,
        timeout: float | None = None,
        interval: float = LONGEST_PAUSE_SECONDS,
        no_ack: bool = True,  # noqa: FBT001, FBT002  Celery's signature
        on_message: Callable[[Meta], object] | None = None,
        on_interval: Callable[[], object] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Ids and outcomes of many runs as they end, all looked for at once; see :meth:`wait_for`.

        Raises:
            ResultNotKept: after all others, where a value is not to be had.
        """
        del no_ack
        if on_message is not None:
            raise ImproperlyConfigured("this backend is told of no messages; on_interval is called before each pause")
        waiting = []
        for each in result.results or []:
            if isinstance(each, ResultSet):
                yield each.id, each.results
            else:
                waiting.append(each.id)
        not_kept: list[NotKept] = []
        for run_id, meta in self._ended(waiting, timeout=timeout, interval=interval, on_interval=on_interval):
            if isinstance(meta, NotKept):
                not_kept.append(meta)
            else:
                yield run_id, meta
        if not_kept:
            raise not_kept[0]["result"]

    def _ended(
        self,
        run_ids: Collection[str],
        *,
        timeout: float | None,
        interval: float,
        on_interval: Callable[[], object] | None,
    ) -> Iterator[tuple[str, Meta]]:
        self._ensure_not_eager()
        waiting, pause = set(run_ids), SHORTEST_PAUSE_SECONDS
        deadline = None if timeout is None else time.monotonic() + timeout
        while waiting:
            try:
                found = self._look(waiting)
            except DatabaseUnreachableError:
                if not self._outcomes.have_been_asked or (deadline is not None and time.monotonic() >= deadline):
                    raise
                found = {}
            for run_id, meta in found.items():
                if meta["status"] in states.READY_STATES:
                    waiting.remove(run_id)
                    yield run_id, meta
            if waiting:
                self._pause(min(pause, interval), deadline, on_interval)
                pause = 2 * pause

    @staticmethod
    def _pause(seconds: float, deadline: float | None, on_interval: Callable[[], object] | None) -> None:
        if on_interval is not None:
            on_interval()
        left = seconds if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The operation timed out.")
        time.sleep(min(seconds, left))

    def _look(self, run_ids: Collection[str]) -> dict[str, Meta]:
        found = self._outcomes.find([str(each) for each in run_ids])
        return {each: meta_of(found[str(each)]) if str(each) in found else unknown(each) for each in run_ids}
