"""A private RabbitMQ node with its own Erlang port mapper, all of it on 127.0.0.1."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import secrets
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

from infra.local.node import Node, never
from infra.local.programs import RabbitMQPrograms
from infra.local.slot import CHECKOUT, write_private

USER: Final = "ledgerq"
NODE_NAME: Final = "ledgerq@localhost"
_PROBE_SECONDS: Final = 2.0
_AMQP_0_9_1: Final = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME: Final = b"\x01"
# Erlang loads code through threads of their own; letting those spin briefly between two files halves the start on a
# small machine. Distribution would otherwise listen on every interface.
_ERLANG_ARGUMENTS: Final = "+sbwtdio short -kernel inet_dist_use_interface {127,0,0,1}"
# While applications stop, the management agent asks the very process that stops them for a favor and waits 5 s
# (application:set_env in rabbit_mgmt_db_handler:terminate). Taking it away first, as its own clean-up step would,
# avoids that.
_REMOVE_AGENT: Final = "gen_event:delete_handler(rabbit_event, rabbit_mgmt_db_handler, [])."


class RabbitMQNode(Node):
    """RabbitMQ with its management plugin, configured by the repository's ``rabbitmq/`` directory."""

    title: ClassVar[str] = "RabbitMQ"
    port_names: ClassVar[tuple[str, ...]] = ("amqp", "management", "prometheus", "distribution", "epmd")

    def __init__(self, directory: Path, *, mark: Path, password: str, programs: RabbitMQPrograms) -> None:
        super().__init__(directory, mark=mark, password=password)
        self.programs = programs
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def broker_url(self) -> str:
        """AMQP URL of the administrator on the default virtual host."""
        return f"amqp://{USER}:{quote(self.password, safe='')}@127.0.0.1:{self.ports['amqp']}/%2F"

    @property
    def management_url(self) -> str:
        """HTTP URL of the management API and UI, without credentials."""
        return f"http://127.0.0.1:{self.ports['management']}"

    def has_usable_data(self) -> bool:
        """Whether the database was last used by this version (an older server does not read a newer one's)."""
        version = self.directory / "version"
        return version.exists() and version.read_text() == self.programs.version

    def launch(self) -> subprocess.Popen[bytes]:
        """Write the configuration and start port mapper and server."""
        shutil.rmtree(self.directory / "log", ignore_errors=True)
        for name in ("home", "data", "log", "generated"):
            (self.directory / name).mkdir(exist_ok=True)
        (self.directory / "version").write_text(self.programs.version)
        (self.directory / "rabbitmq-env.conf").write_text("")
        write_private(self.directory / "definitions.json", json.dumps(_definitions(self.password)))
        shared = (CHECKOUT / "rabbitmq" / "rabbitmq.conf").read_text()
        write_private(self.directory / "rabbitmq.conf", f"{shared}\n{self._own_configuration()}")
        shutil.copyfile(CHECKOUT / "rabbitmq" / "advanced.config", self.directory / "advanced.config")
        self.environment.update(self._variables())
        if self.programs.epmd:
            mapper = (self.programs.epmd, "-address", "127.0.0.1", "-port", str(self.ports["epmd"]))
            self._epmd = self.spawn(*mapper)
        return self.spawn(self.programs.server)

    def answers(self) -> bool:
        """Whether AMQP is spoken and the management API knows our user and a running virtual host."""
        try:
            return self._speaks_amqp() and self._manages()
        except (OSError, http.client.HTTPException, ValueError):  # nobody there yet, or half an answer
            return False

    def ask_to_stop(self) -> None:
        """SIGTERM: listeners close, queues are written, Erlang ends."""
        if self.process is None or not self.running:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):  # the stop then takes its 5 s more
            subprocess.run(  # noqa: S603  the server's own tool
                [self.programs.control, "--quiet", "eval", _REMOVE_AGENT],
                env=self.environment,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=5,
            )
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop the server, then its port mapper."""
        super().stop()
        self._end_port_mapper()

    def kill(self) -> None:
        """End the server and its port mapper without warning."""
        super().kill()
        self._end_port_mapper()

    def start(self, *, canceled: Callable[[], bool] = never, keep_data: bool = False) -> None:
        """See :meth:`Node.start`; a port mapper of an earlier start ends first."""
        self._end_port_mapper()
        super().start(canceled=canceled, keep_data=keep_data)

    def _end_port_mapper(self) -> None:
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def _speaks_amqp(self) -> bool:
        """A protocol header answered with a method frame, Connection.Start (AMQP 0-9-1, section 4.2.2)."""
        with socket.create_connection(("127.0.0.1", self.ports["amqp"]), _PROBE_SECONDS) as connection:
            connection.sendall(_AMQP_0_9_1)
            return connection.recv(1) == _METHOD_FRAME

    def _manages(self) -> bool:
        login = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310  http, our own node
            f"{self.management_url}/api/vhosts/%2F", headers={"Authorization": f"Basic {login}"}
        )
        with urllib.request.urlopen(request, timeout=_PROBE_SECONDS) as answer:  # noqa: S310
            states = json.load(answer).get("cluster_state")
        # While the virtual host starts, RabbitMQ 4 says an empty list in the place of the map.
        return isinstance(states, dict) and set(states.values()) == {"running"}

    def _own_configuration(self) -> str:
        return f"""\
listeners.tcp.default = 127.0.0.1:{self.ports["amqp"]}
management.tcp.ip = 127.0.0.1
management.tcp.port = {self.ports["management"]}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {self.ports["prometheus"]}
disk_free_limit.absolute = 50MB
load_definitions = {self.directory / "definitions.json"}
"""

    def _variables(self) -> dict[str, str]:
        """Where everything of the node is (RabbitMQ documentation, "Configuration", environment variables)."""
        here = self.directory
        return {
            "HOME": str(here / "home"),  # Erlang's cookie is written there
            "RABBITMQ_NODENAME": NODE_NAME,
            "RABBITMQ_DIST_PORT": str(self.ports["distribution"]),
            "RABBITMQ_MNESIA_BASE": str(here / "data"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(here / "rabbitmq-env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(CHECKOUT / "rabbitmq" / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_ARGUMENTS,
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",  # unbound: nodes of two slots must not fight for the same core
            "RUNNING_UNDER_SYSTEMD": "true",  # the server script becomes the server: one process to signal
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }


def _definitions(password: str) -> dict[str, object]:
    """Our one user, by its password's hash (RabbitMQ documentation, "Credentials and Passwords"); no guest is made."""
    salt = secrets.token_bytes(4)
    salted = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    user = {"name": USER, "password_hash": salted, "hashing_algorithm": "rabbit_password_hashing_sha256"}
    return {
        "users": [{**user, "tags": "administrator"}],
        "vhosts": [{"name": "/"}],
        "permissions": [{"user": USER, "vhost": "/", **everything}],
    }
