import io
import json
import logging
from urllib.parse import quote, quote_plus

import pytest
import structlog
from pydantic import SecretStr

from infra.logs import configure
from infra.logs.redaction import Redactor
from infra.settings import Settings

ODD = "p@ss:w/o%rd?#é\"'\\ +"
SETTINGS = Settings(
    broker_url=SecretStr(f"amqp://ledgerq:{quote(ODD, safe='')}@host:5672/%2F"),
    database_url=SecretStr("postgresql://ledgerq:hunter2-hunter2@host/ledgerq"),
    smtp_url=SecretStr("smtp://me:MailSecret@host:25"),
    seal_key=SecretStr("0123456789abcdef"),
    link_key=SecretStr("first-link-key, second-link-key"),
)
FORMS = {
    ODD,
    quote(ODD, safe=""),
    quote(ODD),
    quote_plus(ODD),
    json.dumps(ODD)[1:-1],
    json.dumps(ODD, ensure_ascii=False)[1:-1],
    repr(ODD)[1:-1],
    ODD.encode().decode("latin-1"),
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_password_is_hidden_in_whatever_form_it_comes(form: str) -> None:
    assert Redactor(SETTINGS)(f"before {form} after") == "before *** after"


@pytest.mark.parametrize(
    "secret", ["hunter2-hunter2", "MailSecret", "0123456789abcdef", "first-link-key", "second-link-key"]
)
def test_every_secret_of_the_settings_is_hidden(secret: str) -> None:
    assert secret not in Redactor(SETTINGS)(f"x{secret}y")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("connecting to amqp://me:not-ours@host/v", "connecting to amqp://me:***@host/v"),
        ("redis://:not-ours@host", "redis://:***@host"),
        ("http://a:with@sign@host/x?y=1", "http://a:***@host/x?y=1"),
        ("host=db password=not-ours user=me", "host=db password=*** user=me"),
        ("GET /x?api_key=abc123&page=2", "GET /x?api_key=***&page=2"),
        ("{'Authorization': 'Basic Zm9vOmJhcg=='}", "{'Authorization': 'Basic ***'}"),
        ("authorization: Bearer abc.def-ghi", "authorization: Bearer ***"),
        ('{"token": "abc", "name": "x"}', '{"token": "***", "name": "x"}'),
        (r'{"detail": "{\"password\": \"abc\"}"}', r'{"detail": "{\"password\": \"***\"}"}'),
        ("""{"password": "hun'ter22", "x": 1}""", '{"password": "***", "x": 1}'),
        (r'{"password": "hun\"ter22"}', '{"password": "***"}'),
        (r"""{'password': 'hun\'ter22'}""", "{'password': '***'}"),
        ("connect(password='hun ter22')", "connect(password='***')"),
        ('{"password": 12345678}', '{"password": "***"}'),
        (r'{"detail": "{\"password\": null}"}', r'{"detail": "{\"password\": \"***\"}"}'),
        ("{'password': b'not ours'}", "{'password': '***'}"),
        ('{"secret": ["not", "ours"], "x": 1}', '{"secret": "***", "x": 1}'),
        ("{'db_password': 'hunter44'}", "{'db_password': '***'}"),
        ("PGPASSWORD=not-ours AWS_SECRET_ACCESS_KEY=not/ours x=1", "PGPASSWORD=*** AWS_SECRET_ACCESS_KEY=*** x=1"),
        ("access_token=abc&client_secret=def", "access_token=***&client_secret=***"),
        ("GET /x?token=abc&page=2", "GET /x?token=***&page=2"),
        ("X-Api-Key: abc", "X-Api-Key: ***"),
        ("password: abc", "password: ***"),
        ("sent Bearer abcdefghijklmnop", "sent Bearer ***"),
        ("signed with whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD==, it says", "signed with whsec_***, it says"),
        ('Authorization: Digest username="x", response="abc"', "Authorization: Digest ***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_though_nobody_told_us(text: str, hidden: str) -> None:
    assert Redactor(Settings())(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "password authentication failed for user ledgerq",
        '{"logger": "ledgerq.ingest", "host": "127.0.0.1:5672"}',
        "amqp://ledgerq@host:5672/%2F answers at 10:30:00, write to me@host",
        "the guest at ledgerq.guest",
        '{"max_tokens": 5, "keys": ["a"], "routing_key": "tasks.high"}',
        "the bearer of news",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    of_compose = Settings(broker_url=SecretStr("amqp://ledgerq:ledgerq@host/%2F"))
    assert Redactor(of_compose)(text) == text


def test_in_a_value_what_is_named_like_a_secret_is_hidden_whatever_it_is() -> None:
    value = {
        "args": ("postgres://me:not-ours@db", 5),
        "kwargs": {"Password": {"old": "a", "new": "b"}, "pin_token": 1234, "Authorization": "Basic abc", "n": 1},
        "body": '[[], {"client_secret": "not ours"}, {}]',
        "is_secret": True,
        "secret": None,
        "actor": "token:olga",
    }
    assert Redactor(Settings()).value(value) == {
        "args": ["postgres://me:***@db", 5],
        "kwargs": {"Password": "***", "pin_token": "***", "Authorization": "***", "n": 1},
        "body": '[[], {"client_secret": "***"}, {}]',
        "is_secret": True,
        "secret": None,
        "actor": "token:olga",
    }


@pytest.mark.timeout(30)  # it would be minutes, did a search that begins anew everywhere go to the end of the line
@pytest.mark.parametrize("part", ["http://host:8080,", "://a:", "password='", "token", "authorization: a=b,"])
def test_a_line_of_half_a_megabyte_holds_nobody_up(part: str) -> None:
    assert Redactor(Settings())(part * (500_000 // len(part)))


@pytest.mark.parametrize("is_terminal", [False, True])
def test_fields_tracebacks_and_lines_of_libraries_hide_them(is_terminal: bool) -> None:  # noqa: FBT001
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]
    configure(SETTINGS, stream=stream)
    url = f"amqp://x:{quote(ODD, safe='')}@h"
    try:
        int(ODD)
    except ValueError:
        structlog.get_logger("ledgerq").exception("failed", url=url, nested={"a": [ODD]})
    logging.getLogger("some.library").warning("using %s", "hunter2-hunter2")
    told = stream.getvalue()
    assert [form for form in (*FORMS, "hunter2-hunter2") if form in told] == []
    assert told.count("***") >= 4
