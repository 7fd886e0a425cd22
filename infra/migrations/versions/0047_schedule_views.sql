create table read_model.schedules (
    schedule          text primary key,
    state             text,
    task              text,
    tier              text,
    kind              text,
    cron              text,
    zone              text,
    every_seconds     double precision,
    once_at           timestamptz,
    catch_up          text,
    catch_up_seconds  double precision,
    overlap           text,
    declared_at       timestamptz,
    changed_at        timestamptz,
    changed_by        text,
    reason            text
);
comment on table read_model.schedules is 'One row per schedule that was ever declared.';

create table read_model.schedule_firings (
    firing_id         text primary key,
    schedule          text,
    outcome           text,
    slot_at           timestamptz,
    last_slot_at      timestamptz,
    slots             bigint,
    fired_at          timestamptz,
    lateness_seconds  double precision,
    task              text,
    run_id            text,
    open_run_id       text,
    actor             text,
    reason            text,
    recorded_at       timestamptz
);
comment on table read_model.schedule_firings is
    'One row per slot that was fired or skipped, per firing by hand, and per stretch of missed slots.';
create index schedule_firings_by_schedule on read_model.schedule_firings (schedule, slot_at);
create index schedule_firings_by_run on read_model.schedule_firings (run_id);

insert into read_model.followed_logs (projection, log) values ('schedules', 'licensing'), ('schedule_firings', 'licensing');

create view analytics.dim_schedules as
select schedule, state, state = 'active' as is_active, task, tier, kind, cron, zone, every_seconds, once_at, catch_up,
       catch_up_seconds, overlap, declared_at, changed_at, changed_by, reason
from read_model.schedules;

comment on view analytics.dim_schedules is
    'One row per schedule that was ever declared. How it stands now; event_store.licensing_events has how it came to.';
comment on column analytics.dim_schedules.schedule is 'Its name.';
comment on column analytics.dim_schedules.state is 'active, paused or removed. One that comes once stays active when it has come.';
comment on column analytics.dim_schedules.is_active is 'Whether its slots are fired.';
comment on column analytics.dim_schedules.task is 'The task that it asks for.';
comment on column analytics.dim_schedules.tier is 'The tier of the runs.';
comment on column analytics.dim_schedules.kind is 'cron, interval or once.';
comment on column analytics.dim_schedules.cron is 'Minute, hour, day of the month, month, day of the week; empty where it does not go by clocks.';
comment on column analytics.dim_schedules.zone is 'Time zone of these clocks (IANA).';
comment on column analytics.dim_schedules.every_seconds is 'Its interval; empty where it has none.';
comment on column analytics.dim_schedules.once_at is 'When it comes, or came; empty where it comes more than once.';
comment on column analytics.dim_schedules.catch_up is 'What becomes of slots missed in an outage: none, last or all of them are fired afterwards.';
comment on column analytics.dim_schedules.catch_up_seconds is 'How late a slot may be fired where all are.';
comment on column analytics.dim_schedules.overlap is 'What becomes of a slot while an earlier run is open: allow, skip or queue.';
comment on column analytics.dim_schedules.declared_at is 'When it was declared; the last time, where it had been removed.';
comment on column analytics.dim_schedules.changed_at is 'When something was done about it last.';
comment on column analytics.dim_schedules.changed_by is 'Who did.';
comment on column analytics.dim_schedules.reason is 'Why, if anybody said.';

create view analytics.fct_schedule_firings as
select firing_id, schedule, outcome, slot_at, last_slot_at, slots as slot_count, fired_at, lateness_seconds, task, run_id,
       open_run_id, actor, reason, recorded_at
from read_model.schedule_firings;

comment on view analytics.fct_schedule_firings is
    'One row per slot that was fired or skipped, per firing by hand, and per stretch of missed slots. Join dim_schedules on schedule, fct_task_runs on run_id and on open_run_id.';
comment on column analytics.fct_schedule_firings.firing_id is 'What the slot is called: its stream in event_store.licensing_events, in which nothing else can happen.';
comment on column analytics.fct_schedule_firings.schedule is 'The schedule.';
comment on column analytics.fct_schedule_firings.outcome is 'fired; fired_by_hand: by somebody who did not wait for a slot; skipped: an earlier run was open; missed: nobody fired it in time.';
comment on column analytics.fct_schedule_firings.slot_at is 'The slot: when it was due; of missed slots the first; by hand, when it was asked for.';
comment on column analytics.fct_schedule_firings.last_slot_at is 'Of missed slots the last; otherwise the slot.';
comment on column analytics.fct_schedule_firings.slot_count is 'How many slots the row is about; empty: more than 10,000 that were missed.';
comment on column analytics.fct_schedule_firings.fired_at is 'When it was fired; empty if it was not.';
comment on column analytics.fct_schedule_firings.lateness_seconds is 'How long after the slot that was; empty where nothing was late.';
comment on column analytics.fct_schedule_firings.task is 'The task that was, or would have been, asked for.';
comment on column analytics.fct_schedule_firings.run_id is 'The run that was asked for; dispatch accepts it a moment later.';
comment on column analytics.fct_schedule_firings.open_run_id is 'The earlier run because of which the slot was skipped.';
comment on column analytics.fct_schedule_firings.actor is 'scheduler, or whoever fired it by hand.';
comment on column analytics.fct_schedule_firings.reason is 'Why it was fired by hand; or the rule by which slots were missed.';
comment on column analytics.fct_schedule_firings.recorded_at is 'When that was written down.';
