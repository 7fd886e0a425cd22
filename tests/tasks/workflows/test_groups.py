"""Groups found again by their id, from another process's point of view."""

from __future__ import annotations

from uuid import uuid4

import pytest
from celery import chain, chord, group

from tasks.app import TaskApp, configuration
from tests.tasks.workflows.flow import Flow
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
PATIENCE = 60


@pytest.fixture
def other(flow: Flow) -> TaskApp:
    """An app that knows nothing of what was sent."""
    made = TaskApp("other", set_as_current=False)
    made.add_defaults(configuration)
    assert flow.settings.database_url
    return made


def test_a_group_that_was_saved_is_restored_with_its_members_in_order(flow: Flow, other: TaskApp) -> None:
    members = [flow.s("double", 1), chain(flow.s("double", 1), flow.s("double")), flow.s("double", 3)]
    sent = group(members, app=flow.app).apply_async()
    assert other.GroupResult.restore(sent.id) is None
    sent.save()
    found = eventually(lambda: other.GroupResult.restore(sent.id))
    assert found.get(timeout=PATIENCE) == [2, 4, 6]
    assert found.results[1].parent.id == sent.results[1].parent.id
    assert found.as_tuple() == sent.as_tuple()
    with pytest.raises(NotImplementedError, match="stays in the log"):
        found.delete()
    other.backend.close()


def test_the_members_of_a_chord_need_not_be_saved(flow: Flow, other: TaskApp) -> None:
    sent = chord([flow.s("double", 1), flow.s("double", 2)], app=flow.app)(flow.s("plain_total"))
    found = eventually(lambda: other.GroupResult.restore(sent.parent.id))
    assert found.get(timeout=PATIENCE) == [2, 4]
    assert other.GroupResult.restore(str(uuid4())) is None
    other.backend.close()
