"""The questions of :mod:`infra.events.reading`, asked of archives: each reads the files from beginning to end."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from uuid import UUID

from infra.event_store.log import Log
from infra.events.archive import read_archive
from infra.events.reading import Logged, Which


class ArchiveReader:
    """Reads archives; each method raises :class:`ArchiveUnreadableError` where a file is none.

    Args:
        paths: the files, those of one log in the order of their positions.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def matching(self, logs: Collection[Log], which: Which) -> Iterator[Logged]:
        """The events that match, file by file in order of position."""
        return (logged for logged in self._all() if logged.log in logs and which.has(logged))

    def last(self, logs: Collection[Log], which: Which, count: int) -> list[Logged]:
        """The last ``count`` events that match."""
        return list(deque(self.matching(logs, which), maxlen=count))

    def event(self, event_id: UUID) -> list[Logged]:
        """The events of this id: one, or none."""
        return list(islice((logged for logged in self._all() if logged.row.event_id == event_id), 1))

    def logs_of(self, stream_ids: Collection[str]) -> dict[str, Log]:
        """Those of the streams that have events here, each with its log."""
        return {logged.row.stream_id: logged.log for logged in self._all() if logged.row.stream_id in stream_ids}

    def stream(self, log: Log, stream_id: str, *, limit: int) -> Iterator[Logged]:
        """What is here of a stream, in order of version; ``limit`` is of no account."""
        del limit
        found = [logged for logged in self._all() if logged.log is log and logged.row.stream_id == stream_id]
        yield from sorted(found, key=attrgetter("row.version"))

    def correlation(self, correlation_id: str, *, limit: int) -> list[Logged]:
        """The events of one story, in order of time; the first ``limit`` in order of position."""
        found = (logged for logged in self._all() if logged.correlation_id == correlation_id)
        return sorted(islice(found, limit), key=attrgetter("row.occurred_at", "row.recorded_at"))

    def _all(self) -> Iterator[Logged]:
        seen: set[tuple[Log, int]] = set()  # archives may overlap by a block
        for path in self._paths:
            for block in read_archive(path):
                known = (block.seal.log, block.seal.number)
                if known not in seen:
                    seen.add(known)
                    yield from (Logged(block.seal.log, row) for row in block.events)
