"""Log lines: for people on a terminal, JSON (one object per line) everywhere else.

Our own lines go through structlog and those of libraries through the standard library's logging; both end in one
handler, get the same fields and look the same. Recipe: structlog documentation, "Standard Library Logging", rendering
within structlog's ``ProcessorFormatter``.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

from infra.logs.output import Output
from infra.logs.redaction import RedactingFormatter, Redactor
from infra.logs.subject import about, add_subject
from infra.settings import Settings

__all__ = ["about", "apply_levels", "configure"]

CHATTY: Final = ("pika", "amqp", "kombu", "celery.utils", "psycopg.pool", "asyncio", "alembic.runtime.plugins")
"""Libraries that tell of every connection; below warning they are heard only where the level is debug."""

SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    add_subject,
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
        settings: ``log_level`` is the lowest level that is written, ``log_levels`` that of single loggers; their
            secrets are hidden in every line.
        stream: where the lines go; standard output by default, as is right for a process whose lines are its output.
    """
    target = stream or sys.stdout
    handler = Output(target)
    handler.setFormatter(RedactingFormatter(_formatter(for_people=target.isatty()), Redactor(settings)))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if settings.log_level == "debug" else logging.WARNING)
    apply_levels(settings)
    logging.captureWarnings(True)
    if stream is None:
        sys.excepthook = _log_the_end
        threading.excepthook = _log_the_end_of_a_thread
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


def apply_levels(settings: Settings) -> None:
    """Set the levels of single loggers (``log_levels``), over whatever anybody else has set."""
    for name, level in settings.levels_of_loggers.items():
        logging.getLogger(name).setLevel(level.upper())


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


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """In the place of the interpreter's own traceback, which nobody would read as JSON and nobody has redacted."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger("ledgerq").critical("the process ends: nobody expected this", exc_info=(kind, error, trace))


def _log_the_end_of_a_thread(ended: Any) -> None:
    trouble = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    thread = getattr(ended.thread, "name", None)
    structlog.get_logger("ledgerq").critical("a thread ends: nobody expected this", thread=thread, exc_info=trouble)
