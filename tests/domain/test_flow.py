from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.flow import Flow, FlowAlreadyPaused, FlowKind, FlowLimitedSo, FlowNotLimited, FlowNotPaused
from domain.limits import ConcurrencyLimit, Limits, RateLimit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(RateLimit(20, timedelta(minutes=1), 5), ConcurrencyLimit(3, "license_id"))


def untouched() -> Flow:
    return Flow(FlowKind.TASK, "billing.charge")


def test_a_flow_is_paused_until_it_is_resumed() -> None:
    paused = untouched().after(untouched().pause(reason="closed", at=NOW))
    assert paused.paused is not None
    with pytest.raises(FlowAlreadyPaused, match="closed"):
        paused.pause(reason="again", at=NOW)
    resumed = paused.after(paused.resume(reason="open", at=NOW))
    assert resumed.paused is None
    assert resumed.version == 2


def test_what_is_not_paused_cannot_be_resumed() -> None:
    with pytest.raises(FlowNotPaused):
        untouched().resume(reason="open", at=NOW)


def test_limits_hold_until_they_are_withdrawn() -> None:
    limited = untouched().after(untouched().limit(LIMITS, reason="terms", at=NOW))
    assert limited.limits == LIMITS
    with pytest.raises(FlowLimitedSo, match="20/m, 3 at once for each license_id"):
        limited.limit(LIMITS, reason="again", at=NOW)
    assert limited.after(limited.withdraw_limits(reason="old terms", at=NOW)).limits is None


def test_no_limits_at_all_are_limits_of_their_own() -> None:
    free = untouched().after(untouched().limit(Limits(), reason="hurry", at=NOW))
    assert free.limits == Limits()


def test_limits_that_nobody_set_cannot_be_withdrawn() -> None:
    with pytest.raises(FlowNotLimited):
        untouched().withdraw_limits(reason="x", at=NOW)
