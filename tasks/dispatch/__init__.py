"""Dispatch: policies turn events into accepted runs, and accepted runs are handed to the broker."""
