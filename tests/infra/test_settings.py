from __future__ import annotations

import pytest

from infra.settings import Settings, SettingsError, load_settings, redact_url


def test_a_misspelt_setting_stops_the_program_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_BROKR_URL", "amqp://elsewhere")
    with pytest.raises(SettingsError, match=r"LEDGERQ_BROKR_URL.*LEDGERQ_BROKER_URL"):
        load_settings()


def test_a_value_that_is_not_allowed_is_named_with_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_INGEST_BATCH_MESSAGES", "0")
    with pytest.raises(SettingsError, match=r"LEDGERQ_INGEST_BATCH_MESSAGES.*greater than or equal to 1"):
        load_settings()


def test_ingest_reads_at_least_what_a_worker_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_MESSAGE_LIMIT_BYTES", "524287")
    with pytest.raises(SettingsError, match=r"LEDGERQ_MESSAGE_LIMIT_BYTES.*greater than or equal to 524288"):
        load_settings()


def test_a_key_that_can_be_guessed_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_SEAL_KEY", "s3cret")
    with pytest.raises(SettingsError, match=r"LEDGERQ_SEAL_KEY.*at least 16") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("template", ["http://127.0.0.1:16686/trace/", "javascript:{trace_id}"])
def test_an_address_of_traces_that_leads_to_none_is_refused(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_TRACE_URL_TEMPLATE", template)
    with pytest.raises(SettingsError, match=r"LEDGERQ_TRACE_URL_TEMPLATE: .*\{trace_id\} in it is allowed"):
        load_settings()


@pytest.mark.parametrize("proxies", ["*", "proxy.example", "10.1.0.7/16"])
def test_a_proxy_that_is_believed_is_named_by_its_address(proxies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_WEB_TRUSTED_PROXIES", proxies)
    with pytest.raises(SettingsError, match=r"LEDGERQ_WEB_TRUSTED_PROXIES: .*10\.1\.0\.0/16, separated by commas"):
        load_settings()


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().log_level = "debug"  # type: ignore[misc]


def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_BROKER_URL", "amqp://me:s3cret@127.0.0.1:5672/%2F")
    monkeypatch.setenv("LEDGERQ_SEAL_KEY", "s3cret-s3cret-s3cret")
    settings = load_settings()
    assert "s3cret" not in str(settings.redacted())
    assert "s3cret" not in repr(settings)


def test_a_redacted_url_keeps_everything_but_the_password() -> None:
    assert redact_url("postgresql://me:s3cret@h:1/db?x=1") == "postgresql://me:***@h:1/db?x=1"
    assert redact_url("postgresql://h/db") == "postgresql://h/db"


@pytest.mark.parametrize("name", ["BROKER_URL", "DATABASE_URL", "MANAGEMENT_URL", "SMTP_URL"])
def test_a_url_of_another_kind_is_refused_with_the_kinds_that_are_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"LEDGERQ_{name}", "ftp://127.0.0.1/x")
    with pytest.raises(SettingsError, match=rf"LEDGERQ_{name}: .*:// is allowed"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("LEDGERQ_TRACING_ENDPOINT", "jaeger:4318", "http:// or https://"),
        ("LEDGERQ_TRACING_PROTOCOL", "http/json", "grpc"),
        ("LEDGERQ_TRACING_SAMPLED", "10", "less than or equal to 1"),
        ("LEDGERQ_TRACING_INSTRUMENT", "psycopg, celery", "celery cannot be among them"),
    ],
)
def test_a_setting_of_tracing_that_is_not_allowed_is_told_with_what_is(
    name: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}.*{allowed}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://me:never%zzsay@h/db"),
        ("DATABASE_URL", "postgresql://me:never/zzsay@h/db"),
        ("BROKER_URL", "amqp://me:never#zzsay@h/v"),
        ("SMTP_URL", "smtp://me:never?zzsay@h"),
    ],
)
def test_a_url_whose_password_breaks_it_is_refused_without_showing_any_of_it(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv(f"LEDGERQ_{name}", url)
    with pytest.raises(SettingsError, match=rf"LEDGERQ_{name}: .* is allowed") as refused:
        load_settings()
    assert "never" not in str(refused.value)
    assert "zzsay" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://me:s@h1:5432,h2,[::1]:5433/db?options=-c%20x%3D1"),
        ("DATABASE_URL", "postgresql:///db?host=/run/postgresql"),
        ("DATABASE_URL", "postgresql://%2Frun%2Fpostgresql/db"),
        ("BROKER_URL", "amqps://me:p%40ss%2F@[::1]:5671/%2F"),
        ("BROKER_URL", "amqp://me:p:ss@h"),
    ],
)
def test_urls_of_every_shape_that_clients_read_are_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv(f"LEDGERQ_{name}", url)
    load_settings()


@pytest.mark.parametrize("levels", ["pika", "=debug", "pika=loud", "pika=debug;x=info"])
def test_levels_of_loggers_that_cannot_be_read_are_refused_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, levels: str
) -> None:
    monkeypatch.setenv("LEDGERQ_LOG_LEVELS", levels)
    with pytest.raises(SettingsError, match=r"LEDGERQ_LOG_LEVELS: .*LOGGER=LEVEL.*debug, info, warning, error"):
        load_settings()
