"""The HTTP interface as a client sees it: a real process, and a token of each role."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests
from requests.adapters import HTTPAdapter

from infra import database
from infra.settings import Settings
from infra.web.role import Role
from infra.web.token import make
from tests.waiting import eventually

WEBHOOK_KEY = "a key that only tests know, of 32 characters and more"


PROXY = "127.0.0.9"
"""An address of this host that one of the processes is told to believe."""
STRANGERS_AT_ONCE = 5


class Told(NamedTuple):
    """An answer."""

    status: int
    value: Any
    headers: dict[str, str]


class Face:
    """Asks; by default with the token of an admin."""

    def __init__(self, settings: Settings, url: str, tokens: dict[Role, str]) -> None:
        self.settings = settings
        self.url = url
        self.tokens = tokens

    def ask(self, method: str, path: str, body: Any = None, *, role: Role | None = Role.ADMIN, **headers: str) -> Told:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if role is not None:
            sent.setdefault("authorization", f"Bearer {self.tokens[role]}")
        if body is not None:
            sent.setdefault("content-type", "application/json")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        with requests.request(method, f"{self.url}{path}", data=data, headers=sent, timeout=30) as response:
            return Told(response.status_code, response.json(), {k.lower(): v for k, v in response.headers.items()})

    def get(self, path: str, **named: Any) -> Told:
        return self.ask("GET", path, **named)

    def post(self, path: str, body: Any, **named: Any) -> Told:
        return self.ask("POST", path, body, **named)


@contextmanager
def face(
    settings: Settings, directory: Path, *, tokens: dict[Role, str] | None = None, **environment: str
) -> Iterator[Face]:
    """The process, until the end of the ``with`` block, on a database that is migrated; new tokens unless there are."""
    tokens = tokens or made_tokens(settings)
    log = directory / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            (sys.executable, "-m", "infra.cli", "web"),
            env={
                **os.environ,
                "LEDGERQ_BROKER_URL": settings.broker_url.get_secret_value(),
                "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value(),
                "LEDGERQ_WEB_PORT": "0",
                "LEDGERQ_STATE_DIR": str(directory),
                "LEDGERQ_WEB_REQUESTS_PER_SECOND": "100000",
                "LEDGERQ_WEB_STRANGER_REQUESTS_PER_SECOND": "100000",
                "LEDGERQ_WEBHOOK_KEY": WEBHOOK_KEY,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        found = eventually(lambda: re.search(r'"port": ?(\d+)', log.read_text()), seconds=30)
        yield Face(settings, f"http://127.0.0.1:{found[1]}", tokens)
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def made_tokens(settings: Settings) -> dict[Role, str]:
    """A token of each role."""
    with database.connect(settings, name="test") as connection:
        return {each: make(connection, name=f"a-{each}", role=each, expires_at=None, by="test") for each in Role}


def session_from(address: str) -> requests.Session:
    """A session whose connections come from an address of this host."""
    session = requests.Session()
    session.mount("http://", _From(address))
    return session


class _From(HTTPAdapter):
    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        super().init_poolmanager(*args, source_address=(self._address, 0), **named)
