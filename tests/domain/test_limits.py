from __future__ import annotations

from datetime import timedelta

import pytest

from domain.limits import ConcurrencyLimit, Limits, RateLimit


@pytest.mark.parametrize(
    ("text", "permits", "seconds"), [("20/m", 20, 60), ("5/s", 5, 1), ("100/h", 100, 3600), ("1/m", 1, 60)]
)
def test_a_rate_is_read_as_people_write_it(text: str, permits: int, seconds: int) -> None:
    limit = RateLimit.parse(text)
    assert (limit.permits, limit.per) == (permits, timedelta(seconds=seconds))
    assert str(limit) == text


@pytest.mark.parametrize("text", ["", "0/m", "20", "20/d", "-1/s", "2.5/s", "99999999/s", "20/m "])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimit.parse(text)


@pytest.mark.parametrize("permits", [1, 2, 9, 20, 200, 999])
def test_no_period_has_more_than_the_permits_however_the_bursts_fall(permits: int) -> None:
    """Beginnings as early as the limiter allows them; the period begins with the first one of a burst."""
    limit = RateLimit(permits, timedelta(minutes=1))
    allowed_at = [max(0, n - limit.burst_permits + 1) * limit.interval for n in range(2 * permits)]
    assert sum(at < limit.per for at in allowed_at) == permits


@pytest.mark.parametrize("burst", [0, 21])
def test_a_burst_is_within_the_permits(burst: int) -> None:
    with pytest.raises(ValueError, match="burst"):
        RateLimit(20, timedelta(minutes=1), burst)


def test_limits_say_what_they_are() -> None:
    limits = Limits(RateLimit.parse("20/m"), ConcurrencyLimit(3, "license_id"))
    assert str(limits) == "20/m, 3 at once for each license_id"
    assert str(Limits()) == "no limits"
    assert not Limits()
