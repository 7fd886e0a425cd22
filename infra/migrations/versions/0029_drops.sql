-- What is known of events that are in archives and no longer in their log: docs/adr/0013-retention.md.

create table event_store.archives (
    log            text        not null check (log in ('licensing', 'tasks', 'heartbeats')),
    first_number   bigint      not null,
    last_number    bigint      not null check (last_number >= first_number),
    after_position bigint      not null,
    upto_position  bigint      not null check (upto_position > after_position),
    event_count    bigint      not null,
    file_name      text        not null,
    sha256         bytea       not null check (octet_length(sha256) = 32),
    archived_at    timestamptz not null default clock_timestamp(),
    primary key (log, first_number)
);
comment on table event_store.archives is
    'One row per archive that retention has written: which seals of a log it holds. They follow one another without holes.';
comment on column event_store.archives.log is 'licensing, tasks or heartbeats.';
comment on column event_store.archives.first_number is 'Number of its first seal.';
comment on column event_store.archives.last_number is 'Number of its last seal.';
comment on column event_store.archives.after_position is 'It holds the events after this position …';
comment on column event_store.archives.upto_position is '… up to and including this one.';
comment on column event_store.archives.event_count is 'How many events it holds.';
comment on column event_store.archives.file_name is 'Its name in LEDGERQ_ARCHIVE_DIR.';
comment on column event_store.archives.sha256 is 'SHA-256 of the file.';
comment on column event_store.archives.archived_at is 'When it was written, by this database''s clock.';

create table event_store.drops (
    log            text        not null check (log in ('licensing', 'tasks', 'heartbeats')),
    part           text        not null,
    first_position bigint      not null,
    last_position  bigint      not null check (last_position >= first_position),
    event_count    bigint      not null,
    dropped_at     timestamptz not null default clock_timestamp(),
    dropped_by     text        not null,
    primary key (log, part)
);
comment on table event_store.drops is 'One row per partition of a log that was dropped; written in the transaction that dropped it.';
comment on column event_store.drops.log is 'licensing, tasks or heartbeats.';
comment on column event_store.drops.part is 'The partition: YYYY_MM, or before.';
comment on column event_store.drops.first_position is 'Position of its first event; events of other partitions lie between.';
comment on column event_store.drops.last_position is 'Position of its last event.';
comment on column event_store.drops.event_count is 'How many events it had.';
comment on column event_store.drops.dropped_at is 'When, by this database''s clock.';
comment on column event_store.drops.dropped_by is 'Who asked for it.';

create table event_store.dropped_leaves (
    log           text   not null check (log in ('licensing', 'tasks', 'heartbeats')),
    part          text   not null,
    number        bigint not null,
    upto_position bigint not null,
    leaves        bytea  not null check (octet_length(leaves) > 0 and octet_length(leaves) % 40 = 0),
    primary key (log, part, number)
);
alter table event_store.dropped_leaves alter column leaves set storage external;  -- digests do not compress
create index dropped_leaves_upto on event_store.dropped_leaves (log, upto_position);
comment on table event_store.dropped_leaves is
    'One row per partition that is to be dropped and seal that covers events of it: what verifying computes the seal from. Counts once the partition is in drops.';
comment on column event_store.dropped_leaves.log is 'licensing, tasks or heartbeats.';
comment on column event_store.dropped_leaves.part is 'The partition.';
comment on column event_store.dropped_leaves.number is 'Number of the seal.';
comment on column event_store.dropped_leaves.upto_position is 'Up to which position the seal covers the log.';
comment on column event_store.dropped_leaves.leaves is
    'For each event of the partition under the seal, in order, its position (8 bytes, big-endian) and its digest (SHA-256, 32 bytes).';

create trigger append_only before update or delete or truncate on event_store.archives
    for each statement execute function event_store.refuse_change();
create trigger append_only before update or delete or truncate on event_store.drops
    for each statement execute function event_store.refuse_change();
create trigger append_only before update or delete or truncate on event_store.dropped_leaves
    for each statement execute function event_store.refuse_change();

create view analytics.meta_dropped_parts as
select d.log,
       d.part,
       d.event_count,
       d.first_position,
       d.last_position,
       d.dropped_at,
       d.dropped_by,
       (
           select string_agg(a.file_name, ', ' order by a.first_number) from event_store.archives a
           where a.log = d.log and a.first_number <= kept.last_number and a.last_number >= kept.first_number
       ) as archives
from event_store.drops d
cross join lateral (
    select min(number) as first_number, max(number) as last_number
    from event_store.dropped_leaves l where l.log = d.log and l.part = d.part
) kept;

comment on view analytics.meta_dropped_parts is
    'One row per part of a log that was dropped: what analytics counts in the log itself (fct_events_by_name) lacks it, read models do not.';
comment on column analytics.meta_dropped_parts.log is 'licensing, tasks or heartbeats.';
comment on column analytics.meta_dropped_parts.part is 'The part: the month whose heartbeats it held, YYYY_MM, or before.';
comment on column analytics.meta_dropped_parts.event_count is 'How many events it had.';
comment on column analytics.meta_dropped_parts.first_position is 'Position of its first event.';
comment on column analytics.meta_dropped_parts.last_position is 'Position of its last event; events of other parts lie between.';
comment on column analytics.meta_dropped_parts.dropped_at is 'When it was dropped.';
comment on column analytics.meta_dropped_parts.dropped_by is 'Who asked for it.';
comment on column analytics.meta_dropped_parts.archives is 'The names of the archives that have its events, separated by commas.';
