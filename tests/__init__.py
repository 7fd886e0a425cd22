"""Tests mirror the source; each one is a sentence about an outcome."""
