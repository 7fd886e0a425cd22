"""``ledgerq dlq replay``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO, Any, Final, NamedTuple
from uuid import UUID, uuid4

import click
import msgspec

from domain.dead_letter import ReplayRequested, replay_stream
from infra.event_store import EventStore, Log
from infra.settings import load_settings
from infra.tracing import tracing
from projections.queries import LetterFilter
from tasks.dead_letters import showing
from tasks.dead_letters.asking import (
    actor,
    all_option,
    chosen,
    confirm,
    found,
    json_option,
    need_reason,
    now,
    opened_store,
    reason_option,
    yes_option,
)
from tasks.dead_letters.choice import filters, per_second
from tasks.dead_letters.edit import Edit, as_document
from tasks.dead_letters.letter import Letter, UnreplayableError
from tasks.dead_letters.replay import LETTERS_AT_MOST, BatchUnknownError, Replayer, Tally, request_replay
from tasks.dead_letters.survey import Survey, survey

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it."""


class Order(NamedTuple):
    """How letters are to be replayed, as the command line says it."""

    rate: str | None
    priority: int | None
    assigned: tuple[str, ...]
    merge: IO[str] | None
    in_editor: bool
    is_again: bool
    limit: int
    batch_id: UUID | None


@click.command()
@filters
@all_option
@reason_option
@click.option("--dry-run", is_flag=True, help="Say how many and show samples; write nothing.")
@click.option("--rate", metavar="N/s", help="At most so many: 5/s, 100/m, 3600/h.")
@click.option("--priority", type=click.IntRange(0, 10), help="Instead of the priority that each had.")
@click.option("--set", "assigned", multiple=True, metavar="NAME=JSON", help="Set a keyword argument; may be repeated.")
@click.option(
    "--merge",
    type=click.File(),
    help='A JSON merge patch (RFC 7396) over {"args": [...], "kwargs": {...}}; - is standard input.',
)
@click.option("--edit", "in_editor", is_flag=True, help="Change the arguments of one letter in $EDITOR.")
@click.option("--again", "is_again", is_flag=True, help="Also letters that were replayed or discarded before.")
@click.option(
    "--limit", type=click.IntRange(1, LETTERS_AT_MOST), default=LETTERS_AT_MOST, help="Most letters, the oldest first."
)
@click.option("--batch-id", type=click.UUID, help="Name the batch yourself: the same name twice counts once.")
@click.option("--resume", "resumed", type=click.UUID, metavar="ID", help="Go on with a batch that was interrupted.")
@yes_option
@json_option
def replay(*, resumed: UUID | None, dry_run: bool, yes: bool, as_json: bool, **given: Any) -> None:
    """Ask for the tasks of dead letters again: a new run for each, caused by the dead one.

    A filter leaves out letters that three replays have led to; to replay such a one, name it with --run.
    """
    is_all, reason = given.pop("is_all"), given.pop("reason")
    order = Order(**{name: given.pop(name) for name in Order._fields})
    if resumed is not None:
        _carry_out(resumed, as_json=as_json)
        return
    rate = per_second(order.rate)
    with opened_store() as store:
        if order.batch_id is not None and _is_known(store, order.batch_id):
            _carry_out(order.batch_id, as_json=as_json)
            return
        which = chosen(given, is_all=is_all, is_again=order.is_again)
        edit = _edit(order, found(store, which, limit=order.limit))
        seen = survey(found(store, which, limit=order.limit), edit, is_again=order.is_again)
        if dry_run:
            _tell_survey(seen, as_json=as_json)
            return
        why = need_reason(reason)
        if not seen.replayable:
            _tell(Tally({}, seen.left), None, as_json=as_json)
            return
        confirm(f"Replay {seen.replayable} dead letters?", seen.replayable, yes=yes)
        replay_id = _request(store, which, seen.run_ids, edit=edit, order=order, rate=rate, reason=why)
    _carry_out(replay_id, as_json=as_json)


def _edit(order: Order, letters: Iterator[Letter]) -> Edit:
    assigned = dict(_assignment(text) for text in order.assigned)
    merge = _json_object(order.merge.read(), "--merge") if order.merge else {}
    if not order.in_editor:
        return Edit(merge=merge, assign=assigned)
    first = list(islice(letters, 2))
    if merge or len(first) != 1:
        raise click.UsageError("--edit is for one letter, and without --merge; --set and --merge are for many")
    try:
        before = showing.encode(as_document(first[0].payload()))
    except UnreplayableError as error:
        raise click.ClickException(str(error)) from error
    after = click.edit(before, extension=".json")
    return Edit(assign=assigned, payload={} if after is None else _json_object(after, "--edit"))


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    try:
        if name and sign:
            return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        pass
    raise click.BadParameter(f"{text!r} is not NAME=JSON; a text is in quotes: name='\"x\"'", param_hint="--set")


def _json_object(text: str, option: str) -> dict[str, Any]:
    try:
        decoded: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{error}; wanted is a JSON object", param_hint=option) from error
    return decoded


def _request(
    store: EventStore,
    which: LetterFilter,
    run_ids: list[str],
    *,
    edit: Edit,
    order: Order,
    rate: float | None,
    reason: str,
) -> UUID:
    """Record what is to be done, before any of it is."""
    replay_id = order.batch_id or uuid4()
    asked = ReplayRequested(
        originator_id=replay_stream(replay_id),
        originator_version=1,
        timestamp=now(),
        reason=reason,
        chosen_by=which.as_values(),
        run_ids=tuple(run_ids),
        is_again=order.is_again,
        per_second=rate,
        priority=order.priority,
        edit=edit.as_values(),
    )
    return request_replay(store, asked, actor=actor())


def _is_known(store: EventStore, replay_id: UUID) -> bool:
    return bool(store.load(Log.TASKS, [replay_stream(replay_id)]))


def _carry_out(replay_id: UUID, *, as_json: bool) -> None:
    try:
        with tracing(load_settings(), service="command"), opened_store() as store:
            tally = Replayer(store, clock=now).carry_out(replay_id)
    except BatchUnknownError as error:
        raise click.ClickException(str(error)) from error
    except (KeyboardInterrupt, click.ClickException) as error:
        click.echo(f"interrupted: {error}; go on with: ledgerq dlq replay --resume {replay_id}", err=True)
        raise click.exceptions.Exit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1) from error
    _tell(tally, replay_id, as_json=as_json)


def _tell_survey(seen: Survey, *, as_json: bool) -> None:
    if as_json:
        click.echo(showing.encode(showing.survey_values(seen)))
    else:
        showing.print_survey(seen)


def _tell(tally: Tally, replay_id: UUID | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(showing.encode({"replay_id": replay_id, "replayed": tally.done, "left": tally.left}))
        return
    showing.print_tally(tally, "replayed")
    if replay_id is not None:
        click.echo(f"batch {replay_id}; what becomes of it: ledgerq dlq replays {replay_id}")
