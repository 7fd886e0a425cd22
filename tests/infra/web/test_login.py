"""The login of the operations page: what the browser keeps of it, and that it is gone after the logout."""

from __future__ import annotations

import pytest
import requests

from infra.web.role import Role
from infra.web.session import COOKIE
from tests.infra.web.face import PROXY, Face, session_from

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
OURS = {"sec-fetch-site": "same-origin"}


def logged_in(served: Face, address: str, role: Role = Role.VIEWER, **headers: str) -> requests.Response:
    sent = {name.replace("_", "-"): value for name, value in {**OURS, **headers}.items()}
    form = {"token": served.tokens[role], "back": "/ui/tasks"}
    with session_from(address) as session:
        return session.post(f"{served.url}/ui/login", data=form, headers=sent, allow_redirects=False, timeout=10)


def kept(told: requests.Response) -> set[str]:
    """The attributes of the cookie, in lower case."""
    return {part.strip().lower() for part in told.headers["set-cookie"].split(";")[1:]}


def test_no_script_reads_the_cookie_and_no_other_site_has_it_sent(served: Face) -> None:
    told = logged_in(served, "127.0.0.1")
    assert (told.status_code, told.headers["location"]) == (303, "/ui/tasks")
    assert {"httponly", "samesite=strict", "path=/ui", "max-age=43200"} <= kept(told)


def test_the_cookie_goes_over_tls_alone_where_a_named_proxy_says_that_it_came_so(strict: Face) -> None:
    assert "secure" in kept(logged_in(strict, PROXY, x_forwarded_proto="https"))
    assert "secure" not in kept(logged_in(strict, PROXY, x_forwarded_proto="http"))
    assert "secure" not in kept(logged_in(strict, "127.0.0.1", x_forwarded_proto="https")), "that is nobody's proxy"


def test_an_emitter_and_whoever_has_no_token_are_not_let_in(served: Face) -> None:
    told = logged_in(served, "127.0.0.1", Role.EMITTER)
    assert (told.status_code, "set-cookie" in told.headers) == (403, False)
    wrong = Face(served.settings, served.url, dict.fromkeys(Role, "ledgerq_wrong"))
    told = logged_in(wrong, "127.0.0.1")
    assert (told.status_code, "Nobody has this token" in told.text) == (403, True)


@pytest.mark.parametrize("path", ["/ui/login", "/ui/logout"])
@pytest.mark.parametrize("headers", [{}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}])
def test_no_other_site_logs_anybody_in_or_out(served: Face, path: str, headers: dict[str, str]) -> None:
    cookies, form = {COOKIE: served.tokens[Role.VIEWER]}, {"token": served.tokens[Role.ADMIN]}
    told = requests.post(
        f"{served.url}{path}", data=form, cookies=cookies, headers=headers, allow_redirects=False, timeout=10
    )
    assert (told.status_code, "set-cookie" in told.headers) == (403, False)


def test_after_the_logout_the_browser_has_no_token_any_more(served: Face) -> None:
    with requests.Session() as session:
        session.post(f"{served.url}/ui/login", data={"token": served.tokens[Role.VIEWER]}, headers=OURS, timeout=10)
        assert "a-viewer" in session.get(f"{served.url}/ui", timeout=10).text
        session.post(f"{served.url}/ui/logout", headers=OURS, timeout=10)
        assert COOKIE not in session.cookies
        assert 'name="token"' in session.get(f"{served.url}/ui", timeout=10).text
