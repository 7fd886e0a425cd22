"""Ingest: stores what services and workers emit, and acknowledges it only then.

From the outside in: :mod:`~tasks.ingest.process` wires and runs; :mod:`~tasks.ingest.consumer` gathers batches from
the broker; :mod:`~tasks.ingest.isolation` sees a batch through whatever happens to it; :mod:`~tasks.ingest.batch`
takes it in (fetch, already done?, decide, append); :mod:`~tasks.ingest.reading` turns bodies into what they say;
:mod:`~tasks.ingest.licensing`, :mod:`~tasks.ingest.runs` and :mod:`~tasks.ingest.heartbeats` turn that into events.
:mod:`~tasks.ingest.letters` does the same for the dead letters of tasks, :mod:`~tasks.ingest.watermark` keeps log time.
"""
