"""Which runs have ended, for those who only want to know that."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from psycopg import Connection

from domain.task_run import SLOT_END, run_stream

_ENDED: Final = f"""
    select stream_id from event_store.task_events where version = {SLOT_END} and stream_id = any(%b::text[])
"""  # noqa: S608  a constant


def ended_runs(connection: Connection[Any], run_ids: Collection[str]) -> set[str]:
    """Those of the runs that have ended; on a connection in autocommit."""
    found = connection.execute(_ENDED.encode(), [[run_stream(run_id) for run_id in run_ids]]).fetchall()
    return {stream.removeprefix(run_stream("")) for (stream,) in found}
