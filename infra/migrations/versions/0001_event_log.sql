-- One log: table event_store.<table>.
--
-- Positions come from a sequence, so a transaction that commits late can add rows below those that are visible
-- already. Nobody waits for anybody because of that: before a transaction takes its first position, a trigger announces,
-- as a shared advisory lock that ends with the transaction, the floor above which all its positions will lie; readers
-- stop at the lowest floor. Below it everything is committed and visible, or will never be.

create table event_store.<table> (
    position    bigint      not null generated always as identity,  -- never with a cache: its values would hide from the floor
    version     bigint      not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    event_id    uuid        not null,
    stream_id   text        not null,
    name        text        not null,
    data        jsonb       not null,
    metadata    jsonb       not null default '{}',
    constraint <table>_pkey primary key (stream_id, version),
    constraint <table>_position_key unique (position)
);
create index <table>_event_id on event_store.<table> (event_id);
comment on table event_store.<table> is '<purpose>';
comment on column event_store.<table>.position is
    'Place in the log. Ascends; has holes where a transaction was rolled back. Order of recording, not of occurrence.';
comment on column event_store.<table>.version is
    'Place in the stream: counted from 1; for runs the slot that follows from what the event is.';
comment on column event_store.<table>.occurred_at is 'When it happened, by the clock of who tells it.';
comment on column event_store.<table>.recorded_at is 'When it was written down, by this database''s clock.';
comment on column event_store.<table>.event_id is 'Follows from the cause: the same fact told twice has the same id.';
comment on column event_store.<table>.stream_id is 'What it happened to: <kind>-<id>.';
comment on column event_store.<table>.name is 'What happened: a chosen, lasting name such as session.started.';
comment on column event_store.<table>.data is 'What the event says beyond the other columns.';
comment on column event_store.<table>.metadata is
    'causation_id, correlation_id, actor, traceparent, tenant, source_event_id; schema_version where it is above 1.';

create trigger append_only before update or delete or truncate on event_store.<table>
    for each statement execute function event_store.refuse_change();

-- The lock is (oid of the table, floor modulo 2^32), so no two logs or databases meet in one. One for a transaction: its
-- first floor is its lowest, and a lock for every statement would fill the server's lock table. The setting that
-- remembers it is undone together with the lock where a savepoint is rolled back.
create function event_store.<table>_announce() returns trigger language plpgsql as $$
declare
    latest bigint;
    this constant text := pg_current_xact_id()::text;
begin
    if current_setting('ledgerq.<table>_announced_by', true) is distinct from this then
        select case when is_called then last_value else 0 end into latest from event_store.<table>_position_seq;
        perform pg_advisory_xact_lock_shared(tg_relid::int, ((latest + 2147483648) % 4294967296 - 2147483648)::int);
        perform set_config('ledgerq.<table>_announced_by', this, true);
    end if;
    return null;
end $$;
comment on function event_store.<table>_announce() is
    'Announces the floor above which the inserting transaction takes its positions.';

create trigger announce before insert on event_store.<table>
    for each statement execute function event_store.<table>_announce();

-- Order matters: the latest position first, the floors after it (who announces later writes above), the rows last (each
-- statement in here has a snapshot of its own; an older one could lack what has just been committed).
create function event_store.<table>_safe_position() returns bigint language plpgsql volatile as $$
declare
    latest bigint;
    withheld bigint;
    safe bigint;
begin
    select case when is_called then last_value else 0 end into latest from event_store.<table>_position_seq;
    select max(behind) into withheld
    from (
        select (latest % 4294967296 - objid::bigint + 4294967296) % 4294967296 as behind
        from pg_locks
        where locktype = 'advisory' and objsubid = 2 and granted
            and classid = 'event_store.<table>'::regclass
            and database = (select oid from pg_database where datname = current_database())
    ) floors
    where behind < 2147483648;  -- more is less than nothing: announced after `latest` was read
    -- Not the floor itself but the last row below it: a crash of the server can take back the sequence's last steps,
    -- and a reader that had been told of a position without a row would then miss the row that comes to stand there.
    select max(position) into safe from event_store.<table> where position <= latest - coalesce(withheld, 0);
    return coalesce(safe, 0);
end $$;
comment on function event_store.<table>_safe_position() is
    'The log is final up to here. Ask first and read rows in a later statement, in read committed.';

create function event_store.<table>_append(
    stream_ids text[], versions bigint[], names text[], datas text[], metadatas text[], event_ids uuid[],
    occurred timestamptz[], all_or_nothing boolean
) returns table (outcome text, at_position bigint) language plpgsql as $$
declare
    positions bigint[];
    taken bigint[];
begin
    begin  -- undone as a whole where a place turns out to be taken; the caller's transaction goes on
        with stored as (
            insert into event_store.<table> (stream_id, version, name, data, metadata, event_id, occurred_at)
            select s, v, n, d::jsonb, m::jsonb, e, o
            from unnest(stream_ids, versions, names, datas, metadatas, event_ids, occurred) as new (s, v, n, d, m, e, o)
            on conflict (stream_id, version) do nothing
            returning position
        )
        select array_agg(position) into positions from stored;
        if cardinality(positions) = cardinality(stream_ids) then
            return query select 'stored', p from unnest(positions) as p;
            return;
        end if;
        if all_or_nothing then
            select array_agg(asked.ordinal) into taken
            from unnest(stream_ids, versions, event_ids) with ordinality as asked (s, v, e, ordinal)
            left join event_store.<table> there on there.stream_id = asked.s and there.version = asked.v
            where there.event_id is distinct from asked.e;
            if taken is not null then
                raise sqlstate 'LQ001';
            end if;
        end if;
    exception when sqlstate 'LQ001' then
        return query
            select case when ordinal = any(taken) then 'taken' else 'undone' end, null::bigint
            from generate_series(1, cardinality(stream_ids)) as ordinal;
        return;
    end;
    return query
        select
            case
                when there.event_id is distinct from asked.e then 'taken'
                when mine.position is not null and asked.time = 1 then 'stored'
                else 'repeat'
            end,
            case when there.event_id = asked.e then there.position end
        from (
            select s, v, e, ordinal, row_number() over (partition by s, v, e order by ordinal) as time
            from unnest(stream_ids, versions, event_ids) with ordinality as a (s, v, e, ordinal)
        ) asked
        left join event_store.<table> there on there.stream_id = asked.s and there.version = asked.v
        left join unnest(positions) as mine (position) on mine.position = there.position
        order by asked.ordinal;
end $$;
comment on function event_store.<table>_append(
    text[], bigint[], text[], text[], text[], uuid[], timestamptz[], boolean
) is
    'Appends events; a row for each, in order. stored; repeat: this event is there already; taken: another event has the place; undone: with all_or_nothing, because of a taken one.';
