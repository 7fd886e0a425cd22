"""How long somebody waits for a list of tasks on the operations page, with a million of them in the read model."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import requests

from infra.database import connect
from infra.settings import Settings
from infra.web.role import Role
from infra.web.session import COOKIE
from infra.web.token import make

PORT: Final = 28_011
READY_SECONDS: Final = 30
LISTS: Final = {
    "latest": "",
    "open": "?state=open",
    "bad": "?state=bad",
    "rare_state": "?state=lost",
    "task": "?task=bench.task_7",
    "tier": "?tier=critical",
    "task_and_tier": "?task=bench.task_7&tier=low",
    "tier_and_bad": "?tier=critical&state=bad",
    "task_and_bad": "?task=bench.task_7&state=bad",
    "no_such_task": "?task=bench.none",
    "license": "?license=L-33",
    "error": "?text=took%2033",
    "since": "?since=2h",
    "deep": "?until=6d",
    "error_week": "?text=took%2033&since=8d",
    "nothing": "?task=bench.task_7&state=revoked",
}
"""What is asked for, by name."""
BEYOND: Final = frozenset({"error_week"})
"""What the goal is not about: every error of a week has to be read."""
FILL: Final = """
    insert into read_model.task_runs (
        run_id, task, tier, queue, priority, state, accepted_at, accepted_by, published_at, first_started_at,
        started_at, ended_at, attempts, runtime_seconds, error_type, error, license_id, correlation_id, recorded_at,
        accepted_slot, state_slot)
    select gen_random_uuid()::text, 'bench.task_' || n %% 40, tier, 'tasks.' || tier, n %% 6, state, at, 'requested',
           at, at, at, case when state <> 'published' then at + interval '1 s' end, 1, 0.7,
           case when state in ('failed', 'lost') then 'GatewayTimeout' end,
           case when state in ('failed', 'lost') then 'the gateway took ' || n || ' ms' end,
           case when n %% 3 = 0 then 'L-' || n %% 5000 end, 'c-' || n, at, 0, 0
    from (
        select n, now() - (%(runs)s - n) * interval '604800 s' / %(runs)s as at,
               (array['normal', 'normal', 'normal', 'normal', 'normal', 'normal', 'low', 'low', 'high', 'critical'])
                   [1 + n %% 10] as tier,
               case when n > %(runs)s - 500 then 'published' when n %% 50 = 0 then 'failed'
                    when n %% 5000 = 1 then 'lost'
                    else 'succeeded' end as state
        from generate_series(1, %(runs)s) n) told
"""
"""Runs of a week in the read model: forty tasks, most in the normal tier, one in fifty failed and one in 5 000 lost."""


class PagesBench:
    """Measures in a migrated database that nothing else uses.

    Args:
        settings: of that database.
        environment: of the process that shows the pages.
        tell: called with a line for each step.
    """

    def __init__(self, settings: Settings, environment: dict[str, str], *, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._environment = environment
        self._tell = tell

    def measure(self, *, runs: int, samples: int) -> dict[str, float]:
        """p95 in milliseconds of each list, asked for over HTTP, and the worst of them."""
        with connect(self._settings, name="bench") as connection:
            connection.execute(FILL, {"runs": runs})
            connection.execute("vacuum analyze read_model.task_runs")
            token = make(connection, name="bench", role=Role.VIEWER, expires_at=None, by="bench")
        figures: dict[str, float] = {"pages_runs": float(runs)}
        with self._served() as url, requests.Session() as session:
            session.cookies.set(COOKIE, token)
            for name, query in LISTS.items():
                waits = sorted(_wait(session, f"{url}/ui/tasks{query}") for _ in range(samples))
                p50, p95 = waits[len(waits) // 2], waits[min(len(waits) - 1, round(0.95 * len(waits)))]
                figures[f"pages_{name}_p95_ms"] = p95
                self._tell(f"  {name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
                if name not in BEYOND:
                    figures["pages_p95_ms"] = max(figures.get("pages_p95_ms", 0.0), p95)
        return figures

    @contextmanager
    def _served(self) -> Iterator[str]:
        own = {"LEDGERQ_WEB_PORT": str(PORT), "LEDGERQ_WEB_REQUESTS_PER_SECOND": "100000", "LEDGERQ_LOG_LEVEL": "error"}
        process = subprocess.Popen(
            (sys.executable, "-m", "infra.cli", "web"), env={**os.environ, **self._environment, **own}
        )
        try:
            url = f"http://127.0.0.1:{PORT}"
            _await(url)
            yield url
        finally:
            process.terminate()
            process.wait()


def _await(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            requests.get(f"{url}/openapi.json", timeout=5).raise_for_status()
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _wait(session: requests.Session, url: str) -> float:
    """Milliseconds.

    Raises:
        requests.HTTPError: it is no page; then the figure would say nothing.
    """
    began = time.perf_counter()
    with session.get(url, timeout=60) as response:
        response.raise_for_status()
    return 1000 * (time.perf_counter() - began)
