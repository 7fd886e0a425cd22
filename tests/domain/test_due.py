"""What is due, against a model that looks at every second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.due import COUNTED, due, next_due
from domain.schedule import Schedule
from domain.schedule_terms import PUNCTUAL, CatchUp, Terms
from domain.timetable import Cron, Interval, Once

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
LENGTH = 120
WINDOW = 40.0
Edit = tuple[int, str, int]


def second(count: float) -> datetime:
    return START + timedelta(seconds=count)


def terms(every: int, catch_up: CatchUp) -> Terms:
    return Terms(task=f"every-{every}", timetable=Interval(every, START), catch_up=catch_up, catch_up_seconds=WINDOW)


class Model:
    """A second after the other: what does the schedule have as a slot?"""

    def __init__(self, every: int) -> None:
        self.every, self.state = every, "active"
        self.slots: list[int] = []

    def at(self, moment: int, edits: list[Edit]) -> None:
        if self.state == "active" and moment % self.every == 0 and moment > 0:
            self.slots.append(moment)
        for _, what, every in (edit for edit in edits if edit[0] == moment):
            if what == "change" and self.state != "removed":
                self.every = every
            elif what == "pause" and self.state == "active":
                self.state, self.slots = "paused", []
            elif what == "resume" and self.state == "paused":
                self.state = "active"
            elif what == "remove" and self.state != "removed":
                self.state, self.slots = "removed", []


def edited(schedule: Schedule, edits: list[Edit], catch_up: CatchUp) -> Schedule:
    for moment, what, every in sorted(edits):
        at = second(moment)
        state, known = schedule.state.value, schedule.terms
        match what:
            case "change" if state != "removed" and known != terms(every, catch_up):
                schedule = schedule.after(schedule.change(terms(every, catch_up), at=at))
            case "pause" if state == "active":
                schedule = schedule.after(schedule.pause(at=at))
            case "resume" if state == "paused":
                schedule = schedule.after(schedule.resume(at=at))
            case "remove" if state != "removed":
                schedule = schedule.after(schedule.remove(at=at))
    return schedule


EDITS = st.lists(
    st.tuples(
        st.integers(1, LENGTH - 1),
        st.sampled_from(["change", "change", "pause", "resume", "remove"]),
        st.integers(1, 9),
    ),
    max_size=6,
    unique_by=lambda edit: edit[0],
)


@settings(max_examples=60, deadline=None)
@given(every=st.integers(1, 9), edits=EDITS, catch_up=st.sampled_from(CatchUp), seen=st.integers(0, LENGTH))
def test_what_is_due_is_what_a_second_by_second_model_says(
    every: int, edits: list[Edit], catch_up: CatchUp, seen: int
) -> None:
    schedule = Schedule("s")
    schedule = edited(schedule.after(schedule.declare(terms(every, catch_up), at=START)), edits, catch_up)
    model = Model(every)
    for moment in range(LENGTH + 1):
        model.at(moment, edits)

    found = due(schedule, seen=second(seen), now=second(LENGTH), most=1000)

    left = [slot for slot in model.slots if slot > seen]
    oldest = {CatchUp.NONE: LENGTH - PUNCTUAL.seconds, CatchUp.ALL: LENGTH - WINDOW, CatchUp.LAST: max(left, default=0)}
    fired = [slot for slot in left if slot >= oldest[catch_up]]
    missed = [slot for slot in left if slot < oldest[catch_up]]
    assert [slot.at for slot in found.slots] == [second(slot) for slot in fired]
    if found.missed is None:
        assert missed == []
    else:
        assert found.missed == (second(missed[0]), second(missed[-1]), len(missed))


@settings(max_examples=60, deadline=None)
@given(
    every=st.integers(1, 9), edits=EDITS, looks=st.lists(st.integers(1, LENGTH), max_size=20), most=st.integers(1, 4)
)
def test_whenever_anybody_looks_each_slot_is_due_once(
    every: int, edits: list[Edit], looks: list[int], most: int
) -> None:
    """The scheduler looks at any time, learns of edits as they are made, and is killed and forgets at any time."""
    edits = [edit for edit in edits if edit[1] == "change"]
    catch_up = CatchUp.ALL
    begun = Schedule("s")
    begun = begun.after(begun.declare(msgspec.structs.replace(terms(every, catch_up), catch_up_seconds=1e6), at=START))
    seen, fired = None, []
    for look in [*sorted(looks), *[LENGTH] * (LENGTH + 1)]:
        schedule = begun
        for moment, _, other in sorted(edit for edit in edits if edit[0] <= look):
            changed = msgspec.structs.replace(terms(other, catch_up), catch_up_seconds=1e6)
            if changed != schedule.terms:
                schedule = schedule.after(schedule.change(changed, at=second(moment)))
        expected = next_due(schedule, seen=seen)
        found = due(schedule, seen=seen, now=second(look), most=most)
        assert found.missed is None
        if found.slots:
            assert found.slots[0].at == expected
            seen = found.slots[-1].at
        fired += [slot.at for slot in found.slots]
    model = Model(every)
    for moment in range(LENGTH + 1):
        model.at(moment, edits)
    assert fired == [second(slot) for slot in model.slots]


def test_more_missed_slots_than_anybody_counts_are_named_by_the_first_and_the_last() -> None:
    schedule = Schedule("s")
    schedule = schedule.after(schedule.declare(terms(1, CatchUp.LAST), at=START))
    found = due(schedule, seen=None, now=second(COUNTED * 3), most=9)
    assert found.missed == (second(1), second(COUNTED * 3 - 1), None)
    assert [slot.at for slot in found.slots] == [second(COUNTED * 3)]


def test_what_comes_once_in_forty_years_is_due_then_and_never_again() -> None:
    schedule, moment = Schedule("s"), START.replace(year=2066)
    schedule = schedule.after(schedule.declare(Terms(task="t", timetable=Once(moment)), at=START))
    assert next_due(schedule, seen=None) == moment
    assert due(schedule, seen=None, now=moment - timedelta(seconds=1), most=9).slots == []
    assert [slot.at for slot in due(schedule, seen=None, now=moment, most=9).slots] == [moment]
    assert next_due(schedule, seen=moment) is None


def test_around_a_change_of_clocks_no_night_has_two_slots() -> None:
    nightly = Terms(task="t", timetable=Cron("30 2 * * *", "Europe/Berlin"), catch_up=CatchUp.ALL, catch_up_seconds=1e7)
    begun = datetime(2027, 10, 30, tzinfo=UTC)
    schedule = Schedule("s")
    schedule = schedule.after(schedule.declare(nightly, at=begun))
    seen, fired = None, []
    for quarter in range(4 * 24 * 4):
        for slot in due(schedule, seen=seen, now=begun + timedelta(minutes=15 * quarter), most=9).slots:
            fired.append(slot.at)
            seen = slot.at
    assert [f"{slot:%d %H:%M}" for slot in fired] == ["30 00:30", "31 00:30", "01 01:30", "02 01:30"]
