"""Fan-ins: what a client declares before it sends the members of a chord."""

from __future__ import annotations

from domain.fan_in import DECLARED, FanInDeclared, FanInDeclaredData, fan_in_stream
from infra.event_store import NewEvent, caused
from tasks.ingest.reading import Told


def declared(told: Told) -> NewEvent:
    """The fact that a message tells; there is no rule but that a fan-in is declared once."""
    data = told.data
    if not isinstance(data, FanInDeclaredData):
        raise TypeError(f"{told.event.type} declares no fan-in")
    event = FanInDeclared(
        originator_id=fan_in_stream(data.fan_in_id),
        originator_version=DECLARED,
        timestamp=told.event.time,
        members=tuple(map(tuple, data.members)),
        body=data.body,
        least=data.least,
    )
    return caused([event], told.cause)[0]
