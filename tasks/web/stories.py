"""Stories over HTTP: take one back as a whole."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from infra.event_store import Log
from infra.web.operation import Call, Operation
from infra.web.role import Role
from tasks.revoking import ask_for_revocation_of_story
from tasks.web.recorded import Because, Recorded, now


def revoke(call: Call) -> Recorded:
    """Take a story back: each of its runs ends as revoked unless it has ended, whenever it turns up."""
    position = ask_for_revocation_of_story(
        call.desk.store, call.path["correlation_id"], reason=call.body.reason, actor=call.bearer.actor, at=now()
    )
    return Recorded(log=Log.TASKS.value, position=position)


STORIES: Final = (
    Operation(
        method="POST",
        path="/stories/{correlation_id}/revocation",
        name="revokeStory",
        summary="Take back every run of a story that has not ended, also those that turn up later.",
        role=Role.OPERATOR,
        handle=revoke,
        body=Because,
        answer=Recorded,
        status=HTTPStatus.ACCEPTED,
        problems=(HTTPStatus.CONFLICT,),
    ),
)
