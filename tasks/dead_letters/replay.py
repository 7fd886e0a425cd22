"""Replays: each dead letter of a batch is asked for again, as a new run that is caused by the dead one.

Everything follows from the batch as it is recorded: which letters, and the ids of the new runs. Carried out twice, or
by two people at once, or again after an interruption, it gives the same runs, each once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.cause import Cause
from domain.dead_letter import LetterState, ReplayFinished, ReplayRequested, replay_stream
from infra.event_store import EventStore, Log, LostRaceError, NewEvent
from tasks.dead_letters.batch import Batch, Planned
from tasks.dead_letters.edit import Edit, EditInvalidError
from tasks.dead_letters.letter import Letter, UnreplayableError, load_letters
from tasks.dead_letters.spans import tell_replayed

LETTERS_AT_MOST: Final = 10_000
"""Letters of one batch: as many as the broker's queue holds."""
TRIES: Final = 5
"""How often a letter is looked at again that somebody else decided on at the same moment."""


class BatchUnknownError(LookupError):
    """The log knows no such batch of replays."""


class Tally(NamedTuple):
    """What became of letters, by their runs.

    Attributes:
        done: those that were dealt with: the new run of each, or its task where nothing is run.
        left: the others, each with why.
    """

    done: dict[str, str]
    left: dict[str, str]


def plan(letter: Letter, edit: Edit, *, is_again: bool) -> Planned:
    """What is to be asked for.

    Raises:
        UnreplayableError: it has been decided on, cannot be asked for, or cannot be changed in this way.
    """
    if letter.state is not LetterState.OPEN and not is_again:
        raise UnreplayableError(f"it is {letter.state.value} already")
    try:
        payload, patch = edit.apply(letter.payload())
    except EditInvalidError as error:
        raise UnreplayableError(str(error)) from None
    return Planned(payload, patch)


def request_replay(store: EventStore, asked: ReplayRequested, *, actor: str) -> UUID:
    """Record the batch that ``asked`` describes, before anything is done about it; its id."""
    replay_id = UUID(asked.originator_id.removeprefix(replay_stream("")))
    cause = Cause(id=replay_id, at=asked.timestamp, actor=actor)
    store.append(Log.TASKS, [NewEvent(asked, cause.event_id(0), cause.metadata())])
    return replay_id


class Replayer:
    """Carries batches out.

    Args:
        store: the event store.
        clock: the present, UTC.
        pause: waits so many seconds.
    """

    def __init__(
        self, store: EventStore, *, clock: Callable[[], datetime], pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._store = store
        self._clock = clock
        self._pause = pause

    def carry_out(self, replay_id: UUID, *, tell: Callable[[Tally], None] = lambda _: None) -> Tally:
        """Replay what the batch has not replayed yet, and record that it is finished.

        Args:
            replay_id: the batch.
            tell: called after each letter.

        Raises:
            BatchUnknownError: there is no such batch.
        """
        batch = self._batch(replay_id)
        tally = Tally({}, {})
        pace = paced(batch.asked.per_second, self._pause)
        found = set()
        for letter in load_letters(self._store, batch.asked.run_ids):
            found.add(letter.run_id)
            known = batch.new_run_of(letter)
            if known is None:
                next(pace)
                self._replay(letter, batch, tally)
            else:
                tally.done[letter.run_id] = known
            tell(tally)
        tally.left.update(dict.fromkeys({*batch.asked.run_ids} - found, "the log has no dead letter of it"))
        self._finish(batch, tally)
        return tally

    def _batch(self, replay_id: UUID) -> Batch:
        stream = replay_stream(replay_id)
        events = self._store.load_recorded(Log.TASKS, [stream]).get(stream, [])
        for recorded in events:
            if isinstance(recorded.event, ReplayRequested):
                return Batch(replay_id, recorded, recorded.event)
        raise BatchUnknownError(f"the log knows no batch {replay_id}")

    def _replay(self, letter: Letter, batch: Batch, tally: Tally) -> None:
        current: Letter | None = letter
        for _ in range(TRIES):
            if current is None:
                break
            began = self._clock()
            try:
                planned = plan(current, Edit.of(batch.asked.edit), is_again=batch.asked.is_again)
                self._store.append(Log.TASKS, batch.events(current, planned, at=began))
            except UnreplayableError as error:
                tally.left[letter.run_id] = str(error)
                return
            except LostRaceError:
                current = next(load_letters(self._store, [letter.run_id]), None)
            else:
                tally.done[letter.run_id] = new_run_id = str(batch.new_run_id(letter))
                tell_replayed(current.fact, new_run_id, actor=batch.actor, at=began)
                return
        tally.left[letter.run_id] = "others keep deciding on it"

    def _finish(self, batch: Batch, tally: Tally) -> None:
        done = ReplayFinished(
            originator_id=replay_stream(batch.replay_id),
            originator_version=2,
            timestamp=self._clock(),
            replayed=len(tally.done),
            left=tally.left,
        )
        cause = Cause(id=batch.replay_id, at=done.timestamp, actor=batch.actor)
        self._store.append_each(Log.TASKS, [NewEvent(done, cause.event_id(1), cause.metadata())])


def paced(per_second: float | None, pause: Callable[[float], None]) -> Iterator[None]:
    """Each step comes when it may: at most ``per_second`` of them in a second, counted from the first."""
    began = time.monotonic()
    steps = 0
    while True:
        if per_second is not None:
            wait = began + steps / per_second - time.monotonic()
            if wait > 0:
                pause(wait)
        steps += 1
        yield
