"""Connections to the broker: two clients, one reading of the URL.

pika serves those who consume; py-amqp, the client below kombu, serves the confirmed publisher and the declaring of the
topology, which want to write many frames before they read the answers.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import amqp
import pika
import pika.exceptions

from infra.broker.errors import BrokerRefusedError, BrokerUnreachableError
from infra.settings import Settings, redact_url

HEARTBEAT: Final = timedelta(seconds=30)
"""Silence after which either side asks whether the other is alive; two of them and it is given up."""
CONNECT_TIMEOUT: Final = timedelta(seconds=5)
ANSWER_TIMEOUT: Final = timedelta(seconds=30)
"""How long a py-amqp connection waits for one answer, where its user does not say."""
BLOCKED_TIMEOUT: Final = timedelta(seconds=60)
"""How long a pika connection may stay blocked by an alarm before it is given up."""


def connection_name(role: str) -> str:
    """What a connection is called in the management UI: ``ledgerq ingest (pid 4711 on host)``."""
    return f"ledgerq {role} (pid {os.getpid()} on {socket.gethostname()})"


def connection_parameters(settings: Settings, *, role: str) -> pika.ConnectionParameters:
    """Parameters for pika from the broker URL, with a name that says in the management UI who this is.

    Args:
        settings: for ``broker_url``.
        role: what the process is, such as ``ingest``.
    """
    parameters = pika.URLParameters(settings.broker_url.get_secret_value())
    parameters.client_properties = {"connection_name": connection_name(role)}
    parameters.heartbeat = int(HEARTBEAT.total_seconds())
    parameters.blocked_connection_timeout = BLOCKED_TIMEOUT.total_seconds()
    parameters.socket_timeout = CONNECT_TIMEOUT.total_seconds()
    parameters.stack_timeout = 2 * CONNECT_TIMEOUT.total_seconds()
    parameters.connection_attempts = 3
    parameters.retry_delay = 0.5
    return parameters


def connect(settings: Settings, *, role: str) -> pika.BlockingConnection:
    """A blocking pika connection, after three tries.

    Raises:
        BrokerUnreachableError: none succeeded.
        BrokerRefusedError: the login was refused.
    """
    with broker_faults(settings):
        return pika.BlockingConnection(connection_parameters(settings, role=role))


def open_amqp(settings: Settings, *, role: str, timeout: timedelta = CONNECT_TIMEOUT) -> amqp.Connection:
    """A py-amqp connection, after one try of at most `timeout`.

    Raises:
        BrokerUnreachableError: it did not succeed.
        BrokerRefusedError: the login was refused.
    """
    url = pika.URLParameters(settings.broker_url.get_secret_value())
    connection = amqp.Connection(
        host=f"{url.host}:{url.port}",
        userid=url.credentials.username,
        password=url.credentials.password,
        virtual_host=url.virtual_host,
        login_method="PLAIN",
        ssl={"server_hostname": url.host} if url.ssl_options else False,
        connect_timeout=timeout.total_seconds(),
        heartbeat=int(HEARTBEAT.total_seconds()),
        client_properties={"connection_name": connection_name(role)},
        # py-amqp's default of one second ends a connection whenever the broker stops reading for that long.
        socket_settings={socket.TCP_USER_TIMEOUT: int(HEARTBEAT / timedelta(milliseconds=1))},
    )
    with broker_faults(settings):
        try:
            connection.connect()
        except Exception:
            connection.collect()
            raise
        connection.sock.settimeout(ANSWER_TIMEOUT.total_seconds())
    return connection


@contextmanager
def broker_faults(settings: Settings) -> Iterator[None]:
    """Turn either client's errors inside the block into one that names the broker.

    Raises:
        BrokerUnreachableError: a connection could not be made, or broke.
        BrokerRefusedError: the broker refused the login, or closed a channel over what was asked.
    """
    try:
        yield
    except _REFUSALS as error:
        raise BrokerRefusedError(f"the broker {_where(settings)} refused: {_reason(error)}") from error
    except _LOSSES as error:
        raise BrokerUnreachableError(f"the broker {_where(settings)} cannot be reached: {_reason(error)}") from error


_REFUSALS: Final = (
    amqp.exceptions.ChannelError,
    pika.exceptions.AMQPChannelError,
    pika.exceptions.AuthenticationError,
    pika.exceptions.ProbableAuthenticationError,
    pika.exceptions.ProbableAccessDeniedError,
)
_LOSSES: Final = (amqp.exceptions.ConnectionError, pika.exceptions.AMQPConnectionError, OSError)


def _where(settings: Settings) -> str:
    return redact_url(settings.broker_url.get_secret_value())


def _reason(error: BaseException) -> str:
    return str(error) or repr(error)
