"""Metrics for Prometheus: what there is (:mod:`infra.metrics.catalog`), and the door each process shows them at."""
