"""What is done about it: ingest, dispatch, workers, scheduler and the work itself."""
