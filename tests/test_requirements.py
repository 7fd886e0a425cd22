"""requirements.txt is uv.lock for machines without uv: the same versions, every one with its hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED = re.compile(
    r"^([a-z0-9-]+)(?:\[[^\]]*\])?==(\S+)(?: ; [^\\]*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)


def test_both_lock_files_name_the_same_versions() -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    versions = {(package["name"], package["version"]) for package in locked if package["name"] != "ledgerq"}
    pinned = {(name, version) for name, version, _ in PINNED.findall((ROOT / "requirements.txt").read_text())}
    assert pinned == versions, "run: ./dev lock"


def test_nothing_is_taken_from_a_place_that_the_file_names() -> None:
    text = (ROOT / "requirements.txt").read_text()
    rest = [line for line in PINNED.sub("", text).splitlines() if not line.lstrip().startswith("#")]
    assert rest == []
    assert "://" not in text
