from __future__ import annotations

import pytest

from infra.cloudevents.encoding import BATCH, STRUCTURED
from tasks.ingest.delivery import Parts
from tests.tasks.ingest.deliveries import delivery


def test_the_elements_of_a_batch_are_messages_of_their_own() -> None:
    whole = delivery(b'[ {"a": 1} , {"b": [2]} ]', content_type=f"{BATCH}; charset=utf-8", redelivered=True)
    elements = whole.elements()
    assert [each.body for each in elements] == [b'{"a": 1}', b'{"b": [2]}']
    assert {each.content_type for each in elements} == {STRUCTURED}
    assert all(each.redelivered for each in elements)


@pytest.mark.parametrize(("body", "content_type"), [(b"[1]", STRUCTURED), (b"[1", BATCH), (b"{}", BATCH), (b"", None)])
def test_any_other_message_is_its_own_one_element(body: bytes, content_type: str | None) -> None:
    whole = delivery(body, content_type=content_type)
    assert whole.elements() == [whole]


def test_where_elements_and_events_differ_in_number_the_whole_message_is_meant() -> None:
    whole = delivery(b"[1, 2]", content_type=BATCH)
    assert Parts(whole, count=2)[1].body == b"2"
    assert Parts(whole, count=1)[0] is whole


def test_the_same_bytes_under_another_message_id_are_another_message() -> None:
    assert delivery(b"{", message_id="1").identity() == delivery(b"{", message_id="1").identity()
    assert delivery(b"{", message_id="1").identity() != delivery(b"{", message_id="2").identity()
    assert delivery(b"{").identity() != delivery(b"}").identity()
