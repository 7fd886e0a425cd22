"""Tracing: the platform's own spans, as OpenTelemetry knows them; off unless an endpoint is set."""
