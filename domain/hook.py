"""Hooks: how others ask for a task by calling us. Folded from its events; verbs answer with the fact to append."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID, uuid5

import msgspec

from domain.aggregate import Event
from domain.refusal import Refusal
from domain.tier import Tier
from domain.webhook import NAME, NAMES_ALLOWED
from domain.webhook_events import HookDeclared, HookEvent, HookRemoved, HookSecretRotated

NAMESPACE: Final = UUID("0192d7a5-7b2e-7d42-8c1e-686f6f6b696e")
"""Namespace (RFC 9562, name-based UUIDs) of the runs that hooks ask for."""


class HookUnknown(Refusal):
    """there is no such hook."""


class HookExists(Refusal):
    """there is a hook of this name; remove it first."""


AnyHookEvent = TypeVar("AnyHookEvent", bound=HookEvent)


class Hook(msgspec.Struct, frozen=True):
    """A hook as its events tell it.

    Attributes:
        name: what it is called in its address.
        version: how many things have happened to it.
        declared: by which terms it is called; None: it is not, or not any more.
        generation: which secret calls are signed with.
        previous_until: how long the one before it is taken, too.
    """

    name: str
    version: int = 0
    declared: HookDeclared | None = None
    generation: int = 0
    previous_until: datetime | None = None

    @property
    def stream(self) -> str:
        """Its stream."""
        return hook_stream(self.name)

    def generations(self, *, at: datetime) -> tuple[int, ...]:
        """Whose secrets a call may be signed with, the newest first."""
        is_rotating = self.previous_until is not None and at < self.previous_until
        return (self.generation, self.generation - 1) if is_rotating else (self.generation,)

    def after(self, event: Event) -> Hook:
        """The hook once ``event`` has happened to it."""
        changed: dict[str, Any] = {}
        match event:
            case HookDeclared():
                changed = {"declared": event, "generation": event.generation, "previous_until": None}
            case HookSecretRotated():
                changed = {"generation": event.generation, "previous_until": event.previous_until}
            case HookRemoved():
                changed = {"declared": None}
        return msgspec.structs.replace(self, version=event.originator_version, **changed)

    def declare(
        self,
        task: str,
        *,
        at: datetime,
        tier: str = Tier.NORMAL.value,
        argument: str = "payload",
        kwargs: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> HookDeclared:
        """Let others call it.

        Args:
            task: the task that a call asks for.
            at: when this is asked for.
            tier: of the runs.
            argument: name of the keyword argument that is what was sent.
            kwargs: further keyword arguments, always the same.
            reason: why.

        Raises:
            HookExists: there is one of this name.
            ValueError: name or terms cannot be; the message says what is allowed.
        """
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a hook; allowed are {NAMES_ALLOWED}")
        if self.declared is not None:
            raise HookExists(self.stream)
        if not argument.isidentifier() or argument in (kwargs or {}):
            raise ValueError(f"{argument!r} is no name of an argument beside {sorted(kwargs or {})}")
        told = {"task": task, "tier": Tier(tier).value, "argument": argument, "kwargs": kwargs or {}}
        return self._next(HookDeclared, at=at, generation=self.generation + 1, reason=reason, **told)

    def rotate(self, *, previous_for: timedelta, at: datetime, reason: str | None = None) -> HookSecretRotated:
        """Take calls that are signed with a new secret, and for a while those with the one before it, too.

        Raises:
            HookUnknown: there is no such hook.
        """
        self.terms()
        told = {"generation": self.generation + 1, "previous_until": at + previous_for, "reason": reason}
        return self._next(HookSecretRotated, at=at, **told)

    def remove(self, *, at: datetime, reason: str | None = None) -> HookRemoved:
        """Let nobody call it any more.

        Raises:
            HookUnknown: there is no such hook.
        """
        self.terms()
        return self._next(HookRemoved, at=at, reason=reason)

    def terms(self) -> HookDeclared:
        """By which terms it is called.

        Raises:
            HookUnknown: there is no such hook, or not any more.
        """
        if self.declared is None:
            raise HookUnknown(self.stream)
        return self.declared

    def call_id(self, webhook_id: str) -> UUID:
        """What a call is known by: whoever sends it again under the same id asks for nothing new."""
        return uuid5(NAMESPACE, f"{self.name}/{webhook_id}")

    def _next(self, event_class: type[AnyHookEvent], *, at: datetime, **data: Any) -> AnyHookEvent:
        return event_class(
            originator_id=self.stream, originator_version=self.version + 1, timestamp=at, hook=self.name, **data
        )


def hook_stream(name: str) -> str:
    """Stream of the hook called ``name``."""
    return f"hook-{name}"
