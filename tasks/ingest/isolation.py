"""Seeing a batch through: lost races, outages of the database, and messages that our own code fails at.

A batch that cannot be stored as a whole is halved until what stands in the way is alone. So one message costs its
neighbours some twenty transactions, once, and never a loop without end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from infra.database import DatabaseUnreachableError
from infra.event_store import LostRaceError
from tasks.ingest.delivery import Delivery
from tasks.ingest.rejection import FAULT, Rejected
from tasks.ingest.subject import fields_of

ROUNDS: Final = 5
"""How often the same messages may lose a race before they are taken apart."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.ingest")


class Interrupted(Exception):  # noqa: N818  not an error: a reason to let go of what is in hand
    """Waiting makes no sense any more: the process is to stop, or the broker has taken the messages back."""


class Taking(Protocol):
    """Stores what messages say; once it returns they may be acknowledged."""

    def __call__(self, deliveries: Sequence[Delivery], *, again: bool) -> list[Rejected]:
        """Take them in, or raise and store nothing; ``again``: they may have been taken in before."""


class Isolation:
    """Takes batches in, whatever happens.

    Args:
        reject: records that a message is not taken in.
        database_answers: whether the database does, asked while waiting for it.
        pause: waits so many seconds, keeping the broker's connection alive; raises :class:`Interrupted` when
            waiting makes no sense any more.
    """

    def __init__(
        self,
        *,
        reject: Callable[[Rejected], None],
        database_answers: Callable[[], bool],
        pause: Callable[[float], None],
    ) -> None:
        self._reject = reject
        self._database_answers = database_answers
        self._pause = pause

    def see_through(self, take: Taking, deliveries: Sequence[Delivery]) -> list[Rejected]:
        """Take messages in, in order.

        Returns:
            those that were not taken in; recorded, and yet to be sent to ``ingest.dead``.

        Raises:
            Interrupted: from waiting. Some may be stored, none may be acknowledged.
        """
        rejected: list[Rejected] = []
        waiting = [list(deliveries)]
        while waiting:
            part = waiting.pop()
            try:
                rejected += self._several_times(partial(take, part))
            except Interrupted:
                raise
            except Exception as error:  # noqa: BLE001  whatever it is, it is found, recorded and told
                smaller = _halves(part)
                waiting += reversed(smaller)
                if smaller:
                    _log.warning("taken apart", messages=len(part), error=_words(error))
                else:
                    rejected.append(self._put_aside(part[0], error))
        return rejected

    def _several_times(self, attempt: Callable[..., list[Rejected]]) -> list[Rejected]:
        """Try until it succeeds; a fault of the database says nothing about the messages and uses up no round."""
        losses = 0
        pauses = _growing_pauses()
        again = False
        while True:
            try:
                return attempt(again=again)
            except LostRaceError as error:
                losses += 1
                if losses == ROUNDS:
                    raise
                _log.info("decided again after a lost race", error=_words(error))
            except DatabaseUnreachableError as error:
                self._outlast(error, pauses)
            again = True

    def _outlast(self, error: DatabaseUnreachableError, pauses: Iterator[float]) -> None:
        """Wait until the database answers, however long; one that answers and yet cannot serve is waited for too."""
        _log.error("the database cannot store just now; messages are kept unacknowledged", error=_words(error))
        self._pause(next(pauses))
        while not self._database_answers():
            self._pause(next(pauses))
        _log.info("the database answers")

    def _put_aside(self, delivery: Delivery, error: Exception) -> Rejected:
        rejected = Rejected.bytes_of(delivery, reason=FAULT, detail=_words(error))
        _log.error(
            "a message cannot be stored for a fault of ours",
            message_id=str(rejected.message_id),
            exc_info=error,
            **fields_of(delivery),
        )
        self._several_times(lambda again: self._record(rejected))  # noqa: ARG005  recording it again is a repeat
        return rejected

    def _record(self, rejected: Rejected) -> list[Rejected]:
        self._reject(rejected)
        return []


def _halves(part: list[Delivery]) -> list[list[Delivery]]:
    """The first and the second half; of one message the elements' halves; nothing where there is one element."""
    whole = part if len(part) > 1 else part[0].elements()
    middle = len(whole) // 2
    return [whole[:middle], whole[middle:]] if middle else []


def _growing_pauses() -> Iterator[float]:
    """Seconds to wait, each time longer up to a limit; who waits for too long is told so by ``pause``."""
    seconds = FIRST_PAUSE_SECONDS
    while True:
        yield seconds
        seconds = min(2 * seconds, LONGEST_PAUSE_SECONDS)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
