from __future__ import annotations

from pathlib import Path

from infra.metrics.reference import metrics_page
from infra.reference import events_page, openapi_page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_events_says_what_the_code_says() -> None:
    assert (DOCS / "events.md").read_text() == events_page(), "run: ./dev ledgerq reference events > docs/events.md"


def test_the_page_of_metrics_says_what_the_code_says() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text()
    assert page == metrics_page(), "run: ./dev ledgerq reference metrics > docs/reference/metrics.md"


def test_the_document_of_the_http_interface_says_what_the_code_says() -> None:
    page = (DOCS / "reference" / "openapi.json").read_text()
    assert page == openapi_page(), "run: ./dev ledgerq reference openapi > docs/reference/openapi.json"
