-- A license may have as many seats as an integer holds, and its policy let it be used by twice as many.
drop view analytics.fct_seat_denials;
alter table read_model.seat_denials alter column seat_limit type bigint;

create view analytics.fct_seat_denials as
select denial_id, license_id, session_id, wish, reason, seats, seat_limit, seats_taken, host, denied_at, recorded_at
from read_model.seat_denials;

comment on view analytics.fct_seat_denials is
    'One row per session that was not let start, or a lapsed one not let resume (once for each lapse). Join dim_licenses on license_id, fct_sessions on session_id.';
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
