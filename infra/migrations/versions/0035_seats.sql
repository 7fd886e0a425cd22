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
        or name = 'session.lapsed' and coalesce(began->'rules'->>'on_lapse', 'end') = 'keep'
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
    select began->>'license_id', began->>'session_id' from told
    where holds and began->>'license_id' is not null and began->>'session_id' is not null  -- nothing keeps an event out
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
        and began.data->>'license_id' is not null and began.data->>'session_id' is not null
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

-- What analysts may ask.

create table read_model.seat_denials (
    denial_id    text primary key,
    license_id   text,
    session_id   text,
    wish         text,
    reason       text,
    seats        integer,
    seat_limit   integer,
    seats_taken  integer,
    host         text,
    denied_at    timestamptz,
    recorded_at  timestamptz
);
comment on table read_model.seat_denials is 'One row per use of a license that was asked for and denied.';
create index seat_denials_by_license on read_model.seat_denials (license_id, denied_at);
insert into read_model.followed_logs (projection, log) values ('seat_denials', 'licensing');

alter table read_model.sessions add column seat integer;
alter table read_model.sessions add column seats integer;
create index sessions_beyond_seats on read_model.sessions (license_id) where seat > seats;

create view analytics.fct_seat_denials as
select denial_id, license_id, session_id, wish, reason, seats, seat_limit, seats_taken, host, denied_at, recorded_at
from read_model.seat_denials;

comment on view analytics.fct_seat_denials is
    'One row per session that was not let start, or a lapsed one not let resume (once for each lapse). Join dim_licenses on license_id.';
comment on column analytics.fct_seat_denials.denial_id is 'What the denial is called: event_store.licensing_events has it in stream session_denial-<denial_id>.';
comment on column analytics.fct_seat_denials.license_id is 'The license.';
comment on column analytics.fct_seat_denials.session_id is 'The session that asked. It may have asked again later, and been let in.';
comment on column analytics.fct_seat_denials.wish is 'start or resume.';
comment on column analytics.fct_seat_denials.reason is 'no_seat; or the license''s state: suspended, revoked, expired.';
comment on column analytics.fct_seat_denials.seats is 'Seats of the license; empty: it has no limit.';
comment on column analytics.fct_seat_denials.seat_limit is 'Most seats that could be taken, with the overage of its policy; empty: any number.';
comment on column analytics.fct_seat_denials.seats_taken is 'How many were; empty where they are not counted.';
comment on column analytics.fct_seat_denials.host is 'Where the session was to run, if its service said so.';
comment on column analytics.fct_seat_denials.denied_at is 'When it asked; for a resumption the heartbeat that asked.';
comment on column analytics.fct_seat_denials.recorded_at is 'When the denial was written down.';

create view analytics.fct_seat_overages as
select session_id, license_id, started_at, resumed_at, seat, seats, seat - seats as seats_over
from read_model.sessions
where seat > seats;

comment on view analytics.fct_seat_overages is
    'One row per session that was let in beyond its license''s seats, as the overage of the license''s policy allows. Join fct_sessions on session_id.';
comment on column analytics.fct_seat_overages.session_id is 'The session.';
comment on column analytics.fct_seat_overages.license_id is 'The license.';
comment on column analytics.fct_seat_overages.started_at is 'When it started.';
comment on column analytics.fct_seat_overages.resumed_at is 'When it last came back from a lapse, which takes a seat anew; empty if it never did.';
comment on column analytics.fct_seat_overages.seat is 'How many seats were taken with it, when it last took one.';
comment on column analytics.fct_seat_overages.seats is 'How many seats the license had then.';
comment on column analytics.fct_seat_overages.seats_over is 'How many seats beyond.';

create view analytics.rpt_seats as
select l.license_id,
       l.seats,
       case l.overage
           when '1.25x' then l.seats::bigint * 125 / 100
           when '1.5x' then l.seats::bigint * 150 / 100
           when '2x' then l.seats::bigint * 2
           when 'always' then null
           else l.seats
       end                                     as seat_limit,
       coalesce(held.taken, 0)                 as seats_taken,
       greatest(l.seats - coalesce(held.taken, 0), 0) as seats_free,
       greatest(coalesce(held.taken, 0) - l.seats, 0) as seats_over,
       coalesce(denied.denials, 0)             as denial_count,
       denied.last_denied_at
from read_model.licenses l
left join (select license_id, count(*) as taken from event_store.seats group by license_id) held using (license_id)
left join (
    select license_id, count(*) as denials, max(denied_at) as last_denied_at
    from read_model.seat_denials where reason = 'no_seat' group by license_id
) denied using (license_id)
where l.seats is not null;

comment on view analytics.rpt_seats is
    'One row per license with a number of seats: how many are taken now, by the log itself, and how often one was denied. Join dim_licenses on license_id.';
comment on column analytics.rpt_seats.license_id is 'The license.';
comment on column analytics.rpt_seats.seats is 'Its seats.';
comment on column analytics.rpt_seats.seat_limit is 'Most that may be taken, with the overage of its policy; empty: any number.';
comment on column analytics.rpt_seats.seats_taken is 'How many sessions hold one now; not behind the log, as the other columns may be.';
comment on column analytics.rpt_seats.seats_free is 'How many of its seats nobody holds.';
comment on column analytics.rpt_seats.seats_over is 'How many sessions hold one beyond its seats.';
comment on column analytics.rpt_seats.denial_count is 'How often a session was denied because no seat was free.';
comment on column analytics.rpt_seats.last_denied_at is 'When last; empty if never.';
