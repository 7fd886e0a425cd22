from __future__ import annotations

from random import Random

import pytest

from infra.broker.confirmation import Batch, Confirmation, Outcome
from infra.broker.frames import OutgoingMessage


def batch(*message_ids: str | None, first_tag: int = 1) -> Batch:
    messages = [OutgoingMessage(exchange="e", routing_key="k", body=b"", message_id=name) for name in message_ids]
    return Batch(messages, first_tag=first_tag)


def outcomes(found: Batch) -> list[Outcome]:
    return [confirmation.outcome for confirmation in found.confirmations()]


def test_one_tag_settles_one_message() -> None:
    found = batch("a", "b", first_tag=41)

    found.settle(42, Outcome.NACKED, multiple=False)

    assert found.unsettled == 1
    found.settle(41, Outcome.CONFIRMED, multiple=False)
    assert found.unsettled == 0
    assert outcomes(found) == [Outcome.CONFIRMED, Outcome.NACKED]


def test_multiple_settles_all_up_to_the_tag_that_are_still_open() -> None:
    found = batch("a", "b", "c", "d", "e")
    found.settle(2, Outcome.NACKED, multiple=False)

    found.settle(4, Outcome.CONFIRMED, multiple=True)

    assert found.unsettled == 1
    found.settle(5, Outcome.CONFIRMED, multiple=True)
    assert outcomes(found) == [Outcome.CONFIRMED, Outcome.NACKED] + [Outcome.CONFIRMED] * 3


def test_a_tag_settled_twice_counts_once() -> None:
    found = batch("a", "b")

    found.settle(1, Outcome.CONFIRMED, multiple=False)
    found.settle(1, Outcome.CONFIRMED, multiple=True)

    assert found.unsettled == 1


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_confirms_settles_everything_as_told(seed: int) -> None:
    random = Random(seed)
    expected = [random.choice([Outcome.CONFIRMED, Outcome.NACKED]) for _ in range(50)]
    found = batch(*(str(number) for number in range(50)))
    tags = list(range(1, 51))
    random.shuffle(tags)

    for tag in tags:
        found.settle(tag, expected[tag - 1], multiple=False)

    assert found.unsettled == 0
    assert outcomes(found) == expected


def test_a_return_is_for_the_first_message_of_that_address_that_has_none() -> None:
    found = batch("a", "same", "same", None)
    found.note_return(("e", "k", "same"), "312 NO_ROUTE")
    found.note_return(("e", "k", ""), "312 NO_ROUTE")
    found.settle(4, Outcome.CONFIRMED, multiple=True)

    assert outcomes(found) == [Outcome.CONFIRMED, Outcome.RETURNED, Outcome.CONFIRMED, Outcome.RETURNED]
    assert found.confirmations()[1] == Confirmation(Outcome.RETURNED, "312 NO_ROUTE")
