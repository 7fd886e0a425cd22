"""Pictures of the operations page: a process of its own, an operator's token, and a run that tried twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from infra.database import connect
from infra.local.errors import LocalServersError
from infra.local.pictures.browser import Browser, browser
from infra.local.platform import Platform
from infra.local.ports import choose_ports, is_free
from infra.web.role import Role
from infra.web.token import make

WHO: Final = "olga"
_WITHIN_SECONDS: Final = 60.0
_LOOK_AGAIN_SECONDS: Final = 0.2
_RUN: Final = """
    select run_id from analytics.fct_task_runs
    where is_ended and attempt_count > 1 and error_type is null and wait_seconds is not null
    order by attempt_count, ended_at desc limit 1
"""
_LOG_IN: Final = "document.querySelector('input[name=token]').value = {token}; document.querySelector('form').submit()"
_NO_HOST: Final = r"""
    document.querySelectorAll('td.id, .timeline .soft').forEach(each => {
        if (!each.children.length) each.textContent = each.textContent.replace(/@[^:\s]+:\d+$/, '@localhost')
    })
"""
"""Names of processes have the host in them."""


@dataclass(frozen=True)
class Shot:
    """One page.

    Attributes:
        name: of the picture, without its suffix.
        path: of the page; ``{run_id}`` is a run that tried more than once.
        shows: text that is on the page when all of it is there.
        height: of the picture in pixels, at most.
    """

    name: str
    path: str
    shows: str
    height: int = 1300


SHOTS: Final = (
    Shot("overview", "/ui", "Failed last", height=1700),
    Shot("task", "/ui/tasks/{run_id}", "task.succeeded", height=1150),
    Shot("dead-letters", "/ui/dead-letters", "Decided last", height=700),
)


def serve(built: Platform) -> str:
    """Start a process that shows the pages, kept up by the platform like its others; its URL."""
    port = choose_ports(built.directory / "web.port", "web")["web"]
    built.environment["LEDGERQ_WEB_PORT"] = str(port)
    built.start_process("web", "web")
    return _awaited(lambda: None if is_free(port) else f"http://127.0.0.1:{port}", built)


def shot(url: str, built: Platform, *, program: str) -> Iterator[tuple[Shot, bytes]]:
    """Every picture, as PNG.

    Args:
        url: of the pages.
        built: the platform that is at work.
        program: the browser's.

    Raises:
        LocalServersError: no run has tried twice and succeeded within a minute.
    """
    with connect(built.settings, name="pictures") as connection:
        token = make(connection, name=WHO, role=Role.OPERATOR, expires_at=None, by="pictures")

        def run() -> str | None:
            row = connection.execute(_RUN).fetchone()
            return None if row is None else str(row[0])

        run_id = _awaited(run, built)
    with browser(program) as page:
        page.open(f"{url}/ui")
        page.wait_for("document.querySelector('input[name=token]')")
        page.evaluate(_LOG_IN.format(token=json.dumps(token)))
        page.wait_for("document.querySelector('nav')")
        for each in SHOTS:
            _turn_to(page, url + each.path.format(run_id=run_id), each)
            yield each, page.picture(top=0, height=each.height)


def _turn_to(page: Browser, url: str, each: Shot) -> None:
    page.open(url)
    page.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
    page.wait_for(f"document.body.innerText.includes({json.dumps(each.shows)})")
    page.evaluate(_NO_HOST)


def _awaited(found: Callable[[], str | None], built: Platform) -> str:
    deadline = time.monotonic() + _WITHIN_SECONDS
    while (there := found()) is None:
        if time.monotonic() > deadline:
            raise LocalServersError(
                "the pages, or a run that has tried twice and succeeded, are not there within a minute"
            )
        built.supervisor.look()
        time.sleep(_LOOK_AGAIN_SECONDS)
    return there
