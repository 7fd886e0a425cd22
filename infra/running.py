"""What every long-lived process has around its work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from infra import logs
from infra.metrics.endpoint import Endpoint
from infra.metrics.instruments import Instruments
from infra.process_name import ProcessName
from infra.pulse import Pulse
from infra.settings import Settings
from infra.stopping import StopRequest
from infra.tracing import tracing


class Running(NamedTuple):
    """What its work is given.

    Attributes:
        stop: whether somebody asked for the end.
        pulse: to be beaten by the loop that does the work.
        instruments: what it counts with; None: metrics are off.
    """

    stop: StopRequest
    pulse: Pulse
    instruments: Instruments | None


@contextmanager
def running(settings: Settings, process: ProcessName) -> Iterator[Running]:
    """Log lines, a request to stop, spans, a pulse and metrics, for as long as the process works; in its main thread.

    Args:
        settings: those in force.
        process: which this is.
    """
    logs.configure(settings)
    with (
        StopRequest() as stop,
        tracing(settings, service=process.value),
        Pulse(settings, process) as pulse,
        Endpoint(settings, process) as endpoint,
    ):
        yield Running(stop, pulse, endpoint.instruments)
