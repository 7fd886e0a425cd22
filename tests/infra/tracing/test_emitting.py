from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from infra.broker import emitter
from infra.cloudevents import CloudEvent, new_event
from infra.settings import Settings
from infra.tracing import Context, Span, Tracer, emitting, ids
from infra.tracing.emitting import Publication
from tests.infra.tracing.broken import BrokenTracer

ABOVE = Context("a" * 32, "b" * 16, is_sampled=True)
AT = datetime(2026, 3, 1, tzinfo=UTC)


class Sent(Tracer):
    """A tracer that keeps what it sends."""

    def __init__(self) -> None:
        self.ratio = 1.0
        self.spans: list[Span] = []

    def send(self, span: Span) -> None:
        self.spans.append(span)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    tracer = Sent()
    monkeypatch.setattr(emitting, "current", lambda: tracer)
    return tracer


def ended(**more: Any) -> CloudEvent:
    return replace(new_event("session.ended", source="/test", data={"session_id": "s-1"}, time=AT), **more)


def test_an_event_names_the_span_of_its_publishing_from_then_on(sent: Sent) -> None:
    event = ended()
    with Publication([event]) as publication:
        (told,) = publication.events
    (span,) = sent.spans
    assert told.traceparent == span.context.traceparent
    assert span.context == Context(ids.trace_id(str(event.unique_id)), ids.emitted(event.unique_id), is_sampled=True)
    assert (span.parent, span.error) == (None, None)
    assert told.unique_id == event.unique_id


def test_the_senders_own_span_is_above_it(sent: Sent) -> None:
    with Publication([ended(traceparent=ABOVE.traceparent)]):
        pass
    (span,) = sent.spans
    assert (span.context.trace_id, span.parent) == (ABOVE.trace_id, ABOVE.span_id)


def test_what_could_not_be_published_is_an_error(sent: Sent) -> None:
    with pytest.raises(ConnectionError), Publication([ended()]):
        raise ConnectionError("no broker")
    assert [span.error for span in sent.spans] == ["ConnectionError"]


def test_what_did_not_arrive_is_given_back_as_it_was_and_is_the_only_error(sent: Sent) -> None:
    arrived, lost = ended(), replace(ended(), id="another")
    publication = Publication([arrived, lost])
    with pytest.raises(LookupError) as raised, publication:
        raise LookupError(publication.lose(publication.events[1:]))
    assert raised.value.args == ([lost],)
    assert [span.error for span in sent.spans] == [None, "LookupError"]


def test_a_heartbeat_has_no_span(sent: Sent) -> None:
    heartbeat = new_event("session.heartbeat", source="/test", data={"session_id": "s-1"}, time=AT)
    with Publication([heartbeat]) as publication:
        assert publication.events == [heartbeat]
    assert sent.spans == []


def test_with_tracing_off_the_span_of_the_calling_code_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    event, own = ended(), ended(traceparent=ABOVE.at("c" * 16).traceparent)
    assert Publication([event]).events == [event]
    monkeypatch.setattr(emitting, "active_context", lambda: ABOVE)
    passed, kept = Publication([event, own]).events
    assert (passed.traceparent, kept) == (ABOVE.traceparent, own)


@pytest.mark.parametrize("can_begin", [False, True])
def test_no_fault_of_tracing_keeps_an_event_from_being_published(
    *, can_begin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitting, "current", lambda: BrokenTracer(can_begin=can_begin))
    event, published = ended(), []
    with Publication([event]) as publication:
        published = [told.unique_id for told in publication.events]
    assert published == [event.unique_id]
    assert publication.lose(publication.events) == [event]


def test_an_exporter_that_cannot_be_made_keeps_no_emitter_from_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_settings: Any, **_service: Any) -> NoReturn:
        raise OSError("no certificate")

    monkeypatch.setattr(emitter, "start", start)
    with emitter.Emitter(Settings(), role="test") as made:
        assert made is not None
