"""Settings: one frozen object, read once at the door.

Every name is an environment variable with the prefix ``LEDGERQ_`` (``LEDGERQ_BROKER_URL``). A name with that
prefix that is not known stops the program: a misspelt setting must not be a silent default.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "LEDGERQ_"

# Set by `./dev` and by tests for their own use; not settings of the platform.
_NOT_SETTINGS: Final = frozenset({"LEDGERQ_TEST_SERVERS", "LEDGERQ_DEV_PYTHON", "LEDGERQ_SLOT"})


_SCHEMES: Final = {
    "broker_url": ("amqp", "amqps"),
    "database_url": ("postgresql", "postgres"),
    "management_url": ("http", "https"),
    "smtp_url": ("smtp", "smtps"),
    "tracing_endpoint": ("http", "https"),
}


_TRACED_BY_US: Final = frozenset({"celery", "kombu", "pika"})
"""Instrumentations beside which every message would be in a trace twice."""
_HOST: Final = r"(?:\[[^\]]*\]|[^:,\[\]]*)(?::\d*)?"
_HOSTS: Final = re.compile(rf"{_HOST}(?:,{_HOST})*")
"""Where a URL points, with ports; of PostgreSQL's maybe several."""

_MOST_WAITS: Final = 40
_LONGEST_WAIT: Final = 100_000
"""Seconds; with jitter still less than the delay ladder's longest delay."""
_WEBHOOK_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/]{22,128}={0,2}")

_LEVELS: Final = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """A setting is missing, unknown or has a value that is not allowed; the text names it and what is."""


