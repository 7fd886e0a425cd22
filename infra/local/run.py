"""``ledgerq run``: the whole platform on this machine, fed by a sample fleet, with a report at the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import click

from infra.broker.errors import BrokerError
from infra.database import DatabaseUnreachableError
from infra.local.errors import LocalServersError
from infra.local.platform import Platform, PlatformNotReadyError, platform, timed
from infra.local.progress import Progress
from infra.metrics.catalog import port_offset
from infra.process_name import ProcessName
from infra.settings import load_settings

REPORT_DEADLINE_SECONDS: Final = 90
STOPPED_BY_PERSON: Final = 130
SAMPLE_PACE: Final = {
    # The sample fleet lives in seconds where a real one lives in minutes.
    "LEDGERQ_WATERMARK_INTERVAL_SECONDS": "1",
    "LEDGERQ_SWEEP_INTERVAL_SECONDS": "2",
    "LEDGERQ_EXPIRY_INTERVAL_SECONDS": "5",
    "LEDGERQ_USAGE_INTERVAL_SECONDS": "5",
}


class Stopped(BaseException):
    """Somebody asked for the end (Ctrl-C, SIGTERM, SIGHUP)."""


@click.group(invoke_without_command=True)
@click.option("--exit", "exit_after", is_flag=True, help="End after the report instead of staying up.")
@click.option("--seed", default=1, show_default=True, help="Seed of the sample fleet's chances.")
@click.pass_context
def command(ctx: click.Context, *, exit_after: bool, seed: int) -> None:
    """Run the whole platform on a sample fleet, then report what the views say.

    Exit status: 0 when every accepted task has one recorded end, 1 when not.
    """
    if ctx.invoked_subcommand is not None:
        return
    settings = load_settings()
    progress = Progress()
    try:
        with stoppable(), platform(settings, label="run", tell=progress.tell, pace=SAMPLE_PACE) as built:
            built.start()
            timed("processes started", built.wait_until_ready, progress.tell)
            progress.tell("the fleet begins to speak")
            progress.follow(built.sandbox.database_url)
            status = _play(built, progress, seed=seed)
            if not exit_after:
                click.echo(_where_to_look(built))
                _stay_up(built)
    except Stopped:
        status = STOPPED_BY_PERSON
    except (LocalServersError, BrokerError, DatabaseUnreachableError, PlatformNotReadyError) as error:
        progress.tell(f"ledgerq run: {error}")
        status = 1
    finally:
        progress.close()
    sys.exit(status)


def _play(built: Platform, progress: Progress, *, seed: int) -> int:
    """Let the sample fleet live, then report; the report's exit status, or the fleet's where that failed."""
    with _command(built, "fleet", "--seed", str(seed), role="operator", stdout=subprocess.PIPE) as fleet:
        while fleet.poll() is None:
            built.supervisor.look()
            progress.show()
            time.sleep(0.1)
        for line in fleet.stdout or ():
            progress.tell(line.rstrip())
    if fleet.returncode:
        return fleet.returncode
    progress.tell("waiting until every accepted task has ended; the failures in the report are part of the sample")
    with _command(built, "report", "--wait", str(REPORT_DEADLINE_SECONDS), role="operator") as report:
        while report.poll() is None:
            built.supervisor.look()
            time.sleep(0.1)
    return report.returncode


@contextmanager
def _command(built: Platform, *arguments: str, role: str, stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A command of ours on the platform, with a role's login; ended with the block, if it has not ended before."""
    process = subprocess.Popen(  # noqa: S603  our own command line
        (sys.executable, "-m", "infra.cli", *arguments),
        env={**built.environment, **built.login_of(role)},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _stay_up(built: Platform) -> None:
    while True:
        built.supervisor.look()
        time.sleep(0.2)


def _where_to_look(built: Platform) -> str:
    return "\n".join(
        (
            "",
            "The platform stays up until Ctrl-C. Where to look:",
            *built.sandbox.where_to_look(),
            f"  health                {built.monitor_url}/health/detailed",
            f"  e-mail sent           {built.mailbox.directory}",
            f"  logs of the processes {built.directory}",
            *_metrics(int(built.environment["LEDGERQ_METRICS_PORT"])),
            "  a second terminal     ./dev ledgerq status --watch · report · task show RUN_ID · emit … · --help",
        )
    )


def _metrics(port: int) -> list[str]:
    if not port:
        return []
    first, last = port + port_offset(ProcessName.INGEST), port + port_offset(ProcessName.WORKER_LOW)
    return [f"  metrics               http://127.0.0.1:{first}/metrics (ingest) … {last} (docs/reference/metrics.md)"]


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the signals that ask for the end into one exception, once: a second one must not cut the clean-up short."""

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
