from __future__ import annotations

from infra.broker.headers import clean_headers


def test_what_the_broker_wrote_about_deaths_and_deliveries_goes_and_the_rest_stays() -> None:
    received = {
        "x-death": [{"queue": "delay.00"}],
        "x-first-death-queue": "delay.00",
        "x-last-death-reason": "expired",
        "x-delivery-count": 3,
        "id": "r-1",
        "traceparent": "00-…",
        "x-ours": 1,
    }

    assert clean_headers(received) == {"id": "r-1", "traceparent": "00-…", "x-ours": 1}
    assert "x-death" in received


def test_no_headers_are_an_empty_dict() -> None:
    assert clean_headers(None) == {}
