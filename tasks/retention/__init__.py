"""Retention: which months of a log may go, and why not; they are archived first."""
