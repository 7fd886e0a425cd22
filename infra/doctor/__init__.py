"""The doctor: what is configured in a way that breaks a promise, found by looking at the running broker.

A check is a function from what the broker says (:class:`infra.doctor.patient.Patient`) to findings. What only tasks can
tell is handed in by ``tasks.doctor_command``.
"""
