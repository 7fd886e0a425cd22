"""Attempts of runs that name a license: it says whether they begin, wait or end, when they come and when they begin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from domain.ruling import ABOUT_LICENSES, Ruling, Says
from domain.task_run import HoldReason, TaskRejected, TaskRevoked
from infra.event_store.revocations import Revocation
from tasks.worker.outcome import Failure, NotRun, cut
from tasks.worker.retry import AttemptRules

if TYPE_CHECKING:
    from tasks.worker.in_hand import InHand
    from tasks.worker.licenses import FollowedLicense, Licenses
    from tasks.worker.registrar import Registrar

LOOKED_AFTER: Final = timedelta(seconds=8)
"""How long a message waits in the delay ladder before its license is looked at again."""
HOLDS: Final = {
    "LicenseSuspended": HoldReason.LICENSE_SUSPENDED,
    "LicenseTermOver": HoldReason.LICENSE_TERM_OVER,
}
"""Why an attempt is held, by why its license defers it."""


class Licensed:
    """Used by the consumer's thread alone.

    Args:
        licenses: how they stand.
        registrar: has what is in hand.
        call_soon: calls on the consumer's own thread.
    """

    def __init__(self, licenses: Licenses, registrar: Registrar, *, call_soon: Callable[..., Any]) -> None:
        self._licenses = licenses
        self._registrar = registrar
        self._call_soon = call_soon

    def let_in(self, in_hand: InHand, task: Any, then: Callable[[], None]) -> None:
        """Call ``then`` if the run's license admits it, at once or when it is known; else hold it or end it.

        A run that names none, or one that was never issued, is admitted.
        """
        license_id = _license_of(in_hand)
        if license_id is None:
            then()
        elif (followed := self._licenses.known(license_id)) is not None:
            self._let_in(in_hand, task, then, followed)
        else:
            self._licenses.ask(license_id, partial(self._call_soon, self._answered, in_hand, task, then))

    def stands(self, in_hand: InHand, task: Any) -> bool:
        """Whether the license admits the run now; if not, it is held or its end is told."""
        ruling = _ruling(in_hand, datetime.now(UTC))
        in_hand.admitted_by = None if ruling is None else str(ruling.decided_by)
        if ruling is None or ruling.says is Says.ADMITTED:
            return True
        if ruling.says is Says.DEFERRED:
            self._hold(in_hand, HOLDS[ruling.error_type], decided_by=str(ruling.decided_by))
        else:
            rules = AttemptRules(None, 0, is_critical=bool(getattr(task, "critical", False)))
            self._registrar.conclude(in_hand, turned_away(ruling), rules)
        return False

    def _answered(self, in_hand: InHand, task: Any, then: Callable[[], None], followed: FollowedLicense | None) -> None:
        if not self._registrar.has(in_hand) or self._registrar.is_closed:
            return  # its connection was lost, it was revoked, or it goes back because the worker ends
        if followed is None:
            self._hold(in_hand, HoldReason.LICENSE_AWAY)
        else:
            self._let_in(in_hand, task, then, followed)

    def _let_in(self, in_hand: InHand, task: Any, then: Callable[[], None], followed: FollowedLicense) -> None:
        in_hand.license = followed
        if self.stands(in_hand, task):
            then()

    def _hold(self, in_hand: InHand, because: HoldReason, *, decided_by: str | None = None) -> None:
        now = datetime.now(UTC)
        self._registrar.hold(in_hand, eta=now + LOOKED_AFTER, now=now, because=because, decided_by=decided_by)


def turned_away(ruling: Ruling) -> NotRun:
    """The outcome of an attempt that its license does not let begin."""
    name = TaskRevoked.TOPIC if ruling.says is Says.REVOKED else TaskRejected.TOPIC
    return NotRun(name, Failure(ruling.error_type, cut(ruling.text)), decided_by=str(ruling.decided_by))


def revoked_by_license(in_hand: InHand) -> Revocation | None:
    """That the license of what is in hand has been revoked, or has ended in a way that ends its work; as recorded.

    What has begun is not ended for a term that has only passed: whether it was renewed in time is not known yet.
    """
    standing = in_hand.license.standing if in_hand.license is not None else None
    ruling = standing.recorded() if standing is not None else None
    if ruling is None or ruling.says is not Says.REVOKED:
        return None
    return Revocation(in_hand.attempt.run_id, ruling.text, "", 0, ruling.error_type, str(ruling.decided_by))


def _license_of(in_hand: InHand) -> str | None:
    envelope = in_hand.attempt.envelope
    if envelope is None or not envelope.license_id or envelope.task in ABOUT_LICENSES:
        return None
    return None if "\0" in envelope.license_id else envelope.license_id  # PostgreSQL has no such text


def _ruling(in_hand: InHand, now: datetime) -> Ruling | None:
    standing = in_hand.license.standing if in_hand.license is not None else None
    return standing.ruling(now) if standing is not None else None
