from __future__ import annotations

import pytest

from infra.local.errors import MissingProgramError
from infra.local.pictures.browser import find_browser


def test_without_a_browser_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingProgramError, match="apt-get install chromium"):
        find_browser()
