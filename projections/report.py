"""The report: what the analytics views say about the platform, and whether it balances.

Only runs accepted by the moment the report was asked for count: recurring schedules go on adding runs, and a report
that waited for the last of them would never end.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import psycopg
from psycopg.rows import dict_row

from projections.questions import CAUGHT_UP, CONSERVATION, ENDS, NOW, OPEN_RUNS, SECTIONS, Question

_LOOK_AGAIN_SECONDS: Final = 0.2

Answer = list[dict[str, Any]]


class Conservation(msgspec.Struct, frozen=True):
    """Accepted runs against their ends; see the view ``analytics.rpt_conservation``."""

    accepted: int
    ends: dict[str, int]
    open: int
    disagreeing: int

    @property
    def is_balanced(self) -> bool:
        """Whether every accepted run has its one end, and the log and the read model agree on every one."""
        return self.open == 0 and self.disagreeing == 0 and self.accepted == sum(self.ends.values())

    def sentence(self) -> str:
        """``accepted 10 = succeeded 8 + failed 2 + … (open 0)``."""
        ended = sum(self.ends.values())
        ends = " + ".join(f"{_spoken(end)} {count}" for end, count in self.ends.items())
        return f"accepted {self.accepted} {'=' if self.accepted == ended else '≠'} {ends} (open {self.open})"


class Report(msgspec.Struct, frozen=True):
    """Everything the report says, as of one instant."""

    accepted_until: datetime
    answers: tuple[tuple[Question, Answer], ...]
    conservation: Conservation

    def as_values(self) -> dict[str, Any]:
        """The report as plain values, a list of rows per section."""
        sections = {question.key: answer for question, answer in self.answers}
        balance = {"is_balanced": self.conservation.is_balanced, "sentence": self.conservation.sentence()}
        conservation = msgspec.to_builtins(self.conservation) | balance
        return {"accepted_until": self.accepted_until, **sections, "conservation": conservation}


def make_report(connection: psycopg.Connection[Any], *, wait: timedelta = timedelta()) -> Report:
    """Ask the views.

    Args:
        connection: in autocommit mode.
        wait: how long to wait, at most, until the runs accepted by now have ended and projections have caught up.
    """
    cut: datetime = ask(connection, NOW)[0]["now"]
    _wait_until_settled(connection, cut, deadline=time.monotonic() + wait.total_seconds())
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        answers = tuple((question, ask(connection, question.sql, cut=cut)) for question in SECTIONS)
        return Report(cut, answers, _conservation(connection, cut))


def _wait_until_settled(connection: psycopg.Connection[Any], cut: datetime, *, deadline: float) -> None:
    """Return once all runs accepted by ``cut`` have ended and all projections know it, or at the deadline."""
    until: dict[tuple[str, str], int] | None = None
    while time.monotonic() < deadline:
        if until is None and _has_settled(connection, cut):
            until = {_follower(row): row["safe_position"] for row in ask(connection, CAUGHT_UP)}
        if until is not None and all(row["position"] >= until[_follower(row)] for row in ask(connection, CAUGHT_UP)):
            return
        time.sleep(_LOOK_AGAIN_SECONDS)


def _has_settled(connection: psycopg.Connection[Any], cut: datetime) -> bool:
    """Whether the runs balance; the log is counted only when nothing is known to be open, for that is not cheap."""
    return ask(connection, OPEN_RUNS, cut=cut)[0]["open"] == 0 and _conservation(connection, cut).is_balanced


def _conservation(connection: psycopg.Connection[Any], cut: datetime) -> Conservation:
    (row,) = ask(connection, CONSERVATION, cut=cut)
    return Conservation(row["accepted"], {end: row[end] for end in ENDS}, row["open"], row["disagreeing"])


def _follower(row: dict[str, Any]) -> tuple[str, str]:
    return row["projection"], row["log"]


def _spoken(end: str) -> str:
    return {"timed_out": "timed out", "dead_lettered": "dead-lettered"}.get(end, end)


def ask(connection: psycopg.Connection[Any], question: str, **values: object) -> Answer:
    """The rows that ``question`` finds, as values by column name."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(question.encode(), values).fetchall()
