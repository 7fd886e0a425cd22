"""The log for people: reading it, sealing it against being altered unseen, checking that it was not."""
