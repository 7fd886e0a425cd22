"""What the followers of dispatch's have in common: where they stand, and how that moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from infra.event_store import EventStore, Transaction
from tasks.dispatch.place import Place


class LogFollower:
    """Follows logs from a checkpoint on; what it does about events is stored in the transaction that moves that.

    Attributes:
        place: where it stands in the log it follows; of several, in the first one.
    """

    def __init__(self, store: EventStore, *places: Place) -> None:
        self._store = store
        self._places = places
        self.place = places[0]

    def take_over(self) -> None:
        """Begin where the last one stopped."""
        with self._store.transaction() as transaction:
            for place in self._places:
                place.load(transaction.connection)

    def note_position(self) -> None:
        """Write down how far this has looked, if the store does not know."""
        ahead = [(place, place.position) for place in self._places if place.is_ahead]
        if not ahead:
            return
        with self._store.transaction() as transaction:
            for place, position in ahead:
                place.store(transaction, to=position)
        for place, position in ahead:
            place.stored(position)

    @contextmanager
    def moving(self, to: int, *, place: Place | None = None) -> Iterator[Transaction]:
        """A transaction that ends with everything up to a position dealt with.

        Args:
            to: the position.
            place: in which log; None: in the first one.

        Raises:
            CheckpointMovedError: another dispatcher is at work; nothing of it is stored.
        """
        moved = place or self.place
        with self._store.transaction() as transaction:
            yield transaction
            moved.store(transaction, to=to)
        moved.stored(to)
