-- Views have no foreign keys. Their comments say what they join with, and this reads it out of them for tools: "Join
-- fct_a and fct_b on x_id, dim_c on y_id." A column that the other view has not under this name joins the one its name
-- ends with: new_run_id joins run_id.

create view analytics.meta_joins as
with view as (
    select oid, relname::text as name, obj_description(oid, 'pg_class') as about
    from pg_class
    where relnamespace = 'analytics'::regnamespace and relkind = 'v'
), sentence as (
    select view.oid, view.name, (regexp_matches(about, 'Join ([^.;]+)', 'g'))[1] as said from view
), part as (
    select sentence.oid, sentence.name, found[1] as others, found[2] as columns
    from sentence
    cross join lateral regexp_matches(said, '([a-z_]+(?: and [a-z]+_[a-z_]+)*) on ([a-z_]+(?: and on [a-z_]+)*)', 'g') as found
)
select part.name                  as view_name,
       column_name,
       other.name                 as joined_view_name,
       joined.name                as joined_column_name
from part
cross join lateral regexp_split_to_table(part.others, ' and ') as other_name
cross join lateral regexp_split_to_table(part.columns, ' and on ') as column_name
join view other on other.name = other_name
cross join lateral (
    select attname::text as name
    from pg_attribute
    where attrelid = other.oid and attnum > 0 and right(column_name, length(attname::text)) = attname::text
    order by length(attname::text) desc
    limit 1
) joined
order by view_name, column_name, joined_view_name;

comment on view analytics.meta_joins is
    'One row per view, column and other view that it joins with by an equal value: the foreign keys that views cannot have.';
comment on column analytics.meta_joins.view_name is 'A view.';
comment on column analytics.meta_joins.column_name is 'Its column.';
comment on column analytics.meta_joins.joined_view_name is 'The view that it joins with.';
comment on column analytics.meta_joins.joined_column_name is 'The column there that has the same values.';

comment on view analytics.fct_dead_letters is
    'One row per task run whose message was dead-lettered. Join fct_task_runs on run_id, fct_replays on replay_id, dim_licenses on license_id.';
comment on view analytics.fct_accepted_runs is
    'One row per task run that the log or the read model knows. The log''s own count of accepted runs beside what the read model made of them: whoever is in one only shows a lag or a fault. Join fct_task_runs on run_id.';
comment on view analytics.fct_replayed_runs is
    'One row per dead letter and batch that replayed it. Join fct_replays on replay_id, fct_task_runs on run_id and on new_run_id.';
comment on view analytics.fct_heartbeat_outcomes is
    'One row per session and outcome that heartbeats of it had. Join fct_sessions on session_id, dim_licenses on license_id. Sessions that were never started are in here only. docs/sessions.md says what each outcome means.';
comment on view analytics.fct_seat_denials is
    'One row per session that was not let start, or a lapsed one not let resume (once for each lapse). Join dim_licenses on license_id, fct_sessions on session_id.';
comment on view analytics.fct_seat_overages is
    'One row per session that was let in beyond its license''s seats, as the overage of the license''s policy allows. Join fct_sessions on session_id, dim_licenses on license_id.';
