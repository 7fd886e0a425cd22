"""``ledgerq run``: the whole platform on this machine, fed by a sample fleet, with a report at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import click

from domain.tier import Tier
from infra import database
from infra.broker import topology
from infra.local.mailbox import Mailbox
from infra.local.progress import Progress
from infra.local.sandbox import Sandbox, create_sandbox, drop_stale
from infra.local.supervisor import Supervisor
from infra.settings import Settings, load_settings

REPORT_DEADLINE_SECONDS: Final = 90
SAMPLE_PACE: Final = {
    # The sample fleet lives in seconds where a real one lives in minutes.
    "LEDGERQ_WATERMARK_INTERVAL_SECONDS": "1",
    "LEDGERQ_SWEEP_INTERVAL_SECONDS": "2",
    "LEDGERQ_EXPIRY_INTERVAL_SECONDS": "5",
    "LEDGERQ_USAGE_INTERVAL_SECONDS": "5",
}


class Stopped(BaseException):
    """Somebody asked for the end (Ctrl-C, SIGTERM, SIGHUP)."""


@click.command()
@click.option("--exit", "exit_after", is_flag=True, help="End after the report instead of staying up.")
@click.option("--seed", default=1, show_default=True, help="Seed of the sample fleet's chances.")
def command(*, exit_after: bool, seed: int) -> None:
    """Run the whole platform on a sample fleet, then report what the views say.

    Exit status: 0 when every accepted task has one recorded end, 1 when not.
    """
    settings = load_settings()
    try:
        with _stoppable(), _platform(settings) as platform:
            status = platform.play(seed=seed)
            if not exit_after:
                platform.stay_up()
    except Stopped:
        click.echo("stopped")
        status = 130
    sys.exit(status)


class Platform:
    """Every process of Ledgerq on this machine, on a virtual host and a database of its own."""

    def __init__(self, settings: Settings, sandbox: Sandbox, mailbox: Mailbox) -> None:
        self.settings = settings
        self.sandbox = sandbox
        self.mailbox = mailbox
        self.progress = Progress(sandbox.database_url)
        directory = settings.state_dir.resolve() / "run"
        directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            **SAMPLE_PACE,
            "LEDGERQ_BROKER_URL": sandbox.broker_url,
            "LEDGERQ_DATABASE_URL": sandbox.database_url,
            "LEDGERQ_SMTP_URL": mailbox.url,
        }
        self.supervisor = Supervisor(self.environment, directory, self.progress.tell)
        self._write_environment(settings.state_dir / "run.env")

    def start(self) -> None:
        """Start every long-lived process."""
        for name in ("ingest", "dispatch", "projector", "scheduler"):
            self.supervisor.start(name, name)
        for tier in Tier:
            self.supervisor.start(f"worker-{tier.value}", "worker", "--tier", tier.value)

    def stop(self) -> None:
        """Stop everything that was started, and forget the virtual host and the database."""
        self.supervisor.stop()
        self.progress.close()
        self.mailbox.close()
        self.sandbox.drop()
        (self.settings.state_dir / "run.env").unlink(missing_ok=True)

    def play(self, *, seed: int) -> int:
        """Let the sample fleet live, then report.

        Returns:
            The report's exit status: 0 where it balances.
        """
        self._foreground("fleet", "--seed", str(seed), watching=True)
        self.progress.tell("the fleet is done; waiting until every accepted task has ended")
        return self._foreground("report", "--wait", str(REPORT_DEADLINE_SECONDS), watching=False)

    def stay_up(self) -> None:
        """Keep running until asked to stop."""
        click.echo(self._where_to_look())
        while True:
            self.supervisor.look()
            time.sleep(0.2)

    def _foreground(self, *arguments: str, watching: bool) -> int:
        """Run a command to its end while the platform is kept up, with live progress where asked."""
        process = subprocess.Popen(  # noqa: S603  our own command line
            (sys.executable, "-m", "infra.cli", *arguments), env=self.environment, stdin=subprocess.DEVNULL
        )
        try:
            while process.poll() is None:
                self.supervisor.look()
                if watching:
                    self.progress.show()
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        return process.returncode

    def _write_environment(self, path: Path) -> None:
        names = ("BROKER_URL", "MANAGEMENT_URL", "DATABASE_URL", "SMTP_URL", "STATE_DIR")
        values = {f"LEDGERQ_{name}": self.environment.get(f"LEDGERQ_{name}") for name in names}
        path.touch(mode=0o600)
        path.write_text("".join(f"export {name}='{value}'\n" for name, value in values.items() if value))

    def _where_to_look(self) -> str:
        return "\n".join(
            (
                "",
                "The platform stays up until Ctrl-C. Where to look:",
                *self.sandbox.where_to_look(),
                f"  e-mail sent           {self.mailbox.directory}",
                f"  logs of the processes {self.supervisor.log_directory}",
                "  from another terminal ./dev ledgerq task show RUN_ID, ./dev ledgerq report, ./dev ledgerq emit …",
            )
        )


@contextmanager
def _platform(settings: Settings) -> Iterator[Platform]:
    drop_stale(settings)
    sandbox = create_sandbox(settings, label="run")
    own = settings.model_copy(update=sandbox.settings_update())
    mailbox = Mailbox(settings.state_dir.resolve() / "mail")
    platform = Platform(settings, sandbox, mailbox)
    try:
        _step(platform, "database migrated", lambda: database.migrate(own))
        _step(platform, "broker topology applied", lambda: topology.apply(own))
        _step(platform, "processes started", platform.start)
        yield platform
    finally:
        platform.stop()


def _step(platform: Platform, done: str, work: Callable[[], object]) -> None:
    began = time.monotonic()
    work()
    platform.progress.tell(f"{done} in {time.monotonic() - began:.1f} s")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn the signals that ask for the end into one exception, once; a second one must not cut the clean-up short."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in asked:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(each, stop) for each in asked]
    try:
        yield
    finally:
        for each, handler in zip(asked, before, strict=True):
            signal.signal(each, handler)
