"""How tasks are run: what becomes of each attempt is recorded before its message is acknowledged."""
