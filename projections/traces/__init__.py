"""Traces from the log: the platform's spans of what is past, with the ids that they had, or would have had."""
