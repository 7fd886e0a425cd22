"""What a worker's log lines say: which run they are about, whoever writes them, and no secrets."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

import pytest

from domain.tier import Tier
from tests.tasks.worker.lab import ROOT, Lab
from tests.waiting import eventually

pytestmark = pytest.mark.system

PAGE = ROOT / "docs/logs.md"
TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {
    "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    "ledgerq-correlation-id": "story-1",
    "ledgerq-license-id": "license-1",
}


class Spoken(NamedTuple):
    """A run of ``lab.speak``, and all lines of its worker."""

    run: str
    bare: str
    lines: list[dict[str, Any]]

    def of(self, run: str) -> dict[str, dict[str, Any]]:
        """The lines that name the run, by what they say."""
        return {line["message"].splitlines()[0]: line for line in self.lines if line.get("run_id") == run}


@pytest.fixture(scope="module")
def spoken(stored_lab: Lab) -> Spoken:
    lab = stored_lab
    worker = lab.worker(Tier.LOW, LEDGERQ_SEAL_KEY="a-secret-of-sixteen", LEDGERQ_WORKER_AHEAD_MS="0")
    run = lab.publish("lab.speak", "a-secret-of-sixteen", tier=Tier.LOW, headers=HEADERS)
    bare = lab.publish("lab.speak", "again", tier=Tier.LOW)
    for each in (run, bare):
        lab.ear.until(each, "task.succeeded 1")
    eventually(lambda: worker.log.read_text().count('"task.succeeded"') == 2)
    assert worker.stop() == 0
    return Spoken(run, bare, [json.loads(line) for line in worker.log.read_text().splitlines()])


SAID = [
    "printed, ***",
    "not ended",
    "complained",
    "logged",
    "logged by celery",
    "structured",
    "task.succeeded",
]


@pytest.mark.parametrize("message", SAID)
def test_every_line_about_an_attempt_says_which_whoever_writes_it(spoken: Spoken, message: str) -> None:
    line = spoken.of(spoken.run)[message]
    assert {name: line.get(name) for name in ("task", "attempt", "queue", "license_id")} == {
        "task": "lab.speak",
        "attempt": 1,
        "queue": "tasks.low",
        "license_id": "license-1",
    }
    assert (line["trace_id"], line["correlation_id"]) == (TRACE, "story-1")
    assert line["span_id"] == hashlib.md5(f"attempt/{spoken.run}/1".encode()).hexdigest()[:16]  # noqa: S324


def test_a_warning_is_a_line_too(spoken: Spoken) -> None:
    assert [each for each in spoken.of(spoken.run) if "UserWarning: warned" in each]


def test_without_a_trace_the_story_names_one_and_without_a_story_the_run_does(spoken: Spoken) -> None:
    line = spoken.of(spoken.bare)["printed, again"]
    assert line["correlation_id"] == spoken.bare
    assert line["trace_id"] == hashlib.md5(spoken.bare.encode()).hexdigest()  # noqa: S324
    assert "license_id" not in line


def test_lines_about_no_run_name_none(spoken: Spoken) -> None:
    (ready,) = [line for line in spoken.lines if line["message"] == "worker ready"]
    assert "run_id" not in ready


def test_the_page_about_log_lines_names_exactly_the_fields_they_have(spoken: Spoken) -> None:
    every, attempt = (
        set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        for section in PAGE.read_text().split("## Fields")[1].split("A line about an attempt")
    )
    structured = spoken.of(spoken.run)["structured"].keys()
    assert structured == (every - {"exception"}) | attempt | {"amount"}
