from uuid import uuid4

import pytest

from infra.tracing import ids
from infra.tracing.ids import Context, Story

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def test_a_traceparent_is_read_as_it_was_written() -> None:
    context = Context(TRACE, SPAN, is_sampled=True)
    assert context.traceparent == f"00-{TRACE}-{SPAN}-01"
    assert Context.read(context.traceparent) == context
    assert Context.read(f"00-{TRACE}-{SPAN}-00") == context._replace(is_sampled=False)
    assert Context.read(f"01-{TRACE}-{SPAN}-03-later") == context  # versions to come may say more


@pytest.mark.parametrize(
    "text",
    [
        None,
        17,
        "",
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_names_nothing(text: object) -> None:
    assert Context.read(text) is None


def test_whoever_began_a_trace_decides_whether_it_is_sampled() -> None:
    assert Story.of(f"00-{TRACE}-{SPAN}-01", "c", ratio=0.0).is_sampled
    assert not Story.of(f"00-{TRACE}-{SPAN}-00", "c", ratio=1.0).is_sampled


def test_a_story_that_nobody_traced_has_the_trace_that_follows_from_its_correlation_id() -> None:
    story = Story.of("no trace", "order-17", ratio=1.0)
    assert story == Story(ids.trace_id("order-17"), is_sampled=True, told=None)
    assert not Story.of(None, "order-17", ratio=0.0).is_sampled


def test_the_trace_is_that_of_the_traceparent_and_without_a_usable_one_that_of_the_story() -> None:
    assert ids.trace_of(f"00-{TRACE}-{SPAN}-00", "order-17") == TRACE
    assert ids.trace_of(f"ff-{TRACE}-{SPAN}-00", "order-17") == ids.trace_id("order-17")


def test_as_many_stories_are_sampled_as_the_ratio_says_whatever_their_correlation_ids_are() -> None:
    sampled = sum(ids.is_sampled(ids.trace_id(str(uuid4())), 0.1) for _ in range(5000))
    assert 380 < sampled < 620  # six standard deviations


def test_different_things_have_different_spans() -> None:
    made = [ids.emitted("a"), ids.ingested(TRACE, "a"), ids.appended("a"), ids.dispatched("a"), ids.buried("a")]
    made += [ids.attempted("a", 1), ids.attempted("a", 2), ids.attempted("b", 1)]
    made += [ids.retried("a", 2, is_sampled=True).span_id, ids.replayed("a", is_sampled=True).span_id]
    assert len(set(made)) == len(made)
    assert all(len(span) == 16 for span in made)


def test_sql_comes_to_the_same_ids() -> None:
    assert ids.trace_id("123") == "202cb962ac59075b964b07152d234b70"  # select md5('123')
    assert ids.appended("e") == ids.trace_id("append/e")[:16]
    assert ids.attempted("r", 2) == ids.trace_id("attempt/r/2")[:16]
