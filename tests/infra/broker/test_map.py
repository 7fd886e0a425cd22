"""docs/rabbitmq.md names what there is, all of it and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from domain.tier import Tier
from infra.broker.delay import delay_route
from infra.broker.roles import ROLE, ROLES
from infra.broker.topology import POLICIES, TOPOLOGY
from infra.local.pictures.__main__ import MOST_BYTES
from infra.local.pictures.album import PICTURES

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "rabbitmq.md").read_text()
QUEUES = {queue.name for queue in TOPOLOGY.queues}
EXCHANGES = {exchange.name for exchange in TOPOLOGY.exchanges}
RUNGS = sorted(name for name in QUEUES if re.fullmatch(r"delay\.\d\d", name))

FEET = {"delay.out", "delay.out.fine"}
"""`delay.*` means the rungs."""


def rows(first: str) -> list[list[str]]:
    """The cells of a table's rows, by the title of its first column."""
    table = PAGE.split(f"\n| {first} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines()[2:]]


def named(cell: str) -> list[str]:
    """The names in a cell; from … to … are all rungs between."""
    found = re.findall(r"`([^`]+)`", cell)
    if "` … `" in cell:
        found[0:2] = [rung for rung in RUNGS if found[0] <= rung <= found[1]]
    return found


def expanded(names: Iterable[str], among: set[str]) -> set[str]:
    patterns = ["".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", name)) for name in names]
    return {name for name in among for pattern in patterns if re.fullmatch(pattern, name)}


def test_every_policy_is_named_with_its_queues() -> None:
    told = {named(policy)[0]: set(named(queues)) for policy, queues, _ in rows("policy")}
    assert told == {policy.name: {name for name in QUEUES if re.search(policy.pattern, name)} for policy in POLICIES}


def test_every_exchange_is_named_with_its_kind_and_the_queues_it_feeds() -> None:
    told = {name: (kind, set(named(to))) for names, kind, _, to in rows("exchange") for name in named(names)}
    assert told.keys() == EXCHANGES
    assert {name: kind for name, (kind, _) in told.items()} == {each.name: each.kind for each in TOPOLOGY.exchanges}
    for name, (_, to) in told.items():
        bound = {each.destination for each in TOPOLOGY.bindings if each.source == name and each.kind == "queue"}
        assert to <= bound, name
        assert to or name.startswith(("delay", "tasks")), name


def test_every_role_is_named_with_what_it_publishes_to_and_takes_from() -> None:
    told = {named(row[0])[0]: row for row in rows("role")}
    assert list(told) == [role.name for role in ROLES]
    for role in ROLES:
        _, _, publishes, takes, management = told[role.name]
        may = {name for name in EXCHANGES if re.search(role.write, name)}
        said = expanded(named(publishes), EXCHANGES) | ({"events"} if "as an emitter" in publishes else set())
        assert said - FEET == may, role.name
        assert expanded(named(takes), QUEUES) == {name for name in QUEUES if re.search(role.read, name)}, role.name
        assert set(named(management)) == set(role.tags)


@pytest.mark.parametrize("name", ["emitter", "ingest", "worker"])
def test_the_keys_of_a_role_are_told(name: str) -> None:
    role = ROLE[name]
    row = next(row for row in rows("role") if named(row[0]) == [name])
    keys = re.findall(r"`events`: (.+?)(?:;|$)", row[2])[0]
    for key in named(keys):
        assert re.search(role.keys["events"], key.replace("*", "started")), key


def test_the_page_shows_every_picture_that_is_taken_and_no_other() -> None:
    shown = set(re.findall(r"\(images/(rabbitmq-\w+\.png)\)", PAGE))
    taken = {f"rabbitmq-{picture.name}.png" for picture in PICTURES}
    kept = {path.name for path in (DOCS / "images").glob("rabbitmq-*.png")}
    assert shown == taken == kept
    assert len(PICTURES) <= 8
    for name in kept:
        content = (DOCS / "images" / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) <= MOST_BYTES


def test_the_example_of_a_key_is_what_the_ladder_makes() -> None:
    example = re.search(r"`((?:[01]\.){17}tasks\.low)` was (\d+) s", PAGE)
    assert example is not None
    assert delay_route(timedelta(seconds=int(example[2])), Tier.LOW.queue).routing_key == example[1]
