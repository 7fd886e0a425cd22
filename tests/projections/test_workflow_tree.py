"""Where each step is shown, and how many like ones are left out."""

from __future__ import annotations

import random
from typing import Any

import pytest

from projections.workflow_shortening import BAD, FIRST, shortened
from projections.workflow_tree import DEEPEST, lines, tree_of
from tests.projections.histories import at

NOWHERE = dict.fromkeys(
    ("parent_run_id", "chain_id", "chain_step", "group_id", "member_number", "link_number", "body_of", "body_number")
)


def step(run_id: str, seconds: float = 0, state: str = "succeeded", **placed: Any) -> dict[str, Any]:
    role = "member" if "group_id" in placed else "link" if "chain_id" in placed else "run"
    return {
        **NOWHERE,
        "run_id": run_id,
        "role": role,
        "state": state,
        "accepted_at": at(seconds),
        "wanted_count": None,
        **placed,
    }


def member(group_id: str, number: int, link: int = 1, state: str = "succeeded", **placed: Any) -> dict[str, Any]:
    named = {"group_id": group_id, "member_number": number, "link_number": link}
    return step(f"{group_id}{number}.{link}", number, state, **named, **placed)


def link(number: int, **placed: Any) -> dict[str, Any]:
    return step(f"c{number}", number, chain_id="c1", chain_step=number, **placed)


def drawn(steps: list[dict[str, Any]]) -> list[str]:
    """A line for each node: how deep, its number, and its run."""
    told = [(depth, node.label, node.step) for depth, node in lines(tree_of(steps))]
    return [f"{'  ' * depth}{label} {row['run_id'] if row else '*'}".rstrip() for depth, label, row in told]


CHAIN = [
    link(1),
    *(member("g", number, chain_id="c1", chain_step=2) for number in (1, 2)),
    link(2, body_of="g", body_number=1),
    link(3, body_of="g", body_number=2),
]


def test_a_chord_is_the_step_of_the_chain_and_what_follows_its_body_a_later_one() -> None:
    assert drawn(CHAIN) == ["1 c1", "2 *", "  1 g1.1", "  2 g2.1", "  body c2", "3 c3"]


def test_a_member_that_is_a_chord_stands_where_the_member_would() -> None:
    inner = step("i", body_of="h", body_number=1, group_id="g", member_number=1, link_number=1)
    steps = [member("h", 1), member("h", 2), inner, member("g", 2), step("b", 9, body_of="g", body_number=1)]
    assert drawn(steps) == [" *", "  1 *", "    1 h1.1", "    2 h2.1", "    body i", "  2 g2.1", "  body b"]


def test_what_a_run_sent_stands_under_it_whatever_it_is() -> None:
    sent = [member("g", number, parent_run_id="a") for number in (1, 2)]
    steps = [step("a"), step("b", 1, parent_run_id="a"), step("c", 2, parent_run_id="b"), *sent]
    assert drawn(steps) == [" a", "   b", "     c", "   *", "    1 g1.1", "    2 g2.1"]


def test_a_task_that_asks_for_itself_again_and_again_is_shown_whole() -> None:
    """One stands under the other no deeper than can be read."""
    steps = [step(f"r{number}", number, parent_run_id=f"r{number - 1}") for number in range(5_000)]
    told = [(depth, node.step["run_id"]) for depth, node in lines(tree_of(steps)) if node.step is not None]
    assert [run for _, run in told] == [each["run_id"] for each in steps]
    assert max(depth for depth, _ in told) == DEEPEST - 1


def test_whoever_names_whom_as_parent_or_body_each_step_is_shown_once() -> None:
    """Ids are a client's to choose: circles are shown, and nothing waits for their end."""
    steps = [
        step("a", parent_run_id="b"),
        step("b", parent_run_id="a"),
        step("self", parent_run_id="self"),
        step("x", body_of="h", body_number=1, group_id="g", member_number=1, link_number=1),
        step("y", body_of="g", body_number=1, group_id="h", member_number=1, link_number=1),
        step("z", body_of="own", body_number=1, group_id="own", member_number=1, link_number=1, parent_run_id="z"),
        step("w", chain_id="absent", chain_step=2),
        *CHAIN,
    ]
    for seed in range(20):
        random.Random(seed).shuffle(steps)
        shown = [node.step["run_id"] for _, node in lines(tree_of(steps)) if node.step is not None]
        assert sorted(shown) == sorted(each["run_id"] for each in steps)


@pytest.mark.parametrize(("bad", "shown"), [(2, 2), (50, BAD)])
def test_of_many_members_the_first_and_the_bad_ones_are_shown_and_the_others_counted(bad: int, shown: int) -> None:
    steps = [member("g", number, state="failed" if number <= bad else "succeeded") for number in range(1, 101)]
    [top] = shortened(tree_of([*steps, step("b", 200, body_of="g", body_number=1)]))
    *_, more, body = top.beneath
    assert len(top.beneath) == shown + FIRST + 2
    assert body.label == "body"
    left = {"succeeded": 100 - bad - FIRST, "failed": bad - shown}
    assert more.states == {state: count for state, count in left.items() if count}
    assert top.states == {"succeeded": 100 - bad, "failed": bad}


def test_links_of_a_chain_are_all_shown_and_runs_that_nobody_planned_are_not() -> None:
    chained = [link(number) for number in range(1, 31)]
    assert len(list(lines(shortened(tree_of(chained))))) == 30
    sent = [step(f"s{number}", 100 + number, parent_run_id="c1") for number in range(30)]
    assert len(list(lines(shortened(tree_of([*chained, *sent]))))) == 30 + FIRST + 1
    loose = [step(f"r{number}", number) for number in range(30)]
    assert len(list(lines(shortened(tree_of(loose))))) == FIRST + 1
