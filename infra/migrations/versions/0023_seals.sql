-- Seals: docs/adr/0012-seals.md. Made beside the append path, from rows that are final.

create table event_store.seals (
    log            text        not null check (log in ('licensing', 'tasks', 'heartbeats')),
    number         bigint      not null check (number > 0),
    after_position bigint      not null,
    upto_position  bigint      not null check (upto_position > after_position),
    leaves         bytea       not null check (octet_length(leaves) > 0 and octet_length(leaves) % 16 = 0),
    previous       bytea       not null check (octet_length(previous) = 32),
    hash           bytea       not null check (octet_length(hash) = 32),
    signature      bytea       check (octet_length(signature) = 32),
    sealed_at      timestamptz not null,
    primary key (log, number)
);
alter table event_store.seals alter column leaves set storage external;  -- digests do not compress
create trigger append_only before update or delete or truncate on event_store.seals
    for each statement execute function event_store.refuse_change();

comment on table event_store.seals is
    'One row per sealed stretch of a log; each hash covers the one before it. ledgerq events verify compares them with the rows.';
comment on column event_store.seals.log is 'licensing, tasks or heartbeats.';
comment on column event_store.seals.number is 'From 1, without holes, for each log.';
comment on column event_store.seals.after_position is 'Covers the events after this position; the upto_position of the seal before.';
comment on column event_store.seals.upto_position is 'Covers the events up to and including this position.';
comment on column event_store.seals.leaves is
    'For each event in order its position (8 bytes, big-endian) and the first 8 bytes of its digest: to name the one that was changed.';
comment on column event_store.seals.previous is 'Hash of the seal before; 32 zero bytes for the first.';
comment on column event_store.seals.hash is 'SHA-256 over what this row says and the whole digests of its events.';
comment on column event_store.seals.signature is 'HMAC-SHA-256 of the hash under LEDGERQ_SEAL_KEY; empty where there was no key.';
comment on column event_store.seals.sealed_at is 'When it was made, by the clock of who made it; part of the hash.';
