"""Why a session, or the start of one, says no."""

from __future__ import annotations

from domain.refusal import Refusal


class SessionAlreadyStarted(Refusal):
    """a session of this id has been started before."""


class SessionUnknown(Refusal):
    """no session of this id has been started."""


class SessionNotOpen(Refusal):
    """the session is {state}; it has to be open for this."""


class ResurrectionWindowOver(Refusal):
    """the session lapsed at {lapsed_at}; it could have resumed until {until}, and did at {at}."""


class ResurrectionForbidden(Refusal):
    """the session lapsed at {lapsed_at}, and its rules let no lapsed session resume."""
