"""Why there is no fork."""

from __future__ import annotations


class ForkRefusedError(Exception):
    """It cannot be forked there; the text says why, and what can be."""
