-- Tokens of the HTTP interface. A row is never deleted: who had which role, and from when to when, stays.

create schema access;
comment on schema access is 'Who may use the HTTP interface (docs/http.md).';

create table access.api_tokens (
    token_id   text        primary key,
    name       text        not null check (name <> ''),
    role       text        not null check (role in ('viewer', 'operator', 'emitter', 'admin')),
    digest     bytea       not null check (length(digest) = 32),
    created_at timestamptz not null default clock_timestamp(),
    created_by text        not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text
);
create unique index api_tokens_name on access.api_tokens (name) where revoked_at is null;
comment on table access.api_tokens is 'One row per token that was ever made.';
comment on column access.api_tokens.token_id is 'The part of the token that is no secret.';
comment on column access.api_tokens.name is 'Who has it; what is done with it is done by token:NAME. A name is free again after a revocation.';
comment on column access.api_tokens.role is 'What it is good for.';
comment on column access.api_tokens.digest is 'SHA-256 of the secret part, which nobody keeps.';
comment on column access.api_tokens.created_by is 'Who made it.';
comment on column access.api_tokens.expires_at is 'From then on it is refused; null: it does not expire.';
comment on column access.api_tokens.revoked_at is 'From then on it is refused.';
comment on column access.api_tokens.revoked_by is 'Who revoked it.';
