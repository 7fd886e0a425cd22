"""The files by which a probe beside the process sees that it lives: touched, never written (`infra/deploy/probe`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog

from infra.process_name import ProcessName

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.pulse")


class PulseFiles:
    """``NAME.live`` and ``NAME.ready`` in one directory; their modification times are all there is to read.

    A disk that is full or read-only is told once and changes nothing else: the work goes on, and a probe that finds the
    files too old says so to whoever asked it.

    Args:
        directory: made where it is missing.
        process: which it is; of two of one name each needs a directory of its own.
    """

    def __init__(self, directory: Path, process: ProcessName) -> None:
        self._live = directory / f"{process.value}.live"
        self._ready = directory / f"{process.value}.ready"
        self._is_troubled = False

    def touch(self, *, age_seconds: float, time: float, ready: bool) -> None:
        """Say that the loop turned ``age_seconds`` before ``time`` (seconds since 1970), and whether it can work."""
        turned = time - age_seconds
        try:
            _touch(self._live, turned)
            if ready:
                _touch(self._ready, turned)
            else:
                self._ready.unlink(missing_ok=True)
        except OSError as error:
            self._tell_once(error)
        else:
            self._is_troubled = False

    def remove(self) -> None:
        """Take both away: the process ends."""
        try:
            self._live.unlink(missing_ok=True)
            self._ready.unlink(missing_ok=True)
        except OSError as error:
            self._tell_once(error)

    def _tell_once(self, error: OSError) -> None:
        if not self._is_troubled:
            _LOG.warning("the files for probes cannot be touched; the work goes on", error=str(error))
        self._is_troubled = True


def _touch(path: Path, at: float) -> None:
    try:
        os.utime(path, (at, at))
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (at, at))
