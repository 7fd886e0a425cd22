-- Appends to event_store.<table>: hopeful first, then careful.
--
-- Nearly every append stores all it is given. `on conflict` would make each of those rows tentative first and confirm it
-- after (two records in the write-ahead log, a lock and a second look at the index), so the first try is a plain insert.
-- What it meets (a repeat, a taken place) undoes it, up to the first row that met something; then each row is looked at.

drop function event_store.<table>_append(text[], bigint[], text[], text[], text[], uuid[], timestamptz[], boolean);

create function event_store.<table>_append(
    stream_ids text[], versions bigint[], names text[], datas text[], metadatas text[], event_ids uuid[],
    occurred timestamptz[], all_or_nothing boolean, out outcomes text[], out positions bigint[]
) language plpgsql as $$
begin
    with stored as (
        insert into event_store.<table> (stream_id, version, name, data, metadata, event_id, occurred_at)
        select s, v, n, d::jsonb, m::jsonb, e, o
        from unnest(stream_ids, versions, names, datas, metadatas, event_ids, occurred) as new (s, v, n, d, m, e, o)
        returning position
    )
    select array_agg(position) into positions from stored;
exception when unique_violation then
    select met.outcomes, met.positions into outcomes, positions
    from event_store.<table>_append_carefully(
        stream_ids, versions, names, datas, metadatas, event_ids, occurred, all_or_nothing
    ) met;
end $$;
comment on function event_store.<table>_append(
    text[], bigint[], text[], text[], text[], uuid[], timestamptz[], boolean
) is
    'Appends events. Positions in order; outcomes null: all are stored. Otherwise, for each event: stored; repeat: this event is there already; taken: another event has the place; undone: with all_or_nothing, because of a taken one.';

create function event_store.<table>_append_carefully(
    stream_ids text[], versions bigint[], names text[], datas text[], metadatas text[], event_ids uuid[],
    occurred timestamptz[], all_or_nothing boolean, out outcomes text[], out positions bigint[]
) language plpgsql
set plan_cache_mode = force_custom_plan  -- a plan made for arrays of ten compares each row of thousands with every other
as $$
declare
    mine bigint[];
    is_taken boolean;
begin
    begin  -- undone as a whole where a place turns out to be taken; the caller's transaction goes on
        with stored as (
            insert into event_store.<table> (stream_id, version, name, data, metadata, event_id, occurred_at)
            select s, v, n, d::jsonb, m::jsonb, e, o
            from unnest(stream_ids, versions, names, datas, metadatas, event_ids, occurred) as new (s, v, n, d, m, e, o)
            on conflict (stream_id, version) do nothing
            returning position
        )
        select array_agg(position) into mine from stored;
        select
            array_agg(
                case
                    when there.event_id is distinct from asked.e then 'taken'
                    when new.position is not null and asked.time = 1 then 'stored'
                    else 'repeat'
                end
                order by asked.ordinal
            ),
            array_agg(case when there.event_id = asked.e then there.position end order by asked.ordinal),
            bool_or(there.event_id is distinct from asked.e)
        into outcomes, positions, is_taken
        from (
            select s, v, e, ordinal, row_number() over (partition by s, v, e order by ordinal) as time
            from unnest(stream_ids, versions, event_ids) with ordinality as a (s, v, e, ordinal)
        ) asked
        left join event_store.<table> there on there.stream_id = asked.s and there.version = asked.v
        left join unnest(mine) as new (position) on new.position = there.position;
        if all_or_nothing and is_taken then
            raise sqlstate 'LQ001';
        end if;
    exception when sqlstate 'LQ001' then  -- what has been found out is kept; only the rows are undone
        outcomes := array(
            select case outcome when 'taken' then 'taken' else 'undone' end
            from unnest(outcomes) with ordinality as found (outcome, ordinal) order by ordinal
        );
        positions := null;
    end;
end $$;
comment on function event_store.<table>_append_carefully(
    text[], bigint[], text[], text[], text[], uuid[], timestamptz[], boolean
) is
    'Appends events some of which are there already or whose place is taken; answers as <table>_append does.';
