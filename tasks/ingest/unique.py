"""Requests with a unique key: the first one claims it, the others are folded into its run.

All of it happens in the transaction that stores the requests, under a lock for each key that ends with it; so among any
number of ingests one request wins, and whoever comes later sees its claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domain.messages import TaskRequestedData
from domain.task_run import run_stream
from domain.unique_key import KeyClaimed, RequestFolded, folded_stream, key_stream
from infra.event_store import NewEvent, Transaction, caused
from infra.event_store.ends import ended_runs

if TYPE_CHECKING:
    from tasks.ingest.runs import Decided

_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended(stream, 0)) from unnest(%s::text[]) as stream"
_CLAIMS: Final = """
    select distinct on (stream_id) stream_id, version, data->>'run_id', (data->>'until')::timestamptz
    from event_store.licensing_events where stream_id = any(%s::text[]) order by stream_id, version desc
"""
_FOLDED: Final = "select stream_id from event_store.licensing_events where stream_id = any(%s::text[])"


class Claim(NamedTuple):
    """Who has a key, and until when (None: until that run ends)."""

    number: int
    run_id: str
    until: datetime | None


class Sifted(NamedTuple):
    """What is left of a batch: the facts that stand, and what is to be recorded about keys beside them."""

    standing: list[Decided]
    facts: list[NewEvent]


def sift(transaction: Transaction, decided: Sequence[Decided]) -> Sifted:
    """Fold the requests whose key another run has.

    Args:
        transaction: in which the requests are to be stored; nothing is appended to it here.
        decided: facts about runs, in order of arrival.
    """
    asking = [(each, data) for each in decided if (data := _unique(each)) is not None]
    if not asking:
        return Sifted(list(decided), [])
    keys = _Keys(transaction, [(data.task, data.unique_key or "") for _, data in asking])
    done = _stored_before(transaction, [each for each, _ in asking])
    facts = []
    folded = set(done)
    for each, data in asking:
        if each.event_id in done:
            continue
        fact = keys.take(each, data)
        if isinstance(fact, RequestFolded):
            folded.add(each.event_id)
        if fact is not None:
            facts.append(caused([fact], each.cause, first=2)[0])
    return Sifted([each for each in decided if each.event_id not in folded], facts)


class _Keys:
    """The keys of a batch, locked, with the claims there are on them."""

    def __init__(self, transaction: Transaction, keys: Iterable[tuple[str, str]]) -> None:
        streams = sorted({key_stream(task, key) for task, key in keys})  # in one order: nobody waits in a circle
        connection: Any = transaction.connection
        connection.execute(_LOCK, [streams])
        rows = connection.execute(_CLAIMS, [streams]).fetchall()
        self._claims = {stream: Claim(number, run_id, until) for stream, number, run_id, until in rows}
        open_ended = [claim.run_id for claim in self._claims.values() if claim.until is None]
        self._ended = ended_runs(connection, open_ended) if open_ended else set()
        self._now = _now()

    def take(self, request: Decided, data: TaskRequestedData) -> KeyClaimed | RequestFolded | None:
        """What follows from a request; None where its run has the key already."""
        key, run_id = data.unique_key or "", request.event.originator_id.removeprefix(run_stream(""))
        stream = key_stream(data.task, key)
        claim = self._claims.get(stream, Claim(0, "", self._now))
        if claim.run_id == run_id:
            return None
        if self._holds(claim):
            return RequestFolded.record(
                request.cause.id, task=data.task, key=key, run_id=claim.run_id, asked_run_id=run_id, at=self._now
            )
        lasting = None if data.unique_for_seconds is None else timedelta(seconds=data.unique_for_seconds)
        claimed = KeyClaimed.record(
            claim.number + 1, task=data.task, key=key, run_id=run_id, lasting=lasting, at=self._now
        )
        self._claims[stream] = Claim(claim.number + 1, run_id, claimed.until)
        return claimed

    def _holds(self, claim: Claim) -> bool:
        return claim.run_id not in self._ended if claim.until is None else claim.until > self._now


def _now() -> datetime:
    return datetime.now(UTC)


def _stored_before(transaction: Transaction, requests: Sequence[Decided]) -> set[Any]:
    """Ids of the requests that were folded before and have come again."""
    by_stream = {folded_stream(each.cause.id): each.event_id for each in requests}
    rows = transaction.connection.execute(_FOLDED, [list(by_stream)]).fetchall()
    return {by_stream[stream] for (stream,) in rows}


def _unique(decided: Decided) -> TaskRequestedData | None:
    data = decided.told.data if decided.told is not None else None
    return data if isinstance(data, TaskRequestedData) and data.unique_key is not None else None
