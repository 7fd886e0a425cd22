"""Dead letters on which nothing was decided, grouped by task and error; and the dialog that asks what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from infra.web.page import Drawn, Visit
from infra.web.problem import Problem
from projections.letter_groups import AT_ONCE, LETTERS_LOOKED_AT, LetterGroup, letter_groups, letters_of
from projections.web.pages import asked

_DECIDED: Final = """
    select run_id, task, error_type, decision, decided_at, decided_by, decision_reason, new_run_id
    from read_model.dead_letters
    where dead_lettered_at is not null and decision is not null
    order by decided_at desc
    limit 20
"""
VERBS: Final = ("replay", "discard")


def show(visit: Visit) -> Drawn:
    """The page."""
    with visit.desk.reading() as connection:
        groups = letter_groups(connection, task=asked.text(visit.query, "task"))
        values = {
            "groups": groups,
            "task": asked.text(visit.query, "task") or "",
            "letters": sum(group["letters"] for group in groups),
            "looked_at": LETTERS_LOOKED_AT,
            "decided": asked.ask(connection, _DECIDED, {}),
        }
    return Drawn("letters.html", values)


def ask(visit: Visit) -> Drawn:
    """The dialog about one letter (``run_id``) or a group (``task``, ``error_type``, ``fingerprint``).

    Raises:
        Problem: it names neither, or there is none (any more).
    """
    verb = asked.chosen(visit.query, "verb", VERBS) or "replay"
    run_id = asked.text(visit.query, "run_id")
    group = LetterGroup.read(visit.query)
    if run_id is None and group is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "run_id is wanted, or task, error_type and fingerprint")
    values: dict[str, Any] = {"verb": verb, "run_id": run_id, "group": group, "most": AT_ONCE, "batch_id": uuid4()}
    with visit.desk.reading() as connection:
        there = [run_id] if run_id or group is None else letters_of(connection, group, limit=AT_ONCE)
    if not there:
        raise Problem(HTTPStatus.NOT_FOUND, "there is no open dead letter of this kind any more")
    return Drawn("letter_dialog.html", {**values, "count": len(there)})
