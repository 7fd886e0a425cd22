"""Work that one process of several does: the others stand by and take over when it is gone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Final

import structlog

from infra.database import DatabaseUnreachableError, Leadership
from infra.event_store import CheckpointMovedError
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from infra.pulse import Pulse
from infra.settings import Settings
from infra.stopping import StopRequest

STAND_BY_SECONDS: Final = 1.0
"""How long one wait for the leadership lasts before the process looks whether it is to stop."""
PAUSE_SECONDS: Final = 1.0
"""Pause before another try when the database is away."""

log = structlog.get_logger(__name__)


STANDS_BY: Final = {"leads": False}
LEADS: Final = {"leads": True}
"""What a process says of itself."""


def lead(
    settings: Settings,
    name: str,
    *,
    stop: StopRequest,
    pulse: Pulse,
    work: Callable[[Leadership], None],
    instruments: Instruments | None = None,
) -> None:
    """Do ``work``, which keeps up the ``pulse``, whenever the leadership ``name`` is ours, until ``stop``.

    ``work`` returns when the leadership is lost or the process is to stop. A database that goes away, or another
    leader who is already further, ends this term of ours and not the process. ``instruments`` show whether we lead.
    """
    leads = instruments.gauge(catalog.LEADS, name) if instruments is not None else None
    while not stop:
        try:
            with Leadership(settings, name) as leadership:
                if _stand_by(leadership, stop, pulse):
                    log.info("leading", name=name)
                    with leads.track_inprogress() if leads is not None else nullcontext():
                        work(leadership)
                    log.info("stopping" if stop else "leadership lost; giving way", name=name)
        except CheckpointMovedError as error:
            pulse.beat(ready=True, state=STANDS_BY.copy)
            log.warning("another leader is at work; standing by", name=name, reason=str(error))
            stop.wait(PAUSE_SECONDS)
        except DatabaseUnreachableError as error:
            pulse.beat(ready=False, state=STANDS_BY.copy)
            log.warning("the database is away; trying again", name=name, reason=str(error))
            stop.wait(PAUSE_SECONDS)


def _stand_by(leadership: Leadership, stop: StopRequest, pulse: Pulse) -> bool:
    if leadership.acquire():
        return True
    log.info("standing by", name=leadership.name)
    while not stop:
        pulse.beat(ready=True, state=STANDS_BY.copy)
        if leadership.acquire(STAND_BY_SECONDS):
            return True
    return False
