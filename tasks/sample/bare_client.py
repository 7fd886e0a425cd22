"""A client of the bare application: ``python -m tasks.sample.bare_client RUNS [confirmed]``, a peer of our dispatch."""

from __future__ import annotations

import sys

from domain.tier import Tier
from tasks.sample.bare import app, nothing


def main(runs: str, confirmed: str = "") -> None:
    """Ask for so many runs, one after the other; ``confirmed``: each waits for the broker to say that it holds it."""
    if confirmed:
        app.conf.broker_transport_options = {"confirm_publish": True}
    for _ in range(int(runs)):
        nothing.apply_async(queue=Tier.NORMAL.queue)


if __name__ == "__main__":
    main(*sys.argv[1:])
