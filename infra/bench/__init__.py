"""Measurements against the real servers, from outside: over AMQP in, by SQL out."""
