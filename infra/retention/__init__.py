"""Retention: parts of a log are archived and dropped, and can be read afterwards. See docs/adr/0013-retention.md."""
