"""Results: what `AsyncResult` asks about a run, answered from the log's read model (docs/results.md)."""
