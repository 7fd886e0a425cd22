from typing import Any

import pytest
from celery.result import ResultSet

from tasks.app import app


def one() -> Any:
    return app.AsyncResult("run-1")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: one().revoke(),
        lambda: one().revoke(terminate=True, signal="SIGKILL"),
        lambda: ResultSet([one(), app.AsyncResult("run-2")], app=app).revoke(),
        lambda: app.control.terminate("run-1"),
    ],
)
def test_what_would_revoke_nothing_says_what_does(ask: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"nothing has been revoked; `ledgerq task revoke run-1 .*--reason"):
        ask()


def test_stamped_headers_revoke_nothing_either() -> None:
    with pytest.raises(NotImplementedError, match="by their ids"):
        one().revoke_by_stamped_headers({"customer": "acme"})
