from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from infra.metrics import buckets
from infra.metrics.metric import histogram

METRIC = histogram("a_seconds", "What was waited.", "queue", bounds=(0.01, 0.5, 1.0, 60.0))
values = st.floats(min_value=0, max_value=1e6, allow_nan=False) | st.sampled_from(METRIC.bounds)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), values)))
def test_it_shows_what_that_of_prometheus_client_shows(observed: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = buckets.Histogram(METRIC)
    ours.register(mine)
    stock = Histogram(METRIC.name, METRIC.says, METRIC.labels, buckets=METRIC.bounds, registry=theirs)
    for queue, value in observed:
        mine.labels(queue).observe(value)
        stock.labels(queue).observe(value)
    assert generate_latest(ours) == generate_latest(theirs)


def test_one_without_labels_is_shown_before_anything_was_observed() -> None:
    registry = CollectorRegistry()
    registry.register(buckets.Histogram(METRIC._replace(labels=())))
    assert b"a_seconds_count 0.0" in generate_latest(registry)
