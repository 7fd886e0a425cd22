"""An event over HTTP in binary mode: its attributes are headers, its data is the body."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from infra.web.role import Role
from tests.infra.web.face import Face
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def attributes(kind: str, **changed: str) -> dict[str, str]:
    told = {"specversion": "1.0", "id": str(uuid4()), "source": "/t%C3%BCr", "type": kind, **changed}
    return {f"ce-{name}": value for name, value in (told | {"time": datetime.now(UTC).isoformat()}).items()}


def test_an_event_whose_attributes_are_headers_is_stored(served: Face) -> None:
    task = f"sample.binary{uuid4().hex}"
    told = served.post("/events", {"task": task}, role=Role.EMITTER, **attributes("task.requested"))
    assert (told.status, told.value) == (202, {"count": 1})
    [row] = eventually(lambda: served.get(f"/runs?task={task}").value["rows"])
    assert row["state"]


def test_headers_that_are_no_event_are_refused_with_what_is_allowed(served: Face) -> None:
    def reason(**headers: str) -> str:
        told = served.post("/events", {"task": "sample.nothing"}, **headers)
        assert told.status == 422
        return str(told.value["problems"][0]["reason"])

    assert "ce-specversion, ce-id" in reason()
    assert "UTF-8" in reason(**attributes("task.requested", source="%FF"))
    assert "attribute id" in reason(**attributes("task.requested", id="a%00"))
    assert "specversion" in reason(**attributes("task.requested", specversion="0.3"))
