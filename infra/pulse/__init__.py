"""Signs of life of a long-lived process: files for probes beside it, a row in the database for everybody else."""

from infra.pulse.pulse import Pulse

__all__ = ["Pulse"]
