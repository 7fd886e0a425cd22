"""From a service's request to the e-mail and the record of it, each process of the platform a real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from domain.notice import NoticeEvent, notice_id, notice_stream
from infra import database
from infra.broker import topology
from infra.broker.emitter import Emitter
from infra.cloudevents import new_event
from infra.event_store import EventStore, Log
from infra.local.sandbox import create_sandbox
from infra.secret_link import LinkKeys, SecretLink, encrypt_link, new_key
from infra.settings import Settings
from tests.infra.mail.serving import Kept, serving
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
PATIENCE = 90.0
KEYS = LinkKeys(KEY := new_key())
TOKEN = "t0ken-that-must-not-be-kept"  # noqa: S105  that is the point
LOGS = ("licensing_events", "task_events", "heartbeat_events")


class Post(Kept):
    """A mail server that refuses some for good and some for now, and can do something before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.before_answering: Callable[[], object] | None = None

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        """Accept a recipient, or refuse it as its address asks."""
        if address.startswith("refused"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "451 4.3.0 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Take it."""
        answer = await super().handle_DATA(server, session, envelope)
        todo, self.before_answering = self.before_answering, None
        if todo:
            todo()
        return answer

    def to(self, address: str) -> list[Any]:
        """The e-mails to that address."""
        letters = [message_from_bytes(content, policy=policy.default) for content in self.contents]
        return [letter for letter in letters if letter["To"] == address]


class Worker:
    """A worker of the catalog in a process group of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "tests.tasks.catalog.hosted", "normal"),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it with its children, the way the kernel does when memory runs out."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Platform:
    """Ingest, dispatch, a worker and a mail server; and a service that asks for letters."""

    def __init__(self, settings: Settings, directory: Path, stack: ExitStack) -> None:
        self.settings = settings
        port, _ = stack.enter_context(serving(kept=(post := Post())))
        self.post = post
        own = {"LEDGERQ_SMTP_URL": f"smtp://127.0.0.1:{port}", "LEDGERQ_LINK_KEY": KEY}
        for command in ("ingest", "dispatch"):
            stack.enter_context(Process(command, settings, log=directory / f"{command}.log"))
        self._environment = {
            **os.environ,
            "LEDGERQ_BROKER_URL": settings.broker_url.get_secret_value(),
            "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value(),
            **own,
        }
        self._log = directory / "worker.log"
        self.workers: list[Worker] = []
        stack.callback(lambda: [worker.kill() for worker in self.workers])
        self.store = stack.enter_context(EventStore(settings.database_url.get_secret_value(), name="test"))

    def start_worker(self) -> Worker:
        self.workers.append(Worker(self._environment, self._log))
        return self.workers[-1]

    def ask(self, task: str, *, to: str, cause_id: str, times: int = 1, **kwargs: Any) -> None:
        """Ask for a letter, as often as said, each time in a message of its own."""
        told = {"to": to, "cause_id": cause_id, "service": "Desk", **kwargs}
        with Emitter(self.settings, role="test") as emitter:
            for _ in range(times):
                data = {"task": task, "kwargs": told, "tier": "normal"}
                emitter.emit(
                    new_event("task.requested", source="/test", data=data, subject=task, time=datetime.now(UTC))
                )

    def facts(self, template: str, cause_id: str) -> list[NoticeEvent]:
        stream = notice_stream(notice_id(template, f"Desk/{cause_id}"))
        facts = self.store.load(Log.LICENSING, [stream]).get(stream, [])
        return [fact for fact in facts if isinstance(fact, NoticeEvent)]

    def names(self, template: str, cause_id: str) -> list[str]:
        return [fact.TOPIC for fact in self.facts(template, cause_id)]

    def ends(self, task: str) -> list[str]:
        """How the runs of a task ended, by the log."""
        names = self._all("select name from event_store.task_events where data ->> 'task' = %s", task)
        return [name for name in names if name in {"task.succeeded", "task.failed", "task.lost"}]

    def places_that_hold(self, text: str) -> list[str]:
        """The logs in which a text stands, whatever row and column it is in."""
        question = "select distinct '{log}' from event_store.{log} e where e::text like '%%' || %s || '%%'"
        return [found for log in LOGS for found in self._all(question.format(log=log), text)]

    def _all(self, question: str, *values: str) -> list[str]:
        with psycopg.connect(self.settings.database_url.get_secret_value()) as connection:
            return [row[0] for row in connection.execute(question.encode(), values).fetchall()]


@pytest.fixture(scope="module")
def platform(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("notices")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="notices")
    made = servers.model_copy(update=sandbox.settings_update())
    with ExitStack() as stack:
        stack.callback(sandbox.drop)
        database.migrate(made)
        topology.apply(made)
        built = Platform(made, directory, stack)
        built.start_worker()
        yield built


def test_a_link_reaches_its_reader_and_stands_nowhere_else(platform: Platform) -> None:
    to, cause_id = "ada@example.org", str(uuid4())
    link = f"https://example.org/reset?token={TOKEN}"
    secret = SecretLink(link=link, to=to, expires_at=datetime.now(UTC) + timedelta(hours=1))
    encrypted = encrypt_link(secret, KEYS.public)
    platform.ask("send_password_reset", to=to, cause_id=cause_id, encrypted_link=encrypted)
    eventually(lambda: platform.names("password_reset", cause_id) == ["notice.sent"], seconds=PATIENCE)
    eventually(lambda: platform.ends("send_password_reset") == ["task.succeeded"], seconds=PATIENCE)
    (letter,) = platform.post.to(to)
    assert link in letter.get_body(("plain",)).get_content()
    assert platform.places_that_hold(encrypted) == ["task_events"]
    assert platform.places_that_hold(TOKEN) == []
    written = [file.read_text() for file in platform._log.parent.glob("*.log")]
    assert [log for log in written if TOKEN in log] == []


def test_a_refusal_for_good_is_recorded_once_and_tried_once(platform: Platform) -> None:
    cause_id = str(uuid4())
    platform.ask("send_welcome", to="refused@example.org", cause_id=cause_id)
    eventually(lambda: platform.names("welcome", cause_id) == ["notice.refused"], seconds=PATIENCE)
    eventually(lambda: platform.ends("record_failed_notice") == ["task.succeeded"], seconds=PATIENCE)
    assert [(fact.TOPIC, fact.attempt) for fact in platform.facts("welcome", cause_id)] == [("notice.refused", 1)]


def test_a_server_that_goes_on_saying_later_is_a_failure_after_five_retries(platform: Platform) -> None:
    cause_id = str(uuid4())
    platform.ask("send_verification", to="later@example.org", cause_id=cause_id, encrypted_link=for_later())
    eventually(lambda: platform.names("verification", cause_id) == ["notice.failed"], seconds=PATIENCE)
    (fact,) = platform.facts("verification", cause_id)
    assert (fact.attempt, fact.recipient) == (6, "later@example.org")
    assert "451 4.3.0 come back later" in repr(fact)


def for_later() -> str:
    ends = datetime.now(UTC) + timedelta(hours=1)
    return encrypt_link(SecretLink(link="https://example.org/v", to="later@example.org", expires_at=ends), KEYS.public)


def test_many_requests_for_one_cause_and_two_workers_send_one_letter(platform: Platform) -> None:
    other = platform.start_worker()
    to, cause_id = "many@example.org", str(uuid4())
    before = platform.ends("send_welcome").count("task.succeeded")
    platform.ask("send_welcome", to=to, cause_id=cause_id, times=10)
    eventually(lambda: platform.ends("send_welcome").count("task.succeeded") == before + 10, seconds=PATIENCE)
    assert len(platform.post.to(to)) == 1
    assert platform.names("welcome", cause_id) == ["notice.sent"]
    other.kill()


def test_a_worker_killed_before_it_hears_the_answer_repeats_the_letter_under_the_same_id(platform: Platform) -> None:
    for worker in platform.workers:
        worker.kill()
    victim, killed = platform.start_worker(), threading.Event()
    to, cause_id = "twice@example.org", str(uuid4())

    def kill() -> None:
        victim.kill()
        killed.set()

    platform.post.before_answering = kill
    platform.ask("send_welcome", to=to, cause_id=cause_id)
    assert killed.wait(PATIENCE)
    assert platform.names("welcome", cause_id) == []
    platform.start_worker()
    eventually(lambda: platform.names("welcome", cause_id) == ["notice.sent"], seconds=PATIENCE)
    first, second = platform.post.to(to)
    assert first["Message-ID"] == second["Message-ID"]
    (fact,) = platform.facts("welcome", cause_id)
    assert fact.attempt == 2
