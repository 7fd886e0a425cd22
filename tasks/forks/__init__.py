"""Forks: a chain or chord done again from one of its steps on, with what the steps before returned (docs/forks.md)."""
