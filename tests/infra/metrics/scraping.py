"""Reading what a process shows, the way Prometheus does."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from infra.local.ports import HIGHEST, LOWEST, choose_block
from infra.metrics.catalog import SHOWN

PROCESS = "process_"
"""Names of prometheus-client's own, about any process."""


class Sample(NamedTuple):
    """One line."""

    name: str
    labels: dict[str, str]
    value: float


class Shown:
    """What was shown at one look.

    Attributes:
        names: of the metrics, as they are declared; prometheus-client's own are left out.
        samples: the lines.
    """

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        ours = [each for each in families if not each.name.startswith(PROCESS)]
        self.names = {f"{each.name}_total" if each.type == "counter" else each.name for each in ours}
        self.samples = [Sample(s.name, s.labels, s.value) for each in families for s in each.samples]

    def value(self, name: str, **labels: str) -> float:
        """The one sample of the name whose labels are these, or the sum of those that have these among others."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, f"no {name} {labels}"
        return sum(found)

    def label_values(self) -> Iterable[str]:
        """Every value of every label but the bounds of histograms."""
        return (value for s in self.samples for label, value in s.labels.items() if label != "le")


def free_block() -> int:
    """The first of free ports, one for each process and one before them."""
    return choose_block(random.randrange(LOWEST, HIGHEST - 2 * len(SHOWN)), length=1 + len(SHOWN))


def scrape(port: int) -> Shown:
    """Look at a process of this machine."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return Shown(answer.read().decode())
