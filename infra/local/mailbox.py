"""A mail server for one machine that delivers nothing: it keeps what it is handed as files (``*.eml``).

``python -m infra.local.mailbox --port 0 --dir D`` prints the port it listens on and runs until SIGTERM. The sample run
and the tests send through it, so what is tested is SMTP and not a stand-in for it. A recipient whose address begins
with ``refused`` is refused for good (550), one that begins with ``later`` for now (451).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final, Self

import click
from aiosmtpd.smtp import SMTP, Envelope

HOST: Final = "127.0.0.1"
STOP_SECONDS: Final = 5
LOOK_SECONDS: Final = 0.5
"""How often it looks whether its parent is still there."""


class Mailbox:
    """A mail server in a process of its own.

    Attributes:
        directory: where the e-mails are kept.
        url: what ``LEDGERQ_SMTP_URL`` has to be.
    """

    def __init__(self, directory: Path) -> None:
        """Start it; returns when it listens.

        Raises:
            RuntimeError: it did not start; its own output says why.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        arguments = (sys.executable, "-m", "infra.local.mailbox", "--dir", str(directory), "--with-parent")
        self._process = subprocess.Popen(  # noqa: S603  ourselves
            arguments, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        port = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not port:
            raise RuntimeError(f"the mailbox did not start (status {self._process.wait()})")
        self.url = f"smtp://{HOST}:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def letters(self) -> list[EmailMessage]:
        """Everything it has been handed, in order of arrival."""
        return list(letters_in(self.directory))

    def close(self) -> None:
        """Stop it; what it has been handed stays."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def letters_in(directory: Path) -> Iterator[EmailMessage]:
    """The e-mails kept in ``directory``, in order of arrival."""
    for file in sorted(directory.glob("*.eml")):
        letter = message_from_bytes(file.read_bytes(), policy=policy.default)
        if isinstance(letter, EmailMessage):
            yield letter


class Keeper:
    """Decides about recipients and keeps what arrives (aiosmtpd's handler hooks)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept = 0

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Accept a recipient, or refuse it as its address asks."""
        if address.startswith("refused"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "451 4.3.0 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        """Keep an e-mail; a reader of the directory never sees half of one."""
        self._kept += 1
        file = self._directory / f"{time.time_ns()}-{self._kept:06}.eml"
        content = envelope.original_content or b""
        draft = file.with_suffix(".part")
        draft.write_bytes(content)
        draft.rename(file)
        return "250 OK"


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0: any that is free.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--with-parent", is_flag=True, help="End also when the process that started this one has ended.")
def main(*, port: int, directory: Path, with_parent: bool) -> None:
    """Keep every e-mail handed in over SMTP as a file in a directory, until SIGTERM."""
    directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(Keeper(directory), port=port, parent=os.getppid() if with_parent else None))


async def _serve(keeper: Keeper, *, port: int, parent: int | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: SMTP(keeper, hostname="localhost", loop=loop), HOST, port)
    click.echo(server.sockets[0].getsockname()[1])
    sys.stdout.flush()
    async with server:
        while not stop.is_set() and (parent is None or os.getppid() == parent):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)


if __name__ == "__main__":
    main()
