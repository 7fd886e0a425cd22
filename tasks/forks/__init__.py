"""Forks: a chain done again from one of its steps on, with what the steps before returned."""
