"""The library's contract tests, imported without the library's optional cipher, which we neither use nor install."""

from __future__ import annotations

import sys
from types import ModuleType
from unittest.mock import patch

without_cipher = ModuleType("eventsourcing.cipher")
without_cipher.AESCipher = None  # type: ignore[attr-defined]  # only the contract of mappers asks for it

with patch.dict(sys.modules, {without_cipher.__name__: without_cipher}):
    from eventsourcing.tests import persistence as contract

__all__ = ["contract"]
