"""Log lines: for people on a terminal, JSON (one object per line) everywhere else; always on standard error.

Our own lines go through structlog and those of libraries through the standard library's logging; both end in one
handler and look the same. Recipe: structlog documentation, "Standard Library Logging", rendering within structlog's
``ProcessorFormatter``.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import Processor

from infra.settings import Settings

CHATTY: Final = ("pika", "amqp", "kombu", "celery.utils", "psycopg.pool", "asyncio", "alembic.runtime.plugins")
"""Libraries that tell of every connection; below warning they are heard only where the level is debug."""

SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.UnicodeDecoder(),
)
"""What every line passes, whoever wrote it."""


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Set up all logging of this process; called once, at the door. Calling it again replaces the first set-up.

    Args:
        settings: ``log_level`` is the lowest level that is written.
        stream: where the lines go; standard error by default.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(for_people=target.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if settings.log_level == "debug" else logging.WARNING)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _formatter(*, for_people: bool) -> logging.Formatter:
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if for_people:
        # Without the values of local variables, which the renderer would show and which hold passwords.
        last.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        last += [
            structlog.processors.ExceptionRenderer(),
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=SHARED, processors=last)
