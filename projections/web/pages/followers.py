"""Projections: how far each has come in its logs, and the events it passed over."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from infra.web.page import Drawn, Visit
from projections.lag import lag
from projections.web.pages import asked

_FRESHNESS: Final = "select * from analytics.meta_freshness order by projection, log"
_PARKED: Final = "select * from analytics.meta_parked_events order by parked_at desc limit 100"


def show(visit: Visit) -> Drawn:
    """The page, or its table anew."""
    interval = timedelta(seconds=visit.desk.settings.watermark_interval_seconds)
    with visit.desk.reading() as connection:
        values = {
            "rows": asked.ask(connection, _FRESHNESS, {}),
            "stands_still": any(row["source"] == "stands still" for row in lag(connection, marker_interval=interval)),
            "parked": asked.ask(connection, _PARKED, {}),
        }
    return Drawn("projections_part.html" if visit.is_part else "projections.html", values)
