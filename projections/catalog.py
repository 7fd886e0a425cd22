"""All projections, by name."""

from __future__ import annotations

from typing import Final

from projections.dead_letters import DeadLetters
from projections.folded_requests import FoldedRequests
from projections.ingest_dead_letters import IngestDeadLetters
from projections.license_changes import LicenseChanges
from projections.license_entitlements import LicenseEntitlements
from projections.licenses import Licenses
from projections.notices import Notices
from projections.projection import Projection
from projections.replayed_runs import ReplayedRuns
from projections.replays import Replays
from projections.schedule_firings import ScheduleFirings
from projections.schedules import Schedules
from projections.seat_denials import SeatDenials
from projections.session_lapses import SessionLapses
from projections.sessions import Sessions
from projections.task_attempts import TaskAttempts
from projections.task_runs import TaskRuns
from projections.webhook_deliveries import WebhookDeliveries
from projections.webhook_endpoints import WebhookEndpoints
from projections.workflow_steps import WorkflowSteps
from projections.workflows import Workflows

PROJECTIONS: Final[dict[str, Projection]] = {
    projection.name: projection
    for projection in (
        Sessions(),
        SessionLapses(),
        Licenses(),
        LicenseEntitlements(),
        LicenseChanges(),
        Notices(),
        TaskRuns(),
        TaskAttempts(),
        DeadLetters(),
        IngestDeadLetters(),
        FoldedRequests(),
        SeatDenials(),
        Replays(),
        ReplayedRuns(),
        Schedules(),
        ScheduleFirings(),
        WebhookEndpoints(),
        WebhookDeliveries(),
        Workflows(),
        WorkflowSteps(),
    )
}
"""Every projection there is; a new one is a module and a line here."""
