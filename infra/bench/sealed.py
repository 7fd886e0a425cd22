"""What tamper evidence costs appends: the same batches beside a sealer that follows, and without one."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from infra.bench.contest import Contender, race
from infra.bench.store import BATCH, StoreWriter
from infra.bench.writing import Stint
from infra.database import connect
from infra.event_store import Log
from infra.events.sealing import BLOCK_EVENTS, Sealing, seal_all
from infra.events.seals import SealTable
from infra.settings import Settings

_LOOK_SECONDS: Final = 0.01
_DEADLINE_SECONDS: Final = 60.0
_OURS: Final = {"ours": Contender(StoreWriter)}


class SealBench:
    """Measures in a database whose logs nobody else seals.

    The sealer is a thread of this process, which does nothing else: the writers are processes of their own.

    Args:
        settings: of a migrated database.
        tell: called with a line for each round.
    """

    def __init__(self, settings: Settings, *, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell

    def measure(self, *, commits: int, rounds: int) -> dict[str, float]:
        """Events a second with a sealer and without; the median of the rounds' ratios, and how far it stayed behind.

        Args:
            commits: of a thousand events, in each round and case.
            rounds: each measures both cases; which one begins changes.
        """
        found = [self._round(Stint(commits, BATCH), sealed_first=bool(number % 2)) for number in range(rounds)]
        return {
            "append_sealed_per_second": statistics.median(each["sealed"] for each in found),
            "append_unsealed_per_second": statistics.median(each["unsealed"] for each in found),
            "seal_cost_ratio": statistics.median(each["sealed"] / each["unsealed"] for each in found),
            "sealer_behind_events": max(each["behind"] for each in found),
        }

    def _round(self, stint: Stint, *, sealed_first: bool) -> dict[str, float]:
        rates: dict[str, float] = {}
        for case in ("sealed", "unsealed") if sealed_first else ("unsealed", "sealed"):
            self._seal_what_is_there()
            if case == "unsealed":
                rates[case] = self._rate(stint)
                continue
            with self._sealer() as sealer:
                rates[case] = self._rate(stint)
                rates["behind"] = self._unsealed()
                self._await(sealer)
        self._tell("  " + ", ".join(f"{name} {value:,.0f}" for name, value in rates.items()))
        return rates

    def _rate(self, stint: Stint) -> float:
        (found,) = race(self._settings.database_url.get_secret_value(), _OURS, stint, rounds=1, tell=lambda _line: None)
        return found["ours"]

    def _seal_what_is_there(self) -> None:
        with connect(self._settings, name="bench") as connection:
            for _ in seal_all(SealTable(connection), Log.LICENSING, now=datetime.now(UTC), key=self._key, adopt=True):
                pass

    def _await(self, sealer: threading.Thread) -> None:
        """See that the sealer seals what it was behind: else there was none beside the appends."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while sealer.is_alive() and self._unsealed() >= BLOCK_EVENTS[Log.LICENSING]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._unsealed():,.0f} events are not sealed")
            time.sleep(_LOOK_SECONDS)

    def _unsealed(self) -> float:
        with connect(self._settings, name="bench") as connection:
            seals = SealTable(connection)
            last = seals.last(Log.LICENSING)
            after = last.upto_position if last else 0
            return float(seals.count(Log.LICENSING, after=after, upto=seals.safe_position(Log.LICENSING)))

    @contextmanager
    def _sealer(self) -> Iterator[threading.Thread]:
        """Seals as the scheduler's leader does, until the end of the block.

        Raises:
            RuntimeError: it failed.
        """
        ending, failures = threading.Event(), list[BaseException]()

        def follow() -> None:
            try:
                with Sealing(self._settings) as sealing:
                    while not ending.is_set():
                        if not sealing.step(datetime.now(UTC)):
                            ending.wait(_LOOK_SECONDS)
            except Exception as error:  # noqa: BLE001  told below, by the thread that waits
                failures.append(error)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield thread
        finally:
            ending.set()
            thread.join()
            if failures:
                raise RuntimeError("the sealer failed") from failures[0]

    @property
    def _key(self) -> bytes | None:
        return self._settings.seal_key_bytes
