"""Fan-ins and groups: what a client declares before it sends the members of a chord, and what it saves of a group."""

from __future__ import annotations

from domain.fan_in import DECLARED, FanInDeclared, FanInDeclaredData, fan_in_stream
from domain.task_group import SAVED, GroupSaved, GroupSavedData, group_stream
from infra.event_store import NewEvent, caused
from tasks.ingest.reading import Told


def declared(told: Told) -> NewEvent:
    """The fact that a message tells; there is no rule but that a fan-in is declared, and a group saved, once."""
    data = told.data
    if isinstance(data, GroupSavedData):
        saved = GroupSaved(
            originator_id=group_stream(data.group_id),
            originator_version=SAVED,
            timestamp=told.event.time,
            result=data.result,
        )
        return caused([saved], told.cause)[0]
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
