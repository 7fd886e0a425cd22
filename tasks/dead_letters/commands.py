"""``ledgerq dlq``: find dead letters, read them, replay or discard them, put them back into the broker's queue."""

from __future__ import annotations

from typing import Any

import click

from domain.dead_letter import LetterState
from infra.broker.errors import BrokerError
from infra.settings import load_settings
from infra.tracing.address import shown, trace_of, values
from projections.queries import count_dead_letters, dead_letters, replayed_runs, replays
from tasks.dead_letters import restore as restoring
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
    read_models,
    reason_option,
    yes_option,
)
from tasks.dead_letters.choice import STATES, filters, taken_from
from tasks.dead_letters.discard import discard_letters
from tasks.dead_letters.letter import load_letters
from tasks.dead_letters.replay import LETTERS_AT_MOST
from tasks.dead_letters.replay_command import replay


@click.group()
def dlq() -> None:
    """Dead letters: list, show, replay, discard, restore.

    They are found in the read model, which the projector keeps; what is done about them is decided by the log.
    """


@dlq.command("list")
@filters
@click.option("--state", type=click.Choice([*STATES, "any"]), default="open", show_default=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most letters to show.")
@json_option
def list_(*, state: str, limit: int, as_json: bool, **given: Any) -> None:
    """List dead letters, the newest first."""
    which = taken_from(given, now=now(), states=() if state == "any" else (state,))
    with read_models() as connection:
        rows = dead_letters(connection, which, limit=limit, newest_first=True)
        count = count_dead_letters(connection, which)
    if as_json:
        click.echo(showing.encode([row._asdict() for row in rows]))
    else:
        showing.print_letters(rows, count=count)


@dlq.command()
@click.argument("run_id")
@json_option
def show(run_id: str, *, as_json: bool) -> None:
    """Show the dead letter of the run RUN_ID as the log has it: its story, its message, what was decided."""
    with opened_store() as store:
        letter = next(load_letters(store, [run_id]), None)
    if letter is None:
        raise click.ClickException(f"the log has no dead letter of a run {run_id}")
    settings, trace_id = load_settings(), trace_of(letter.fact.metadata)
    if as_json:
        told = showing.letter_values(letter)
        click.echo(showing.encode(told if trace_id is None else told | values(trace_id, settings)))
    else:
        showing.print_letter(letter, trace=None if trace_id is None else shown(trace_id, settings))


@dlq.command("replays")
@click.argument("replay_id", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Most batches to list.")
@json_option
def replays_(replay_id: str | None, *, limit: int, as_json: bool) -> None:
    """List batches of replays or, of the batch REPLAY_ID, each new run and how it ended."""
    with read_models() as connection:
        rows = replayed_runs(connection, replay_id) if replay_id else replays(connection, limit=limit)
    if as_json:
        click.echo(showing.encode(rows))
    elif replay_id:
        names = ("run_id", "new_run_id", "task", "generation", "outcome", "error_type", "error", "patch")
        showing.print_table(showing.fitting(rows, names), nothing="nothing was replayed by a batch of that name")
    else:
        asked = ("replay_id", "requested_at", "requested_by", "reason", "letter_count", "replayed_count")
        counts = ("succeeded_count", "unsuccessful_count", "open_count", "left_out_count")
        showing.print_table(showing.fitting(rows, [*asked, *counts]))


@dlq.command()
@filters
@all_option
@reason_option
@click.option("--dry-run", is_flag=True, help="Say how many; write nothing.")
@yes_option
def discard(*, is_all: bool, reason: str | None, dry_run: bool, yes: bool, **given: Any) -> None:
    """Record that nothing more is to be done about dead letters. They stay in the log."""
    which = chosen(given, is_all=is_all, is_again=False)
    with opened_store() as store:
        states = {letter.run_id: letter.state for letter in found(store, which, limit=LETTERS_AT_MOST)}
        still_open = [run_id for run_id, state in states.items() if state is LetterState.OPEN]
        if dry_run:
            click.echo(f"would discard {len(still_open)} dead letters; nothing is written")
            return
        told = need_reason(reason)
        confirm(f"Discard {len(still_open)} dead letters?", len(still_open), yes=yes)
        tally = discard_letters(store, list(states), reason=told, actor=actor(), clock=now)
    showing.print_tally(tally, "discarded")


@dlq.command()
@filters
@click.option("--force", is_flag=True, help="Add to what lies in the queue; some letters may then lie there twice.")
@click.option("--dry-run", is_flag=True, help="Say how many; publish nothing.")
def restore(*, force: bool, dry_run: bool, **given: Any) -> None:
    """Fill the broker's queue `dead` again from the log: the open letters of the last 24 hours, or those meant."""
    given["since"] = given["since"] or "24h"
    which = taken_from(given, now=now(), states=(LetterState.OPEN.value,))
    settings = load_settings()
    with opened_store() as store:
        letters = found(store, which, limit=LETTERS_AT_MOST)
        if dry_run:
            click.echo(f"would restore {sum(1 for _ in letters)} dead letters; nothing is published")
            return
        try:
            tally = restoring.restore(settings, letters, at=now(), even_if_not_empty=force)
        except restoring.QueueNotEmptyError as error:
            advice = "they would lie there twice; purge it first, or add to it with --force"
            raise click.ClickException(f"{error}: {advice}") from error
        except (restoring.RestoreIncompleteError, BrokerError) as error:
            raise click.ClickException(str(error)) from error
    showing.print_tally(tally, "restored")


dlq.add_command(replay)
