"""The work itself: one module per thing to be done, each a plain function; the Celery tasks around them are thin."""
