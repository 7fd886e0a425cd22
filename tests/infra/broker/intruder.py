"""Somebody who tries everything with a role's login, over AMQP and over the management API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pika

ACCESS_REFUSED: Final = 403
_EXCHANGES: Final = ("tasks", "delay.00", "delay.125ms", "dead", "ingest.dead", "unrouted")
_QUEUES: Final = ("ingest", "ingest.dead", "dead", "dead.record", "unrouted", "tasks.critical", "tasks.low", "delay.16")
_KEYS: Final = ("session.started", "license.issued", "task.requested", "task.lifecycle", "ingest.watermark")

Attempt = Callable[[Any], object]


def attempts() -> dict[str, Attempt]:
    """What is tried, by name. Nothing of it harms a virtual host whose queues are empty."""
    return {
        **{f"publish {key}": _publishing("events", key) for key in _KEYS},
        **{f"publish to {exchange}": _publishing(exchange, "tasks.low") for exchange in _EXCHANGES},
        "publish to a queue by its name": _publishing("", "unrouted"),
        **{f"take from {queue}": _taking(queue) for queue in _QUEUES},
        **{f"purge {queue}": _purging(queue) for queue in _QUEUES},
        "declare a queue": lambda channel: channel.queue_declare("intruder", exclusive=True),
        "declare an exchange": lambda channel: channel.exchange_declare("intruder", auto_delete=True),
        "delete a queue": lambda channel: channel.queue_delete("unrouted.refused", if_unused=True),
        "delete an exchange": lambda channel: channel.exchange_delete("unrouted.late", if_unused=True),
        "bind": lambda channel: channel.queue_bind("unrouted", "events", "session.#"),
        "bind a queue of work": lambda channel: channel.queue_bind("tasks.low", "events", "session.#"),
        "unbind": lambda channel: channel.queue_unbind("ingest", "events", "no.such.key"),
    }


def allowed(url: str) -> set[str]:
    """The names of what a login may do; everything else was refused, for want of permission and for nothing else."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        return {name for name, attempt in attempts().items() if not _is_refused(connection, attempt)}


def _is_refused(connection: pika.BlockingConnection, attempt: Attempt) -> bool:
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        attempt(channel)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != ACCESS_REFUSED:
            raise
        return True
    except pika.exceptions.NackError:  # taken by the exchange, and refused by what is bound to it
        pass
    channel.close()
    return False


def _publishing(exchange: str, key: str) -> Attempt:
    return lambda channel: channel.basic_publish(exchange, key, b"{}")


def _taking(queue: str) -> Attempt:
    return lambda channel: channel.basic_get(queue, auto_ack=True)


def _purging(queue: str) -> Attempt:
    return lambda channel: channel.queue_purge(queue)
