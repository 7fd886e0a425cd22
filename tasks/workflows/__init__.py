"""Workflows: runs that wait for others (docs/workflows.md)."""
