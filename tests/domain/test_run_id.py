from uuid import uuid4

from domain.messages import decode_data
from domain.run_id import malformed_run_id, message_run_id, requested_run_id


def test_a_message_with_an_id_belongs_to_that_run() -> None:
    run_id = str(uuid4())
    assert message_run_id(b"[]", {"id": run_id}) == run_id
    assert message_run_id(b"[]", {"id": "invoice:2024-11"}) == "invoice:2024-11"


def test_the_same_malformed_message_is_the_same_run_before_and_after_its_death() -> None:
    assert malformed_run_id(b"{", {}) == malformed_run_id(b"{", {"x-death": [{"reason": "rejected"}]})
    assert malformed_run_id(b"{", None) == malformed_run_id(b"{", {})


def test_different_malformed_messages_are_different_runs() -> None:
    runs = {
        malformed_run_id(b"{", None),
        malformed_run_id(b"[", None),
        malformed_run_id(b"{", {"id": "not usable: "}),
        malformed_run_id(b"{", {"id": 7}),
    }
    assert len(runs) == 4


def test_bytes_that_are_no_text_have_a_run_too() -> None:
    assert malformed_run_id(b"\xff\xfe\x00", {"id": "\udcff"}).version == 5


def test_the_run_id_of_every_message_is_one_that_lifecycle_messages_accept() -> None:
    for headers in ({}, {"id": ""}, {"id": "a b"}, {"id": "x" * 101}, {"id": 5}, {"id": None}, {"id": "fine-1"}):
        run_id = message_run_id(b"{", headers)
        data = f'{{"run_id": "{run_id}", "task": "t", "attempt": 1}}'.encode()
        assert decode_data("task.succeeded", data)


def test_the_run_of_a_request_is_named_by_the_request_alone() -> None:
    message, another = uuid4(), uuid4()
    assert requested_run_id(message) == requested_run_id(message)
    assert len({requested_run_id(message), requested_run_id(another), message, another}) == 4
