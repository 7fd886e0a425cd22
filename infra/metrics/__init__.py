"""Metrics for Prometheus: what there is (:mod:`infra.metrics.catalog`), and the endpoint each process shows them at."""
