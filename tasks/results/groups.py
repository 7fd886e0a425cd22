"""Groups that are found again by their id: saved as an event, and read from the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import msgspec
from celery.result import GroupResult, result_from_tuple

from domain.task_group import GroupSaved, GroupSavedData, root_of
from infra.broker.emitter import Emitter
from infra.cloudevents import new_event
from infra.settings import load_settings
from tasks.results.outcomes import Outcomes
from tasks.workflows.declaring import story_within

SOURCE: Final = "/ledgerq/group"


class Groups:
    """What ``GroupResult.save()`` and ``.restore()`` ask of a result backend."""

    app: Any
    _outcomes: Outcomes

    def save_group(self, group_id: str, result: Any) -> None:
        """Tell the platform of a group's members; saved again under the same id, what was first counts.

        Args:
            group_id: Celery's.
            result: the ``GroupResult``.

        Raises:
            ValidationError: msgspec's: its id, or what it holds, is none that can be told.
            BrokerError: the broker has not confirmed it.
        """
        told = {"group_id": str(group_id), "result": msgspec.to_builtins(result.as_tuple(), str_keys=True)}
        data = msgspec.convert(told, GroupSavedData)
        event = new_event(GroupSaved.TOPIC, source=SOURCE, data=data, time=datetime.now(UTC))
        story = story_within(self.app) or root_of(data.result)
        named = msgspec.structs.replace(event, id=str(group_id), correlationid=story)
        with Emitter(load_settings(), role="group") as emitter:
            emitter.emit(named)

    def restore_group(self, group_id: str, cache: bool = True) -> GroupResult | None:  # noqa: FBT001, FBT002  Celery's
        """The members of a group that was saved, or of a chord; None: nothing (or not yet) is recorded of such a group.

        Raises:
            DatabaseUnreachableError: the database does not answer.
        """
        del cache
        found = self._outcomes.group(str(group_id))
        if found is None:
            return None
        if found.result is not None:
            return result_from_tuple(found.result, self.app)
        return GroupResult(group_id, [self.app.AsyncResult(member[-1]) for member in found.members], app=self.app)

    def delete_group(self, group_id: str) -> NoReturn:
        """Nothing recorded is deleted.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"group {group_id}: what is recorded of it stays in the log")
