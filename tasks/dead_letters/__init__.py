"""Dead letters: found, read, replayed, discarded, put back into the broker's queue."""
