import hashlib
from uuid import uuid4

from tasks.dispatch.subject import fields_of
from tests.tasks.dispatch.recorded import recorded, requested

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_line_about_a_run_says_which_and_whose_story_it_is() -> None:
    run = uuid4()
    event = requested("send_notice", run_id=run, tier="high", license_id="l-1")
    told = fields_of(recorded(event, correlation_id="story", traceparent=f"00-{TRACE}-b7ad6b7169203331-01"))
    assert told == {
        "run_id": str(run),
        "task": "send_notice",
        "tier": "high",
        "license_id": "l-1",
        "correlation_id": "story",
        "trace_id": TRACE,
    }


def test_what_is_not_known_is_left_out_and_the_story_names_the_trace() -> None:
    told = fields_of(recorded(requested(), correlation_id="story"))
    assert "license_id" not in told
    assert told["trace_id"] == hashlib.md5(b"story").hexdigest()  # noqa: S324