class Settings(BaseSettings):
    """Everything an operator can set, validated. Quantities carry their unit in the name.

    Raises:
        SettingsError: from :func:`load_settings`, for unknown names and for values out of range.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", secrets_dir=None)

    broker_url: SecretStr = Field(default=SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"))
    """AMQP 0-9-1 URL with the virtual host as its path."""
    management_url: SecretStr | None = None
    """HTTP(S) URL of the RabbitMQ management API; user and password are the broker URL's when it has none."""
    consumer_timeout_seconds: float = Field(default=7200.0, gt=0)
    """``consumer_timeout`` of the broker's rabbitmq.conf, which the broker tells nobody; for ``ledgerq doctor``."""
    database_url: SecretStr = Field(default=SecretStr("postgresql://127.0.0.1:5432/ledgerq"))
    """PostgreSQL connection URI as libpq reads it."""
    smtp_url: SecretStr | None = None
    """``smtp://[user:password@]host:port`` or ``smtps://`` (TLS from the first byte); none: e-mail tasks fail."""
    smtp_tls: str = Field(default="required", pattern="^(required|if_offered)$")
    """Whether e-mail goes to another machine only over TLS, or also to one that does not offer it."""
    smtp_ca_file: Path | None = None
    """PEM file of the authorities that the mail server's certificate is checked against; none: the system's."""
    mail_from: str = "Ledgerq <ledgerq@localhost.localdomain>"
    """Sender of every e-mail, an RFC 5322 mailbox."""
    mail_timeout_seconds: float = Field(default=10.0, gt=0, le=120)
    """How long the mail server may take to be reached, and for each answer but the last."""
    mail_total_timeout_seconds: float = Field(default=60.0, gt=0, le=120)
    """How long sending one e-mail may take in all."""
    mail_templates_dir: Path | None = None
    """Directory of templates that stand in the place of ours with the same names; none: ours."""
    link_key: SecretStr | None = None
    """Private key that links in e-mails are encrypted to (``ledgerq notice new-key``), older ones after commas."""

    alert_email: str | None = None
    """Address that is told when a critical task ends badly; none: nobody is."""
    alert_window_seconds: float = Field(default=900.0, ge=1, le=86_400)
    """Length of the windows, counted from 1970, in each of which there is one alert per task at most."""

    webhook_key: SecretStr | None = Field(default=None, min_length=32)
    """Secret of 32 characters or more from which the secrets of webhooks derive; none: nothing is sent or taken."""
    webhook_secrets: SecretStr | None = None
    """Secrets of hooks whose callers chose them, as ``NAME=whsec_…`` after commas; the others derive from the key."""
    webhook_http_allowed: bool = False
    """Whether endpoints may be addressed without TLS."""
    webhook_allowed_networks: str = ""
    """Networks that endpoints may be in although they are not public, after commas (``10.1.0.0/16,::1/128``)."""
    webhook_ca_file: Path | None = None
    """PEM file of the authorities that certificates of endpoints are checked against; none: those of certifi."""
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, le=60)
    """How long one attempt of a delivery may take from the connection to the end of the answer."""
    webhook_retry_seconds: str = "5,300,1800,7200,18000,36000,50400,72000,86400"
    """How long the next attempt waits after the first failed, the second and so on; after the last it is given up."""
    webhook_disable_after_days: float = Field(default=5.0, gt=0, le=365)
    """An endpoint is disabled when nothing has arrived for so long and a delivery fails."""

    state_dir: Path = Path(".ledgerq")
    """Directory for local nodes and for what a run leaves."""

    message_limit_bytes: int = Field(default=1_048_576, ge=524_288, le=134_217_728)
    """Largest body ingest accepts; a larger one ends in ``ingest.dead``. At least twice what a worker sends at once."""
    ingest_batch_messages: int = Field(default=1000, ge=1, le=10_000)
    """Messages stored per transaction at most; also the consumer's prefetch."""
    ingest_linger_ms: int = Field(default=10, ge=0, le=1000)
    """How long ingest waits for a batch to fill before it stores what it has."""
    letter_body_limit_bytes: int = Field(default=65_536, ge=0, le=1_048_576)
    """Size up to which the log keeps the body of a dead-lettered task message, and together its headers."""
    watermark_interval_seconds: float = Field(default=10.0, gt=0, le=300)
    """How often ingest sends itself the marker that log time is read from."""

    publish_timeout_seconds: float = Field(default=10.0, gt=0, le=300)
    """How long a client's ``apply_async`` waits for the broker's confirm before it raises."""
    dispatch_batch_runs: int = Field(default=500, ge=1, le=10_000)
    """Runs published per pipelined confirm wait at most."""
    tier_ready_limit_messages: int = Field(default=10_000, ge=1, le=10_000_000)
    """Waiting messages in a tier's queue from which on dispatch keeps the tier's further runs in the log."""
    tier_backlog_limit_runs: int | None = Field(default=None, ge=1, le=1_000_000)
    """Accepted runs of a tier not yet published from which on requests for it are refused; none: they never are."""
    projection_batch_events: int = Field(default=2000, ge=1, le=50_000)
    """Events that a projection writes per transaction at most; of the heartbeats log a hundredth of it."""
    result_payload_limit_bytes: int = Field(default=131_072, ge=0, le=262_144)
    """Size up to which a task's value that is too long for the log (2 000 characters) is kept beside it."""
    result_retention_seconds: float = Field(default=3600.0, ge=1, le=31_622_400)
    """How long such a value is kept."""
    result_compression: str = Field(default="zlib", pattern="^(zlib|none)$")
    """How such values are compressed."""
    poll_interval_ms: int = Field(default=25, ge=1, le=10_000)
    """Longest pause of a follower between two looks at a log that has nothing new."""

    default_patience_seconds: float = Field(default=360.0, gt=0)
    """Silence after which a session lapses, where its license does not say."""
    sweep_interval_seconds: float = Field(default=60.0, ge=1, le=31_622_400)
    """Interval of the declared schedule of ``cleanup_zombie_sessions``."""
    expiry_interval_seconds: float = Field(default=3600.0, ge=1, le=31_622_400)
    """Interval of the declared schedule of ``check_license_expirations``."""
    usage_interval_seconds: float = Field(default=300.0, ge=1, le=31_622_400)
    """Interval of the declared schedule of ``aggregate_usage_metrics``."""

    health_interval_seconds: float = Field(default=300.0, ge=1, le=31_622_400)
    """Interval of the declared schedule of ``check_platform_health``."""

    starvation_after_seconds: float = Field(default=300.0, gt=0)
    """How long a run may wait in its queue while more urgent ones begin, before its priority is raised."""
    starvation_interval_seconds: float = Field(default=30.0, ge=1, le=31_622_400)
    """Interval of the declared schedule of ``raise_starving_runs``."""

    seal_key: SecretStr | None = Field(default=None, min_length=16)
    """Secret of 16 characters or more by which seals of the logs are signed; none: they are hashed and not signed."""
    seal_interval_seconds: float = Field(default=30.0, gt=0, le=86_400)
    """How long an event may be final before it is sealed; a full block is sealed at once."""

    archive_dir: Path | None = None
    """Directory where retention writes archives, and where rebuilds look for them; none: nothing is dropped."""
    keep_heartbeats_days: float | None = Field(default=None, ge=1, le=36_500)
    """How long heartbeats stay in their log after the end of their month; none: for ever."""
    retention_interval_seconds: float | None = Field(default=None, ge=1, le=86_400)
    """How often the scheduler looks for months to archive and drop; none: only ``ledgerq events retain`` does."""

    worker_concurrency: int = Field(default=1, ge=1, le=64)
    """Pool children per tier."""
    worker_ahead_ms: int = Field(default=50, ge=0, le=10_000)
    """How much work, by its usual duration, a worker takes ahead of its children; 0: nothing, strictly."""
    directives_interval_ms: int = Field(default=500, ge=20, le=60_000)
    """How often a worker looks in the log for what is asked of all workers: revocations, pauses, limits."""
    shutdown_grace_seconds: float = Field(default=30.0, ge=0, le=86_400)
    """How long what runs may take to finish once a worker is told to stop; then it is ended and goes back."""
    tracing_endpoint: SecretStr | None = None
    """Where spans are sent, an OTLP receiver (``http://127.0.0.1:4318``); none: there are no spans."""
    tracing_protocol: str = Field(default="http/protobuf", pattern="^(http/protobuf|grpc)$")
    """How they are sent; port 4318 usually speaks the one, 4317 the other."""
    tracing_sampled: float = Field(default=1.0, ge=0, le=1)
    """The share of stories of which spans are sent, among those that no sender has decided on."""
    tracing_instrument: str = ""
    """Instrumentations for the code of tasks, by their names, after commas (``psycopg,requests``), as installed."""
    trace_url_template: str | None = None
    """Where people look at a trace (``http://127.0.0.1:16686/trace/{trace_id}``); none: commands print ids alone."""
    celery_events: bool = False
    """Whether workers also tell Celery's own tools (Flower, celery-exporter) of tasks, by exchange ``celeryev``."""
    metrics_port: int = Field(default=8000, ge=0, le=65_500)
    """Port from which each long-lived process counts to its own (``docs/reference/metrics.md``); 0: no metrics."""
    metrics_host: str = Field(default="127.0.0.1", min_length=1)
    """Address at which metrics are shown; ``0.0.0.0``: to every host that reaches this one."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Lowest level of log lines that are written."""
    log_levels: str = ""
    """Levels of single loggers and those below them, such as ``pika=debug,ledgerq.worker=warning``."""

    monitor_host: str = "127.0.0.1"
    """Address that ``ledgerq monitor`` listens on."""
    monitor_port: int = Field(default=8000, ge=0, le=65_535)
    """TCP port that ``ledgerq monitor`` listens on; 0: any that is free."""
    web_host: str = "127.0.0.1"
    """Address that ``ledgerq web`` listens on; TLS is for a proxy in front of it."""
    web_port: int = Field(default=8010, ge=0, le=65_535)
    """TCP port that ``ledgerq web`` listens on; 0: any that is free."""
    web_connections: int = Field(default=8, ge=2, le=100)
    """Requests that ``ledgerq web`` works on at once; each may need two connections to the database."""
    web_body_limit_bytes: int = Field(default=1_048_576, ge=1024, le=134_217_728)
    """Largest body of a request."""
    web_requests_per_second: float = Field(default=100.0, gt=0, le=1_000_000)
    """How often one token may ask, and hooks may be called from one address; and so many at once after a pause."""
    web_stranger_requests_per_second: float = Field(default=10.0, gt=0, le=1_000_000)
    """How often may be asked from one address without a token that is good; so many at once after a pause."""
    web_trusted_proxies: str = ""
    """Networks of proxies that are believed for whom they ask (``X-Forwarded-For``) and how (``X-Forwarded-Proto``)."""
    monitor_interval_seconds: float = Field(default=2.0, ge=0.1, le=60)
    """How often health is looked at; whoever asks in between is told what was seen last."""
    monitor_patience_seconds: float = Field(default=5.0, ge=0.1, le=60)
    """How long a broker or database may take to answer before it counts as away."""
    lag_limit_seconds: float = Field(default=60.0, gt=0)
    """How far a projection may be behind its logs before health is degraded."""
    pulse_dir: Path | None = None
    """Directory of the files for probes; none: ``pulse`` in the state directory."""
    pulse_interval_seconds: float = Field(default=5.0, ge=0.1, le=60)
    """How often a process tells the database that its loop turns."""
    hang_after_seconds: float = Field(default=60.0, ge=1, le=3600)
    """How long a process's loop may stand still before the process counts as hanging."""

    @field_validator("tracing_instrument")
    @classmethod
    def _does_not_trace_twice(cls, names: str) -> str:
        twice = _TRACED_BY_US & {name.strip() for name in names.split(",")}
        if twice:
            raise ValueError(
                f"{', '.join(sorted(twice))} cannot be among them: the platform has spans of its own for that"
            )
        return names

    @field_validator("broker_url", "database_url", "management_url", "smtp_url", "tracing_endpoint")
    @classmethod
    def _has_a_scheme_we_speak(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        allowed = _SCHEMES[info.field_name or ""]
        if url is not None and urlsplit(url.get_secret_value()).scheme not in allowed:
            raise ValueError(f"a URL beginning with {' or '.join(f'{scheme}://' for scheme in allowed)} is allowed")
        # Whoever stumbled over such a URL later would quote it, and with it a piece of the password.
        if url is not None and not _HOSTS.fullmatch(urlsplit(url.get_secret_value()).netloc.rpartition("@")[2]):
            raise ValueError("a URL in whose password / ? # @ and : are percent-encoded is allowed")
        return url

    @field_validator("database_url")
    @classmethod
    def _is_percent_encoded(cls, url: SecretStr) -> SecretStr:
        # libpq would say so too, at the first connection, and quote the password.
        if re.search(r"%(?![0-9a-fA-F]{2})", url.get_secret_value()):
            raise ValueError("a URL in which a % that stands for itself is written as %25 is allowed")
        return url

    @field_validator("webhook_allowed_networks", "web_trusted_proxies")
    @classmethod
    def _names_networks(cls, text: str) -> str:
        for part in filter(None, text.split(",")):
            try:
                ip_network(part.strip())
            except ValueError as error:
                raise ValueError(f"networks such as 10.1.0.0/16, separated by commas, are allowed: {error}") from None
        return text

    @field_validator("webhook_retry_seconds")
    @classmethod
    def _waits_that_the_ladder_has(cls, text: str) -> str:
        allowed = f"1 to {_MOST_WAITS} numbers of seconds, 0 to {_LONGEST_WAIT:,}, separated by commas, are allowed"
        try:
            waits = [float(part) for part in text.split(",")]
        except ValueError:
            raise ValueError(allowed) from None
        if len(waits) > _MOST_WAITS or not all(0 <= wait <= _LONGEST_WAIT for wait in waits):
            raise ValueError(allowed)
        return text

    @field_validator("webhook_secrets")
    @classmethod
    def _names_hooks_and_secrets(cls, secrets: SecretStr | None) -> SecretStr | None:
        for part in filter(None, (secrets.get_secret_value() if secrets else "").split(",")):
            name, _, secret = part.strip().partition("=")
            if not name or not _WEBHOOK_SECRET.fullmatch(secret) or len(secret.removeprefix("whsec_")) % 4:
                raise ValueError("NAME=whsec_ and base64 of 16 bytes or more, separated by commas, is allowed")
        return secrets

    @field_validator("log_levels")
    @classmethod
    def _names_loggers_and_levels(cls, text: str) -> str:
        for part in filter(None, text.split(",")):
            name, _, level = part.partition("=")
            if not name.strip() or level.strip() not in _LEVELS:
                raise ValueError(f"LOGGER=LEVEL, separated by commas, is allowed, a level being {', '.join(_LEVELS)}")
        return text

    @field_validator("mail_from", "alert_email")
    @classmethod
    def _stays_in_its_header(cls, text: str | None) -> str | None:
        if text is not None and not (text.isprintable() and "@" in text):
            raise ValueError("an e-mail address in one line of printable characters is allowed")
        return text

    @field_validator("trace_url_template")
    @classmethod
    def _names_the_trace(cls, template: str | None) -> str | None:
        if template is not None and not (template.startswith(("http://", "https://")) and "{trace_id}" in template):
            raise ValueError("an address that begins with http:// or https:// and has {trace_id} in it is allowed")
        return template

    @field_validator("smtp_ca_file", "mail_templates_dir", "webhook_ca_file")
    @classmethod
    def _is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.exists():
            raise ValueError(f"a path that exists is allowed, and {path} does not")
        return path

    @property
    def webhook_waits(self) -> tuple[float, ...]:
        """How long the attempts of a delivery wait after the one before, in seconds."""
        return tuple(float(part) for part in self.webhook_retry_seconds.split(","))

    @property
    def webhook_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Networks that endpoints may be in although they are not public."""
        return tuple(ip_network(part.strip()) for part in filter(None, self.webhook_allowed_networks.split(",")))

    @property
    def default_patience(self) -> timedelta:
        """Silence after which a session lapses, where its license does not say."""
        return timedelta(seconds=self.default_patience_seconds)

    @property
    def shutdown_grace(self) -> timedelta:
        """How long what runs may take to finish once a worker is told to stop."""
        return timedelta(seconds=self.shutdown_grace_seconds)

    @property
    def directives_interval(self) -> timedelta:
        """How often a worker looks in the log for what is asked of all workers."""
        return timedelta(milliseconds=self.directives_interval_ms)

    @property
    def pulse_files_dir(self) -> Path:
        """Directory of the files for probes."""
        return self.pulse_dir or self.state_dir / "pulse"

    @property
    def levels_of_loggers(self) -> dict[str, str]:
        """Levels of single loggers by their names."""
        pairs = (part.partition("=") for part in filter(None, self.log_levels.split(",")))
        return {name.strip(): level.strip() for name, _, level in pairs}

    @property
    def seal_key_bytes(self) -> bytes | None:
        """What seals are signed with; None: nothing."""
        return None if self.seal_key is None else self.seal_key.get_secret_value().encode()

    def redacted(self) -> dict[str, Any]:
        """The settings as plain values with every password replaced, for people's eyes."""
        return {name: _redact(value) for name, value in self.model_dump().items()}


def load_settings() -> Settings:
    """Read and check the environment.

    Raises:
        SettingsError: a name with the prefix is unknown, or a value is not allowed.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _NOT_SETTINGS
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"{PREFIX}{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise SettingsError(faults) from None


def redact_url(url: str) -> str:
    """The same URL with its password, if any, replaced by ``***``."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))


def _redact(value: object) -> object:
    if not isinstance(value, SecretStr):
        return value
    secret = value.get_secret_value()
    return redact_url(secret) if "://" in secret else "***"
