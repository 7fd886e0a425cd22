"""The operations page: what people look at in a browser. `infra.web.process` finds it by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from infra.web.page import Page, Pages
from projections.web.pages import followers, letters, overview, run, runs, schedules, streams, workflows

PAGES: Final = Pages(
    (
        Page(path="", handle=overview.show, label="Overview"),
        Page(path="/tasks", handle=runs.show, label="Tasks"),
        Page(path="/tasks/{run_id}", handle=run.show),
        Page(path="/workflows", handle=workflows.show, label="Workflows"),
        Page(path="/workflows/{workflow_id:path}", handle=workflows.show_one),
        Page(path="/dead-letters", handle=letters.show, label="Dead letters"),
        Page(path="/dead-letters/replay", handle=letters.ask),
        Page(path="/streams", handle=streams.show, label="Streams"),
        Page(path="/streams/{log}/{stream_id:path}", handle=streams.show_one),
        Page(path="/schedules", handle=schedules.show, label="Schedules"),
        Page(path="/projections", handle=followers.show, label="Projections"),
    ),
    Path(__file__).parent / "templates",
)
