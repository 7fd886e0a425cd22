"""A sample fleet: what domain services would send, and tasks with every kind of fate."""
