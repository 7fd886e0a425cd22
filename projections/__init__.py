"""What people may ask: read models built from the log, one question per module."""
