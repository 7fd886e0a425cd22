create view analytics.fct_story_revocations as
select data->>'correlation_id' as correlation_id,
       occurred_at             as requested_at,
       metadata->>'actor'      as requested_by,
       data->>'reason'         as reason,
       event_id::text          as event_id
from event_store.task_events
where name = 'story.revocation_requested';

comment on view analytics.fct_story_revocations is 'One row per story (correlation_id) that somebody took back as a whole; what became of its runs is in fct_task_runs, by their correlation_id.';
comment on column analytics.fct_story_revocations.correlation_id is 'Names the story.';
comment on column analytics.fct_story_revocations.requested_at is 'When it was asked for.';
comment on column analytics.fct_story_revocations.requested_by is 'Who asked.';
comment on column analytics.fct_story_revocations.reason is 'Why.';
comment on column analytics.fct_story_revocations.event_id is 'Id of the event that says so; turned_away_by in fct_task_attempts names it.';

comment on column analytics.fct_task_attempts.turned_away_by is 'Id of the event because of which it was refused or revoked: of the run''s license, or of its story; empty if none was.';
