from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from infra import database
from infra.event_store import EventStore
from infra.local.errors import MissingProgramError
from infra.local.pictures.browser import find_browser
from infra.settings import Settings
from infra.web.role import Role
from tests.infra.web.face import Face, face
from tests.tasks.dead_letters.morgue import Morgue


class Open(Protocol):
    """Opens a path as somebody of a role, by the login form."""

    def __call__(self, role: Role, path: str, *, has_scripts: bool = True) -> Page:
        """The page that comes after the login."""


class Shown(NamedTuple):
    """The pages, a real process, and what there is to be seen on them."""

    face: Face
    morgue: Morgue


@pytest.fixture(scope="package")
def shown(migrated: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    url = migrated.database_url.get_secret_value()
    engine = database.engine(migrated, name="test")
    with (
        EventStore(url, name="test") as store,
        face(
            migrated, tmp_path_factory.mktemp("pages"), LEDGERQ_TRACE_URL_TEMPLATE="http://traces.example/{trace_id}"
        ) as served,
    ):
        yield Shown(served, Morgue(migrated, store, engine))
    engine.dispose()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    try:
        program = find_browser()
    except MissingProgramError as error:
        pytest.skip(f"no browser: {error}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visiting(chromium: Browser, shown: Shown) -> Iterator[Open]:
    """Fails where a page asks another host for anything, or complains."""
    contexts: list[BrowserContext] = []
    strangers: list[str] = []
    troubles: list[str] = []

    def visit(role: Role, path: str, *, has_scripts: bool = True) -> Page:
        context = chromium.new_context(base_url=shown.face.url, java_script_enabled=has_scripts)
        contexts.append(context)
        here = urlsplit(shown.face.url).netloc
        context.on("request", lambda asked: strangers.append(asked.url) if urlsplit(asked.url).netloc != here else None)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: troubles.append(said.text) if "Content Security Policy" in said.text else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(path)
        page.get_by_label("Token").fill(shown.face.tokens[role])
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("navigation").wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert (strangers, troubles) == ([], [])
