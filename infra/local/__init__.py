"""The platform on one machine: private RabbitMQ and PostgreSQL nodes behind ``./dev``, and the run that uses them."""
