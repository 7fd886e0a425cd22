"""Rebuilding a projection beside the live one: fill a draft, compare, switch it in, roll it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import sqlalchemy as sa

from infra.event_store import Checkpoint, EventStore, Log
from projections.comparison import Compared, compare
from projections.counted_skips import hand_over_counted
from projections.draft import DraftRefusedError, draft_follower, note_change, on_draft, required_draft
from projections.exchange import exchange
from projections.projection import Projection, follower
from projections.rows import driver
from projections.runner import Runner


class Filling(NamedTuple):
    """How far a draft has come.

    Attributes:
        done: positions it has passed, over all logs.
        total: positions there are to pass.
        passed: of those done, how many by this filling: one that was interrupted before has begun later.
        seconds: how long this filling has been at work.
    """

    done: int
    total: int
    passed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Positions a second."""
        return self.passed / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this rate; None where there is no rate yet."""
        return (self.total - self.done) / self.rate if self.rate else None


class Desk:
    """Where a projection's draft is worked on: a connection, the store, and the two runners.

    Args:
        connection: not in a transaction; every method makes its own.
        projection: whose.
        store: where its logs are read.
        batch_events: events per page; memory grows with it and with nothing else.
    """

    def __init__(
        self, connection: sa.Connection, projection: Projection, *, store: EventStore, batch_events: int
    ) -> None:
        self.projection = projection
        self._connection = connection
        self._store = store
        self._live = Runner(projection, store, batch_events=batch_events)
        name = draft_follower(projection.name)
        self._draft = Runner(projection, store, batch_events=batch_events, name=name)

    def fill(self, tell: Callable[[Filling], None] = lambda _filling: None) -> Filling:
        """Bring the draft up to where its logs can be read now; it goes on from where it stopped.

        Each page is a transaction: what is interrupted loses nothing. Nothing but the draft is written.

        Raises:
            ArchiveMissingError: events that the draft has yet to pass were dropped, and their archive is not there.
            sqlalchemy.exc.DBAPIError, psycopg.Error: the database is away; do it again to go on.
        """
        began = time.monotonic()
        until = {log: self._store.safe_position(log) for log in self.projection.follows}
        with on_draft(self._connection):
            self._draft.recall(self._connection)
            for log in until:
                self._store.check_archives(log, after=self._draft.position(log))
            before = self._done(until)
            while any(self._draft.position(log) < until[log] for log in until):
                moved = self._draft.step(self._connection)
                done = self._done(until)
                tell(Filling(done, sum(until.values()), done - before, time.monotonic() - began))
                if not moved:
                    break
            self._draft.close()
        done = self._done(until)
        return Filling(done, sum(until.values()), done - before, time.monotonic() - began)

    def compare(self, *, show: int) -> list[Compared]:
        """Compare live tables and draft at one and the same position.

        A running projector waits only until the draft stands where the live tables stand; the comparison itself looks
        at a snapshot of that moment.

        Raises:
            DraftRefusedError: there is no draft, or a log ends before where one of the two stands. Nothing is held.
        """
        self._approach(None)
        with self._connection.engine.connect() as holder:
            holding = holder.begin()
            held = self._hold(holder)
            with on_draft(self._connection), self._connection.begin():
                self._bring(self._draft, self._connection, held)
            with self._connection.begin():
                driver(self._connection).execute("set transaction isolation level repeatable read")
                driver(self._connection).execute("select 1")  # takes the snapshot
                holding.rollback()  # lets the projector go on
                return compare(driver(self._connection), self.projection, show=show)

    def switch(self, *, by: str, expected: int = 0, reason: str | None = None) -> int:
        """Make the draft's rows live and keep the others in its place.

        Args:
            by: who asks.
            expected: how many rows may differ at most.
            reason: why they may.

        Returns:
            how many rows it changed.

        Raises:
            DraftRefusedError: more rows differ than were expected, there is nothing to switch in, the draft counts a
                skipped event or lacks one, or a log ends before where one of the two stands. Nothing was done.
        """
        with self._held_together("filling"):
            found = sum(table.differing_rows for table in compare(driver(self._connection), self.projection))
            if found > expected:
                name = self.projection.name
                raise DraftRefusedError(
                    f"{found:,} rows differ and {expected:,} were declared: see ledgerq projection diff {name}; "
                    f"if they are meant to: --expect-differences {found} --reason '…'"
                )
            return self._exchange("replaced", by=by, reason=reason)

    def roll_back(self, *, by: str, reason: str | None = None) -> int:
        """Make live again what was live before the switch, brought up to date; how many rows that changed.

        Raises:
            DraftRefusedError: nothing was switched in, what was live counts a skipped event or lacks one, or a log ends
                before where one of the two stands.
        """
        with self._held_together("replaced"):
            return self._exchange("filling", by=by, reason=reason)

    def _exchange(self, state: str, *, by: str, reason: str | None) -> int:
        connection = driver(self._connection)
        changed = exchange(connection, self.projection)
        name = self.projection.name
        hand_over_counted(connection, giver=follower(name), taker=draft_follower(name))
        note_change(connection, self.projection, state=state, by=by, reason=reason, differences=changed)
        return changed

    @contextmanager
    def _held_together(self, state: str) -> Iterator[None]:
        """A transaction in which the projector waits and the draft stands where the live tables stand."""
        self._approach(state)
        with self._connection.begin():
            held = self._hold(self._connection)
            required_draft(driver(self._connection), self.projection, state=state)
            with on_draft(self._connection):
                self._bring(self._draft, self._connection, held)
            yield

    def _approach(self, state: str | None) -> None:
        """Bring the draft near the live tables while nobody waits, and the live tables at least to the draft."""
        with self._connection.begin():
            required_draft(driver(self._connection), self.projection, state=state)
        self.fill()
        self._live.recall(self._connection)
        while behind := [
            log for log in self.projection.follows if self._live.position(log) < self._draft.position(log)
        ]:
            if not self._live.step(self._connection):
                log = behind[0]
                raise self._log_ends(log, self._live.position(log), "draft", self._draft.position(log))

    def _bring(self, runner: Runner, connection: sa.Connection, held: dict[Log, int]) -> None:
        for log, position in held.items():
            runner.recall_in(connection, log)
            if not runner.bring_to(connection, log, position):
                raise self._log_ends(log, runner.position(log), "live", position)

    def _log_ends(self, log: Log, end: int, whose: str, position: int) -> DraftRefusedError:
        side, how = ("draft is", "--anew") if whose == "draft" else ("live tables are", "--in-place")
        return DraftRefusedError(
            f"log {log.value} ends at {end:,}, the {side} at {position:,}: its newest events were erased, and nothing "
            "can be compared until the log is past that; wait for newer events, or leave the erased ones out at once: "
            f"ledgerq projection rebuild {self.projection.name} {how}"
        )

    def _hold(self, connection: sa.Connection) -> dict[Log, int]:
        """Lock the live checkpoints until the transaction ends; where they stand."""
        name = follower(self.projection.name)
        return {log: Checkpoint.hold(driver(connection), name, log) for log in self.projection.follows}

    def _done(self, until: dict[Log, int]) -> int:
        return sum(min(self._draft.position(log), until[log]) for log in until)
