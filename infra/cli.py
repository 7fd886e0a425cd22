"""The command line: ``ledgerq COMMAND``.

Commands live where their work lives and are loaded by name when they are called, so that this module needs no
import of `tasks` or `projections` and ``ledgerq emit`` does not pay for importing Celery.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

import domain  # noqa: F401  every process that reads events must know their names first
from infra.settings import SettingsError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: (where it is, one line of help: kept here so that the overview imports nothing)
    "run": ("infra.local.run:command", "Run the whole platform on a sample fleet; fork: a chain again from a step."),
    "migrate": ("infra.database.commands:migrate", "Bring the database's schema up to date."),
    "topology": ("infra.broker.commands:topology", "Apply, show or export the broker's topology."),
    "doctor": ("tasks.doctor_command:doctor", "Name what is misconfigured on the broker."),
    "emit": ("infra.broker.commands:emit", "Emit an event the way a domain service does."),
    "reference": ("infra.reference:reference", "Write reference pages from the code."),
    "settings": ("infra.commands:settings", "Show the settings in force, passwords redacted."),
    "ingest": ("tasks.commands:ingest", "Store what services and workers emit."),
    "dispatch": ("tasks.commands:dispatch", "Turn events into tasks and publish them."),
    "scheduler": ("tasks.commands:scheduler", "Fire schedules when their slots come."),
    "worker": ("tasks.commands:worker", "Run the tasks of one tier, or of all."),
    "status": ("infra.health.status_command:status", "How the platform is: processes, queues, lag; --watch."),
    "monitor": ("infra.health.commands:monitor", "Tell over HTTP how the platform is."),
    "events": ("infra.events.commands:events", "The logs: tail, show, stream, skip; seal, verify, archive, retain."),
    "web": ("infra.web.commands:web", "Serve the HTTP interface."),
    "token": ("infra.web.commands:token", "Tokens of the HTTP interface: add, list, revoke."),
    "task": ("tasks.task_commands:task", "Request a task; show, or take back, a run; pause a task."),
    "workflow": ("projections.workflow_commands:workflow_", "Chains, groups, chords: list them; show one as a tree."),
    "schedule": (
        "tasks.schedules.commands:schedule",
        "Schedules: list, add, change, pause, run; import Celery's beat.",
    ),
    "webhook": ("tasks.webhooks.commands:webhook", "Webhooks: endpoints, deliveries, redrive; hooks that others call."),
    "session": ("projections.state_commands:session", "A session's state, now or as of an instant."),
    "license": ("projections.state_commands:license_", "A license's state, now or as of an instant."),
    "notice": ("tasks.notice_commands:notice", "What came of e-mails; keys for links in them."),
    "queue": ("tasks.flow_commands:queue", "Pause and resume queues; list what is paused."),
    "reconcile": ("tasks.reconcile.commands:reconcile", "Name every accepted task that is nowhere; repair."),
    "dlq": ("tasks.dead_letters.commands:dlq", "Dead letters: list, show, replay, discard, restore."),
    "fleet": ("tasks.sample.commands:fleet", "Play a sample fleet: licenses, sessions, tasks."),
    "projector": ("projections.commands:projector", "Keep the read models up to date."),
    "projection": ("projections.commands:projection", "List projections, their lag; rebuild, compare, switch."),
    "trace": ("projections.traces.command:trace", "The spans of a past run: as a tree, or exported."),
    "report": ("projections.commands:report", "Report from the analytics views; does it balance?"),
    "export": ("projections.export_command:export", "A view of schema analytics into a CSV or Parquet file."),
    "chaos": ("infra.local.chaos.command:command", "Kill everything at random under load; check the four promises."),
    "bench": ("infra.bench.commands:bench", "Measure speed and memory on this machine."),
}

GRAFTED: Final[dict[str, dict[str, str]]] = {
    "events": {
        "skip": "projections.skip_command:skip",
        "unskip": "projections.skip_command:unskip",
        "retain": "tasks.retention.command:command",
    },
    "run": {"fork": "tasks.forks.command:fork"},
    "license": {"check-seats": "projections.seats_command:command"},
}
"""Subcommands whose work is done elsewhere than that of their group."""


class LazyGroup(click.Group):
    """A click group whose commands are imported when called (click documentation, "Lazily Loading Subcommands")."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the table's order."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, or None where there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = _loaded(COMMANDS[cmd_name][0])
        if isinstance(command, click.Group):
            for name, place in GRAFTED.get(cmd_name, {}).items():
                command.add_command(_loaded(place), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview from the table alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _loaded(place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def ledgerq() -> None:
    """Ledgerq: an event-sourced task platform on RabbitMQ."""


def main() -> None:
    """Entry point; a setting that is wrong is one line, not a traceback."""
    try:
        ledgerq()
    except SettingsError as error:
        click.echo(f"ledgerq: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
