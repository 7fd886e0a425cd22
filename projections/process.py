"""The projector's process: builds it from the settings and runs it until somebody asks for the end."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Final

import structlog

from infra.process_name import ProcessName
from infra.running import running
from infra.settings import load_settings
from projections.catalog import PROJECTIONS
from projections.projector import Projector

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger(__name__)
_LOOK_SECONDS: Final = 1.0
_COLLECT_AFTER_OBJECTS: Final = 100_000


def expect_pages() -> None:
    """Have the garbage collector look less often, for a process that takes thousands of events in hand and drops them.

    They are in no cycles, and go when the page does. But every few hundred of them the collector looks at others again:
    a third of the processor time of a page.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 10, 10)


def run(only: Sequence[str] = ()) -> None:
    """Keep the projections named in ``only``, or all of them, up to date until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting is wrong.
        Exception: the fault that stopped a projection; outages of the database do not.
    """
    settings = load_settings()
    expect_pages()
    with running(settings, ProcessName.PROJECTOR) as (stop, pulse, instruments):
        chosen = [PROJECTIONS[name] for name in only or PROJECTIONS]
        projector = Projector(settings, chosen, instruments=instruments)
        projector.start()
        _LOG.info("projector started", projections=list(only or PROJECTIONS))
        while not projector.has_failed and not stop.wait(_LOOK_SECONDS):
            turns = projector.turns()
            pulse.beat(ready=turns.ready, turned=turns.slowest_at, state=turns.as_state)
        projector.stop()
    _LOG.info("projector stopped")
