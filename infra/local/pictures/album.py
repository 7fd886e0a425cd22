"""Which pages are pictured, as whom, and what has to be on them first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

from infra.local.pictures.browser import Browser, browser

VHOST: Final = "ledgerq"
ADMINISTRATOR: Final = "administrator"
_SETTLE: Final = "new Promise(done => setTimeout(done, 1500))"
"""Charts and the last numbers come a moment after the page."""


class Login(NamedTuple):
    """A user of the management UI."""

    user: str
    password: str


@dataclass(frozen=True)
class Picture:
    """One page of the management UI.

    Attributes:
        name: of the file, without its suffix.
        page: behind the ``#`` of the URL.
        shows: text that is on the page when all of it is there.
        role: who looks.
        unfolds: titles of the sections that are opened first.
        presses: what is written on a button that is pressed then.
        begins: title of the section at which the picture begins; none: the page's top.
        height: of the picture in pixels, at most.
    """

    name: str
    page: str
    shows: tuple[str, ...]
    role: str = "monitoring"
    unfolds: tuple[str, ...] = ()
    presses: str | None = None
    begins: str | None = None
    height: int = 1300


PICTURES: Final = (
    Picture("overview", "/", ("Message rates", "Publisher confirm", "ledgerq@localhost")),
    Picture("connections", "/connections", ("ledgerq ingest", "worker critical", f"{VHOST}.dispatch")),
    Picture("events", f"/exchanges/{VHOST}/events", ("alternate-exchange",), unfolds=("Bindings",), height=700),
    Picture("queues", "/queues", ("tasks.normal", "delay ladder", "for people", "tier")),
    Picture(
        "tier",
        f"/queues/{VHOST}/tasks.normal",
        ("x-max-priority", "tier"),
        unfolds=("Consumers", "Bindings"),
        height=1130,
    ),
    Picture("ladder", f"/queues/{VHOST}/delay.07", ("at-least-once", "delay.06"), unfolds=("Bindings",), height=1040),
    Picture(
        "dead",
        f"/queues/{VHOST}/dead",
        ("for people",),
        role="operator",
        unfolds=("Get messages",),
        presses="Get Message(s)",
        begins="Get messages",
        height=1160,
    ),
    Picture("users", "/users", (f"{VHOST}.emitter", f"{VHOST}.monitoring"), role=ADMINISTRATOR),
)
"""In the order in which they are taken; those of one user after one another."""


def taken(url: str, logins: dict[str, Login], *, program: str) -> Iterator[tuple[Picture, bytes]]:
    """Every picture, as PNG.

    Args:
        url: of the management UI.
        logins: by role.
        program: the browser's.
    """
    for role, pictures in groupby(PICTURES, key=lambda picture: picture.role):
        with browser(program) as page:
            _log_in(page, url, logins[role])
            for picture in pictures:
                _turn_to(page, picture)
                yield picture, page.picture(top=_top(page, picture), height=picture.height)


def _log_in(page: Browser, url: str, login: Login) -> None:
    page.open(f"{url}/")
    page.wait_for("document.querySelector('input[name=username]')")
    for name, text in login._asdict().items():
        field = "username" if name == "user" else name
        page.evaluate(f"document.querySelector('input[name={field}]').value = {json.dumps(text)}")
    page.evaluate("document.querySelector('input[type=submit]').click()")
    page.wait_for("document.querySelector('#logout, #show-vhost')")


def _turn_to(page: Browser, picture: Picture) -> None:
    page.evaluate(f"location.hash = {json.dumps('#' + picture.page)}")
    for text in picture.shows:
        page.wait_for(f"document.body.innerText.includes({json.dumps(text)})")
    for title in picture.unfolds:
        page.evaluate(f"[...document.querySelectorAll('h2')].find({_begins(title)}).click()")
    if picture.presses is not None:
        page.evaluate(f"[...document.querySelectorAll('input[type=submit]')].find({_says(picture.presses)}).click()")
    page.evaluate(_SETTLE)


def _top(page: Browser, picture: Picture) -> int:
    if picture.begins is None:
        return 0
    section = f"[...document.querySelectorAll('h2')].find({_begins(picture.begins)})"
    return int(page.evaluate(f"Math.floor({section}.getBoundingClientRect().top + scrollY)"))


def _begins(text: str) -> str:
    return f"each => each.innerText.trim().startsWith({json.dumps(text)})"


def _says(text: str) -> str:
    return f"each => each.value === {json.dumps(text)}"
