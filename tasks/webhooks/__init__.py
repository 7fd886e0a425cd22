"""Webhooks: whom we tell of events, how that goes, and who may ask us for tasks."""
