"""Stories of sessions as the logs tell them, and what an observer who never looks away would have recorded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from domain.license_policy import LicensePolicy, MonitoringStart, OnLapse, Resurrection
from domain.session_rules import SessionRules
from tests.tasks.catalog.fleet import NOON


class Start(NamedTuple):
    """A session starts."""

    name: str
    at: datetime
    policy: LicensePolicy


class Beats(NamedTuple):
    """Heartbeats are recorded, each of one session with the time it says."""

    beats: tuple[tuple[str, datetime], ...]
    at: datetime


class Mark(NamedTuple):
    """Log time moves on, perhaps by a jump."""

    at: datetime
    blind_since: datetime | None


class End(NamedTuple):
    """A session signs out, and somebody has looked just before."""

    name: str
    at: datetime


Step = Start | Beats | Mark | End
Fact = tuple[str, datetime, datetime | None]
"""Name of an event, when it occurred, and when patience was over, of a lapse."""

NAMES: Final = tuple(f"s{number}" for number in range(5))
STEPS_SECONDS: Final = (5, 10, 10, 60, 130, 200, 400, 900)
DELAYS_SECONDS: Final = (0, 0, 0, 3, 100, 800)


def story(chance: random.Random, *, length: int = 60) -> list[Step]:
    """Some hours of a few sessions, in the order in which things are recorded."""
    return list(_told(chance, length))


def _told(chance: random.Random, length: int) -> Iterator[Step]:
    now, marked = NOON, NOON
    unborn, open_, born_at = list(NAMES), list[str](), dict[str, datetime]()
    yield Mark(NOON, None)
    for _ in range(length):
        now += timedelta(seconds=chance.choice(STEPS_SECONDS))
        match chance.choice(("start", "beats", "beats", "mark", "mark", "mark", "end")):
            case "start" if unborn:
                open_.append(unborn.pop())
                born_at[open_[-1]] = now + timedelta(seconds=1)
                yield Start(open_[-1], now, _policy(chance))
            case "end" if len(open_) > 1 and chance.random() < 0.3:
                yield End(open_.pop(0), now)
            case "mark":
                yield Mark(now, marked if chance.random() < 0.25 else None)
                marked = now
            case _:
                names = chance.sample(NAMES, chance.randint(1, 3))
                delays = [timedelta(seconds=chance.choice(DELAYS_SECONDS)) for _ in names]
                claimed = [  # the clock that tells of the start tells of the heartbeats
                    max(now - delay, born_at.get(name, now - delay)) for name, delay in zip(names, delays, strict=True)
                ]
                yield Beats(tuple(zip(names, claimed, strict=True)), now)
    yield Mark(now + timedelta(seconds=5), None)


def _policy(chance: random.Random) -> LicensePolicy:
    return LicensePolicy(
        patience_seconds=chance.choice((120, 360)),
        monitoring_starts=chance.choice(list(MonitoringStart)),
        on_lapse=chance.choice(list(OnLapse)),
        resurrection=chance.choice(list(Resurrection)),
    )


@dataclass
class Watched:
    """One session under the eyes of an observer who sees every step at once, and knows nothing of the code."""

    rules: SessionRules | None = None
    state: str = "unborn"
    last_heartbeat: datetime | None = None
    alive_at: datetime | None = None
    quiet_since: datetime | None = None
    resumable_until: datetime | None = None
    lapsed_at: datetime | None = None
    came_back_at: datetime | None = None
    facts: list[Fact] = field(default_factory=list)

    def starts(self, start: Start) -> None:
        self.rules = SessionRules.under(start.policy, default_patience=timedelta(0))
        self.state = "active"
        self.alive_at = max(start.at, self.last_heartbeat or start.at)
        self.quiet_since = max(start.at, self.quiet_since or start.at)
        self.facts.append(("session.started", start.at, None))

    def beats(self, at: datetime, *, recorded_at: datetime) -> None:
        is_news = self.last_heartbeat is None or at > self.last_heartbeat
        if is_news:
            self.last_heartbeat = at
            self.alive_at = at if self.alive_at is None else max(self.alive_at, at)
        self.quiet_since = max(recorded_at, at, self.quiet_since or at)
        if self.lapsed_at is None or at <= self.lapsed_at:
            return
        if self.state == "lapsed" and is_news and self.came_back_at is None:
            self.came_back_at = at
            self._may_come_back()

    def time_passes(self, now: datetime, *, blind_since: datetime | None) -> None:
        if blind_since is not None:
            self._could_not_be_heard(blind_since, now)
        if self.rules is None or self.state != "active" or self.quiet_since is None or self.alive_at is None:
            return
        is_watched = self.rules.monitoring_starts is MonitoringStart.CREATION or self.last_heartbeat is not None
        over = self.quiet_since + timedelta(seconds=self.rules.patience_seconds)
        if is_watched and now > over:
            self.state, self.lapsed_at, self.came_back_at = "lapsed", self.alive_at, None
            self.resumable_until = over + self._way_back()
            self.facts.append(("session.lapsed", self.alive_at, over))

    def ends(self, at: datetime) -> None:
        self.state = "ended"
        self.facts.append(("session.ended", at, None))

    def _could_not_be_heard(self, since: datetime, until: datetime) -> None:
        if self.quiet_since is not None:
            self.quiet_since = max(self.quiet_since, until)
        if self.state == "lapsed" and self.resumable_until is not None and since <= self.resumable_until:
            self.resumable_until = max(self.resumable_until, until + self._way_back())
            self._may_come_back()

    def _may_come_back(self) -> None:
        if self.rules is None or self.came_back_at is None or self.resumable_until is None:
            return
        if self.rules.resurrection is not Resurrection.NEVER and self.came_back_at <= self.resumable_until:
            self.state = "active"
            self.alive_at = max(self.came_back_at, self.last_heartbeat or self.came_back_at)
            self.facts.append(("session.resumed", self.came_back_at, None))

    def _way_back(self) -> timedelta:
        minutes = {"never": 0, "always": 10**6, "1_minute": 1, "2_minutes": 2}
        minutes |= {"5_minutes": 5, "10_minutes": 10, "15_minutes": 15}
        return timedelta(minutes=minutes[self.rules.resurrection.value if self.rules else "never"])


def observed(told: list[Step]) -> dict[str, list[Fact]]:
    """The facts that follow from a story, by session."""
    watched = {name: Watched() for name in NAMES}
    for step in told:
        match step:
            case Start(name):
                watched[name].starts(step)
            case Beats(beats, at):
                for name, claimed in beats:
                    watched[name].beats(claimed, recorded_at=at)
            case Mark(at, blind_since):
                for each in watched.values():
                    each.time_passes(at, blind_since=blind_since)
            case End(name, at):
                watched[name].ends(at)
    return {name: each.facts for name, each in watched.items() if each.facts}
