-- Which sessions hold a seat of their license: what the log says, kept so that a start need not read it all.

create table event_store.seats (
    license_id text not null,
    session_id text not null,
    primary key (license_id, session_id)
);
comment on table event_store.seats is
    'One row per session that holds a seat of its license. Follows from event_store.licensing_events, which writes it (trigger note_seats).';
comment on column event_store.seats.license_id is 'The license.';
comment on column event_store.seats.session_id is 'The session.';

-- What a session's last event makes of its seat, given how it began.
create function event_store.holds_seat(name text, began jsonb) returns boolean language sql immutable parallel safe as $$
    select name in ('session.started', 'session.resumed')
        or name = 'session.lapsed' and coalesce(began->'policy'->>'on_lapse', began->>'on_lapse', 'end') = 'keep'
$$;
comment on function event_store.holds_seat(text, jsonb) is
    'Whether a session holds its seat after an event of this name; began is the data of its session.started.';

create function event_store.note_seats() returns trigger language plpgsql as $$
begin
    if not exists (select from stored where stored.name like 'session.%') then
        return null;
    end if;
    with last as (  -- the last word of this statement on each session
        select distinct on (stream_id) stream_id, name, version, data
        from stored where name in ('session.started', 'session.resumed', 'session.lapsed', 'session.ended')
        order by stream_id, version desc
    ), told as (
        select coalesce(began.data, last.data) as began, event_store.holds_seat(last.name, coalesce(began.data, last.data)) as holds
        from last left join event_store.licensing_events began
            on last.name <> 'session.started' and began.stream_id = last.stream_id and began.version = 1
    ), given_back as (
        delete from event_store.seats held using told
        where not told.holds and held.license_id = told.began->>'license_id' and held.session_id = told.began->>'session_id'
    )
    insert into event_store.seats (license_id, session_id)
    select began->>'license_id', began->>'session_id' from told where holds
    on conflict do nothing;
    return null;
end $$;
comment on function event_store.note_seats() is 'Notes in event_store.seats what the events just appended make of seats.';

create trigger note_seats after insert on event_store.licensing_events
    referencing new table as stored for each statement execute function event_store.note_seats();

create function event_store.seats_by_log() returns table (license_id text, session_id text) language sql stable as $$
    select began.data->>'license_id', began.data->>'session_id'
    from event_store.licensing_events began
    cross join lateral (
        select e.name from event_store.licensing_events e
        where e.stream_id = began.stream_id
            and e.name in ('session.started', 'session.resumed', 'session.lapsed', 'session.ended')
        order by e.version desc limit 1
    ) last
    where began.name = 'session.started' and event_store.holds_seat(last.name, began.data)
$$;
comment on function event_store.seats_by_log() is 'The seats that are held, read from the whole log.';

create function event_store.seat_differences() returns table (license_id text, session_id text, is_held boolean)
language sql stable as $$
    select license_id, session_id, by_log is not null
    from (select l.license_id, l.session_id, true as by_log from event_store.seats_by_log() l) log
    full join (select s.license_id, s.session_id, true as by_table from event_store.seats s) held
        using (license_id, session_id)
    where by_log is null or by_table is null
$$;
comment on function event_store.seat_differences() is
    'Where event_store.seats is not what the log says; is_held: the log says that it is held.';

create function event_store.mend_seats() returns bigint language plpgsql as $$
declare
    mended bigint;
begin
    lock table event_store.licensing_events in share mode;  -- nobody appends meanwhile
    create temporary table differing on commit drop as select * from event_store.seat_differences();
    delete from event_store.seats s using differing d
    where not d.is_held and (s.license_id, s.session_id) = (d.license_id, d.session_id);
    insert into event_store.seats select d.license_id, d.session_id from differing d where d.is_held;
    select count(*) into mended from differing;
    drop table differing;
    return mended;
end $$;
comment on function event_store.mend_seats() is 'Makes event_store.seats what the log says; how many rows differed.';

insert into event_store.seats select license_id, session_id from event_store.seats_by_log();
