import zlib
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery import states
from celery.exceptions import TaskRevokedError

from domain.run import RunState
from tasks.results.meta import ResultError, ResultNotKept, meta_of
from tasks.results.outcomes import FoundRun

FOUND = FoundRun(
    run_id="r",
    task="t",
    queue="tasks.normal",
    worker="w",
    state="succeeded",
    attempt_count=3,
    ended_at=None,
    result=None,
    error_type=None,
    error=None,
    traceback=None,
    payload_encoding=None,
    payload=None,
)


def meta(**changed: Any) -> dict[str, Any]:
    return meta_of(FOUND._replace(**changed))


def failed(error_type: str, state: str = "failed") -> Any:
    return meta(state=state, error_type=error_type, error="why")["result"]


@pytest.mark.parametrize("state", RunState)
def test_every_state_of_a_run_has_one_of_celerys_names(state: RunState) -> None:
    told = meta(state=state.value)["status"]
    assert told in states.ALL_STATES
    assert (told in states.READY_STATES) == state.is_end


def test_a_value_is_what_the_task_returned_as_json_has_it() -> None:
    assert meta(result='{"hours":24}')["result"] == {"hours": 24}
    assert meta(result=None)["result"] is None
    assert meta()["retries"] == 2


@pytest.mark.parametrize(("encoding", "packed"), [("zlib", zlib.compress), ("identity", bytes)])
def test_a_long_value_comes_from_its_payload(encoding: str, packed: Any) -> None:
    told = meta(result="[1," + 2000 * "1" + "…", payload_encoding=encoding, payload=packed(b"[1,2]"))
    assert told["result"] == [1, 2]


def test_a_long_value_whose_time_is_up_is_never_given_out_by_its_beginning() -> None:
    told = meta(result="[" + 3000 * "1" + "… (cut, 3001 characters in all)", payload_encoding="zlib")
    assert told["status"] == states.SUCCESS
    assert isinstance(told["result"], ResultNotKept)
    assert "LEDGERQ_RESULT_RETENTION_SECONDS" in str(told["result"])


def test_an_encoding_of_a_later_version_is_named() -> None:
    with pytest.raises(ValueError, match="'brotli'"):
        meta(result=3000 * "1", payload_encoding="brotli", payload=b"x")


def test_an_error_is_of_its_own_class_where_that_is_pythons_or_celerys() -> None:
    error = failed("ZeroDivisionError")
    assert type(error) is ZeroDivisionError
    assert str(error) == "why"
    assert type(failed("TaskError")).__name__ == "TaskError"


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "print", "open", "__import__", "os.system", ""])
def test_no_name_makes_anything_but_an_exception(name: str) -> None:
    error = failed(name)
    assert type(error).__name__ == name
    assert isinstance(error, ResultError)


def test_an_error_that_wants_more_than_a_text_is_still_told() -> None:
    error = failed("UnicodeDecodeError")
    assert isinstance(error, ResultError)
    assert type(error).__name__ == "UnicodeDecodeError"


def test_what_ended_without_an_error_of_its_own_has_celerys() -> None:
    assert isinstance(failed("WorkerLost", "lost"), WorkerLostError)
    assert isinstance(failed("Revoked", "revoked"), TaskRevokedError)
