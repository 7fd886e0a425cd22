"""What can go wrong with local servers. Each message says what to do about it."""

from __future__ import annotations


class LocalServersError(Exception):
    """Local servers cannot be had; the text names the reason and the way out."""


class MissingProgramError(LocalServersError):
    """A program that is needed is not installed; the text names it."""


class NodeStartError(LocalServersError):
    """A node did not get ready; the text carries the end of its log."""


class StartCancelledError(LocalServersError):
    """Somebody asked for the end while a node was still starting."""


class SandboxError(LocalServersError):
    """A virtual host or a database of its own could not be made or dropped."""
