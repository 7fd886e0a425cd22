-- What the logs have in common. The logs themselves: 0001_event_log.sql, once for each.

create function event_store.refuse_change() returns trigger language plpgsql as $$
begin
    if coalesce(current_setting('ledgerq.maintenance', true), '') <> 'on' then
        raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, lower(tg_op) using
            errcode = 'insufficient_privilege',
            hint = 'Correct a fact by a new one. Retention and erasure: set local ledgerq.maintenance = on.';
    end if;
    return null;
end $$;
comment on function event_store.refuse_change() is
    'Keeps a log append-only, except where a transaction says: set local ledgerq.maintenance = on.';

create table event_store.checkpoints (
    follower   text        not null,
    log        text        not null check (log in ('licensing', 'tasks', 'heartbeats')),
    position   bigint      not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (follower, log)
) with (fillfactor = 50);  -- a few rows rewritten all the time: room on the page keeps that out of the index
comment on table event_store.checkpoints is
    'One row per follower and log: how far the follower has done its work; moved in the transaction that does it.';
comment on column event_store.checkpoints.follower is 'Who follows: projection.<name>, or a part of dispatch.';
comment on column event_store.checkpoints.log is 'licensing, tasks or heartbeats.';
comment on column event_store.checkpoints.position is 'Everything up to and including this position has been done.';
comment on column event_store.checkpoints.updated_at is 'When it last moved, by this database''s clock.';
